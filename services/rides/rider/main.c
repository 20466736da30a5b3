#include "rider.h"

#include "rides.h"
#include "service/service.h"

static const struct service rider = {
    .name = "rider",
    .topologies =
        (const struct topology *const[]){&rider_topology, &rides_topology, &rider_view_topology, NULL},
    .routes = rider_routes,
    .patient = (const struct topic *const[]){&topic_driver_positions, &topic_rider_positions, NULL},
    .publishes = (const struct topic *const[]){&topic_rider_positions, &topic_rider_commands,
                                               &topic_ride_commands, NULL},
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &rider);
}
