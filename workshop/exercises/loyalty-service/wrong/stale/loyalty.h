/* loyalty: the points of each customer, for each of their VALIDATED orders, by their level. */
#pragma once

#include "http/server.h"
#include "schemas/schemas.gen.h"
#include "topology/topology.h"

extern const struct topology loyalty_topology; /* loyalty.c: that of the exercise before */
extern const struct table loyalty_table;       /* what HTTP reads */

extern const struct http_route loyalty_routes[];
