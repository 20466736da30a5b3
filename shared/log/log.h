/* All that the runtime asks of Kafka, behind one interface: a membership of a consumer group, a reader of
 * partitions from positions of our choice, and a transactional producer. kafka.h has the real one; a
 * simulation can have another.
 *
 * One log belongs to one stream and its thread; only log_wake may be called from elsewhere. Callbacks run
 * inside log_poll. Positions are "the next offset", as Kafka counts them. */
#pragma once

#include "base/err.h"
#include "base/slice.h"
#include "events/topic.h"

#include <stdbool.h>
#include <stdint.h>

/* A place in a partition. */
struct log_position {
    const struct topic *topic;
    int32_t partition;
    int64_t offset; /* -1: none is known */
};

/* How far a group has processed a partition of an input. */
struct log_committed {
    const struct topic *topic;
    int32_t partition;
    int64_t offset; /* -1: nothing is known */
    int64_t time;   /* the task's stream time there, kept beside the offset; 0: none */
    int64_t cuts;   /* likewise: how often the partition has lost its last records; of two offsets the one
                       with more of them is the later one */
};

/* A record's header. */
struct log_header {
    const char *name;
    struct slice value;
};

/* A queue for each purpose: tables can be hydrated while inputs wait, and one partition can be all of them. A
 * poll takes from the backlog what it has room for after all other inputs. */
enum log_queue { LOG_INPUTS, LOG_BACKLOG, LOG_TABLES, LOG_CHANGELOGS };
/* How many queues there are. */
enum { LOG_QUEUES = 4 };

/* Whether it is one of a topology's inputs. */
static inline bool log_queue_of_inputs(enum log_queue q) {
    return q == LOG_INPUTS || q == LOG_BACKLOG;
}

/* What log_poll returns: a record, or news of the reader.
 * - `end`: its position has reached the end that committed readers see.
 * - `moved`: what it stood at, `was`, is not in the log: deleted from the front (then `offset` is larger), or
 *   behind an end that has come back (then it is smaller). It goes on from `offset`. A position is never
 *   changed otherwise, so who keeps one takes this one over, says so and counts it.
 * News have a topic, a partition, and in `offset` the position; nothing else. */
struct log_record {
    bool end, moved;
    enum log_queue queue;
    const struct topic *topic;
    int32_t partition;
    int64_t offset, was, timestamp;
    struct slice key;   /* data NULL: none */
    struct slice value; /* data NULL: tombstone */
    void *handle;       /* of the implementation */
};

/* How far a timestamp may be ahead of the clock: Kafka's own default (message.timestamp.after.max.ms). */
enum { LOG_AHEAD_MS = 60 * 60 * 1000 };

/* A clock that was set back makes nothing that we write later than what Kafka takes. */
static inline int64_t log_timestamp(int64_t timestamp, int64_t now) {
    return timestamp <= now + LOG_AHEAD_MS ? timestamp : now;
}

/* Whether it is news of the reader, and no record. */
static inline bool log_is_news(const struct log_record *r) {
    return r->end || r->moved;
}

/* What every reader asks of a record before it decodes it: a key, in its own partition of `partitions`, and
 * no tombstone where there are none. ERR_POISON says what is missing. */
WARN_UNUSED bool record_well_formed(const struct log_record *r, int32_t partitions, struct err *e);

/* What a moved reader has to say, for people. */
void log_moved_text(const struct log_record *r, char *text, size_t size);

/* Where what was written to a partition has come to lie, as far as its producer has heard. Whoever writes in
 * transactions takes two offsets at least, the record's and the marker's: so what another one has written
 * shows. */
struct log_delivered {
    int64_t next;  /* the offset behind the last record */
    int64_t was;   /* not 0: it was this, and then a record came to lie before it: the log has lost some */
    bool open;     /* it has records of a transaction that has not ended; */
    int64_t sent;  /* so many of them nothing was heard of yet */
    bool marker;   /* at `next` comes the marker of the one that has */
    bool foreign;  /* between two records there was something that is not of this producer, */
    int64_t known; /* and this is where that may begin */
};

/* Says that a record has come to lie at `offset`. */
static inline void log_deliver(struct log_delivered *d, int64_t offset) {
    if (offset < d->next && d->was == 0)
        d->was = d->next;
    if (offset > d->next + d->marker && !d->foreign) {
        d->foreign = true;
        d->known = d->next;
    }
    d->sent -= d->sent > 0;
    d->marker = false;
    d->next = offset + 1;
}

/* Says that a record is on its way. */
static inline void log_send(struct log_delivered *d) {
    d->open = true;
    d->sent++;
}

/* Says that the transaction is committed. */
static inline void log_delivered_commit(struct log_delivered *d) {
    d->marker = d->marker || d->open;
    d->open = false;
    d->sent = 0;
}

/* Up to here the log has nothing that this producer has not written. */
static inline int64_t log_delivered_to(const struct log_delivered *d) {
    return d->foreign ? d->known : d->next + d->marker;
}

/* What a producer is given. */
struct log_message {
    const struct topic *topic;
    int32_t partition;
    int64_t timestamp;
    struct slice key, value; /* copied */
    const struct log_header *headers;
    size_t header_count;
    struct log_delivered *delivered; /* is told the record's offset, unless nobody learns it, not later than
                                        the commit and in the order of the records; or NULL */
};

/* A task is a partition number: the group balances the lead topic, the other sources follow it. */
struct log_listener {
    void *context;
    void (*assigned)(void *context, const int32_t *tasks, size_t n);
    /* Before it returns, whatever was done for these tasks must be committed or aborted; `lost`: they are
     * somebody else's already, so it can only be aborted. */
    void (*revoked)(void *context, const int32_t *tasks, size_t n, bool lost);
};

/* An implementation begins with it. */
struct log {
    const struct log_ops *ops;
};

/* Errors, and what the caller must undo. Every fallible call may say ERR_FATAL or ERR_CONFIG: it is over.
 * Beside these:
 *
 *   partitions, subscribe, leave, read, committed, ends, poll, abort
 *              ERR_RETRY: nothing has been done, ask again; poll also ERR_FENCED
 *   init       ERR_RETRY; ERR_ABORT and ERR_UNKNOWN mean the same here, init again; ERR_FENCED
 *   begin      ERR_RETRY: there is no transaction yet, what was to be written waits
 *   begin, produce, commit, abort
 *              ERR_ABORT: not committed; forget what came of the batch, abort, go back to what is committed
 *              ERR_UNKNOWN: the same, but init instead of abort, and ask `committed`: it may be
 *              ERR_FENCED: another has this identity; exit, and touch nothing
 *   visible    ERR_UNKNOWN: nobody knows, as for commit
 *   produce, commit
 *              ERR_REFUSED: as ERR_ABORT, but it would be so each time: there is a record that the broker
 *              will never take, for its size, its key or its timestamp
 *
 * From produce and commit there is no ERR_RETRY: in a transaction nothing can be tried again by itself, since
 * nobody knows how much of it was written. */
struct log_ops {
    /* Milliseconds of the monotonic clock, for the age of transactions and retries; and the time of day. */
    int64_t (*now_ms)(struct log *l);
    int64_t (*time_ms)(struct log *l);

    /* How many partitions a topic has. ERR_RETRY also where there is no such topic yet. */
    bool (*partitions)(struct log *l, const struct topic *t, int32_t *count, struct err *e);

    /* Joins the group, which balances the partitions of this topic. Only membership: nothing is read. */
    bool (*subscribe)(struct log *l, const struct topic *lead, const struct log_listener *listener,
                      struct err *e);

    /* Leaves the group, so that others get the tasks at once: without it a member is expected back for as
     * long as a session lasts. Whatever was done for them is committed, and from then on it only reads. NULL:
     * there is no other. */
    bool (*leave)(struct log *l, struct err *e);

    /* Starts and stops the reader on one partition. Position -1: the first record that there is. One that is
     * not in the log is moved, see log_record. */
    bool (*read)(struct log *l, enum log_queue queue, const struct log_position *from, struct err *e);
    void (*unread)(struct log *l, enum log_queue queue, const struct topic *t, int32_t partition);

    /* Up to `max` records of tables and changelogs and, if `inputs`, of inputs too; then also the group is
     * served. Waits up to `timeout_ms` for the first; returns earlier after wake or a callback. The records
     * are given back by release. */
    bool (*poll)(struct log *l, bool inputs, struct log_record *records, size_t max, int timeout_ms,
                 size_t *n, struct err *e);
    void (*release)(struct log *l, struct log_record *records, size_t n);
    /* The value of a header, data NULL if absent; valid until release. */
    struct slice (*header)(const struct log_record *r, const char *name);
    /* All headers, up to `max`. */
    size_t (*headers)(const struct log_record *r, struct log_header *headers, size_t max);

    /* The group's committed offsets, stable: transactions that could still change them have ended.
     * ERR_RETRY also while they have not. */
    bool (*committed)(struct log *l, struct log_committed *inputs, size_t n, struct err *e);

    /* The ends as committed readers see them, or as they will once open transactions have ended. */
    bool (*ends)(struct log *l, struct log_position *positions, size_t n, bool committed, struct err *e);

    /* Takes the transactional identity: fences whoever has it, ends what they left open. Also after
     * ERR_UNKNOWN, with a producer made anew. */
    bool (*init)(struct log *l, struct err *e);
    bool (*begin)(struct log *l, struct err *e);
    bool (*produce)(struct log *l, const struct log_message *m, struct err *e);
    bool (*commit)(struct log *l, const struct log_committed *inputs, size_t n, struct err *e);
    bool (*abort)(struct log *l, struct err *e);

    /* Waits until committed readers can read to these positions in what has been committed: a transaction is
     * decided before its markers are written. */
    bool (*visible)(struct log *l, const struct log_position *positions, size_t n, struct err *e);

    /* Where a partition that is being read ends, as its reader has last heard; -1: it has not, or reads it no
     * more. Asks nobody. Any thread, from after poll has returned first until destroy. */
    int64_t (*seen_end)(struct log *l, enum log_queue q, const struct topic *t, int32_t partition);

    /* What has hindered a reader, or the membership, for some seconds, and does not mend itself: a permission
     * that is missing, a topic that is gone, somebody else's open transaction. For people; what it does not
     * concern goes on. False: nothing. NULL: it cannot be. */
    bool (*troubled)(struct log *l, char *text, size_t size);

    void (*wake)(struct log *l);
    /* Leaves everything: an open transaction is aborted. */
    void (*destroy)(struct log *l);
};

/* What hinders it, if anything: see struct log_ops. */
static inline bool log_troubled(struct log *l, char *text, size_t size) {
    return l->ops->troubled != NULL && l->ops->troubled(l, text, size);
}
