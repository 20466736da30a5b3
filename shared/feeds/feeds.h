/* What the streams of events of a process share: for each table its changes and the rows that changed,
 * decoded and as JSON; and one reader of the log, for all that follow one.
 *
 * Who owns what: the instance owns the feeds, they own the tables' changes and the tail, and each exchange
 * its stream (run.h). Threads: streams run on the HTTP thread, as what feed.h says. A table's changes are
 * noted on the thread of the table's stream, without waiting for anybody. The tail has a thread, which starts
 * with the first stream that follows a log. */
#pragma once

#include "feeds/changes.h"
#include "instance/inside.h"

struct feeds;
struct tail;

struct feeds *feeds_create(struct instance *i);
/* Takes NULL, as the next three. No exchange is under way any more. */
void feeds_destroy(struct feeds *f);
void feeds_metrics(struct feeds *f, struct metrics *m); /* HTTP thread */
/* A table's row has changed; on its stream's thread. */
void feeds_note(struct feeds *f, const struct table *t, struct slice key, int32_t partition, int64_t offset);
/* What the table has is not true any more: streams of it begin anew. Likewise. */
void feeds_reset(struct feeds *f, const struct table *t);

/* ---- What is left is for streams, on the HTTP thread. ---- */

/* How many partitions a topic has. */
int32_t feeds_partitions(const struct instance *i, const struct topic *t);

/* Starts its thread the first time. */
struct tail *feeds_tail(struct feeds *f);
/* Before that: streams follow this log, which the caller owns, and whose tail he runs. */
struct tail *feeds_follow(struct feeds *f, struct log *log);

struct table_shared {
    struct instance *instance;
    const struct table *table;
    struct changes *changes;
    atomic_uint resets; /* how often the table was read anew */
    struct arena cache; /* of rows that changed */
    size_t cache_size;
    uint64_t generation; /* of the cache */
};

struct table_shared *feeds_table(struct feeds *f, const struct table *t);

/* What streams watch of a table: that there are changes, and, who shows one row, that all are read anew. */
struct shared_name {
    char text[200];
};
struct slice shared_changed(const struct table_shared *s, struct shared_name *name);
struct slice shared_reread(const struct table_shared *s, struct shared_name *name);
