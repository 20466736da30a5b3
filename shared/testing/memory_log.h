/* A log in memory for the tests of one stream: topics with transactions and their markers, committed readers,
 * a group whose assignments the test makes, and faults on demand. It outlives streams, as Kafka does. Its
 * clock moves only when a poll waits in vain, or by the test. One thread, but for wake.
 *
 * tests/simulation has another, on purpose: that one is Kafka as exactly as can be, and meets any instance
 * with faults of a seed; this one does what a test says, to one stream, call by call. */
#pragma once

#include "base/buf.h"
#include "log/log.h"
#include "log/partitions.h"

#include <stdatomic.h>

enum { LOG_TOPICS_MAX = 16, LOG_PARTITIONS_MAX = 4 };

enum log_call {
    CALL_ENDS,
    CALL_COMMITTED,
    CALL_POLL,
    CALL_INIT,
    CALL_BEGIN,
    CALL_PRODUCE,
    CALL_COMMIT,
    CALL_ABORT
};
enum { LOG_CALLS = 8 };

enum entry_state { ENTRY_COMMITTED, ENTRY_OPEN, ENTRY_ABORTED, ENTRY_MARKER };

struct entry {
    enum entry_state state;
    bool foreign; /* of somebody else's transaction */
    int64_t timestamp;
    struct slice key, value; /* in one allocation with the headers */
    struct log_header *headers;
    size_t header_count;
    void *memory;
};

struct memory_partition {
    struct entry *entries;
    size_t count, capacity;
    int64_t first;                         /* what was before it is deleted */
    int64_t group, group_time, group_cuts; /* what the group has committed; -1: nothing */
    struct {
        bool reading;
        int64_t position, end_told;
        _Atomic int64_t end_seen; /* and one more; 0: nothing was heard yet */
    } readers[LOG_QUEUES];
    struct log_delivered *delivered; /* of our last record in the open transaction */
};

struct memory_log {
    struct log log;
    int32_t partitions[LOG_TOPICS_MAX]; /* by the topic's number; 0: there is no such topic */
    struct memory_partition parts[LOG_TOPICS_MAX][LOG_PARTITIONS_MAX];
    int64_t now;  /* of the monotonic clock */
    int64_t time; /* of day, and of records that are appended; 0: they have 1000 + offset */

    /* The group: what the next poll tells the stream. */
    const struct log_listener *listener;
    struct log_listener bound;
    int32_t tasks[LOG_PARTITIONS_MAX];
    size_t task_count;
    enum { GROUP_QUIET, GROUP_ASSIGNS, GROUP_REVOKES, GROUP_LOSES } news;

    /* The next `times` calls fail; `done`: although they have done what they should. */
    struct {
        enum err_kind kind;
        int times;
        bool done;
    } faults[LOG_CALLS];
    size_t value_max[LOG_TOPICS_MAX]; /* the broker refuses larger values of a topic; 0: none */
    int64_t clock_behind; /* of the broker, which refuses what is more than an hour ahead of its clock; 0: it
                             does not */
    bool refused;         /* a record of the open transaction */
    int unstable_tasks;   /* the committed offsets of these, from 0 on, cannot be had yet */
    const char *trouble;  /* NULL: none */
    bool reports_lost;    /* no delivery report has an offset */
    bool tables_lag;      /* tables come only when they are all that is asked for */
    bool tables_stuck;    /* tables do not come at all */
    void (*during)(void *context, enum log_call call); /* runs inside each call */
    void *context;

    bool in_transaction;
    int calls[LOG_CALLS]; /* how often each was made */
    size_t given;         /* records that were not released */
    atomic_bool woken;
};

struct memory_log *memory_log_create(int32_t partitions);
void memory_log_destroy(struct memory_log *l);

/* Its stream is gone without a word: nothing is read, nobody is a member. */
void memory_log_disconnect(struct memory_log *l);

/* A record of somebody else, to its key's partition or (partition >= 0) that one; returns its offset. */
int64_t memory_log_append(struct memory_log *l, const struct topic *t, int32_t partition, struct slice key,
                          struct slice value);
int64_t memory_log_append_with(struct memory_log *l, const struct topic *t, int32_t partition,
                               struct slice key, struct slice value, const struct log_header *headers,
                               size_t header_count);
/* The same in a transaction of somebody else, which hides what follows in the partition until it ends. */
void memory_log_open(struct memory_log *l, const struct topic *t, int32_t partition, struct slice key,
                     struct slice value);
void memory_log_end(struct memory_log *l, bool commit);

/* Deletes what is before an offset, as retention does; and what is from an offset on, as a broker that loses
 * its last records. */
void memory_log_trim(struct memory_log *l, const struct topic *t, int32_t partition, int64_t first);
void memory_log_cut(struct memory_log *l, const struct topic *t, int32_t partition, int64_t end);

/* News of the group for the next poll. */
void memory_log_assign(struct memory_log *l, int32_t tasks); /* 0 to tasks - 1 */
void memory_log_revoke(struct memory_log *l, int32_t task, bool lost);

void memory_log_fail(struct memory_log *l, enum log_call call, enum err_kind kind, int times, bool done);

/* Up to what a committed reader sees. */
int64_t memory_log_stable_end(const struct memory_log *l, const struct topic *t, int32_t partition);
