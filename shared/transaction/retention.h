/* Rows that are kept for a time (view.retention_ms): how the store has them.
 *
 * Such a row is stored behind its stamp, the stream time of its last put. An index by stamp finds what is due
 * without looking at the rest: each row has an entry there, never later than the row's own stamp. A put
 * leaves an older entry where it is; when that comes due, it moves to where the row is by then. So a row has
 * one entry however often it is put, and the index is eaten from its front only. One thread. */
#pragma once

#include "topology/topology.h"
#include "transaction/overlay.h"

/* How far event time has come in a task. */
struct task_time {
    int64_t now; /* stream time; 0: nothing was seen yet */
    int64_t due; /* up to this stream time nothing expires; INT64_MIN: look */
};

/* When a row with this stamp has had its time: at a stream time beyond this. */
int64_t retention_end(const struct view *v, int64_t stamp);

/* Appends what a row has before its payload where it is stored: its stamp, where it expires or is served
 * (then it is when it was put). And such a row's payload, SLICE_NONE of SLICE_NONE. */
void row_begin(const struct view *v, int64_t stamp, struct buf *out);
struct slice row_payload(const struct view *v, struct slice stored);
int64_t row_stamp(struct slice stored);

/* The entry of a row in the index. */
void store_key_due(struct buf *out, const struct view *v, int32_t partition, int64_t stamp,
                   struct slice record_key);

struct due {
    struct slice entry, record_key; /* in the overlay's arena */
};

struct due_list { /* zero-initialise; free items */
    struct due *items;
    size_t count, capacity, limit;
    int64_t next; /* when the first entry behind them comes due; INT64_MAX: there is none */
};

/* The entries that are due at `now`, in their order, up to list->limit; none was due before `since`. */
WARN_UNUSED bool retention_due(struct overlay *o, const struct view *v, int32_t partition, int64_t since,
                               int64_t now, struct due_list *list, struct err *e);
