#include "lens.h"

#include "schemas/schemas.gen.h"

static const struct service service = {
    .name = "lens",
    .topologies = (const struct topology *const[]){NULL},
    .routes = lens_routes,
    .follows = topics,
    .asks_groups = true,
    .start = lens_start,
    .background = lens_run,
    .ready = lens_ready,
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &service);
}
