/* The log of log.h on a real Kafka, by librdkafka. Settings and their reasons stand in kafka.c, once. */
#pragma once

#include "stream/log.h"

struct kafka_options {
    const char *brokers;  /* host:port, comma-separated */
    const char *group;    /* consumer group; NULL: no inputs, only tables */
    const char *identity; /* of this instance: static member and transactional id; the same after a restart */
    size_t topic_count;   /* of the catalogue that all topics are from */
};

/* No I/O yet. ERR_CONFIG when librdkafka refuses a setting. */
WARN_UNUSED bool kafka_create(const struct kafka_options *options, struct log **log, struct err *e);

static inline void log_destroy(struct log *l) {
    if (l != NULL)
        l->ops->destroy(l);
}
