/* What brokers may do to us that the log in memory does not: librdkafka's mock of a cluster. */
#include "kafka/kafka.h"

#include "base/clock.h"
#include "kafka/client.h"
#include "testing/bank.h"

#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PRODUCE = 0, FETCH = 1, LIST_OFFSETS = 2, END_TXN = 26 }; /* in Kafka's protocol */

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
                                    .watch_ms = 100,
                                    .topic_count = topics_count};
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

/* A busy machine may need a second call. */
static void assert_ends(struct fixture *f, struct log_position *at, size_t n) {
    for (int tries = 1; !f->log->ops->ends(f->log, at, n, false, &f->err); tries++) {
        assert_int_equal(f->err.kind, ERR_RETRY);
        assert_true(tries < 10);
    }
}

/* A view that is restored to an end that is none would be an empty one. */
static void a_partition_whose_leader_hangs_up_has_no_end(void **state) {
    struct fixture *f = *state;
    struct log_position at[] = {{topic, 0, -1}, {topic, 1, -1}};
    assert_ends(f, at, 2);
    assert_int_equal(at[0].offset, 0);
    assert_int_equal(at[1].offset, 0);
    answer(f, 2, LIST_OFFSETS, RD_KAFKA_RESP_ERR__TRANSPORT);
    assert_false(f->log->ops->ends(f->log, at, 2, false, &f->err));
    assert_int_equal(f->err.kind, ERR_RETRY);
    assert_ends(f, at, 2);
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

/* ---- librdkafka.patch: requests for one partition each go out as one ---- */

enum { PARTS = 4, EACH = 3 };

static const struct topic *const many[] = {&topic_transfers, &topic_receipts};
enum { MANY = sizeof many / sizeof *many };

static size_t requests(struct fixture *f, int16_t kind) {
    size_t n, found = 0;
    rd_kafka_mock_request_t **all = rd_kafka_mock_get_requests(f->cluster, &n);
    for (size_t i = 0; i < n; i++)
        found += rd_kafka_mock_request_api_key(all[i]) == kind;
    rd_kafka_mock_request_destroy_array(all, n);
    return found;
}

/* Into each partition, which has as many records of each transaction before, and its marker. */
static void write_to_many(struct fixture *f, int64_t transactions) {
    int64_t before = transactions * (EACH + 1);
    struct log_delivered delivered[MANY][PARTS] = {0};
    assert_true(f->log->ops->begin(f->log, &f->err));
    for (int32_t n = 0; n < MANY * PARTS * EACH; n++) {
        int32_t t = n % MANY, p = n / MANY % PARTS;
        const struct log_message m = {.topic = many[t],
                                      .partition = p,
                                      .timestamp = 1,
                                      .key = SLICE("a"),
                                      .value = SLICE("b"),
                                      .delivered = &delivered[t][p]};
        assert_true(f->log->ops->produce(f->log, &m, &f->err));
    }
    if (!f->log->ops->commit(f->log, NULL, 0, &f->err))
        fail_msg("%s", f->err.text);
    for (int t = 0; t < MANY; t++)
        for (int32_t p = 0; p < PARTS; p++)
            assert_int_equal(delivered[t][p].next, before + EACH);
}

static void a_transaction_over_many_partitions_takes_few_requests(void **state) {
    struct fixture *f = *state;
    for (int t = 0; t < MANY; t++) {
        assert_int_equal(rd_kafka_mock_topic_create(f->cluster, many[t]->name, PARTS, 1),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
        for (int32_t p = 0; p < PARTS; p++)
            assert_int_equal(rd_kafka_mock_partition_set_leader(f->cluster, many[t]->name, p, 1),
                             RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    if (!f->log->ops->init(f->log, &f->err))
        fail_msg("%s", f->err.text);
    write_to_many(f, 0);
    rd_kafka_mock_start_request_tracking(f->cluster);
    write_to_many(f, 1);
    assert_in_range(requests(f, PRODUCE), 1, MANY * PARTS / 2);
    /* What happens to one partition happens to no other, and what happens to all is mended for each. */
    rd_kafka_mock_partition_push_request_errors(f->cluster, many[1]->name, 2, PRODUCE, 2,
                                                RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                                RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
    write_to_many(f, 2);
    answer(f, 1, PRODUCE, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
    write_to_many(f, 3);
    answer(f, 1, PRODUCE, RD_KAFKA_RESP_ERR__TRANSPORT);
    write_to_many(f, 4);
    assert_int_equal(rd_kafka_mock_partition_set_leader(f->cluster, many[1]->name, 1, 2),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
    write_to_many(f, 5);
}

/* ---- readers ---- */

static void write_one(struct fixture *f) {
    const struct log_message m = {.topic = topic, .timestamp = 1, .key = SLICE("a"), .value = SLICE("b")};
    assert_true(f->log->ops->init(f->log, &f->err));
    assert_true(f->log->ops->begin(f->log, &f->err));
    assert_true(f->log->ops->produce(f->log, &m, &f->err));
    assert_true(f->log->ops->commit(f->log, NULL, 0, &f->err));
}

/* Polls until a record has come, or, where it is not NULL, trouble `says` so: on a busy machine other trouble
 * may come first. */
static bool polls_until(struct fixture *f, const char *says, char *trouble, size_t size) {
    for (int i = 0; i < 600; i++) {
        struct log_record records[4];
        size_t n;
        bool got = false;
        assert_true(f->log->ops->poll(f->log, false, records, 4, 20, &n, &f->err));
        for (size_t k = 0; k < n; k++)
            got = got || !log_is_news(&records[k]);
        f->log->ops->release(f->log, records, n);
        if (says == NULL ? got : log_troubled(f->log, trouble, size) && strstr(trouble, says) != NULL)
            return true;
    }
    return false;
}

static long renewals(struct fixture *f) {
    struct metrics all = {0};
    struct buf out = {0};
    static const char sample[] =
        "\ninsideout_kafka_readers_renewed_total{topology=\"bank\",client=\"tables\"} ";
    kafka_metrics(f->log, "bank", &all);
    metrics_write(&all, &out);
    buf_append_byte(&out, 0);
    const char *at = strstr(out.data, sample);
    assert_non_null(at);
    long n = atol(at + sizeof sample - 1);
    buf_free(&out);
    metrics_free(&all);
    return n;
}

static void fetches_fail(struct fixture *f, rd_kafka_resp_err_t error) {
    rd_kafka_resp_err_t errors[4000];
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        errors[i] = error;
    rd_kafka_mock_push_request_errors_array(f->cluster, FETCH, sizeof errors / sizeof *errors, errors);
}

static void reads_through(struct fixture *f, rd_kafka_resp_err_t error, const char *says) {
    char trouble[300] = "";
    write_one(f);
    fetches_fail(f, error);
    assert_true(f->log->ops->read(f->log, LOG_TABLES, &(struct log_position){topic, 0, 0}, &f->err));
    if (!polls_until(f, says, trouble, sizeof trouble) || strstr(trouble, "deposits/0 from 0 on") == NULL)
        fail_msg("it says \"%s\"", trouble);
    rd_kafka_mock_clear_request_errors(f->cluster, FETCH);
    assert_true(polls_until(f, NULL, trouble, sizeof trouble));
    assert_false(log_troubled(f->log, trouble, sizeof trouble));
    assert_true(renewals(f) > 0);
}

/* librdkafka tries it again and again, without a word. */
static void a_reader_that_gets_nothing_is_made_anew(void **state) {
    reads_through(*state, RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
                  "does not come, and its reader is made anew");
}

/* It says so once, and reads no more. */
static void a_reader_that_may_not_says_so(void **state) {
    reads_through(*state, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "authorization failed");
}

static void put_string(struct buf *b, const char *s) {
    buf_append_be(b, strlen(s), 2);
    buf_append(b, s, strlen(s));
}

/* A batch (magic 2) of one record, said to be compressed by gzip, and then nothing that gzip made. */
static void put_broken_batch(struct buf *b) {
    static const char broken[] = "this was never compressed";
    buf_append_be(b, 0, 8);                  /* base offset */
    buf_append_be(b, 49 + sizeof broken, 4); /* what comes */
    buf_append_be(b, 0, 4), buf_append_be(b, 2, 1),
        buf_append_be(b, 0, 4); /* leader epoch, magic, CRC: nobody looks */
    buf_append_be(b, 1, 2);     /* attributes: gzip */
    buf_append_be(b, 0, 4), buf_append_be(b, 1, 8), buf_append_be(b, 1, 8); /* last offset, times */
    buf_append_be(b, UINT64_MAX, 8), buf_append_be(b, UINT64_MAX, 2),
        buf_append_be(b, UINT64_MAX, 4); /* no producer */
    buf_append_be(b, 1, 4);              /* records */
    buf_append(b, broken, sizeof broken);
}

/* As a client that librdkafka is not. */
static void write_broken(struct fixture *f) {
    struct buf batch = {0}, body = {0}, request = {0};
    char host[64], answer[256];
    int port;
    assert_int_equal(sscanf(rd_kafka_mock_cluster_bootstraps(f->cluster), "%63[^:]:%d", host, &port), 2);
    put_broken_batch(&batch);
    buf_append_be(&body, PRODUCE, 2), buf_append_be(&body, 7, 2), buf_append_be(&body, 1, 4);
    put_string(&body, "test");
    buf_append_be(&body, UINT64_MAX, 2); /* no transaction */
    buf_append_be(&body, 1, 2), buf_append_be(&body, 1000, 4);
    buf_append_be(&body, 1, 4), put_string(&body, topic->name), buf_append_be(&body, 1, 4),
        buf_append_be(&body, 0, 4);
    buf_append_be(&body, batch.size, 4), buf_append_slice(&body, buf_slice(&batch));
    buf_append_be(&request, body.size, 4), buf_append_slice(&request, buf_slice(&body));
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(send(fd, request.data, request.size, MSG_NOSIGNAL), request.size);
    assert_true(recv(fd, answer, sizeof answer, 0) > 0);
    close(fd);
    buf_free(&batch), buf_free(&body), buf_free(&request);
}

static void a_batch_that_cannot_be_unpacked_is_named(void **state) {
    struct fixture *f = *state;
    char trouble[300] = "";
    write_broken(f);
    assert_true(f->log->ops->read(f->log, LOG_TABLES, &(struct log_position){topic, 0, 0}, &f->err));
    if (!polls_until(f, "compress", trouble, sizeof trouble) ||
        strstr(trouble, "deposits/0 from 0 on") == NULL)
        fail_msg("it says \"%s\"", trouble);
}

/* In the same process as librdkafka, so this stands before the C library's. */
static pthread_mutex_t name_server = PTHREAD_MUTEX_INITIALIZER;

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (strcmp(host, "name.that.nobody.answers") == 0) {
        pthread_mutex_lock(&name_server);
        pthread_mutex_unlock(&name_server);
        return EAI_AGAIN;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(host, service, hints, list);
}

static void whose_name_nobody_answers_is_not_waited_for(void **state) {
    (void)state;
    pthread_mutex_lock(&name_server);
    assert_false(kafka_leave_group(NULL, "name.that.nobody.answers", 9092, "test", "test-0"));
    pthread_mutex_unlock(&name_server);
}

/* A coordinator that takes the request and says half of an answer. */
static void who_leaves_waits_not_for_ever(void **state) {
    (void)state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = accept(listener, NULL, NULL);
        char request[200];
        if (read(fd, request, sizeof request) > 0 && write(fd, "\0\0\0\x0a", 4) == 4)
            pause();
        _exit(0);
    }
    int64_t since = clock_mono_us() / 1000;
    assert_false(kafka_leave_group(NULL, "127.0.0.1", ntohs(at.sin_port), "test", "test-0"));
    assert_in_range(clock_mono_us() / 1000 - since, 0, 10000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(listener);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_partition_whose_leader_hangs_up_has_no_end),
        TEST(who_is_told_that_its_transaction_has_ended_begins_anew),
        TEST(a_coordinator_that_has_gone_holds_up_no_commit),
        TEST(a_transaction_over_many_partitions_takes_few_requests),
        TEST(a_reader_that_gets_nothing_is_made_anew),
        TEST(a_reader_that_may_not_says_so),
        TEST(a_batch_that_cannot_be_unpacked_is_named),
        TEST(who_leaves_waits_not_for_ever),
        TEST(whose_name_nobody_answers_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
