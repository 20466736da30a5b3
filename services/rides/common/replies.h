/* What senders of commands were told lately, as a row of whoever decided keeps it: the same command again
 * gets the same reply, and HTTP finds its answer here. */
#pragma once

#include "base/buf.h"
#include "schemas/schemas.gen.h"

enum { REPLIES_KEPT_MS = 60 * 1000, REPLIES_MAX = 256 };

/* NULL: none. */
const struct ride_reply *replies_find(struct ride_reply_array replies, struct slice command);

/* With `reply`, without those that are more than a minute older, and of many the latest; in `a`. */
struct ride_reply_array replies_add(struct arena *a, struct ride_reply_array old,
                                    const struct ride_reply *reply);
