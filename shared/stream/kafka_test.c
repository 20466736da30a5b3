/* What brokers may do to us that the log in memory does not: librdkafka's mock of a cluster. */
#include "stream/kafka.h"

#include "bank.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LIST_OFFSETS = 2 }; /* in Kafka's protocol */

static rd_kafka_t *mock_create(rd_kafka_mock_cluster_t **cluster) {
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    assert_int_equal(rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text), RD_KAFKA_CONF_OK);
    rd_kafka_t *host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(host);
    *cluster = rd_kafka_mock_cluster_new(host, 2);
    assert_non_null(*cluster);
    return host;
}

/* A view that is restored to an end that is none would be an empty one. */
static void a_partition_whose_leader_is_away_has_no_end(void **state) {
    (void)state;
    const struct topic *t = &topic_deposits;
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_t *host = mock_create(&cluster);
    assert_int_equal(rd_kafka_mock_topic_create(cluster, t->name, 2, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    for (int32_t p = 0; p < 2; p++)
        assert_int_equal(rd_kafka_mock_partition_set_leader(cluster, t->name, p, p + 1),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
    struct log *log;
    struct err e = {0};
    struct kafka_options options = {.brokers = rd_kafka_mock_cluster_bootstraps(cluster),
                                    .identity = "test-0",
                                    .topic_count = (size_t)t->index + 1};
    assert_true(kafka_create(&options, &log, &e));

    struct log_position at[] = {{t, 0, -1}, {t, 1, -1}};
    assert_true(log->ops->ends(log, at, 2, false, &e));
    assert_int_equal(at[0].offset, 0);
    assert_int_equal(at[1].offset, 0);
    /* it hangs up on who asks */
    assert_int_equal(rd_kafka_mock_broker_push_request_error_rtts(cluster, 2, LIST_OFFSETS, 1,
                                                                  RD_KAFKA_RESP_ERR__TRANSPORT, 0),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_false(log->ops->ends(log, at, 2, false, &e));
    assert_int_equal(e.kind, ERR_RETRY);
    assert_true(log->ops->ends(log, at, 2, false, &e));

    log_destroy(log);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(host);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_partition_whose_leader_is_away_has_no_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
