#include "fraud.h"

#include "service/service.h"

static const struct service fraud = {
    .name = "fraud",
    .topologies = (const struct topology *const[]){&fraud_topology, NULL},
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &fraud);
}
