#include "order_details.h"

#include "service/service.h"

static const struct service order_details = {
    .name = "order-details",
    .topologies = (const struct topology *const[]){&order_details_topology, NULL},
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &order_details);
}
