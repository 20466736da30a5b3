/* What kafka.c and producer.c share of librdkafka. Internal: included by .c files only. */
#pragma once

#include "stream/kafka_traffic.h"
#include "stream/log.h"

#include <librdkafka/rdkafka.h>

struct setting {
    const char *name, *value;
};

extern const struct setting producer_settings[]; /* up to {NULL} */

/* A client with the settings common to all and then those of `settings` (NULL-terminated), counted in
 * `traffic`. Consumes `conf`. */
bool kafka_client(rd_kafka_type_t type, const char *brokers, const struct setting *const *settings,
                  rd_kafka_conf_t *conf, struct kafka_traffic *traffic, rd_kafka_t **rk, struct err *e);

/* The client's handle of a topic, made at its first use in `handles`, a table by the topic's index. */
rd_kafka_topic_t *kafka_topic(rd_kafka_t *rk, rd_kafka_topic_t **handles, const struct topic *t);
void kafka_topics_destroy(rd_kafka_topic_t **handles, size_t count);

/* 0 and an error when it cannot be had. */
int32_t kafka_partition_count(rd_kafka_t *rk, rd_kafka_topic_t *topic, int timeout_ms,
                              rd_kafka_resp_err_t *error);

/* Asks the group's coordinator to let a static member go. Takes up to some seconds; false: it did not. */
WARN_UNUSED bool kafka_leave_group(const char *host, uint16_t port, const char *group, const char *instance);

/* Enqueues a copy of the message. */
rd_kafka_resp_err_t kafka_send(rd_kafka_t *rk, rd_kafka_topic_t *topic, int32_t partition,
                               const struct log_message *m, void *ticket);
