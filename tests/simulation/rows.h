/* Stores against the log: a view or a table holds what its topic says, and nothing else. For workloads. */
#pragma once

#include "world.h"

struct store;
struct stream;

enum { MAX_ROWS = 256 };

/* What a topic comes to: the latest value of each key (data NULL: deleted). */
struct rows {
    struct slice keys[MAX_ROWS], values[MAX_ROWS];
    int64_t times[MAX_ROWS]; /* of the latest record: a row's stamp, where rows are kept for a time */
    bool gone[MAX_ROWS];     /* that record is not in the log any more: who had not read it never will */
    int count;
    bool unknown; /* the registry is away, and nobody can tell */
};

/* Adds a partition's records. */
void rows_fold(struct rows *rows, struct world *w, const struct topic *t, int32_t partition);

/* The store of whoever has the task now against these rows, of the view's changelog in that partition. */
void rows_check_view(const struct rows *rows, struct world *w, const struct topology *t, const struct view *v,
                     int32_t partition);

/* What an instance would answer from its served views, where it says that it has all that there is: that must
 * be so, whatever it is in the middle of. */
void rows_watch(struct world *w, const struct topology *t, struct stream *s, struct store *store);

/* All views of a topology, and all tables of each of its instances. */
void rows_check_topology(struct world *w, const struct topology *t);
