#include "possible_fraud.h"

#include "service/service.h"

static const struct service possible_fraud = {
    .name = "possible-fraud",
    .topologies = (const struct topology *const[]){&possible_fraud_topology, NULL},
    .routes = possible_fraud_routes,
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &possible_fraud);
}
