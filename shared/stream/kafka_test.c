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

enum { LIST_OFFSETS = 2, END_TXN = 26 }; /* in Kafka's protocol */

/* A log on two brokers; the first leads partition 0 of the topic, the other partition 1. */
struct fixture {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *cluster;
    struct log *log;
    struct err err;
};

static const struct topic *const topic = &topic_deposits;

static int setup(void **state) {
    struct fixture *f = *state = xcalloc(1, sizeof *f);
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    assert_int_equal(rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text), RD_KAFKA_CONF_OK);
    f->host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(f->host);
    f->cluster = rd_kafka_mock_cluster_new(f->host, 2);
    assert_non_null(f->cluster);
    assert_int_equal(rd_kafka_mock_topic_create(f->cluster, topic->name, 2, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    for (int32_t p = 0; p < 2; p++)
        assert_int_equal(rd_kafka_mock_partition_set_leader(f->cluster, topic->name, p, p + 1),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
    struct kafka_options options = {.brokers = rd_kafka_mock_cluster_bootstraps(f->cluster),
                                    .group = "test",
                                    .identity = "test-0",
                                    .topic_count = (size_t)topic->index + 1};
    assert_true(kafka_create(&options, &f->log, &f->err));
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    log_destroy(f->log);
    rd_kafka_mock_cluster_destroy(f->cluster);
    rd_kafka_destroy(f->host);
    free(f);
    return 0;
}

static void answer(struct fixture *f, int32_t broker, int16_t request, rd_kafka_resp_err_t error) {
    assert_int_equal(rd_kafka_mock_broker_push_request_error_rtts(f->cluster, broker, request, 1, error, 0),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* A view that is restored to an end that is none would be an empty one. */
static void a_partition_whose_leader_hangs_up_has_no_end(void **state) {
    struct fixture *f = *state;
    struct log_position at[] = {{topic, 0, -1}, {topic, 1, -1}};
    assert_true(f->log->ops->ends(f->log, at, 2, false, &f->err));
    assert_int_equal(at[0].offset, 0);
    assert_int_equal(at[1].offset, 0);
    answer(f, 2, LIST_OFFSETS, RD_KAFKA_RESP_ERR__TRANSPORT);
    assert_false(f->log->ops->ends(f->log, at, 2, false, &f->err));
    assert_int_equal(f->err.kind, ERR_RETRY);
    assert_true(f->log->ops->ends(f->log, at, 2, false, &f->err));
}

/* As the coordinator does after transaction.timeout.ms, when another had to be found first. */
static void who_is_told_that_its_transaction_has_ended_begins_anew(void **state) {
    struct fixture *f = *state;
    const struct log_message m = {.topic = topic, .timestamp = 1, .key = SLICE("a"), .value = SLICE("b")};
    assert_true(f->log->ops->init(f->log, &f->err));
    assert_true(f->log->ops->begin(f->log, &f->err));
    assert_true(f->log->ops->produce(f->log, &m, &f->err));
    for (int32_t broker = 1; broker <= 2; broker++) /* whoever coordinates it */
        answer(f, broker, END_TXN, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE);
    assert_false(f->log->ops->commit(f->log, NULL, 0, &f->err));
    assert_int_equal(f->err.kind, ERR_UNKNOWN);
    assert_true(f->log->ops->init(f->log, &f->err));
    assert_true(f->log->ops->begin(f->log, &f->err));
    assert_true(f->log->ops->produce(f->log, &m, &f->err));
}

static void on_assigned(void *context, const int32_t *tasks, size_t n) {
    (void)tasks;
    *(size_t *)context += n;
}

/* librdkafka.patch: nobody would look for the new one, and the call would never return. */
static void a_coordinator_that_has_gone_holds_up_no_commit(void **state) {
    struct fixture *f = *state;
    const struct log_committed at[] = {{.topic = topic, .offset = 1}};
    size_t assigned = 0, n;
    struct log_record none[1];
    int32_t partitions;
    rd_kafka_mock_group_initial_rebalance_delay_ms(f->cluster, 0);
    assert_int_equal(rd_kafka_mock_coordinator_set(f->cluster, "transaction", "test-0", 1),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_mock_coordinator_set(f->cluster, "group", "test", 2),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
    struct log_listener listener = {.context = &assigned, .assigned = on_assigned};
    assert_true(f->log->ops->partitions(f->log, topic, &partitions, &f->err));
    assert_true(f->log->ops->init(f->log, &f->err));
    assert_true(f->log->ops->subscribe(f->log, topic, &listener, &f->err));
    for (int i = 0; i < 100 && assigned < 2; i++)
        assert_true(f->log->ops->poll(f->log, true, none, 1, 100, &n, &f->err));
    assert_int_equal(assigned, 2);
    for (int round = 0; round < 2; round++) {
        assert_true(f->log->ops->begin(f->log, &f->err));
        if (!f->log->ops->commit(f->log, at, 1, &f->err))
            fail_msg("%s", f->err.text);
        rd_kafka_mock_broker_set_down(f->cluster, 2);
        assert_int_equal(rd_kafka_mock_coordinator_set(f->cluster, "group", "test", 1),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_partition_whose_leader_hangs_up_has_no_end),
        TEST(who_is_told_that_its_transaction_has_ended_begins_anew),
        TEST(a_coordinator_that_has_gone_holds_up_no_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
