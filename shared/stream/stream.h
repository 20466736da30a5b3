/* A running topology: exactly-once consume, transform, produce, with local views.
 *
 * One transaction carries a batch's outputs, its changelog records and its input offsets; after the commit
 * the store takes the same changes and the changelog positions in one batch. A crash in between replays
 * the changelog: Kafka is the truth, the store a cache that knows how far it got. DESIGN:
 * docs/ARCHITECTURE.md.
 *
 * A stream has a thread of its own, on which stream_run() or stream_step() is called. What is marked
 * "any thread" may be called from others. */
#pragma once

#include "log/partitions.h"
#include "topology/topology.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/metrics.h"
#include "events/schemas.h"
#include "store/store.h"

struct log;
struct log_record;
struct observer;
struct stream;

/* What stream_create() is told. */
struct stream_options {
    const struct topology *topology;
    int32_t partitions;      /* that the topics must have, unless they say otherwise; 0: any */
    struct schemas *schemas; /* shared by the process, not owned */
    struct store *store;     /* this stream's alone, not owned */
    struct log *log;         /* this stream's alone, not owned */
    /* How old what the store has of a topic may be, where the log may have forgotten since what was deleted:
     * if older it is read anew. Well below the topics' delete.retention.ms. 0: 12 hours. */
    int64_t stale_ms;
    size_t expiry_rows;     /* that go in one transaction; 0: 5000 */
    size_t pending_outputs; /* that wait for company before they go to the producer; 0: 4000 */
    bool divided;  /* of views that are served it begins with what the store has, besides its tasks; else it
                      stands by for all of them */
    void *context; /* of the callbacks, which run on the stream's thread */
    /* After a row of a table has changed and can be read; where the record is that says so (of a view: -1, it
     * is not known). In the order of the partition. */
    void (*changed)(void *context, const struct table *t, struct slice key, int32_t partition,
                    int64_t offset);
    /* A table of whose log the last records are lost: what it has goes after this, and is read anew. */
    void (*reread)(void *context, const struct table *t);
    /* After a stream_refresh() was fulfilled. */
    void (*refreshed)(void *context);
    /* A bad record goes to the dead letters, unless its transaction is aborted. NULL: nobody cares. */
    void (*dead_letter)(void *context, const struct log_record *r, const char *reason,
                        struct slice traceparent);
    /* After stream_tasks() or stream_held() has changed. */
    void (*moved)(void *context);
    /* The stream whose view a table shows; NULL: it is not open yet. */
    struct stream *(*owner)(void *context, const struct table *t);
    /* A view that is served can be asked for, or has come further, and somebody waits for that: stream_wake()
     * whoever shows it. */
    void (*advanced)(void *context);
    /* A line for people: what was skipped, reset or made anew, and why. It is counted too. NULL: nobody
     * reads. */
    void (*notice)(void *context, const char *text);
    const struct observer *observer; /* of inputs (observer.h), not owned; NULL: nobody */
};

/* What the topology may not be (topology_check) the first round says. */
struct stream *stream_create(const struct stream_options *options);
/* Takes NULL. Not while it runs. */
void stream_destroy(struct stream *s);

/* Whether the registry is the one by which the store was written, from what the store remembers of it. A
 * stream asks this first; who registers schemas before there is a stream asks before that. ERR_RETRY: it is
 * another one, or away; ERR_FATAL: see schemas_recognise. */
WARN_UNUSED bool stream_recognise_registry(struct store *store, struct schemas *schemas, struct err *e);

/* One round: news of the group, restoring, one batch, a commit when it is time. Waits up to `wait_ms` when
 * there is nothing to do. ERR_RETRY has been dealt with (see stream_status); any other error ends the
 * stream: ERR_FENCED, ERR_CONFIG, ERR_FATAL. */
WARN_UNUSED bool stream_step(struct stream *s, int wait_ms, struct err *e);

/* Rounds until stream_stop(); then commits and leaves. */
WARN_UNUSED bool stream_run(struct stream *s, struct err *e);
/* Ends stream_run() soon. Any thread. */
void stream_stop(struct stream *s);
/* The first half of that: commits and gives its tasks to others soon, but goes on to follow what it serves.
 * Any thread. */
void stream_leave(struct stream *s);
/* Whether that is done. Any thread. */
bool stream_has_left(const struct stream *s);

/* Assigned, restored, and the tables were hydrated to where their topics ended at the start. Any thread. */
bool stream_ready(const struct stream *s);

/* What it is doing, for people: "running", "restoring 2 of 4 tasks", "waiting for Kafka: …". Any thread;
 * copies at most `size` bytes. True: it waits for what should be there. */
bool stream_status(struct stream *s, char *text, size_t size);

/* How reading goes. */
struct stream_progress {
    uint64_t records; /* of tables and changelogs, since the start */
    uint64_t left;    /* until the tables are where their topics ended when somebody last asked, and until the
                         changelogs are restored; 0: done. What is not known yet counts as nothing */
};
struct stream_progress stream_progress(const struct stream *s); /* any thread */

/* How far it is in each partition that it reads now: "input", "table", or "view", whose changelog it is. */
struct stream_place {
    const char *what, *topic;
    int32_t partition;
    int64_t position;
};
/* The i-th, as long as there is one; position -1: that is not read now. Any thread. */
WARN_UNUSED bool stream_place(const struct stream *s, size_t i, struct stream_place *place);

/* A sum over the rows of a view's partition (row_digest), by which another copy of it is compared; zeroed,
 * with the partition, before the first call of stream_digest(). */
struct stream_digest {
    int32_t partition;
    int64_t position; /* of the changelog: all before it is in the rows; -1: there was nothing yet */
    int64_t rows;
    uint64_t sum[2];
    struct buf next; /* the caller frees it */
    bool begun, done;
    int tries; /* it changed meanwhile, so often */
};
/* Adds up to `most` rows; to be called until it is done. What changes meanwhile begins anew. The view is
 * known by its changelog; its partition is here, see stream_place(). ERR_CONFIG: there is no such view. Any
 * thread. */
WARN_UNUSED bool stream_digest(struct stream *s, const char *changelog, size_t most, struct stream_digest *d,
                               struct err *e);

/* When the call to Kafka that is under way must have ended, in µs of clock_mono_us(), or 0. A watchdog ends
 * the process after that: calls of a transaction have been seen to hang. Any thread. */
int64_t stream_deadline(const struct stream *s);

/* Its figures, each with the label topology="…". Any thread. */
void stream_metrics(struct stream *s, struct metrics *m);

/* Reads of tables, and of its own views through the tables that serve them; ERR_CONFIG for one that the
 * topology does not declare, or that cannot be read so. Any thread. `row` is decoded into the arena;
 * `row.value` NULL: there is none. */
WARN_UNUSED bool stream_row(struct stream *s, const struct table *t, struct slice key, struct arena *a,
                            struct event *row, struct err *e);

/* Rows by index key, ascending from `from` (inclusive, SLICE_NONE: the first) among those that begin with
 * `prefix`. `each` returns false to stop; its slices live during the call. */
WARN_UNUSED bool stream_scan(struct stream *s, const struct table *t, struct slice prefix, struct slice from,
                             bool (*each)(void *context, struct slice index_key, struct slice key),
                             void *context, struct err *e);

/* The same over the rows themselves, by key. */
WARN_UNUSED bool stream_scan_rows(struct stream *s, const struct table *t, struct slice from,
                                  bool (*each)(void *context, const struct event *row), void *context,
                                  struct err *e);

/* How far a table is: the next offset of each of its topic's partitions, 0 to n - 1. All rows up to there can
 * be read, and maybe some behind it. Any thread. */
WARN_UNUSED bool stream_positions(struct stream *s, const struct table *t, int64_t *offsets, int32_t n,
                                  struct err *e);

/* The same over one partition of a view. */
WARN_UNUSED bool stream_scan_partition(struct stream *s, const struct table *t, int32_t partition,
                                       struct slice prefix, struct slice from,
                                       bool (*each)(void *context, struct slice index_key, struct slice key),
                                       void *context, struct err *e);

/* What those keys in the store begin with that come and go, behind what their part begins with: for the
 * options with which the store of a view that is served is opened. Appends nothing where there are none. */
void stream_passing(const struct table *t, struct buf *out);

/* Which partitions of its served views it shall hold from now on, besides its tasks: it stands by for these,
 * and deletes the others at once, whoever reads them. Any thread. */
void stream_hold(struct stream *s, const struct partitions *wanted);
/* Which it shall hold, and which are hydrated, hence can be read. Any thread. */
void stream_held(struct stream *s, struct partitions *wanted, struct partitions *held);

/* How many offsets a view is behind this end of its changelog; 0: all that committed readers see before it
 * can be read here, or the partition is not held. Whoever is told of more hears by `advanced` when to look
 * again. Any thread. */
uint64_t stream_behind(struct stream *s, const struct table *t, int32_t partition, int64_t end);
/* Lets it look at once at what it waits for. Any thread. */
void stream_wake(struct stream *s);

/* The tasks that it has in its group. Any thread. */
void stream_tasks(struct stream *s, struct partitions *tasks);

/* Asks for the tables to be hydrated to where their topics end now. stream_fresh(ticket) becomes true
 * when they are; options.refreshed is called then. Any thread. */
uint64_t stream_refresh(struct stream *s);
/* Whether what that call asked for is here. Any thread. */
bool stream_fresh(const struct stream *s, uint64_t ticket);
