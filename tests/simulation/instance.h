/* An instance of a topology under the supervisor, and its client: one life of it. */
#pragma once

#include "broker.h"
#include "store/store.h"
#include "stream/stream.h"

#include <ucontext.h>

struct disk;

struct instance {
    struct world *world;
    struct member *member;
    const struct topology *topology;
    struct disk *disk;
    struct client *client; /* NULL: it is down */
    struct store *store;
    struct stream *stream;
    struct schemas *schemas; /* its own, where the plan says so */
    int64_t up_at;           /* while down */
    int64_t sleeps_until;    /* its poll found nothing */
    uint64_t seen;           /* the broker's version then */
    bool was_gone_for_days;  /* and logs were compacted meanwhile */
    int64_t isolated_until;  /* its heartbeats get lost */
    int64_t gone_at;         /* of a twin; 0: it belongs here */
    int64_t skew;            /* of its clock */
    bool stopping, looked;   /* looked: it has once seen where topics end, and acted on it */

    /* A step runs on a stack of its own, so that others can go on in the middle of it. */
    ucontext_t context;
    bool stepping, paused;
    int64_t resumes_at;
    bool alive; /* after the step */
    struct err err;
};

enum reply { REPLY_GOOD, REPLY_LOST, REPLY_CALL_LOST, REPLY_CALL_LATE };

struct reading {
    enum log_queue queue;
    struct partition *p;
    int64_t position, told_end;
    int cuts;   /* of the partition, as far as it knows */
    bool fresh; /* it begins with the first record that there is, and has not yet */
};

struct message { /* not sent yet */
    struct partition *p;
    struct entry entry;
    struct log_delivered *delivered;
};

struct client {
    struct log log;
    struct instance *instance;
    bool dead, fenced, subscribed, joined;
    struct log_listener listener;
    uint32_t held; /* partitions, as the listener was told */
    struct reading readings[48];
    int reading_count;
    struct message *messages;
    size_t message_count, message_capacity;
    int16_t epoch;
    bool begun, doomed, refused;
    struct txn *txn;
    uint64_t known_topics; /* partition counts, by index */
    int lent;              /* records that were not released */

    /* Faults to come. */
    enum reply reply;
    bool abort_next, report_missing;
};

struct log *client_create(struct instance *i);
void client_destroy(struct client *c);
/* A call to log or store begins or goes on. False: the process died. */
bool client_point(struct client *c, const char *what);
/* Does it read this partition, and has not heard yet that it was cut? */
bool client_missed_cut(const struct client *c, const struct partition *p);
/* Does it read this partition's inputs, and has it read all? */
bool client_reads_to_end(struct client *c, enum log_queue q, const struct topic *t, int32_t partition);

struct disk *disk_create(bool journal);
void disk_destroy(struct disk *d);
struct store *disk_image(struct disk *d);
struct store *disk_open(struct disk *d, struct client *c);
void disk_power_loss(struct disk *d, size_t batches);

/* ---- of the world ---- */

uint32_t world_random(struct world *w, uint32_t n);
void world_trace(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct broker *world_broker(struct world *w);
/* Waits within a call, while others go on: up to `until`, or until something happens. False: the process
 * died. */
bool world_wait(struct instance *i, int64_t until);
bool world_away(const struct world *w);
/* The faults that are due strike; at most the instance that called is dead then. */
void world_strike(struct world *w, struct instance *i, const char *what);
