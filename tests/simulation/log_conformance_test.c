/* usage: log_conformance_test simulated|kafka
 *
 * What the runtime relies on in a log, tried on the simulated one and on a real Kafka (KAFKA_BROKERS): what
 * readers of committed records see, where positions and ends are, who is fenced by whom. So that the world of
 * the simulation is not a kinder one than the real. And what a log says of those that only a real Kafka has:
 * strangers. */
#include "instance.h"
#include "world.h"

#include "kafka/kafka.h"
#include "schemas/schemas.gen.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { SKIPPED = 77, PATIENCE_MS = 20000, SEEN = 100 };

static struct {
    bool real;
    const char *brokers;
    char inputs_name[64], outputs_name[64], group[64];
    struct topic inputs, outputs;
    struct world *world;
    struct log *logs[8]; /* to be destroyed */
    int log_count, test;
    struct plan plan;
} bank;

static void must(bool ok, const struct err *e, const char *what) {
    if (!ok)
        fail_msg("%s: %s: %s", what, err_kind_name(e->kind), e->text);
}

/* A call of log_ops, into `e`; ERR_RETRY is an answer too: again. */
#define MUST(l, call)                                                                                        \
    do {                                                                                                     \
        struct err e = {0};                                                                                  \
        int64_t until_ = (l)->ops->now_ms(l) + PATIENCE_MS;                                                  \
        bool ok_;                                                                                            \
        while (!(ok_ = (l)->ops->call) && e.kind == ERR_RETRY && (l)->ops->now_ms(l) < until_)               \
            continue;                                                                                        \
        must(ok_, &e, #call);                                                                                \
    } while (0)

/* ---- the two banks ---- */

/* A new process with the identity of `member`. */
static struct log *connect_as(int member) {
    struct log *log;
    if (!bank.real) {
        log = world_connect(bank.world, member);
    } else {
        struct err e = {0};
        char identity[80];
        snprintf(identity, sizeof identity, "%s-%d", bank.group, member);
        struct kafka_options o = {.brokers = bank.brokers,
                                  .group = bank.group,
                                  .identity = identity,
                                  .watch_ms = 300,
                                  .topic_count = 64};
        must(kafka_create(&o, &log, &e), &e, "kafka_create");
    }
    bank.logs[bank.log_count++] = log;
    return log;
}

static void create_topics(void) {
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bank.brokers, text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(rk);
    rd_kafka_NewTopic_t *wanted[] = {rd_kafka_NewTopic_new(bank.inputs_name, 1, 1, NULL, 0),
                                     rd_kafka_NewTopic_new(bank.outputs_name, 1, 1, NULL, 0)};
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_CreateTopics(rk, wanted, 2, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy_array(wanted, 2);
    rd_kafka_destroy(rk);
}

static int begin(void **state) {
    (void)state;
    int pid = (int)getpid(), n = bank.test++;
    snprintf(bank.inputs_name, sizeof bank.inputs_name, "conformance-inputs-%d-%d", pid, n);
    snprintf(bank.outputs_name, sizeof bank.outputs_name, "conformance-outputs-%d-%d", pid, n);
    snprintf(bank.group, sizeof bank.group, "conformance-%d-%d", pid, n);
    bank.inputs = topic_toy_inputs;
    bank.outputs = topic_toy_totals;
    if (bank.real) {
        bank.inputs.name = bank.inputs_name;
        bank.outputs.name = bank.outputs_name;
        create_topics();
        return 0;
    }
    static struct buf why;
    bank.plan =
        (struct plan){.seed = (uint64_t)n, .workload = &toy_workload, .partitions = 1, .instances = {2}};
    bank.world = world_create(&bank.plan, NULL, &why);
    return 0;
}

static int finish(void **state) {
    (void)state;
    for (int i = 0; i < bank.log_count; i++)
        log_destroy(bank.logs[i]);
    bank.log_count = 0;
    if (!bank.real)
        world_destroy(bank.world);
    return 0;
}

/* In the simulated world a topic is its description. */
static const struct topic *inputs(void) {
    return bank.real ? &bank.inputs : &topic_toy_inputs;
}

static const struct topic *outputs(void) {
    return bank.real ? &bank.outputs : &topic_toy_totals;
}

/* ---- what tests do ---- */

static void produce(struct log *l, const char *value, struct log_delivered *delivered) {
    struct log_message m = {.topic = outputs(),
                            .timestamp = 1700000000000,
                            .key = SLICE("k"),
                            .value = slice_of(value),
                            .delivered = delivered};
    MUST(l, produce(l, &m, &e));
}

static int64_t end_of(struct log *l, bool committed) {
    struct log_position p = {outputs(), 0, -1};
    MUST(l, ends(l, &p, 1, committed, &e));
    return p.offset;
}

/* Until this many records are in the log, visible or not; a producer sends in the background. */
static void wait_for_end(struct log *asks, struct log *sends, int64_t end) {
    int64_t until = asks->ops->now_ms(asks) + PATIENCE_MS;
    while (end_of(asks, false) < end) {
        size_t n;
        struct log_record none[1];
        assert_true(asks->ops->now_ms(asks) < until);
        MUST(sends, poll(sends, false, none, 1, 5, &n, &e));
        assert_int_equal(n, 0);
    }
}

struct seen {
    int64_t offsets[SEEN];
    char values[SEEN][8];
    int count;
    int64_t end;           /* the latest news of an end; -1: none */
    int64_t was, moved_to; /* the latest of a move; -1: none */
};

/* Reads on until the end of committed records has come by, for the first time or anew. */
static void read_to(struct log *l, int64_t end, struct seen *seen) {
    int64_t until = l->ops->now_ms(l) + PATIENCE_MS;
    while (seen->end < end) {
        struct log_record records[10];
        size_t n;
        assert_true(l->ops->now_ms(l) < until);
        MUST(l, poll(l, false, records, 10, 100, &n, &e));
        for (size_t i = 0; i < n; i++) {
            if (records[i].moved) {
                seen->was = records[i].was;
                seen->moved_to = records[i].offset;
            }
            if (records[i].end)
                seen->end = records[i].offset;
            if (log_is_news(&records[i]))
                continue;
            seen->offsets[seen->count] = records[i].offset;
            snprintf(seen->values[seen->count++], 8, SLICE_FMT, SLICE_ARG(records[i].value));
        }
        l->ops->release(l, records, n);
    }
}

static void read_from(struct log *l, int64_t offset, struct seen *seen) {
    struct log_position from = {outputs(), 0, offset};
    *seen = (struct seen){.end = -1, .was = -1, .moved_to = -1};
    MUST(l, read(l, LOG_TABLES, &from, &e));
}

static struct log *reader(struct seen *seen) {
    struct log *l = connect_as(1);
    read_from(l, -1, seen);
    return l;
}

/* Deletes what is before an offset, as retention does. */
static void delete_before(int64_t first) {
    char text[256];
    if (!bank.real) {
        broker_delete_front(world_broker(bank.world),
                            broker_partition(world_broker(bank.world), outputs(), 0), first);
        return;
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bank.brokers, text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, bank.outputs_name, 0)->offset = first;
    rd_kafka_DeleteRecords_t *wanted[] = {rd_kafka_DeleteRecords_new(list)};
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteRecords(rk, wanted, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteRecords_destroy_array(wanted, 1);
    rd_kafka_destroy(rk);
}

struct membership {
    int assigned, revoked;
};

static void on_assigned(void *context, const int32_t *tasks, size_t n) {
    (void)tasks;
    ((struct membership *)context)->assigned += (int)n;
}

static void on_revoked(void *context, const int32_t *tasks, size_t n, bool lost) {
    (void)tasks, (void)lost;
    ((struct membership *)context)->revoked += (int)n;
}

static void join(struct log *l, struct membership *m) {
    struct log_listener listener = {m, on_assigned, on_revoked};
    int64_t until = l->ops->now_ms(l) + PATIENCE_MS;
    MUST(l, subscribe(l, inputs(), &listener, &e));
    while (m->assigned == 0) {
        struct log_record none[1];
        size_t n;
        assert_true(l->ops->now_ms(l) < until);
        MUST(l, poll(l, true, none, 1, 100, &n, &e));
    }
}

static int64_t committed_offset(struct log *l) {
    struct log_committed c = {.topic = inputs(), .offset = -2, .time = -2, .cuts = -2};
    MUST(l, committed(l, &c, 1, &e));
    assert_int_equal(c.time, c.offset < 0 ? 0 : 1000 * c.offset);
    assert_int_equal(c.cuts, c.offset < 0 ? 0 : c.offset);
    return c.offset;
}

/* ---- tests ---- */

/* A marker ends each transaction and takes an offset; the end, and the reader's position there, lie behind
 * it. */
static void committed_is_seen_and_aborted_is_not(void **state) {
    (void)state;
    struct seen seen;
    struct log *a = connect_as(0), *r = reader(&seen);
    struct log_delivered delivered = {0};
    MUST(a, init(a, &e));
    MUST(a, begin(a, &e));
    produce(a, "one", &delivered);
    MUST(a, commit(a, NULL, 0, &e));
    assert_int_equal(delivered.next, 1);
    MUST(a, begin(a, &e));
    produce(a, "two", NULL);
    wait_for_end(r, a, 3);
    MUST(a, abort(a, &e));
    MUST(a, begin(a, &e));
    produce(a, "three", &delivered);
    MUST(a, commit(a, NULL, 0, &e));
    assert_int_equal(delivered.next, 5);
    assert_int_equal(delivered.was, 0);
    wait_for_end(r, a, 6);
    read_to(r, 6, &seen);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.values[0], "one");
    assert_string_equal(seen.values[1], "three");
    assert_int_equal(seen.offsets[0], 0);
    assert_int_equal(seen.offsets[1], 4);
    assert_int_equal(seen.end, 6);
    assert_int_equal(end_of(r, true), 6);
}

static void an_open_transaction_hides_what_comes_after(void **state) {
    (void)state;
    struct seen seen;
    struct log *a = connect_as(0), *b = connect_as(1), *r = reader(&seen);
    MUST(a, init(a, &e));
    MUST(b, init(b, &e));
    MUST(a, begin(a, &e));
    produce(a, "open", NULL);
    wait_for_end(r, a, 1);
    MUST(b, begin(b, &e));
    produce(b, "later", NULL);
    MUST(b, commit(b, NULL, 0, &e));
    wait_for_end(r, b, 3); /* its marker too */
    assert_int_equal(end_of(r, true), 0);
    read_to(r, 0, &seen);
    assert_int_equal(seen.count, 0);
    MUST(a, commit(a, NULL, 0, &e));
    wait_for_end(r, a, 4);
    read_to(r, 4, &seen);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.values[0], "open");
    assert_string_equal(seen.values[1], "later");
}

static void who_takes_an_identity_fences_who_had_it(void **state) {
    (void)state;
    struct seen seen;
    struct log *old = connect_as(0), *new = connect_as(0), *r = reader(&seen);
    struct err refused = {0};
    MUST(old, init(old, &e));
    MUST(old, begin(old, &e));
    produce(old, "old", NULL);
    wait_for_end(r, old, 1);
    MUST(new, init(new, &e)); /* ends what was left open */
    wait_for_end(r, old, 2);
    assert_int_equal(end_of(r, true), 2);
    assert_false(old->ops->commit(old, NULL, 0, &refused));
    assert_true(refused.kind == ERR_FENCED || refused.kind == ERR_ABORT);
    MUST(new, begin(new, &e));
    produce(new, "new", NULL);
    MUST(new, commit(new, NULL, 0, &e));
    wait_for_end(r, new, 4);
    read_to(r, 4, &seen);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.values[0], "new");
}

static void offsets_go_with_their_transaction(void **state) {
    (void)state;
    struct seen seen;
    struct membership m = {0};
    struct log *a = connect_as(0), *r = reader(&seen);
    MUST(a, init(a, &e));
    join(a, &m);
    assert_int_equal(m.assigned, 1);
    assert_int_equal(committed_offset(a), -1);
    MUST(a, begin(a, &e));
    produce(a, "out", NULL);
    wait_for_end(r, a, 1);
    assert_int_equal(committed_offset(a), -1);
    MUST(a, commit(a, &((struct log_committed){inputs(), 0, 7, 7000, 7}), 1, &e));
    assert_int_equal(committed_offset(a), 7); /* stable: waits for the marker */
    MUST(a, begin(a, &e));
    produce(a, "out", NULL);
    MUST(a, abort(a, &e));
    assert_int_equal(committed_offset(a), 7);
    MUST(a, begin(a, &e)); /* offsets only */
    MUST(a, commit(a, &((struct log_committed){inputs(), 0, 9, 9000, 9}), 1, &e));
    assert_int_equal(committed_offset(a), 9);
}

/* A static member comes back in another process: the same tasks without a rebalance, and the old one is out.
 */
static void who_comes_back_is_the_same_member(void **state) {
    (void)state;
    struct membership before = {0}, after = {0};
    struct log *old = connect_as(0), *new = connect_as(0);
    MUST(old, init(old, &e));
    join(old, &before);
    MUST(new, init(new, &e));
    join(new, &after);
    assert_int_equal(after.assigned, 1);
    int64_t until = old->ops->now_ms(old) + PATIENCE_MS;
    for (struct err e = {0};;) {
        struct log_record none[1];
        size_t n;
        assert_true(old->ops->now_ms(old) < until);
        if (old->ops->poll(old, true, none, 1, 100, &n, &e))
            continue;
        assert_int_equal(e.kind, ERR_FENCED);
        break;
    }
    MUST(new, begin(new, &e));
    MUST(new, commit(new, &((struct log_committed){inputs(), 0, 3, 3000, 3}), 1, &e));
    assert_int_equal(committed_offset(new), 3);
}

static void write_four(struct log *a) {
    MUST(a, init(a, &e));
    MUST(a, begin(a, &e));
    for (int i = 0; i < 4; i++)
        produce(a, "four", NULL);
    MUST(a, commit(a, NULL, 0, &e));
}

/* Neither to the end nor to the beginning without a word. */
static void who_stands_before_the_start_is_moved_there(void **state) {
    (void)state;
    struct seen seen;
    struct log *a = connect_as(0), *r = connect_as(1);
    write_four(a);
    wait_for_end(r, a, 5);
    delete_before(2);
    read_from(r, 1, &seen);
    read_to(r, 5, &seen);
    assert_int_equal(seen.was, 1);
    assert_int_equal(seen.moved_to, 2);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.offsets[0], 2);
    r->ops->unread(r, LOG_TABLES, outputs(), 0);
    read_from(r, -1, &seen); /* from the first that there is: that is no move */
    read_to(r, 5, &seen);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.moved_to, -1);
}

static void who_stands_beyond_the_end_is_moved_there(void **state) {
    (void)state;
    struct seen seen;
    struct log *a = connect_as(0), *r = connect_as(1);
    write_four(a);
    wait_for_end(r, a, 5);
    read_from(r, 50, &seen);
    read_to(r, 5, &seen);
    assert_int_equal(seen.was, 50);
    assert_int_equal(seen.moved_to, 5);
    assert_int_equal(seen.count, 0);
    MUST(a, begin(a, &e));
    produce(a, "new", NULL);
    MUST(a, commit(a, NULL, 0, &e));
    read_to(r, 7, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.offsets[0], 5);
}

/* ---- strangers ---- */

static rd_kafka_t *stranger(rd_kafka_type_t type, const char *const *settings) {
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bank.brokers, text, sizeof text);
    rd_kafka_conf_set(conf, "client.id", "stranger", text, sizeof text);
    for (; *settings != NULL; settings += 2)
        if (rd_kafka_conf_set(conf, settings[0], settings[1], text, sizeof text) != RD_KAFKA_CONF_OK)
            fail_msg("%s", text);
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    if (rk == NULL)
        fail_msg("%s", text);
    return rk;
}

/* Polls until the log says that, or (NULL) that nothing hinders it any more. `also` is polled too. */
static void says(struct log *l, const char *what, rd_kafka_t *also) {
    char text[300] = "";
    for (int64_t until = l->ops->now_ms(l) + 3 * PATIENCE_MS;;) {
        struct log_record records[10];
        size_t n;
        MUST(l, poll(l, true, records, 10, 50, &n, &e));
        l->ops->release(l, records, n);
        rd_kafka_message_t *m = also == NULL ? NULL : rd_kafka_consumer_poll(also, 50);
        if (m != NULL)
            rd_kafka_message_destroy(m);
        bool troubled = log_troubled(l, text, sizeof text);
        if (what == NULL ? !troubled : troubled && strstr(text, what) != NULL)
            return;
        if (l->ops->now_ms(l) > until)
            fail_msg("it says \"%s\" instead of \"%s\"", troubled ? text : "", what == NULL ? "" : what);
    }
}

static void an_open_transaction_of_a_stranger_is_named(void **state) {
    (void)state;
    char what[200];
    struct seen seen;
    rd_kafka_t *s =
        stranger(RD_KAFKA_PRODUCER, (const char *const[]){"transactional.id", bank.outputs_name, NULL});
    assert_null(rd_kafka_init_transactions(s, PATIENCE_MS));
    assert_null(rd_kafka_begin_transaction(s));
    assert_int_equal(rd_kafka_producev(s, RD_KAFKA_V_TOPIC(bank.outputs_name), RD_KAFKA_V_VALUE("open", 4),
                                       RD_KAFKA_V_END),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_flush(s, PATIENCE_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
    struct log *r = reader(&seen);
    snprintf(what, sizeof what, "%s/0 from 0 on is hidden by a transaction that somebody left open",
             bank.outputs_name);
    says(r, what, NULL);
    assert_null(rd_kafka_abort_transaction(s, PATIENCE_MS));
    says(r, NULL, NULL);
    rd_kafka_destroy(s);
}

static void a_stranger_in_the_group_is_named(void **state) {
    (void)state;
    char what[200];
    rd_kafka_t *s = stranger(RD_KAFKA_CONSUMER,
                             (const char *const[]){"group.id", bank.group, "partition.assignment.strategy",
                                                   "cooperative-sticky", "session.timeout.ms", "6000", NULL});
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1), *has = NULL;
    rd_kafka_topic_partition_list_add(list, bank.inputs_name, RD_KAFKA_PARTITION_UA);
    rd_kafka_poll_set_consumer(s);
    assert_int_equal(rd_kafka_subscribe(s, list), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(list);
    for (int n = 0; n < 600 && (has == NULL || has->cnt == 0); n++) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(s, 100);
        if (m != NULL)
            rd_kafka_message_destroy(m);
        if (has != NULL)
            rd_kafka_topic_partition_list_destroy(has);
        assert_int_equal(rd_kafka_assignment(s, &has), RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    assert_int_equal(has->cnt, 1);
    rd_kafka_topic_partition_list_destroy(has);
    struct membership m = {0};
    struct log_listener listener = {&m, on_assigned, on_revoked};
    struct log *l = connect_as(0);
    int32_t count;
    MUST(l, partitions(l, inputs(), &count, &e));
    MUST(l, subscribe(l, inputs(), &listener, &e));
    snprintf(what, sizeof what,
             "waiting for the group %s: 1 of its 1 tasks are with a stranger, stranger at ", bank.group);
    says(l, what, s);
    assert_int_equal(m.assigned, 0);
    rd_kafka_consumer_close(s);
    rd_kafka_destroy(s);
    says(l, NULL, NULL);
    assert_int_equal(m.assigned, 1);
}

static void a_topic_that_was_deleted_is_named(void **state) {
    (void)state;
    char what[200];
    struct seen seen;
    struct log *r = reader(&seen);
    read_to(r, 0, &seen);
    rd_kafka_t *s = stranger(RD_KAFKA_PRODUCER, (const char *const[]){NULL});
    rd_kafka_queue_t *queue = rd_kafka_queue_new(s);
    rd_kafka_DeleteTopic_t *wanted[] = {rd_kafka_DeleteTopic_new(bank.outputs_name)};
    rd_kafka_DeleteTopics(s, wanted, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteTopic_destroy_array(wanted, 1);
    rd_kafka_destroy(s);
    snprintf(what, sizeof what, "%s/0 from 0 on ", bank.outputs_name);
    says(r, what, NULL);
}

int main(int argc, char **argv) {
    bank.real = argc == 2 && strcmp(argv[1], "kafka") == 0;
    bank.brokers = getenv("KAFKA_BROKERS");
    if (!bank.real && (argc != 2 || strcmp(argv[1], "simulated") != 0)) {
        fprintf(stderr, "usage: log_conformance_test simulated|kafka\n");
        return 2;
    }
    if (bank.real && bank.brokers == NULL) {
        printf("log_conformance_test: skipped, KAFKA_BROKERS is not set\n");
        return SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(committed_is_seen_and_aborted_is_not, begin, finish),
        cmocka_unit_test_setup_teardown(an_open_transaction_hides_what_comes_after, begin, finish),
        cmocka_unit_test_setup_teardown(who_takes_an_identity_fences_who_had_it, begin, finish),
        cmocka_unit_test_setup_teardown(offsets_go_with_their_transaction, begin, finish),
        cmocka_unit_test_setup_teardown(who_comes_back_is_the_same_member, begin, finish),
        cmocka_unit_test_setup_teardown(who_stands_before_the_start_is_moved_there, begin, finish),
        cmocka_unit_test_setup_teardown(who_stands_beyond_the_end_is_moved_there, begin, finish),
    };
    const struct CMUnitTest strangers[] = {
        cmocka_unit_test_setup_teardown(an_open_transaction_of_a_stranger_is_named, begin, finish),
        cmocka_unit_test_setup_teardown(a_stranger_in_the_group_is_named, begin, finish),
        cmocka_unit_test_setup_teardown(a_topic_that_was_deleted_is_named, begin, finish),
    };
    int failed = bank.real ? cmocka_run_group_tests_name("strangers", strangers, NULL, NULL) : 0;
    return failed + cmocka_run_group_tests_name(bank.real ? "kafka" : "simulated", tests, NULL, NULL);
}
