/* inventory: reserves stock for each new order, or fails it; gives back what a failed order held. */
#pragma once

#include "http/server.h"
#include "schemas/schemas.gen.h"
#include "topology/topology.h"

extern const struct topology inventory_topology;
extern const struct view inventory_reserved;     /* by product: how much is reserved in all */
extern const struct view inventory_reservations; /* by product and order: what the order was given */
extern const struct table inventory_stock;
extern const struct table inventory_reserved_stock; /* the same as inventory_reserved, of all partitions */

extern const struct http_route inventory_routes[];
