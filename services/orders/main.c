#include "orders.h"

#include "service/service.h"

static const struct service orders = {
    .name = "orders",
    .topologies = (const struct topology *const[]){&orders_topology, &orders_view_topology, NULL},
    .routes = orders_routes,
    .publishes = (const struct topic *const[]){&topic_order_requests, &topic_order_cancellations, NULL},
    .follows = orders_followed,
    .assignments = &orders_assignments,
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &orders);
}
