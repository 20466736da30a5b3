/* Reads the log for many readers at once, outside of groups: whoever follows what is written now shares one
 * consumption and a short memory of the latest records, whoever is behind that gets records fetched from
 * where it is, in portions. Partitions that nobody follows are not read.
 *
 * A tail has a thread of its own, on which tail_run() or tail_step() is called; everything else: any thread,
 * but a cursor is one thread's at a time. Only committed records; a cursor moves over what is none. */
#pragma once

#include "base/metrics.h"
#include "events/schemas.h"
#include "log/log.h"

struct tail;

/* A record as a visitor sees it. */
struct tail_record {
    const struct topic *topic;
    int32_t partition;
    int64_t offset, timestamp;
    struct slice key, value; /* data NULL: none */
    const struct log_header *headers;
    size_t header_count;
};

/* What tail_create() is told. */
struct tail_options {
    struct log *log;         /* this tail's alone, not owned */
    struct schemas *schemas; /* not owned; asked by the tail's thread, so that tail_json() need not wait */
    size_t topic_count;      /* of the catalogue that all topics are from */
    /* Something is new under this name (see tail_names); on the tail's thread. */
    void (*wake)(void *context, struct slice name);
    /* A line for people, as stream.h has it; on the tail's thread. NULL: nobody reads. */
    void (*notice)(void *context, const char *text);
    void *context;
};

/* A reader's place in one partition. The fields up to `owner` are the reader's to set before tail_open();
 * what they point to lives as long as the cursor. */
struct tail_cursor {
    const struct topic *topic;
    int32_t partition;
    struct slice key;  /* only records with this key; data NULL: all */
    int64_t offset;    /* the next one; TAIL_NOW: where the partition ends at opening */
    size_t once;       /* not 0: does not follow, but fetches up to so many records at a time; TAIL_CAUGHT_UP
                          says that there are no more, TAIL_STOPPED that there are */
    const void *owner; /* whom to wake; several cursors may have one */

    struct tail_part *part;
    struct tail_fetch *fetch;
    uint64_t ticket, cuts;
};

/* See struct tail_cursor. */
enum { TAIL_NOW = -1 };

/* Why a reading ended. */
enum tail_state {
    TAIL_STARTING,  /* nothing is known of the partition yet, or Kafka is away */
    TAIL_COMING,    /* there is more, and it is being fetched */
    TAIL_STOPPED,   /* the visitor wanted no more */
    TAIL_CAUGHT_UP, /* for now */
    TAIL_AHEAD,   /* it was beyond the partition's end, which has lost its last records or is of another log:
                     it stands at that end now */
    TAIL_DELETED, /* what came from it on is deleted: it stands where the partition begins now */
};

/* Reads nothing yet. The caller destroys it. */
struct tail *tail_create(const struct tail_options *options);

/* Takes NULL. All cursors are closed. */
void tail_destroy(struct tail *t);

/* One round: opens partitions, begins and ends fetches, takes what is new. Waits up to `wait_ms` for that.
 * What is away is tried again in a later round. ERR_FATAL. */
WARN_UNUSED bool tail_step(struct tail *t, int wait_ms, struct err *e);

/* Rounds until tail_stop(). */
WARN_UNUSED bool tail_run(struct tail *t, struct err *e);
/* Ends tail_run() soon. */
void tail_stop(struct tail *t);

/* From now on (unless `once`) the partition is read. */
void tail_open(struct tail *t, struct tail_cursor *c);
/* A cursor that is zero, or not open, is fine. */
void tail_close(struct tail *t, struct tail_cursor *c);

/* Calls `each` for the names under which there are news for a cursor: of its owner (a fetch is done), of its
 * partition (it is open), of new records (of its key, or in its topic). */
void tail_names(const struct tail_cursor *c, void (*each)(void *context, struct slice name), void *context);

/* Visits the records from the cursor on, in order, and moves it behind them. `visit` returns false to stop in
 * front of the record it was given. The record is there while it runs; the tail goes on meanwhile, and may be
 * called but for this cursor. */
enum tail_state tail_read(struct tail *t, struct tail_cursor *c,
                          bool (*visit)(void *context, const struct tail_record *r), void *context);

/* Its figures. Any thread. */
void tail_metrics(struct tail *t, struct metrics *m);

/* A record as {"topic", "partition", "offset", "timestamp", "key", "value"}, the value decoded by its
 * writer's schema; of one that cannot be decoded null, and "error" says why. Made once. In a visitor only,
 * and valid there. */
struct slice tail_json(struct tail *t, const struct tail_record *r);
