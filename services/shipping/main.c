#include "shipping.h"

#include "service/service.h"

static const struct service shipping = {
    .name = "shipping",
    .topologies = (const struct topology *const[]){&shipping_topology, NULL},
    .routes = shipping_routes,
    .patient = (const struct topic *const[]){&topic_orders, NULL}, /* a parcel is in no such hurry */
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &shipping);
}
