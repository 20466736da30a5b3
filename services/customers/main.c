#include "customers.h"

#include "service/service.h"

static const struct service customers = {
    .name = "customers",
    .topologies = (const struct topology *const[]){&customers_topology, NULL},
    .routes = customers_routes,
    .publishes = (const struct topic *const[]){&topic_customers, NULL},
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &customers);
}
