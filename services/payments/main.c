#include "payments.h"

#include "service/service.h"

static const struct service payments = {
    .name = "payments",
    .topologies = (const struct topology *const[]){&payments_topology, NULL},
    .routes = payments_routes,
    .publishes = (const struct topic *const[]){&topic_payment_requests, NULL},
    .start = payments_start,
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &payments);
}
