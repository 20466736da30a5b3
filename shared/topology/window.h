/* Windows of event time: which one an event is in. Plain functions of plain values; any thread.
 *
 * What happened in a window is a row of a view: for tumbling windows one below the key for each, with
 * time_sub() as its sub-key, for sessions best all of a key in one row. The view's retention_ms says for how
 * long a window still takes late events after it was last changed: what elsewhere is called grace. */
#pragma once

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

/* A stretch of event time. */
struct window {
    int64_t start, end; /* ms; tumbling: end is not part of it; sessions: the first event and the last */
};

/* The tumbling window of `size_ms` that has this time; aligned to 1970. */
struct window window_tumbling(int64_t time, int64_t size_ms);

/* The session of an event at `time` among those that there are, which are more than `gap_ms` apart from each
 * other: from the first to the last of all that are within the gap. joins[i] tells whether sessions[i] is
 * part of it; their rows become one. An event can join two that were apart until now. */
struct window window_session(const struct window *sessions, size_t count, int64_t time, int64_t gap_ms,
                             bool *joins);

/* A time (ms; below 0 counts as 0) as the beginning of a sub-key: as text, it sorts as time does. */
struct slice time_sub(struct arena *a, int64_t time);

/* Reads it back; 0 when `sub` does not begin with a time. */
int64_t time_of_sub(struct slice sub);
