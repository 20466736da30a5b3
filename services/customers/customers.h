/* customers: takes and serves customers; the topic of that name is the only truth about them. */
#pragma once

#include "http/server.h"
#include "schemas/schemas.gen.h"
#include "topology/topology.h"

extern const struct topology customers_topology;
extern const struct table customers_table;

extern const struct http_route customers_routes[];
