/* What senders of commands were told lately, as a row of whoever decided keeps it: the same command again
 * gets the same reply, and HTTP finds its answer here. */
#pragma once

#include "base/buf.h"
#include "schemas/schemas.gen.h"

enum { REPLIES_KEPT_MS = 60 * 1000, REPLIES_MAX = 256 };

/* The reply to a command of this id; NULL: none. */
const struct ride_reply *replies_find(struct ride_reply_array replies, struct slice command);

/* Whether it is the reply to this very command: a client may have used the id for another one. */
bool reply_is_to(const struct ride_reply *reply, const struct ride_command *c);

/* What the command asks, in `a`, for its reply: `asked`. */
struct slice reply_asked(struct arena *a, const struct ride_command *c);

/* With `reply`, without those that are more than a minute older, and of many the latest; in `a`. */
struct ride_reply_array replies_add(struct arena *a, struct ride_reply_array old,
                                    const struct ride_reply *reply);
