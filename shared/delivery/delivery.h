/* A delivery: hands the records of a topic to the world outside of the log, where no transaction reaches: to
 * a mail server, say. At least once, in the order of each partition; what was taken is committed at once, so
 * that a crash repeats the one record that was under way and no other.
 *
 * Out there things are away, or refuse, and what one record meets holds up no other:
 * - AWAY: nobody is there. The record stays the next one of all, tried again with growing pauses.
 * - LATER: this one cannot be taken now. It moves to the topic `later` and is tried again from there, after a
 *   second, two, four and so on, then each minute.
 * - REFUSED: they will never take this one, or so they say. Some mend their ways, so it is tried again like
 * that a few times. What was LATER or REFUSED too often goes to `undelivered`, with the reason.
 * - IMPOSSIBLE: no asking again can help. It goes to `undelivered` at once.
 *
 * A move and the offset behind it are one transaction. */
#pragma once

#include "base/err.h"
#include "base/metrics.h"
#include "events/schemas.h"
#include "log/log.h"
#include "topology/topology.h"

#include <stdatomic.h>

/* What became of a record, as above. */
enum delivery_result {
    DELIVERY_DONE,
    DELIVERY_IGNORED, /* there was nothing to do outside; no hurry to remember it */
    DELIVERY_AWAY,
    DELIVERY_LATER,
    DELIVERY_REFUSED,
    DELIVERY_IMPOSSIBLE,
};
/* How many there are of them. */
enum { DELIVERY_RESULTS = 6 };

/* A delivery, as data. Constant; it must live as long as the process. */
struct delivery {
    const char *name; /* also the consumer group; unique in the suite */
    const struct topic *topic;
    const struct topic *later;       /* of the same value and as many partitions */
    long later_tries, refused_tries; /* from `later`, before it is undelivered */
    const struct topic *undelivered; /* its value has topic, partition, offset, reason and payload */
    /* On the delivery's thread; may block, but must give up (AWAY) soon after *stopping. Says why in `e`
     * unless DONE or IGNORED. */
    enum delivery_result (*deliver)(const struct event *in, const atomic_bool *stopping, struct err *e);
};

struct observer;

/* What deliverer_create() is told. */
struct delivery_options {
    const struct delivery *delivery;
    int32_t partitions;       /* that the topics must have; 0: any */
    struct schemas *schemas;  /* shared by the process, not owned; both topics are registered */
    struct log *log;          /* this one's alone, not owned */
    int64_t (*wall_ms)(void); /* NULL: clock_wall_ms */
    /* A line for people, as stream.h has it; on the delivery's thread. NULL: nobody reads. */
    void (*notice)(void *context, const char *text);
    void *context;
    /* Of what was delivered, or never will be (observer.h), not owned; NULL: nobody. */
    const struct observer *observer;
};

struct deliverer;
/* Does nothing yet. The caller destroys it. */
struct deliverer *deliverer_create(const struct delivery_options *options);
void deliverer_destroy(struct deliverer *d); /* takes NULL */

/* One round: news of the group, one batch. Waits up to `wait_ms` when there is nothing to do. ERR_RETRY has
 * been dealt with; any other error is the end: ERR_FENCED, ERR_CONFIG, ERR_FATAL. */
WARN_UNUSED bool deliverer_step(struct deliverer *d, int wait_ms, struct err *e);

/* Rounds until deliverer_stop(), which any thread may call. */
WARN_UNUSED bool deliverer_run(struct deliverer *d, struct err *e);
/* Ends deliverer_run() soon. Any thread. */
void deliverer_stop(struct deliverer *d);

/* It is a member of its group; the world outside may be away. Any thread. */
bool deliverer_ready(const struct deliverer *d);
/* As stream_status(). */
bool deliverer_status(struct deliverer *d, char *text, size_t size);
/* As stream_deadline(). */
int64_t deliverer_deadline(const struct deliverer *d);
/* As stream_metrics(). */
void deliverer_metrics(struct deliverer *d, struct metrics *m);
