#include "clickstream.h"

#include "service/service.h"

static const struct service clickstream = {
    .name = "clickstream",
    .topologies = (const struct topology *const[]){&clickstream_topology, NULL},
    .routes = clickstream_routes,
    .publishes = (const struct topic *const[]){&topic_clickstream, NULL},
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &clickstream);
}
