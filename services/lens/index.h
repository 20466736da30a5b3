/* An index of the log: by key, and by what follows from what (the header caused-by). So a key's story is a
 * few reads and not a search of every topic. It is a store that is filled from the log by one thread, and
 * bounded: of the latest 16 to 18 million records; older ones go two million at a time. */
#pragma once

#include "cluster.h"
#include "events/schemas.h"

struct index;

struct index_place {   /* of a record */
    const char *topic; /* as long as the index */
    int32_t partition;
    int64_t offset;
};

struct index_figures { /* of a partition, since the index began */
    uint64_t records, bytes;
    double rate; /* records a second, lately */
    int64_t next;
};

/* Borrows the cluster. Opens the store below `dir`. */
WARN_UNUSED bool index_create(struct cluster *c, const char *dir, struct index **index, struct err *e);
/* Takes NULL. index_run() has returned. */
void index_destroy(struct index *x);

/* Reads what is new, until `stopping` says so; waits for what is away. */
void index_run(struct index *x, bool (*stopping)(void *context), void *context);

/* Waits until it has all that was in the log at the call, at most `ms`. False: it has not. */
bool index_wait(struct index *x, int ms);

/* Whether it has caught up once; else `why` says how far it is. Any thread, as all below. */
bool index_ready(struct index *x, char *why, size_t size);

/* The places of a key, up to `max`, the newest of each partition; *more where there are others. A hash may
 * collide: look at the record's key. */
WARN_UNUSED bool index_find(struct index *x, struct slice key, struct index_place *places, size_t max,
                            size_t *n, bool *more, struct err *e);

/* What names this place as its cause; likewise. */
WARN_UNUSED bool index_effects(struct index *x, const char *topic, int32_t partition, int64_t offset,
                               struct index_place *places, size_t max, size_t *n, bool *more, struct err *e);

bool index_figures(struct index *x, const char *topic, int32_t partition, struct index_figures *figures);
