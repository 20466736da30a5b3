#include "email.h"

#include "service/service.h"

static const struct service email = {
    .name = "email",
    .topologies = (const struct topology *const[]){&email_topology, NULL},
    .routes = email_routes,
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &email);
}
