/* The runtime on a real Kafka: exactly once over crashes, rebalances, zombies and lost views. */
#include "world.h"

#include "base/slice.h"
#include "kafka/kafka.h"
#include "schemas/schemas.gen.h"

#include <librdkafka/rdkafka.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int rounds = 20;

static void shell(const char *fmt, const char *path) {
    char command[500];
    snprintf(command, sizeof command, fmt, path, path, path);
    assert_int_equal(system(command), 0);
}

/* Killed at random moments of the work, and of its start. */
static void kill_9_leaves_no_trace(void **state) {
    (void)state;
    world_create("kill");
    for (int round = 0; round < rounds; round++) {
        pid_t pid = world_start(0);
        world_click(500);
        if (round % 4 != 0) { /* else while it starts */
            int target = world_counted(0) + 1 + rand() % 400;
            for (int i = 0; i < 200 && world_counted(10) < target; i++)
                if (i % 10 == 0)
                    world_click(50);
        }
        usleep((useconds_t)(rand() % 50000)); /* whatever it is at by then */
        world_kill(pid);
    }
    pid_t pid = world_start(0);
    world_settle(30);
    world_stop(pid);
    world_destroy();
}

static void a_lost_view_is_restored(void **state) {
    (void)state;
    world_create("restore");
    pid_t pid = world_start(0);
    world_click(1000);
    world_settle(30);
    world_stop(pid);

    shell("cp -r '%s' '%s.old'", world_view(0));
    shell("rm -rf '%s'", world_view(0));
    pid = world_start(0); /* from the changelog alone */
    world_click(1000);
    world_settle(30);
    world_stop(pid);

    shell("rm -rf '%s' && mv '%s.old' '%s'", world_view(0));
    pid = world_start(0); /* a copy from before catches up */
    world_click(1000);
    world_settle(30);
    world_stop(pid);
    world_destroy();
}

static void instances_share_and_take_over(void **state) {
    (void)state;
    world_create("share");
    pid_t first = world_start(0);
    world_click(500);
    world_settle(30);
    pid_t second = world_start(1);
    for (int i = 0; i < 20; i++) { /* while the partitions move */
        world_click(50);
        world_counted(50);
    }
    world_settle(30);
    world_kill(second); /* and does not come back: the first takes over */
    world_click(500);
    world_settle(30);
    second = world_start(1);
    world_click(500);
    world_settle(30);
    world_stop(first); /* says good-bye, so the second need not wait long */
    world_click(500);
    world_settle(20);
    world_stop(second);
    world_destroy();
}

/* What it gave up is nobody's yet, and as a static member it comes back to what it had left, without a
 * rebalance: the group does not notice that tasks are missing. */
static void who_dies_while_tasks_move_leaves_none_behind(void **state) {
    (void)state;
    world_create("between");
    pid_t first = world_start_to_die(0);
    world_click(500);
    world_settle(30);
    pid_t second = world_start(1);
    world_dead(first);
    first = world_start(0);
    world_click(500);
    world_settle(40);
    world_stop(first);
    world_stop(second);
    world_destroy();
}

/* It was frozen, others took its place, and it wakes up in the middle of what it was doing. */
static void a_zombie_writes_nothing(void **state) {
    (void)state;
    world_create("zombie");
    pid_t zombie = world_start(0), other = world_start(1);
    world_click(2000);
    world_settle(30);
    world_click(2000);
    kill(zombie, SIGSTOP);
    world_settle(40);
    kill(zombie, SIGCONT);
    for (int i = 0; i < 20; i++) {
        world_click(50);
        world_counted(100);
    }
    if (waitpid(zombie, NULL, WNOHANG) == zombie) /* fenced: the supervisor's turn */
        zombie = world_start(0);
    world_settle(40);
    world_stop(other);
    world_kill(zombie);
    world_destroy();
}

/* As above, and another process has its very identity meanwhile. */
static void zombie_and_twin(const char *name, int left_to_do) {
    world_create(name);
    int status = 0;
    pid_t zombie = world_start(0);
    world_click(500);
    world_settle(30);
    world_click(left_to_do);
    kill(zombie, SIGSTOP);
    pid_t other = world_start_as(1, 0);
    world_click(500);
    world_settle(40);
    sleep(7); /* longer than a session: it has a clock of its own */
    kill(zombie, SIGCONT);
    for (int i = 0; i < 100 && waitpid(zombie, &status, WNOHANG) == 0; i++)
        world_counted(100);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 77);
    world_click(500);
    world_settle(30);
    world_stop(other);
    world_destroy();
}

static void a_zombie_takes_no_identity_back(void **state) {
    (void)state;
    zombie_and_twin("twins", 500);
    zombie_and_twin("idle-twins", 0);
}

static void bad_records_are_dead_letters_once(void **state) {
    (void)state;
    world_create("poison");
    pid_t pid = world_start(0);
    world_click(100);
    const struct slice bad[] = {SLICE(""), SLICE("\1\0\0\0\1x"), SLICE("\0\177\377\377\377x"),
                                SLICE("\0\0\0"), SLICE_NONE};
    int count = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++, count++)
        world_write("user-0", bad[i], (int32_t)i % WORLD_PARTITIONS);
    world_write(NULL, SLICE("\0\0\0\0\1\2"), 1);
    count++;
    world_click(100);
    world_settle(30);
    for (int i = 0; i < 100 && world_letters() < count; i++)
        world_counted(100);
    assert_int_equal(world_letters(), count);

    world_kill(pid);
    pid = world_start(0);
    world_click(100);
    world_settle(30);
    world_stop(pid);
    assert_int_equal(world_letters(), count);
    world_destroy();
}

static void offsets_that_are_gone_count_nothing_twice(void **state) {
    (void)state;
    world_create("offsets");
    for (int view_is_lost = 0; view_is_lost < 2; view_is_lost++) {
        pid_t pid = world_start(0);
        world_click(500);
        world_settle(30);
        world_stop(pid);
        world_forget_group();
        if (view_is_lost)
            shell("rm -rf '%s'", world_view(0));
        pid = world_start(0);
        world_click(500);
        world_settle(30);
        world_stop(pid);
    }
    world_destroy();
}

/* What follows from these clicks the broker takes from nobody: each is a dead letter, once, and the others
 * count. */
static void what_the_broker_refuses_is_a_dead_letter(void **state) {
    (void)state;
    world_create_limited("refused");
    pid_t pid = world_start(0);
    world_click(50);
    world_click_in_vain(true);
    world_click(50);
    world_click_in_vain(false);
    world_click(50);
    world_settle(30);
    for (int i = 0; i < 200 && world_letters() < 2; i++)
        world_counted(100);
    assert_int_equal(world_letters(), 2);
    world_kill(pid);
    pid = world_start(0);
    world_click(50);
    world_settle(30);
    world_stop(pid);
    assert_int_equal(world_letters(), 2);
    world_destroy();
}

static void assert_few_windows(void) {
    int rows, entries;
    world_windows(0, &rows, &entries);
    if (rows == 0 || rows > 200 || entries < rows || entries > 300)
        fail_msg("%d windows are there, with %d entries in their index", rows, entries);
}

/* A click a second of event time, nearly each in a window of its own; those of a minute are kept. */
static void a_view_of_windows_stays_flat(void **state) {
    (void)state;
    world_create("windows");
    world_pace(1000);
    pid_t pid = world_start(0);
    world_click(1000);
    for (int i = 0; i < 100 && world_counted(50) < 100; i++)
        continue;
    world_kill(pid);
    pid = world_start(0);
    world_settle(30);
    world_stop(pid);
    assert_few_windows();

    pid = world_start(0);
    world_click(2000);
    world_settle(30);
    world_stop(pid);
    assert_few_windows();

    shell("rm -rf '%s'", world_view(0)); /* from the changelog: what is gone stays so, or goes at once */
    pid = world_start(0);
    world_click(100);
    world_settle(30);
    world_stop(pid);
    assert_few_windows();
    world_destroy();
}

/* A rolling restart to the next version and back, under load: old with new, and each with the state that the
 * other wrote. The test reads as the old one. */
static void two_versions_live_side_by_side(void **state) {
    (void)state;
    world_create("versions");
    pid_t first = world_start(0), second = world_start(1);
    world_click(500);
    world_settle(40);
    world_click(500);
    world_stop(second);
    second = world_start_version(1, 2);
    world_click(500);
    world_settle(40);
    world_kill(first); /* the new one takes over what the old one wrote */
    world_click(500);
    world_settle(40);
    first = world_start_version(0, 2);
    world_click(500);
    world_settle(40);
    world_kill(second); /* and back: the old one what the new one wrote */
    second = world_start(1);
    world_click(500);
    world_settle(40);
    world_stop(first);
    world_click(500);
    world_settle(40);
    shell("rm -rf '%s'", world_view(0)); /* by both versions' records in the changelog */
    first = world_start(0);
    world_click(500);
    world_settle(40);
    world_stop(first);
    world_stop(second);
    assert_int_equal(world_letters(), 0);
    world_destroy();
}

static void what_is_not_compatible_writes_nothing(void **state) {
    (void)state;
    world_create("incompatible");
    pid_t pid = world_start(0);
    world_click(100);
    world_settle(40);
    world_stop(pid);
    world_click(100);
    assert_int_equal(world_exit(world_start_version(0, 3)), 1);
    assert_int_equal(world_counted(500), 100);
    assert_int_equal(world_letters(), 0);
    pid = world_start(0);
    world_settle(40);
    world_stop(pid);
    assert_int_equal(world_letters(), 0);
    world_destroy();
}

/* ---- librdkafka.patch: what is written in a transaction adds its partition to it (KIP-890) ---- */

/* A record into each partition. Offsets begin at 0, and each end of a transaction has one. */
static void transact(struct log *l, const struct topic *t, bool commits, int64_t before, struct err *e) {
    struct log_delivered delivered[WORLD_PARTITIONS] = {0};
    assert_true(l->ops->begin(l, e));
    for (int32_t p = 0; p < WORLD_PARTITIONS; p++)
        assert_true(l->ops->produce(l,
                                    &(struct log_message){.topic = t,
                                                          .partition = p,
                                                          .timestamp = 1,
                                                          .key = SLICE("a"),
                                                          .value = SLICE("b"),
                                                          .delivered = &delivered[p]},
                                    e));
    if (!(commits ? l->ops->commit(l, NULL, 0, e) : l->ops->abort(l, e)))
        fail_msg("%s", e->text);
    for (int32_t p = 0; commits && p < WORLD_PARTITIONS; p++)
        assert_in_range(delivered[p].next, before + 1, before + 3);
}

static void a_transaction_has_no_requests_that_only_add_to_it(void **state) {
    (void)state;
    struct err e = {0};
    struct log *l;
    struct metrics all = {0};
    struct buf text = {0};
    const struct kafka_options options = {
        .brokers = getenv("KAFKA_BROKERS"), .identity = "transactions", .topic_count = topics_count};
    world_create("transactions");
    assert_true(kafka_create(&options, &l, &e));
    if (!l->ops->init(l, &e))
        fail_msg("%s", e.text);
    transact(l, world_clicks(), true, 0, &e);
    transact(l, world_clicks(), true, 2, &e);
    transact(l, world_clicks(), false, 0, &e); /* of which nothing need be in the log */
    transact(l, world_clicks(), true, 4, &e);
    kafka_metrics(l, "test", &all);
    metrics_write(&all, &text);
    buf_append_byte(&text, 0);
    assert_non_null(strstr(text.data, "api=\"Produce\""));
    assert_null(strstr(text.data, "api=\"AddPartitionsToTxn\""));
    buf_free(&text);
    metrics_free(&all);
    log_destroy(l);
    world_destroy();
}

/* What librdkafka says of partition 0's batches: '+' sent, '.' acknowledged; '|' between transactions. */
static char batches[1 << 16];
static size_t batch_events;

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
    (void)rk, (void)level;
    char event = strcmp(facility, "PRODUCE") == 0                                        ? '+'
                 : strcmp(facility, "MSGSET") == 0 && strstr(text, " delivered") != NULL ? '.'
                                                                                         : 0;
    if (event != 0 && batch_events + 2 < sizeof batches)
        batches[batch_events++] = event;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    (void)rk, (void)opaque;
    assert_int_equal(m->err, RD_KAFKA_RESP_ERR_NO_ERROR);
}

static rd_kafka_t *transactional_producer(void) {
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *const settings[][2] = {{"bootstrap.servers", getenv("KAFKA_BROKERS")},
                                       {"transactional.id", "first-batch"},
                                       {"linger.ms", "0"},
                                       {"debug", "msg"}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        assert_int_equal(rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why),
                         RD_KAFKA_CONF_OK);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    assert_non_null(rk);
    assert_null(rd_kafka_init_transactions(rk, 30000));
    return rk;
}

/* The broker may refuse the first batch for as long as it writes the markers of the transaction before; a
 * second one would then be out of order. */
static void nothing_follows_a_first_batch_that_is_not_taken(void **state) {
    (void)state;
    world_create("first-batch");
    rd_kafka_t *rk = transactional_producer();
    for (int k = 0; k < 200; k++) {
        assert_null(rd_kafka_begin_transaction(rk));
        for (int i = 0; i < 4; i++) {
            assert_int_equal(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(world_clicks()->name),
                                               RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_VALUE("v", 1),
                                               RD_KAFKA_V_END),
                             RD_KAFKA_RESP_ERR_NO_ERROR);
            sched_yield(); /* to its thread, which sends it alone */
        }
        assert_null(rd_kafka_commit_transaction(rk, 30000));
        batches[batch_events++] = '|';
    }
    rd_kafka_destroy(rk);
    assert_null(strstr(batches, "|++"));
    assert_non_null(strstr(batches, "|+.+")); /* there were second ones */
    world_destroy();
}

int main(int argc, char **argv) {
    world_main(argc, argv);
    const char *text = getenv("ROUNDS"), *seed = getenv("SEED");
    unsigned chance = seed != NULL ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)time(NULL);
    if (text != NULL)
        rounds = atoi(text);
    setvbuf(stdout, NULL, _IOLBF, 0); /* so that a hang tells where */
    printf("SEED=%u\n", chance);
    srand(chance);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_9_leaves_no_trace),
        cmocka_unit_test(a_lost_view_is_restored),
        cmocka_unit_test(a_view_of_windows_stays_flat),
        cmocka_unit_test(instances_share_and_take_over),
        cmocka_unit_test(a_zombie_writes_nothing),
        cmocka_unit_test(a_zombie_takes_no_identity_back),
        cmocka_unit_test(who_dies_while_tasks_move_leaves_none_behind),
        cmocka_unit_test(bad_records_are_dead_letters_once),
        cmocka_unit_test(offsets_that_are_gone_count_nothing_twice),
        cmocka_unit_test(what_the_broker_refuses_is_a_dead_letter),
        cmocka_unit_test(two_versions_live_side_by_side),
        cmocka_unit_test(what_is_not_compatible_writes_nothing),
        cmocka_unit_test(a_transaction_has_no_requests_that_only_add_to_it),
        cmocka_unit_test(nothing_follows_a_first_batch_that_is_not_taken),
    };
    if (getenv("ONLY") != NULL)
        cmocka_set_test_filter(getenv("ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
