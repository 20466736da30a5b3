/* rider: takes what riders want, one ride at a time, and decides about rides; shows riders who is near. */
#pragma once

#include "http/server.h"
#include "schemas/schemas.gen.h"
#include "topology/topology.h"

extern const struct topology rider_topology;
extern const struct view rider_claims;

/* Hydrates what HTTP reads. */
extern const struct topology rider_view_topology;
extern const struct table rider_claims_table; /* the same as rider_claims, of all partitions */

extern const struct http_route rider_routes[];
