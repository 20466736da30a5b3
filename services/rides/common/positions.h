/* Where riders and drivers are: the latest position counts. */
#pragma once

#include "schemas/schemas.gen.h"
#include "topology/topology.h"

/* A position that is older is no longer shown: who goes on reports more often. */
enum { POSITION_SHOWN_MS = 60 * 1000 };

/* What is wrong with a record; NULL: it is somebody's position. */
const char *position_fault(const struct event *in);

bool position_shown(const struct event *row, int64_t now_ms);
