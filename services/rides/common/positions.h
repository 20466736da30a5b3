/* Where riders and drivers are: the latest position counts. */
#pragma once

#include "stream/step.h"

#include "schemas/schemas.gen.h"

/* A position that is older is no longer shown: who goes on reports more often. */
enum { POSITION_SHOWN_MS = 60 * 1000 };

/* A record that is no position, or another's, is rejected; false then. */
bool position_check(struct step *s, const struct event *in);

bool position_shown(const struct event *row, int64_t now_ms);
