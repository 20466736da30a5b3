/* peer: what this machine's Kafka does for a bare client, to hold the suite's figures against.
 *
 *   peer produce [--count N]     N records (200000) of 100 bytes by an idempotent producer; prints records/s
 *   peer chain [--count N]       N times (200) three transactions one after the other, each begun when a
 *                                committed reader has seen the one before; prints p50 and p99 in ms
 *   peer wide [--count N]        N times (200) a transaction over one partition, then one over twelve; prints
 *                                p50 and p99 of both in ms
 *   peer follow TOPIC [--count N]  says "ready", and reads what comes to a topic from then on, until N have
 *                                come or SIGTERM; prints records/s, and the CPU time of one
 *
 * Prints one JSON object. Uses a topic of its own, which it deletes.
 * Environment: KAFKA_BROKERS (localhost:9092). Exit codes: 0; 1 when Kafka is away; 2 usage. */
#include "base/clock.h"
#include "base/id.h"
#include "options.h"
#include "samples.h"

#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

enum { PARTITIONS = 4, WIDE = 12, HOPS = 3, EACH = 5, BATCH = 1000, WARM_UP = 10, WAIT_MS = 20000 };

static char topic[64];
static bool failed;

static bool check(bool ok, const char *what) {
    if (!ok && !failed)
        fprintf(stderr, "peer: %s\n", what);
    failed = failed || !ok;
    return !failed;
}

static bool no_error(rd_kafka_error_t *error) {
    bool ok = check(error == NULL, error == NULL ? "" : rd_kafka_error_string(error));
    if (error != NULL)
        rd_kafka_error_destroy(error);
    return ok;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    (void)rk;
    (void)opaque;
    check(m->err == RD_KAFKA_RESP_ERR_NO_ERROR, "a record was not delivered");
}

/* `settings` in pairs, up to NULL. */
static rd_kafka_t *client(rd_kafka_type_t type, const char *const *settings) {
    const char *brokers = getenv("KAFKA_BROKERS");
    char why[256] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers == NULL ? "localhost:9092" : brokers, NULL, 0);
    if (type == RD_KAFKA_PRODUCER) /* without one, commits sleep in steps of 10 ms */
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    for (; *settings != NULL; settings += 2)
        check(rd_kafka_conf_set(conf, settings[0], settings[1], why, sizeof why) == RD_KAFKA_CONF_OK, why);
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
    check(rk != NULL, why);
    return rk;
}

/* To make it, of so many partitions; 0: to delete it. */
static void topic_admin(rd_kafka_t *rk, int partitions) {
    bool create = partitions > 0;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, create ? RD_KAFKA_ADMIN_OP_CREATETOPICS
                                                                            : RD_KAFKA_ADMIN_OP_DELETETOPICS);
    rd_kafka_AdminOptions_set_operation_timeout(options, 5000, NULL, 0);
    if (create) {
        rd_kafka_NewTopic_t *made = rd_kafka_NewTopic_new(topic, partitions, 1, NULL, 0);
        rd_kafka_CreateTopics(rk, &made, 1, options, queue);
        rd_kafka_NewTopic_destroy(made);
    } else {
        rd_kafka_DeleteTopic_t *gone = rd_kafka_DeleteTopic_new(topic);
        rd_kafka_DeleteTopics(rk, &gone, 1, options, queue);
        rd_kafka_DeleteTopic_destroy(gone);
    }
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    check(event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR, "no topic can be made");
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
}

static void produce(rd_kafka_t *rk, size_t count) {
    char value[100];
    memset(value, 'v', sizeof value);
    int64_t start = clock_mono_us();
    for (size_t i = 0; i < count && !failed;) {
        char key[24];
        int size = snprintf(key, sizeof key, "%zu", i);
        rd_kafka_resp_err_t error = rd_kafka_producev(
            rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, (size_t)size),
            RD_KAFKA_V_VALUE(value, sizeof value), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            rd_kafka_poll(rk, 10);
        else
            i += check(error == RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_err2str(error));
    }
    check(rd_kafka_flush(rk, WAIT_MS) == RD_KAFKA_RESP_ERR_NO_ERROR, "not all was delivered in time");
    printf("{\"records\":%zu,\"perSecond\":%.0f}\n", count,
           (double)count * 1e6 / (double)(clock_mono_us() - start));
}

/* One transaction, and until a committed reader has its record. */
static bool hop(rd_kafka_t *rk, rd_kafka_t *reader) {
    bool ok = no_error(rd_kafka_begin_transaction(rk)) &&
              check(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
                                      RD_KAFKA_V_VALUE("v", 1), RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR_NO_ERROR,
                    "produce") &&
              no_error(rd_kafka_commit_transaction(rk, WAIT_MS));
    rd_kafka_message_t *m = ok ? rd_kafka_consumer_poll(reader, WAIT_MS) : NULL;
    ok = ok && check(m != NULL && m->err == RD_KAFKA_RESP_ERR_NO_ERROR, "what was committed does not come");
    if (m != NULL)
        rd_kafka_message_destroy(m);
    return ok;
}

static volatile sig_atomic_t stopped;

static void on_signal(int number) {
    (void)number;
    stopped = 1;
}

static double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* From the ends of its partitions on; 0: until it is stopped. */
static void follow(const char *followed, size_t count) {
    rd_kafka_t *reader = client(RD_KAFKA_CONSUMER,
                                (const char *const[]){"group.id", "bench", "isolation.level",
                                                      "read_committed", "enable.auto.commit", "false", NULL});
    const struct rd_kafka_metadata *m;
    rd_kafka_topic_t *t = reader == NULL ? NULL : rd_kafka_topic_new(reader, followed, NULL);
    if (t == NULL || !check(rd_kafka_metadata(reader, 0, t, &m, WAIT_MS) == RD_KAFKA_RESP_ERR_NO_ERROR,
                            "Kafka does not answer"))
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    int64_t low;
    for (int p = 0; p < m->topics[0].partition_cnt; p++)
        check(rd_kafka_query_watermark_offsets(reader, followed, p, &low,
                                               &rd_kafka_topic_partition_list_add(list, followed, p)->offset,
                                               WAIT_MS) == RD_KAFKA_RESP_ERR_NO_ERROR,
              "Kafka does not answer");
    rd_kafka_assign(reader, list);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_metadata_destroy(m);
    rd_kafka_topic_destroy(t);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* nobody would end it */
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(reader);
    puts("ready");
    fflush(stdout);
    size_t n = 0;
    int64_t first = 0, last = 0;
    double before = cpu_seconds();
    while (!stopped && !failed && (count == 0 || n < count)) {
        rd_kafka_message_t *records[BATCH];
        ssize_t got = rd_kafka_consume_batch_queue(queue, 200, records, BATCH);
        for (ssize_t i = 0; i < got; i++) {
            n += records[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR;
            rd_kafka_message_destroy(records[i]);
        }
        last = got > 0 ? clock_mono_us() : last;
        first = first == 0 ? last : first;
    }
    printf("{\"records\":%zu,\"perSecond\":%.0f,\"cpuMicroseconds\":%.2f}\n", n,
           last > first ? (double)n * 1e6 / (double)(last - first) : 0.0,
           (cpu_seconds() - before) * 1e6 / (double)(n + !n));
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(reader);
    rd_kafka_destroy(reader);
}

static void chain(rd_kafka_t *rk, size_t count) {
    rd_kafka_t *reader = client(RD_KAFKA_CONSUMER, (const char *const[]){"group.id", topic, "isolation.level",
                                                                         "read_committed", NULL});
    if (reader == NULL || !no_error(rd_kafka_init_transactions(rk, WAIT_MS)))
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = 0;
    rd_kafka_assign(reader, list);
    rd_kafka_topic_partition_list_destroy(list);
    struct samples us = {0};
    for (size_t i = 0; i < count + WARM_UP && !failed; i++) {
        int64_t start = clock_mono_us();
        for (int k = 0; k < HOPS && hop(rk, reader); k++)
            ;
        if (i >= WARM_UP)
            samples_add(&us, clock_mono_us() - start);
    }
    struct buf out = {0};
    struct json j = {.out = &out};
    samples_json(&us, &j);
    printf(SLICE_FMT "\n", SLICE_ARG(buf_slice(&out)));
    buf_free(&out);
    samples_free(&us);
    rd_kafka_consumer_close(reader);
    rd_kafka_destroy(reader);
}

static void transaction(rd_kafka_t *rk, int partitions, struct samples *us) {
    int64_t start = clock_mono_us();
    no_error(rd_kafka_begin_transaction(rk));
    for (int i = 0; i < partitions * EACH; i++)
        check(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(i % partitions),
                                RD_KAFKA_V_VALUE("v", 1), RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR_NO_ERROR,
              "produce");
    no_error(rd_kafka_commit_transaction(rk, WAIT_MS));
    samples_add(us, clock_mono_us() - start);
}

static void wide(rd_kafka_t *rk, size_t count) {
    struct samples narrow_us = {0}, wide_us = {0};
    struct buf out = {0};
    struct json j = {.out = &out};
    if (!no_error(rd_kafka_init_transactions(rk, WAIT_MS)))
        return;
    for (size_t i = 0; i < count + WARM_UP && !failed; i++) {
        if (i == WARM_UP)
            narrow_us.count = wide_us.count = 0;
        transaction(rk, 1, &narrow_us);
        transaction(rk, WIDE, &wide_us);
    }
    json_begin_object(&j);
    json_key(&j, "narrow"), samples_json(&narrow_us, &j);
    json_key(&j, "wide"), samples_json(&wide_us, &j);
    json_end_object(&j);
    printf(SLICE_FMT "\n", SLICE_ARG(buf_slice(&out)));
    buf_free(&out);
    samples_free(&narrow_us);
    samples_free(&wide_us);
}

int main(int argc, char **argv) {
    bool follows = argc > 2 && strcmp(argv[1], "follow") == 0;
    bool chained = argc > 1 && strcmp(argv[1], "chain") == 0,
         widened = argc > 1 && strcmp(argv[1], "wide") == 0, transactional = chained || widened;
    double count = follows ? 0 : transactional ? 200 : 200000;
    const struct option_spec options[] = {{.name = "count", .min = 1, .max = 10000000, .number = &count},
                                          {0}};
    if (argc < 2 || (!follows && !transactional && strcmp(argv[1], "produce") != 0) ||
        !options_parse(argc - 1 - follows, argv + 1 + follows, options)) {
        fprintf(stderr, "usage: peer produce|chain|wide [--count N] | follow TOPIC [--count N]\n");
        return 2;
    }
    if (follows) {
        follow(argv[2], (size_t)count);
        return failed ? 1 : 0;
    }
    char uuid[UUID_SIZE];
    uuid_make(uuid, clock_wall_ms());
    snprintf(topic, sizeof topic, "peer-%.*s", UUID_SIZE, uuid);
    const char *common[] = {"enable.idempotence",
                            "true",
                            "linger.ms",
                            transactional ? "0" : "5",
                            "retry.backoff.ms",
                            "1",
                            "retry.backoff.max.ms",
                            "10",
                            transactional ? "transactional.id" : NULL,
                            topic,
                            NULL};
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, common);
    if (rk == NULL)
        return 1;
    topic_admin(rk, widened ? WIDE : PARTITIONS);
    if (!failed && chained)
        chain(rk, (size_t)count);
    else if (!failed && widened)
        wide(rk, (size_t)count);
    else if (!failed)
        produce(rk, (size_t)count);
    topic_admin(rk, 0);
    rd_kafka_destroy(rk);
    return failed ? 1 : 0;
}
