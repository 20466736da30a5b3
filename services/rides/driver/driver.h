/* driver: takes what drivers do, one ride at a time; gives the ride of a driver who has vanished back; shows
 * drivers who is near, and who hails. */
#pragma once

#include "http/server.h"
#include "schemas/schemas.gen.h"
#include "topology/topology.h"

enum {
    DRIVER_GONE_MS = 30 * 1000, /* without a position for this long, a driver has vanished */
    DRIVER_TOUCH_MS = 5 * 1000 /* presence is as exact as this, and costs one changelog record in this time */
};

extern const struct topology driver_topology;
extern const struct view driver_claims;
extern const struct view driver_presence; /* of drivers who have a claim */

/* Hydrates what HTTP reads. */
extern const struct topology driver_view_topology;
extern const struct table driver_claims_table; /* the same as driver_claims, of all partitions */

extern const struct http_route driver_routes[];
