#include "ratings.h"

#include "ratings_simulation.h"
#include "service/service.h"

static const struct service ratings = {
    .name = "ratings",
    .topologies = (const struct topology *const[]){&ratings_topology, &ratings_view_topology, NULL},
    .routes = ratings_routes,
    .publishes = (const struct topic *const[]){&topic_raw_ratings, NULL},
    .background = simulation_run,
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &ratings);
}
