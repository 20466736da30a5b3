/* What clients of librdkafka exchange with brokers, counted by interceptors: once a request, on the client's
 * own threads, nothing while nothing happens (librdkafka's statistics would be 20 KB of JSON a client each
 * time). */
#pragma once

#include "base/metrics.h"

#include <librdkafka/rdkafka.h>

enum { TRAFFIC_APIS = 20 };

struct kafka_traffic { /* zero-initialise; outlives its clients, which may come one after the other */
    counter sent_bytes, connects;
    struct {
        counter answers, errors, us, bytes;
    } apis[TRAFFIC_APIS];
};

/* The clients made of `conf` are counted in `t`. */
void kafka_traffic_count(rd_kafka_conf_t *conf, struct kafka_traffic *t);

/* Labels: topology (may be ""), client. Nothing, while nothing was sent. Any thread. */
void kafka_traffic_metrics(const struct kafka_traffic *t, const char *topology, const char *client,
                           struct metrics *m);
