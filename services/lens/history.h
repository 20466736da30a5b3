/* Which record of a key was the latest, at any moment: of topics, the offsets at which each key was written,
 * in a store on disk. What a view was at a vector of offsets is then a walk over its keys, whichever vector:
 * no record is read for it twice. It is filled from the log when somebody asks, goes on from where it was,
 * and is bounded. One thread. */
#pragma once

#include "store/store.h"
#include "tape.h"

struct history;

/* Owns the store, which is empty. `max`: versions that it keeps; then whole topics go, the least lately used
 * first. */
struct history *history_create(struct store *store, uint64_t max);
/* Takes NULL. */
void history_destroy(struct history *h);

/* How far it has read a partition; from there on history_take() goes on. */
WARN_UNUSED bool history_next(struct history *h, const char *topic, int32_t partition, int64_t *next,
                              struct err *e);

/* Takes the next offset, whatever it is; committed records count. history_settle() then moves on to `next` at
 * once with what was taken, in one batch. ERR_INPUT: this topic alone is more than it keeps. */
void history_take(struct history *h, const char *topic, int32_t partition, const struct tape_entry *entry);
WARN_UNUSED bool history_settle(struct history *h, const char *topic, int32_t partition, int64_t next,
                                struct err *e);

/* Forgets a topic: it is another one now. */
WARN_UNUSED bool history_forget(struct history *h, const char *topic, struct err *e);

struct history_row { /* a key of a partition */
    struct slice key;
    int32_t partition;
    int64_t then,
        now; /* the offsets of its latest records before the two moments; -1: none, or it was deleted */
};

/* False: no more. */
typedef bool history_visit(void *context, const struct history_row *row);

/* Visits the keys of a topic that were there at either moment, in order, from behind `after` (SLICE_NONE:
 * all) on; at most `most` are looked at. A moment is an offset for each partition: what is before it counts.
 * `*last`, in `a`, is what to give as `after` next; SLICE_NONE: there are no more. */
WARN_UNUSED bool history_walk(struct history *h, const char *topic, const int64_t *then, const int64_t *now,
                              int32_t partitions, struct slice after, size_t most, history_visit *visit,
                              void *context, struct arena *a, struct slice *last, struct err *e);

/* What to give as `after` to begin at a key, or the first behind it; in `a`. */
struct slice history_begin(const char *topic, struct slice key, struct arena *a);

/* The latest record of a key before `before`; -1: none, or it was deleted. */
WARN_UNUSED bool history_latest(struct history *h, const char *topic, struct slice key, int32_t partition,
                                int64_t before, int64_t *offset, struct err *e);

/* The first offset that compaction had taken before this read it; -1: none. */
WARN_UNUSED bool history_thinned(struct history *h, const char *topic, int32_t partition, int64_t *first,
                                 struct err *e);
