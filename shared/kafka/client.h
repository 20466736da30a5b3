/* Clients of librdkafka: all of them are made here. Internal: included by .c files only. */
#pragma once

#include "kafka/properties.h"
#include "kafka/traffic.h"
#include "log/log.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

extern const struct kafka_property producer_settings[]; /* up to {NULL} */

/* What the clients of one owner have in common. It is the opaque of their callbacks. */
struct kafka_link {
    char *brokers;
    const struct kafka_property *properties; /* up to {0}, or NULL; borrowed */
    void *owner;
    atomic_bool down;     /* all brokers, as a client said last */
    pthread_mutex_t lock; /* of `reason` */
    char reason[300];     /* why brokers cannot be talked to, where that is more than that they are away */
};

void kafka_link_init(struct kafka_link *l, const char *brokers, const struct kafka_property *properties,
                     void *owner);
void kafka_link_finish(struct kafka_link *l);

/* A client with the settings common to all, then those of `settings` (NULL-terminated), then the link's
 * properties; counted in `traffic`. Consumes `conf`, which must have no opaque of its own. */
WARN_UNUSED bool kafka_client(rd_kafka_type_t type, struct kafka_link *link,
                              const struct kafka_property *const *settings, rd_kafka_conf_t *conf,
                              struct kafka_traffic *traffic, rd_kafka_t **rk, struct err *e);

/* ERR_RETRY, with the reason that a client met, or else `what`. False. `rk` (NULL: none) may yet have to say
 * what it met. */
bool kafka_away(struct kafka_link *l, rd_kafka_t *rk, const char *what, struct err *e);

/* A broker has answered: what hindered before does not any more. */
void kafka_answered(struct kafka_link *l);

/* Whether the broker knows who asks, and does not let them. Whoever gives them the right mends it. */
bool kafka_forbids(rd_kafka_resp_err_t error);

/* The client's handle of a topic, made at its first use in `handles`, a table by the topic's number. */
rd_kafka_topic_t *kafka_topic(rd_kafka_t *rk, rd_kafka_topic_t **handles, const struct topic *t);
void kafka_topics_destroy(rd_kafka_topic_t **handles, size_t count);

/* 0 and an error when it cannot be had. */
int32_t kafka_partition_count(rd_kafka_t *rk, rd_kafka_topic_t *topic, int timeout_ms,
                              rd_kafka_resp_err_t *error);

/* Asks the group's coordinator to let a static member go. Takes up to some seconds; false: it did not, or a
 * property is beyond kafka_wire.h. Then others have its tasks when its session has timed out. */
WARN_UNUSED bool kafka_leave_group(const struct kafka_property *properties, const char *host, uint16_t port,
                                   const char *group, const char *instance);

/* Enqueues a copy of the message. */
rd_kafka_resp_err_t kafka_send(rd_kafka_t *rk, rd_kafka_topic_t *topic, int32_t partition,
                               const struct log_message *m, void *ticket);
