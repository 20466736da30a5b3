/* The decider: every command of a ride comes here, and one transaction has the decision, the reply, the event
 * and what claims need to know. */
#pragma once

#include "schemas/schemas.gen.h"
#include "topology/topology.h"

extern const struct topology rides_topology;
extern const struct view rides_decisions;
