/* possible-fraud: cards with more than three authorizations in five minutes. */
#pragma once

#include "http/server.h"
#include "schemas/schemas.gen.h"
#include "topology/topology.h"

extern const struct topology possible_fraud_topology;
extern const struct view possible_fraud_windows; /* by card token and start of the window */
extern const struct table possible_fraud_table;  /* the newest row of each card, for HTTP */

/* Newest first. */
void possible_fraud_index(struct index *to, const struct event *row);

extern const struct http_route possible_fraud_routes[];
