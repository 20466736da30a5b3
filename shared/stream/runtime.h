/* The inside of a topology that runs (stream.h): one thread, which owns all of this, goes round in stream.c.
 *
 *   stream.c    the round, in its order; what ends it, and what it goes on from
 *   start.c     getting to know topics and registry, tables, the group    (recognise.c: is it the registry of
 *               before?)
 *   group.c     tasks come and go; what is lost with a transaction
 *   inputs.c    inputs through their handlers    (time.c: what is due before them, and ticks)
 *   aside.c     what is read beside the inputs, into the store:
 *   tasks.c     a task's state, restored from its changelogs, and standing by for another instance's;
 *   tables.c    tables, hydrated from their topics    (aims.c: up to where)
 *   commit.c    the transaction of Kafka, then the store's    (search.c: which input a refused record is of)
 *   positions.c what the store says of positions: of tables, changelogs, inputs; where the log's ends are
 *   notes.c     what people are told; report.c, metrics.c, digest.c what others see; read.c what other
 *               threads read
 * Each uses those below it and no other. A task is a partition of all sources with its state: NEW until it
 * can be restored, RESTORING, RUNNING while it takes inputs, or FOLLOWING what another instance runs.
 *
 * Everything is for the stream's thread, unless it says otherwise. */
#pragma once

#include "base/metrics.h"
#include "base/status.h"
#include "log/guard.h"
#include "log/log.h"
#include "log/partitions.h"
#include "stream/stream.h"
#include "transaction/keys.h"
#include "transaction/overlay.h"
#include "transaction/retention.h"

#include <stdatomic.h>

enum {
    BATCH = 1000, /* records a poll */
    RETRY_MS = 200,
    TRANSACTION_MS = 300,
    BUSY_MS = 40, /* as long a transaction waits for more, under load: a commit costs the broker the same for
                     one record and for all */
    LAZY_COMMIT_MS = 1000, /* offsets of inputs from which nothing followed */
};

/* The reader's place in one partition of a table or a changelog. */
struct cursor {
    int64_t position, target;
    bool behind_record;    /* position is, so the marker of its transaction may come there */
    int64_t mark, mark_at; /* where the topic ended at that time of day */
};

static inline uint64_t cursor_left(const struct cursor *c) {
    return c->target > c->position ? (uint64_t)(c->target - c->position) : 0;
}

enum task_state {
    TASK_NONE,
    TASK_NEW,       /* to be restored, as soon as that can begin */
    TASK_RESTORING, /* it reads the changelogs to where they ended */
    TASK_FOLLOWING, /* of another instance, for which it stands by: it reads on */
    TASK_RUNNING,   /* it handles its inputs */
};

struct task {
    enum task_state state;
    bool ours;          /* the group gave it to us; the others are held for reading, and in case */
    int64_t *inputs;    /* by source: the next offset to process, */
    int64_t *read;      /* and the next to come, behind whatever is no record */
    int64_t *committed; /* by source: as the group has it */
    int64_t *cuts;      /* by source: how often it has lost its last records */
    struct log_delivered *changelogs; /* by view: of our records */
    struct cursor *restore;           /* by view */
    int64_t *applied;             /* by view: all that the log has before it is in the store; -1: unknown */
    atomic_int_least64_t *wanted; /* by view: what somebody waits for is before it */
    struct task_time time;
};

static inline bool reads_changelogs(const struct task *task) {
    return task->state == TASK_RESTORING || task->state == TASK_FOLLOWING;
}

/* Records of one topic, which can be several things to a topology. */
struct topic_counts {
    const struct topic *topic;
    bool input, output, table, changelog;
    counter in, out, hydrated, restored; /* as each of these; a changelog is an output too */
    counter skipped, dead_letters, unreadable;
    counter deleted, lost; /* positions moved: to where it begins, and to where it ends */
};

/* How far each partition is that is read, for others to see. */
struct place {
    const struct topic *topic;
    int32_t partition;
    _Atomic int64_t position; /* -1: it is not ours now */
};
struct places {
    /* Inputs, by partition and source; tables, by table and partition; changelogs, by partition and view. */
    size_t inputs, tables, count; /* how many of the first kind, of the first two, of all */
    struct place place[];
};

/* An input that is known again when it comes again: by its time too, because a log that has lost its last
 * records gives their offsets to others. topic NULL: none. */
struct suspect {
    struct log_position place;
    int64_t time;
};

/* For the input from which a record follows that the broker refuses (ERR_REFUSED): smaller and smaller
 * transactions, until one of a single input is refused. That one becomes a dead letter. */
struct search {
    size_t size;            /* inputs of a transaction, at the most; 0: nothing is searched for */
    size_t left;            /* inputs to go so; then what was refused is not refused any more */
    struct suspect last;    /* the input that was begun last in this transaction */
    struct suspect culprit; /* none: not found yet */
    bool expiring;          /* it is a row which the culprit makes expire */
    bool found;             /* the culprit is on its way to the dead letters */
    char why[sizeof((struct err *)NULL)->text];
};

/* What must happen before the next transaction. */
enum recovery { RECOVER_NOTHING, RECOVER_BY_ABORT, RECOVER_BY_INIT };

struct stream {
    struct stream_options o;
    const struct topology *topology;
    struct txn *txn;
    struct overlay incoming; /* of tables and changelogs, applied at the end of each poll */
    struct log_record records[BATCH], aside[BATCH]; /* of a round, and of tables while inputs wait */

    size_t source_count, view_count, table_count;
    int32_t partitions;      /* of the sources */
    struct task *tasks;      /* by partition */
    struct cursor **cursors; /* by table, then partition */
    int32_t *table_partitions;
    bool *forgotten;                  /* by table: as a whole, because its log is shorter; it starts anew */
    size_t started_to;                /* how far start() got */
    bool subscribed, joined, expires; /* expires: a view has a retention */
    bool serves;                      /* a view is served */

    enum recovery recovery;
    bool in_transaction;
    size_t transaction_records;
    int64_t transaction_since_us;
    int64_t dirty_since; /* when the first input came that is not committed; 0: there is none */
    int64_t tasks_retry_at, trouble_until, tick_at, flush_at, aim_at;
    int32_t tasks_first;
    struct err callback_err; /* what went wrong inside a callback of the group */
    uint64_t refresh_started;
    bool tables_known;              /* every table was hydrated once */
    int fruitless;                  /* rewinds since the last commit */
    bool recognised;                /* the registry */
    size_t remembered;              /* how many of its ids are in the store */
    struct log_position unreadable; /* the record of our own for which a task waits; topic NULL: none */
    int64_t renew_at;
    int64_t clock;  /* by how much the time of day is ahead of the monotonic clock, at the most so far */
    int64_t latest; /* what is later than that is no timestamp, in this batch */
    struct search search;

    /* Shared with other threads. */
    atomic_bool stopping, leaving, left_group, ready;
    atomic_int_least64_t deadline;
    atomic_uint_fast64_t left; /* see struct stream_progress */
    atomic_uint_fast64_t refresh_wanted, refresh_done;
    struct topic_counts *counts; /* by the topic's number */
    counter commits, aborts, rewinds, refusals, expired, reindexed, recovered, outdated, reconciled;
    struct histogram transaction_us, transaction_inputs;
    _Atomic(struct places *) places;     /* NULL before the topics are known */
    atomic_bool hold_changed, expected;  /* expected: another stream waits for a view (task.wanted) */
    atomic_int divided_into;             /* the partitions of views; 0: not known yet */
    pthread_mutex_t lock;                /* of what follows */
    struct partitions assigned;          /* by the group */
    struct partitions hold_wanted, held; /* see stream_hold(); held: hydrated, as far as readers can know */
    struct status status;
};

#define CALL0(s, f) ((s)->o.log->ops->f((s)->o.log))
#define CALL(s, f, ...) ((s)->o.log->ops->f((s)->o.log, __VA_ARGS__))

static inline enum log_queue source_queue(const struct source *source) {
    return source->yields ? LOG_BACKLOG : LOG_INPUTS;
}

/* Milliseconds of the log's clock. */
static inline int64_t now_ms(struct stream *s) {
    return CALL0(s, now_ms);
}

/* Which of the topology's views it is. */
static inline size_t view_index(const struct stream *s, const struct view *v) {
    size_t i = 0;
    while (s->topology->views[i] != v)
        i++;
    return i;
}

static inline bool same_place(const struct log_position *p, const struct log_record *r) {
    return p->topic == r->topic && p->partition == r->partition && p->offset == r->offset;
}

static inline bool is_suspect(const struct suspect *q, const struct log_record *r) {
    return same_place(&q->place, r) && q->time == r->timestamp;
}

/* ---- notes.c ---- */

/* A line for people, by options.notice. */
void notice(struct stream *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Says and counts that a reader was moved. */
void note_moved(struct stream *s, const struct log_record *r);
/* The same of a position in the store that is beyond the log's end: what it belongs to is read anew. */
void note_ahead(struct stream *s, const char *what, const struct log_position *end, int64_t position);

/* ---- positions.c ---- */

/* The place up to which the store holds a partition of a table or a view, by store_key_…position; -1: none of
 * it. */
WARN_UNUSED bool position_load(struct stream *s, const struct buf *key, int64_t *position, struct err *e);
/* Sets it, with the rest of the overlay. */
void position_put(struct overlay *o, const struct buf *key, int64_t position);
/* Where a task's inputs and its stream time are: "topic/partition:offset,…@time". It is kept with the task's
 * state: as a header of the changelogs' records (of the last, or only the first of a key, in a transaction),
 * and in the store. So state is right by itself, whatever becomes of the group's offsets: the place of an
 * input is the one that is further, and what has changed a view never does so again. */
#define INPUTS_HEADER "inputs"
/* Writes that of a task. */
void inputs_write(const struct stream *s, int32_t p, struct buf *out);
/* Takes it over where it is further than what is known. */
void inputs_raise(struct stream *s, int32_t p, struct slice text);
/* Puts it into the store, with the rest of the overlay; reads it from there; forgets it there. */
/* bad text: nothing */
void inputs_put(const struct stream *s, int32_t p, struct overlay *o);
WARN_UNUSED bool inputs_load(struct stream *s, int32_t p, struct err *e);
WARN_UNUSED bool inputs_forget(struct stream *s, int32_t p, struct err *e);
/* The task is restored: says where the group knew less. */
void inputs_compare(struct stream *s, int32_t p);
/* When the store was last known to be as far as the log in a partition, in ms of the time of day, is kept
 * like a position. *stale: that is so long ago that what was deleted since may not be in the log any more. */
WARN_UNUSED bool age_check(struct stream *s, const struct topic *t, int32_t p, const struct buf *key,
                           const struct cursor *c, bool *stale, struct err *e);
/* Whether the store has something that begins with the key. */
WARN_UNUSED bool any_with(struct stream *s, const struct buf *key, bool *any, struct err *e);
/* Deletes what begins with the key, if there is anything: a range deletion is not for nothing. */
WARN_UNUSED bool sweep(struct stream *s, const struct buf *key, struct err *e);
/* Says so where there are positions, but none that this index_version has written: the entries of another
 * index would be found for ever. */
WARN_UNUSED bool note_reindexed(struct stream *s, const struct table *t, const struct buf *positions,
                                struct err *e);
/* The time of day, but it does not go back while the process lives: what was fine stays so when the clock is
 * set back. */
int64_t time_of_day(struct stream *s);
/* The ends of topics, see log.h; n may be 0. */
WARN_UNUSED bool log_ends(struct stream *s, struct log_position *positions, size_t n, bool committed,
                          struct err *e);
/* After a commit: what is in the store now, and its position. */
void task_put_positions(struct stream *s, int32_t p, struct overlay *o);
/* A question that can as well be asked later. */
WARN_UNUSED bool log_ends_or_later(struct stream *s, struct log_position *at, size_t *n, bool committed,
                                   struct err *e);

/* ---- search.c ---- */

/* This transaction is refused; it is still as it was. */
void search_narrow(struct stream *s, const struct err *why);
/* This transaction is not. */
void search_passed(struct stream *s);
/* Whether the broker has taken what follows from it, as far as is known. */
WARN_UNUSED bool search_takes(struct stream *s, const struct log_record *r, struct err *e);

/* ---- commit.c ---- */

/* Ends the transaction, then moves the store to what it says. */
WARN_UNUSED bool commit(struct stream *s, struct err *e);
/* Tells the observer what became of what was handled since the last time. */
void observe_end(struct stream *s, bool committed);
/* Writes what has been emitted: one partition after the other, so that each gets few large requests instead
 * of many small ones. */
WARN_UNUSED bool produce_emissions(struct stream *s, struct err *e);
/* Has anything followed from the inputs since the last commit? */
bool has_output(struct stream *s);
/* May somebody wait for it? */
bool awaited(struct stream *s);
/* Whether a commit is worth its price now; `drained`: nothing else has come. */
bool commit_is_due(struct stream *s, bool drained);

/* ---- tables.c ---- */

/* Sets the targets of the tables (of the fresh ones, or of all) to where their topics end now. */
WARN_UNUSED bool tables_aim(struct stream *s, bool only_fresh, struct err *e);
/* Whether they are as far as that. */
bool tables_reached(const struct stream *s, bool only_fresh);
/* How far it is from what it aims at. */
uint64_t table_left(const struct stream *s, size_t table, int32_t p);
/* How far a partition of a table is; -1: it is not read. */
int64_t table_place(const struct stream *s, size_t table, int32_t p);
/* Reads a table from where the store is; from the beginning when that is behind the end of the log. */
WARN_UNUSED bool table_start(struct stream *s, size_t table, struct err *e);
/* Notes the ages of what is read, as of the call before. */
WARN_UNUSED bool tables_renew(struct stream *s, struct err *e);
/* After trouble the reader starts again behind the last record that is in the store. */
WARN_UNUSED bool tables_reread(struct stream *s, struct err *e);
/* Those that were forgotten start anew. */
WARN_UNUSED bool tables_restart(struct stream *s, struct err *e);
/* One record of a table, or news of its reader, into s->incoming. */
WARN_UNUSED bool table_hydrate(struct stream *s, const struct log_record *r, struct err *e);

/* ---- aims.c ---- */

/* What stream_refresh() asks for. One aim after the other: each is reached, however fast others write and
 * ask. */
WARN_UNUSED bool aims_refresh(struct stream *s, struct err *e);
/* How many offsets are left until all is reached. */
uint64_t aims_left(const struct stream *s);
/* What is aimed at never comes where a log has lost it since somebody asked for its end: now and then the
 * aims come back to where the logs end. */
WARN_UNUSED bool aims_lower(struct stream *s, struct err *e);

/* ---- tasks.c ---- */

/* What a task owns. */
void task_free(struct task *task);
/* The task reads nothing any more. */
void task_halt(struct stream *s, int32_t p, enum task_state next);
/* Begins to restore the new ones, ends what is restored, looks after those that run. */
WARN_UNUSED bool tasks_progress(struct stream *s, struct err *e);
/* One record of a changelog, or news of its reader, into s->incoming. */
WARN_UNUSED bool task_restore(struct stream *s, const struct log_record *r, struct err *e);
/* After trouble the reader starts again behind the last record that is in the store. */
void tasks_reread(struct stream *s);
/* The ages of what stands by, as of the call before. */
WARN_UNUSED bool standbys_renew(struct stream *s, struct err *e);
/* Views that are served: what the store has of them is held on to, until somebody says otherwise. */
WARN_UNUSED bool standbys_start(struct stream *s, struct err *e);
/* Starts and stops what stream_hold() has asked for. */
WARN_UNUSED bool standbys_follow(struct stream *s, struct err *e);

/* ---- aside.c ---- */

/* The records of tables and changelogs, into the store. */
WARN_UNUSED bool aside_absorb(struct stream *s, const struct log_record *records, size_t n, struct err *e);
/* Polls tables and changelogs only, for up to `wait_ms`. */
WARN_UNUSED bool aside_poll(struct stream *s, int wait_ms, struct err *e);

/* ---- time.c ---- */

/* Before a record of a source is handled: whatever is due by then goes first. */
WARN_UNUSED bool expire_due(struct stream *s, size_t source, const struct log_record *r,
                            struct slice traceparent, struct err *e);
/* Writes the ticks that it is time for; they are committed with the rest. */
WARN_UNUSED bool ticks_write(struct stream *s, struct err *e);

/* ---- inputs.c ---- */

/* Inputs flow again from behind the last record processed. */
WARN_UNUSED bool inputs_reread(struct stream *s, struct err *e);
/* The inputs among the n records of this round, each through its handler; commits where it has to. */
WARN_UNUSED bool inputs_process(struct stream *s, size_t n, struct err *e);

/* ---- group.c ---- */

/* The transaction is lost: all goes back to what is committed. */
void give_up(struct stream *s, const struct err *why);
/* What was served is held on to, until somebody says otherwise. */
void task_give(struct stream *s, int32_t p);
/* What a member of the group is told, see struct log_listener. */
void on_assigned(void *context, const int32_t *tasks, size_t n);
void on_revoked(void *context, const int32_t *tasks, size_t n, bool lost);

/* ---- recognise.c ---- */

/* Whether the registry is the one of before: before anything is read. */
WARN_UNUSED bool registry_recognise(struct stream *s, struct err *e);
/* What it has said since then, as soon as that is more. */
WARN_UNUSED bool registry_remember(struct stream *s, struct err *e);

/* ---- start.c ---- */

/* Gets to know the topics, and begins to read; one thing after the other, each done once. */
WARN_UNUSED bool stream_begin(struct stream *s, struct err *e);
/* Whether that is done. */
bool stream_started(const struct stream *s);

/* ---- report.c ---- */

/* Who was told that a served view is behind looks again. */
void views_advanced(struct stream *s);
/* How far each partition is. */
void places_update(struct stream *s);
/* State, readiness and places, once in a round. */
void report(struct stream *s);

/* ---- metrics.c ---- */

/* One for each topic that the topology names. */
struct topic_counts *topic_counts_create(const struct topology *t);
