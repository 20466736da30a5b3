#include "email.h"

#include "service/service.h"

static const struct service email = {
    .name = "email",
    .topologies = (const struct topology *const[]){&email_topology, NULL},
    .routes = email_routes,
    .patient = (const struct topic *const[]){&topic_orders, NULL}, /* a payment comes later than its order */
    .deliveries = (const struct delivery *const[]){&email_delivery, NULL},
    .start = email_start,
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &email);
}
