#include "shipping.h"

#include "service/service.h"

static const struct service shipping = {
    .name = "shipping",
    .topologies = (const struct topology *const[]){&shipping_topology, NULL},
    .routes = shipping_routes,
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &shipping);
}
