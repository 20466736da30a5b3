/* A join of two streams: pairs of a left and a right event with the same key whose times are at most
 * within_ms apart, whichever comes first, in any order and however late.
 *
 * Each side is kept in a view of its own (the changelog's value is what is kept of an event) for the view's
 * retention_ms of stream time after it came: as long as that it finds its partner, if the partner is only
 * late and not too far from it by its own time. So retention_ms is within_ms and the lateness to be
 * tolerated, and rather more: it costs space only.
 *
 *     static void on_order(struct txn *txn, const struct event *in) { join_left(txn, &join, in, SLICE_NONE);
 * } static void on_payment(struct txn *txn, const struct event *in) { join_right(txn, &join, in, p->id); } */
#pragma once

#include "transaction/txn.h"

/* One pair. The one that was kept has its key, time and value; its topic is the changelog, its offset -1.
 * What is emitted has the time of the one that came last. */
typedef void join_pair(struct txn *txn, const struct event *left, const struct event *right);

/* A join, as data. Constant; its views are among those of the topology. */
struct join {
    const struct view *left, *right;
    int64_t within_ms;
    join_pair *pair; /* once for each pair */
};

/* An event of the left side, whose in->value is of the type that the side's view keeps. `id` tells events
 * apart that have the same key and the same time (SLICE_NONE: there are no such). One that has come before,
 * with the same time and id, makes no pair again. */
void join_left(struct txn *txn, const struct join *j, const struct event *in, struct slice id);
/* The same for an event of the right side. */
void join_right(struct txn *txn, const struct join *j, const struct event *in, struct slice id);
