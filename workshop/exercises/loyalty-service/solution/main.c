#include "loyalty.h"

#include "service/service.h"

static const struct service loyalty = {
    .name = "loyalty",
    .topologies = (const struct topology *const[]){&loyalty_topology, NULL},
    .routes = loyalty_routes,
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &loyalty);
}
