/* fraud: fails an order when its customer spends too much in one session. */
#pragma once

#include "schemas/schemas.gen.h"
#include "topology/topology.h"

extern const struct topology fraud_topology;
extern const struct view fraud_sessions_view;
extern const struct view fraud_verdicts; /* by customer and order */
