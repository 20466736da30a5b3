#include "kafka/traffic.h"

#include <string.h>

/* Kafka's numbers of the requests that these clients make; the last one is for all others. `told`: librdkafka
 * (2.15.1) tells of an answer when it comes in, and of most again when another thread takes it. */
static const struct {
    int16_t key;
    const char *name;
    unsigned told;
} apis[TRAFFIC_APIS] = {
    {0, "Produce", 1},
    {1, "Fetch", 1},
    {2, "ListOffsets", 2},
    {3, "Metadata", 2},
    {8, "OffsetCommit", 2},
    {9, "OffsetFetch", 2},
    {10, "FindCoordinator", 2},
    {11, "JoinGroup", 2},
    {12, "Heartbeat", 2},
    {13, "LeaveGroup", 2},
    {14, "SyncGroup", 2},
    {15, "DescribeGroups", 2},
    {18, "ApiVersions", 1},
    {22, "InitProducerId", 2},
    {23, "OffsetForLeaderEpoch", 2},
    {24, "AddPartitionsToTxn", 2},
    {25, "AddOffsetsToTxn", 2},
    {26, "EndTxn", 2},
    {28, "TxnOffsetCommit", 2},
    {-1, "other", 2},
};

static size_t api_of(int16_t key) {
    size_t i = 0;
    while (i < TRAFFIC_APIS - 1 && apis[i].key != key)
        i++;
    return i;
}

static rd_kafka_resp_err_t on_sent(rd_kafka_t *rk, int fd, const char *broker, int32_t id, int16_t api,
                                   int16_t version, int32_t correlation, size_t size, void *opaque) {
    struct kafka_traffic *t = opaque;
    (void)rk, (void)fd, (void)broker, (void)id, (void)api, (void)version, (void)correlation;
    counter_add_shared(&t->sent_bytes, size);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_received(rd_kafka_t *rk, int fd, const char *broker, int32_t id, int16_t api,
                                       int16_t version, int32_t correlation, size_t size, int64_t rtt_us,
                                       rd_kafka_resp_err_t error, void *opaque) {
    struct kafka_traffic *t = opaque;
    size_t i = api_of(api);
    (void)rk, (void)fd, (void)broker, (void)id, (void)version, (void)correlation;
    counter_add_shared(&t->apis[i].bytes, size);
    counter_add_shared(&t->apis[i].answers, 1);
    if (rtt_us > 0)
        counter_add_shared(&t->apis[i].us, (uint64_t)rtt_us);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        counter_add_shared(&t->apis[i].errors, 1);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_state(rd_kafka_t *rk, int32_t id, const char *protocol, const char *name,
                                    int port, const char *state, void *opaque) {
    struct kafka_traffic *t = opaque;
    (void)rk, (void)id, (void)protocol, (void)name, (void)port;
    if (strcmp(state, "UP") == 0)
        counter_add_shared(&t->connects, 1);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque, char *text,
                                  size_t size) {
    static const char name[] = "traffic";
    (void)conf, (void)text, (void)size;
    rd_kafka_resp_err_t error = rd_kafka_interceptor_add_on_request_sent(rk, name, on_sent, opaque);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        error = rd_kafka_interceptor_add_on_response_received(rk, name, on_received, opaque);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        error = rd_kafka_interceptor_add_on_broker_state_change(rk, name, on_state, opaque);
    return error;
}

void kafka_traffic_count(rd_kafka_conf_t *conf, struct kafka_traffic *t) {
    rd_kafka_conf_interceptor_add_on_new(conf, "traffic", on_new, t);
}

void kafka_traffic_metrics(const struct kafka_traffic *t, const char *topology, const char *client,
                           struct metrics *m) {
    static const struct metric sent = {"insideout_kafka_sent_bytes_total", METRIC_COUNTER,
                                       "Bytes sent to brokers."};
    static const struct metric received = {"insideout_kafka_received_bytes_total", METRIC_COUNTER,
                                           "Bytes received from brokers."};
    static const struct metric connects = {"insideout_kafka_connects_total", METRIC_COUNTER,
                                           "Connections to brokers that came up."};
    static const struct metric duration = {
        "insideout_kafka_request_duration_seconds", METRIC_SUMMARY,
        "From a request to a broker to its answer; a Fetch waits there for "
        "records."};
    static const struct metric errors = {"insideout_kafka_request_errors_total", METRIC_COUNTER,
                                         "Requests to a broker that failed."};
    uint64_t received_bytes = 0;
    if (counter_get(&t->sent_bytes) == 0)
        return;
    metrics_add(m, &sent, (double)counter_get(&t->sent_bytes), "topology", topology, "client", client, NULL);
    metrics_add(m, &connects, (double)counter_get(&t->connects), "topology", topology, "client", client,
                NULL);
    for (size_t i = 0; i < TRAFFIC_APIS; i++) {
        uint64_t answers = counter_get(&t->apis[i].answers) / apis[i].told;
        received_bytes += counter_get(&t->apis[i].bytes) / apis[i].told;
        if (answers == 0)
            continue;
        metrics_add_summary(m, &duration, (double)counter_get(&t->apis[i].us) / apis[i].told / 1e6, answers,
                            "topology", topology, "client", client, "api", apis[i].name, NULL);
        uint64_t wrong = counter_get(&t->apis[i].errors) / apis[i].told;
        metrics_add(m, &errors, (double)wrong, "topology", topology, "client", client, "api", apis[i].name,
                    NULL);
    }
    metrics_add(m, &received, (double)received_bytes, "topology", topology, "client", client, NULL);
}
