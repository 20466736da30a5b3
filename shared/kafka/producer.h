/* A producer outside of transactions, for what HTTP brings: idempotent, acknowledged by all replicas, one
 * thread of its own for the acknowledgements. */
#pragma once

#include "base/metrics.h"
#include "kafka/properties.h"
#include "log/log.h"

struct producer;

/* What producer_create() is told. */
struct producer_options {
    const char *brokers;
    const struct kafka_property
        *properties;    /* see kafka_options; borrowed as long as there is the producer */
    size_t topic_count; /* of the catalogue that all topics are from */
    /* Told how each record fared, on the producer's thread; offset -1: nobody knows, or it was not written.
     */
    void (*done)(void *context, void *ticket, int64_t offset);
    void *context;
};

/* No I/O yet. ERR_CONFIG when librdkafka refuses a setting. */
WARN_UNUSED bool producer_create(const struct producer_options *options, struct producer **p, struct err *e);

/* Gets to know the topic's partitions, in up to a second; before the first producer_send to it. ERR_RETRY
 * when Kafka is away. Any thread. */
WARN_UNUSED bool producer_prepare(struct producer *p, const struct topic *t, struct err *e);

/* Takes NULL. Waits a little for what is under way; `done` is not called after it returns. */
void producer_destroy(struct producer *p);

/* Sends a record to its key's partition (m->partition and m->delivered are not used); never blocks. Any
 * thread. ERR_RETRY when the topic was not prepared or the queue is full; `done` is not called then. */
WARN_UNUSED bool producer_send(struct producer *p, const struct log_message *m, void *ticket, struct err *e);

/* True while a topic may not be written, and then `text` says which. It asks once a topic is prepared, and
 * from the first refusal on each second; what is sent meanwhile is refused. Any thread. */
bool producer_status(struct producer *p, char *text, size_t size);

/* What it exchanges with brokers. Any thread. */
void producer_metrics(struct producer *p, struct metrics *m);
