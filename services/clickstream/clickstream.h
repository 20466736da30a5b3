/* clickstream: takes clicks, and says which are those of the best customers. */
#pragma once

#include "http/server.h"
#include "schemas/schemas.gen.h"
#include "topology/topology.h"

extern const struct topology clickstream_topology;
extern const struct table clickstream_customers;

extern const struct http_route clickstream_routes[];
