#include "inventory.h"

#include "service/service.h"

static const struct service inventory = {
    .name = "inventory",
    .topologies = (const struct topology *const[]){&inventory_topology, NULL},
    .routes = inventory_routes,
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &inventory);
}
