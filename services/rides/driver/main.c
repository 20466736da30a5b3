#include "driver.h"

#include "service/service.h"

static const struct service driver = {
    .name = "driver",
    .topologies = (const struct topology *const[]){&driver_topology, &driver_view_topology, NULL},
    .routes = driver_routes,
    .patient = (const struct topic *const[]){&topic_driver_positions, &topic_rider_positions, NULL},
    .publishes = (const struct topic *const[]){&topic_driver_positions, &topic_driver_commands,
                                               &topic_ride_commands, NULL},
};

int main(int argc, char **argv) {
    return service_main(argc, argv, &driver);
}
