/* order-details: fails an order that no one could fulfil: of nothing, below price, of an unknown product, for
 * an unknown customer. */
#pragma once

#include "schemas/schemas.gen.h"
#include "topology/topology.h"

extern const struct topology order_details_topology;
extern const struct view order_details_verdicts;
extern const struct table order_details_stock;
extern const struct table order_details_customers;
