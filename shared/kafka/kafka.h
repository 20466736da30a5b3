/* The log of log.h on a real Kafka, by librdkafka. Settings and their reasons stand once, with the client
 * that has them (internal.h). */
#pragma once

#include "base/metrics.h"
#include "kafka/properties.h"
#include "log/log.h"

/* What kafka_create() is told. */
struct kafka_options {
    const char *brokers;                     /* host:port, comma-separated */
    const struct kafka_property *properties; /* as kafka_properties_check() has them, up to {0}, or NULL;
                                                borrowed as long as there is the log */
    const char *group;                       /* consumer group; NULL: no inputs, only tables */
    const char *identity; /* of this instance: static member and transactional id; the same after a restart */
    size_t topic_count;   /* of the catalogue that all topics are from */
    /* Of many small records, for which there is time: they are fetched together, some 100 ms late.
     * NULL-terminated, or NULL. */
    const struct topic *const *patient;
    int watch_ms; /* between two looks at readers that get nothing; 0: 3 s */
};

/* No I/O yet. ERR_CONFIG when librdkafka refuses a setting. */
WARN_UNUSED bool kafka_create(const struct kafka_options *options, struct log **log, struct err *e);

/* The cluster's id, NUL-terminated. ERR_RETRY when Kafka is away. */
WARN_UNUSED bool kafka_cluster(struct log *l, char *id, size_t size, struct err *e);

/* The group's name for this very process's membership, NUL-terminated; "" before it had any. */
const char *kafka_member_id(const struct log *l);

/* True when no member of the group has this identity, other than `predecessor` (a member id), who is known to
 * be dead. ERR_RETRY, and the text says who, while one has or while Kafka is away. To be asked by who was
 * fenced, before it joins again: two that have one identity must not fence each other for ever. */
WARN_UNUSED bool kafka_identity_free(struct log *l, const char *predecessor, struct err *e);

/* What it exchanges with brokers, each sample with the labels topology and client. Any thread. */
void kafka_metrics(struct log *l, const char *topology, struct metrics *m);

/* Leaves everything, see struct log_ops. Takes NULL. */
static inline void log_destroy(struct log *l) {
    if (l != NULL)
        l->ops->destroy(l);
}
