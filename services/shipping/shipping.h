/* shipping: sends each VALIDATED order to its customer's address, which it has from a replica of its own. */
#pragma once

#include "http/server.h"
#include "schemas/schemas.gen.h"
#include "topology/topology.h"

extern const struct topology shipping_topology;
extern const struct view shipping_shipped;
extern const struct table shipping_customers;
extern const struct table shipping_shipments; /* what HTTP reads */

extern const struct http_route shipping_routes[];
