/* Compares what the suite serves over HTTP with the log (invariant 7). */
#pragma once

#include "audit_fold.h"
#include "ratings_fold.h"
#include "reader.h"
#include "rides_fold.h"

/* After audit_judge. `moving_allowed`: somebody may still write; then what is newer than the log as it was
 * read is no violation. ERR_RETRY when the gateway does not answer. */
WARN_UNUSED bool views_check(struct audit *a, struct ratings_fold *ratings, struct rides_fold *rides,
                             struct reader *r, const char *gateway_url, bool moving_allowed, struct err *err);
