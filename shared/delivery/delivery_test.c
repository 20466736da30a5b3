/* Deliveries over a log in memory: what was handed out, in which order, how often, and what the group
 * remembers. */
#include "delivery/delivery.h"

#include "testing/bank.h"
#include "testing/driver.h"
#include "testing/memory_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WAIT_MS = 100 };

/* The world outside: what it says to a note, and what it has been told. One test at a time. */
static struct {
    struct memory_log *log;
    enum delivery_result to_all; /* unless DONE */
    const char *note;            /* this one gets `to_note` */
    enum delivery_result to_note;
    struct buf told; /* "note " of each call */
    int calls;
} outside;

static enum delivery_result deliver(const struct event *in, const atomic_bool *stopping, struct err *e) {
    const struct deposit *d = in->value;
    enum delivery_result result = outside.to_all;
    assert_false(atomic_load(stopping));
    if (result == DELIVERY_DONE && outside.note != NULL && slice_equal(d->note, slice_of(outside.note)))
        result = outside.to_note;
    outside.calls++;
    buf_printf(&outside.told, SLICE_FMT " ", SLICE_ARG(d->note));
    if (result != DELIVERY_DONE && result != DELIVERY_IGNORED)
        err_set(e, ERR_RETRY, "waiting for the world: \xff%d", (int)result);
    return result;
}

static int64_t wall_ms(void) {
    return outside.log->now;
}

static const struct delivery delivery = {.name = "out",
                                         .topic = &topic_deposits,
                                         .later = &topic_transfers,
                                         .later_tries = 9,
                                         .refused_tries = 2,
                                         .undelivered = &topic_letters,
                                         .deliver = deliver};

struct fixture {
    struct bank *bank;
    struct memory_log *log;
    struct deliverer *deliverer;
    struct err e;
};

static void create(struct fixture *f) {
    f->deliverer = deliverer_create(&(struct delivery_options){
        .delivery = &delivery, .schemas = f->bank->schemas, .log = &f->log->log, .wall_ms = wall_ms});
    memory_log_assign(f->log, 1);
}

static int setup(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    f->bank = bank_create();
    f->log = memory_log_create(1);
    memset(&outside, 0, sizeof outside);
    outside.log = f->log;
    create(f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    deliverer_destroy(f->deliverer);
    assert_int_equal(f->log->given, 0); /* every record was released */
    memory_log_destroy(f->log);
    bank_destroy(f->bank);
    buf_free(&outside.told);
    free(f);
    return 0;
}

static void send(struct fixture *f, const char *note) {
    memory_log_append(f->log, &topic_deposits, 0, SLICE("ann"), bank_deposit(f->bank, 1, note));
}

static void steps(struct fixture *f, int n) {
    while (n-- > 0)
        if (!deliverer_step(f->deliverer, WAIT_MS, &f->e))
            fail_msg("%s", f->e.text);
}

/* Steps until `ms` have passed in the log. */
static void pass(struct fixture *f, int64_t ms) {
    int64_t until = f->log->now + ms;
    while (f->log->now < until)
        steps(f, 1);
}

static void expect_told(const char *notes) {
    buf_append_byte(&outside.told, 0);
    assert_string_equal(outside.told.data, notes);
    buf_clear(&outside.told);
}

static int64_t committed(const struct fixture *f, const struct topic *t) {
    return f->log->parts[t->number][0].group;
}

static size_t count_of(const struct fixture *f, const struct topic *t) {
    size_t n = 0;
    for (size_t i = 0; i < f->log->parts[t->number][0].count; i++)
        n += f->log->parts[t->number][0].entries[i].state == ENTRY_COMMITTED;
    return n;
}

/* A process that is gone: nothing was said to anyone. */
static void crash(struct fixture *f) {
    deliverer_destroy(f->deliverer);
    for (int t = 0; t < LOG_TOPICS_MAX; t++)
        f->log->parts[t][0].readers[LOG_INPUTS].reading = false;
    create(f);
}

static void in_order_and_committed_one_by_one(void **state) {
    struct fixture *f = *state;
    send(f, "a");
    send(f, "b");
    steps(f, 3);
    assert_true(deliverer_ready(f->deliverer));
    expect_told("a b ");
    assert_int_equal(committed(f, &topic_deposits), 2);
    assert_int_equal(f->log->calls[CALL_COMMIT], 2);
    send(f, "c");
    steps(f, 2);
    expect_told("c ");
    crash(f);
    steps(f, 3);
    expect_told("");
}

static void what_is_ignored_is_remembered_in_a_while(void **state) {
    struct fixture *f = *state;
    outside.to_all = DELIVERY_IGNORED;
    send(f, "a");
    send(f, "b");
    steps(f, 2);
    expect_told("a b ");
    assert_int_equal(f->log->calls[CALL_COMMIT], 0);
    pass(f, 1500);
    assert_int_equal(committed(f, &topic_deposits), 2);
    assert_int_equal(f->log->calls[CALL_COMMIT], 1);
}

static void nobody_there_delays_and_loses_nothing(void **state) {
    struct fixture *f = *state;
    outside.to_all = DELIVERY_AWAY;
    send(f, "a");
    send(f, "b");
    pass(f, 10 * 60 * 1000);
    assert_in_range(outside.calls, 40, 60); /* every 15 s in the end: no busy loop */
    assert_true(committed(f, &topic_deposits) <= 0);
    assert_true(deliverer_ready(f->deliverer));
    char status[100];
    deliverer_status(f->deliverer, status, sizeof status);
    assert_non_null(strstr(status, "waiting for the world"));
    buf_clear(&outside.told);
    outside.to_all = DELIVERY_DONE;
    pass(f, 16 * 1000);
    expect_told("a b ");
    assert_int_equal(committed(f, &topic_deposits), 2);
    deliverer_status(f->deliverer, status, sizeof status);
    assert_string_equal(status, "running");
}

static void one_that_has_to_wait_holds_up_no_other(void **state) {
    struct fixture *f = *state;
    outside.note = "b";
    outside.to_note = DELIVERY_LATER;
    send(f, "a");
    send(f, "b");
    send(f, "c");
    steps(f, 4);
    expect_told("a b c ");
    assert_int_equal(committed(f, &topic_deposits), 3);
    assert_int_equal(count_of(f, &topic_transfers), 1);
    const struct entry *moved = &f->log->parts[topic_transfers.number][0].entries[0];
    assert_slice(moved->key, "ann");
    assert_string_equal(moved->headers[0].name, "attempt");
    assert_slice(moved->headers[0].value, "1");
    pass(f, 1500);
    expect_told("b "); /* after a second */
    pass(f, 1000);
    expect_told("");
    pass(f, 1500);
    expect_told("b "); /* after two more */
    crash(f);          /* the pauses survive */
    pass(f, 2500);
    expect_told("");
    pass(f, 2000);
    expect_told("b "); /* after four */
    outside.to_note = DELIVERY_DONE;
    pass(f, 9000);
    expect_told("b ");
    pass(f, 60 * 1000);
    expect_told("");
    assert_int_equal(count_of(f, &topic_letters), 0);
}

static void expect_letter(struct fixture *f, const char *topic, const char *reason) {
    assert_int_equal(count_of(f, &topic_letters), 1);
    const struct entry *entry = &f->log->parts[topic_letters.number][0].entries[0];
    const struct letter *l = bank_value(f->bank, &topic_letters, entry->value);
    assert_slice(l->topic, topic);
    assert_slice(l->reason, reason);
}

static void waiting_has_an_end(void **state) {
    struct fixture *f = *state;
    outside.note = "a";
    outside.to_note = DELIVERY_LATER;
    send(f, "a");
    pass(f, 4 * 60 * 1000); /* 1 + 2 + … + 32 + 3 * 60 s */
    assert_int_equal(outside.calls, 9);
    pass(f, 10 * 60 * 1000);
    assert_int_equal(outside.calls, 10);
    expect_letter(f, "transfers", "waiting for the world: ?3");
    send(f, "b");
    steps(f, 3);
    assert_int_equal(outside.calls, 11);
}

static void what_is_refused_is_noted(void **state) {
    struct fixture *f = *state;
    outside.note = "a";
    outside.to_note = DELIVERY_REFUSED;
    send(f, "a");
    send(f, "b");
    steps(f, 3);
    expect_told("a b ");
    assert_int_equal(committed(f, &topic_deposits), 2);
    pass(f, 60 * 1000);
    expect_told("a a "); /* twice more */
    expect_letter(f, "transfers", "waiting for the world: ?4");
    assert_slice(f->log->parts[topic_letters.number][0].entries[0].key, "transfers/0/2");
}

static void what_is_impossible_is_noted_at_once(void **state) {
    struct fixture *f = *state;
    outside.note = "a";
    outside.to_note = DELIVERY_IMPOSSIBLE;
    send(f, "a");
    send(f, "b");
    steps(f, 3);
    expect_told("a b ");
    assert_int_equal(committed(f, &topic_deposits), 2);
    expect_letter(f, "deposits", "waiting for the world: ?5");
    pass(f, 60 * 1000);
    expect_told("");
}

static void bad_records_are_skipped(void **state) {
    struct fixture *f = *state;
    memory_log_append(f->log, &topic_deposits, 0, SLICE("ann"), SLICE("garbage"));
    memory_log_append(f->log, &topic_deposits, 0, SLICE_NONE, bank_deposit(f->bank, 1, "no key"));
    memory_log_append(f->log, &topic_deposits, 0, SLICE("ann"), SLICE_NONE);
    send(f, "a");
    steps(f, 3);
    expect_told("a ");
    assert_int_equal(committed(f, &topic_deposits), 4);
    struct metrics all = {0};
    struct buf metrics = {0};
    deliverer_metrics(f->deliverer, &all);
    metrics_write(&all, &metrics);
    metrics_free(&all);
    buf_append_byte(&metrics, 0);
    assert_non_null(strstr(metrics.data, "skipped_records_total{topology=\"out\",topic=\"deposits\"} 3\n"));
    assert_non_null(strstr(metrics.data, "delivery_records_total{topology=\"out\",result=\"done\"} 1\n"));
    buf_free(&metrics);
}

static void a_registry_that_is_away_is_waited_for(void **state) {
    struct fixture *f = *state;
    struct slice bytes = bank_foreign(f->bank, &topic_deposits, bank_deposit(f->bank, 1, "a"));
    memory_log_append(f->log, &topic_deposits, 0, SLICE("ann"), bytes);
    f->bank->registry_is_away = true;
    pass(f, 2000);
    expect_told("");
    f->bank->registry_is_away = false;
    pass(f, 16 * 1000);
    expect_told("a ");
}

/* A commit that fails does not repeat what was delivered, as long as the process lives; */
static void a_failed_commit_repeats_nothing(void **state) {
    static const enum err_kind kinds[] = {ERR_ABORT, ERR_UNKNOWN};
    struct fixture *f = *state;
    for (int done = 0; done < 2; done++)
        for (size_t k = 0; k < 2; k++) {
            if (done == 1 && kinds[k] == ERR_ABORT)
                continue; /* an abort says that it was not done */
            int64_t before = (int64_t)f->log->parts[topic_deposits.number][0].count;
            memory_log_fail(f->log, CALL_COMMIT, kinds[k], 1, done == 1);
            send(f, "a");
            send(f, "b");
            pass(f, 3000);
            expect_told("a b ");
            assert_int_equal(committed(f, &topic_deposits), before + 2);
        }
    crash(f);
    pass(f, 1000);
    expect_told("");
}

/* … and one who dies in between repeats the last one only. */
static void a_crash_repeats_one(void **state) {
    struct fixture *f = *state;
    send(f, "a");
    send(f, "b");
    send(f, "c");
    steps(f, 1); /* joins */
    memory_log_fail(f->log, CALL_COMMIT, ERR_ABORT, 0, false);
    f->log->faults[CALL_COMMIT].times = 0;
    steps(f, 2);
    expect_told("a b c ");
    send(f, "d");
    send(f, "e");
    memory_log_fail(f->log, CALL_COMMIT, ERR_ABORT, 1, false);
    steps(f, 1);
    expect_told("d ");
    crash(f);
    pass(f, 1000);
    expect_told("d e ");
}

/* A move whose commit nobody knows the end of is made once. */
static void a_move_is_made_once(void **state) {
    struct fixture *f = *state;
    outside.note = "a";
    outside.to_note = DELIVERY_REFUSED;
    for (int done = 0; done < 2; done++) {
        size_t moved = count_of(f, &topic_transfers), undelivered = count_of(f, &topic_letters);
        memory_log_fail(f->log, CALL_COMMIT, ERR_UNKNOWN, 1, done == 1);
        send(f, "a");
        pass(f, 900);
        assert_int_equal(count_of(f, &topic_transfers), moved + 1);
        pass(f, 2500);
        assert_int_equal(count_of(f, &topic_transfers), moved + 2);
        memory_log_fail(f->log, CALL_COMMIT, ERR_UNKNOWN, 1, done == 1);
        pass(f, 3000);
        assert_int_equal(count_of(f, &topic_letters), undelivered + 1);
        assert_int_equal(count_of(f, &topic_transfers), moved + 2);
    }
}

/* It may be too large with one more header: the others do not wait for it. */
static void what_cannot_be_moved_is_undelivered(void **state) {
    struct fixture *f = *state;
    outside.note = "one that is too long for the topic";
    outside.to_note = DELIVERY_LATER;
    f->log->value_max[topic_transfers.number] = 20;
    send(f, outside.note);
    send(f, "b");
    steps(f, 20);
    pass(f, 5000);
    assert_int_equal(count_of(f, &topic_transfers), 0);
    assert_int_equal(count_of(f, &topic_letters), 1);
    assert_int_equal(committed(f, &topic_deposits), 2);
}

static void who_is_fenced_ends(void **state) {
    struct fixture *f = *state;
    memory_log_fail(f->log, CALL_COMMIT, ERR_FENCED, 1, false);
    send(f, "a");
    bool ok = true;
    for (int i = 0; i < 5 && ok; i++)
        ok = deliverer_step(f->deliverer, WAIT_MS, &f->e);
    assert_false(ok);
    assert_int_equal(f->e.kind, ERR_FENCED);
}

static void what_is_given_away_is_delivered_by_others(void **state) {
    struct fixture *f = *state;
    send(f, "a");
    steps(f, 3);
    memory_log_revoke(f->log, 0, false);
    steps(f, 1);
    send(f, "b");
    pass(f, 1000);
    expect_told("a ");
    memory_log_assign(f->log, 1);
    pass(f, 1000);
    expect_told("b ");
}

static void kafka_away_is_waited_for(void **state) {
    struct fixture *f = *state;
    memory_log_fail(f->log, CALL_INIT, ERR_RETRY, 3, false);
    memory_log_fail(f->log, CALL_COMMITTED, ERR_RETRY, 3, false);
    send(f, "a");
    steps(f, 1);
    assert_false(deliverer_ready(f->deliverer));
    pass(f, 5000);
    assert_true(deliverer_ready(f->deliverer));
    expect_told("a ");
    memory_log_fail(f->log, CALL_POLL, ERR_RETRY, 2, false);
    steps(f, 1);
    assert_false(deliverer_ready(f->deliverer));
    send(f, "b");
    pass(f, 2000);
    expect_told("b ");
}

int main(void) {
#define with_log(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        with_log(in_order_and_committed_one_by_one),
        with_log(what_is_ignored_is_remembered_in_a_while),
        with_log(nobody_there_delays_and_loses_nothing),
        with_log(one_that_has_to_wait_holds_up_no_other),
        with_log(waiting_has_an_end),
        with_log(what_is_refused_is_noted),
        with_log(what_is_impossible_is_noted_at_once),
        with_log(bad_records_are_skipped),
        with_log(a_registry_that_is_away_is_waited_for),
        with_log(a_failed_commit_repeats_nothing),
        with_log(a_crash_repeats_one),
        with_log(a_move_is_made_once),
        with_log(what_cannot_be_moved_is_undelivered),
        with_log(who_is_fenced_ends),
        with_log(what_is_given_away_is_delivered_by_others),
        with_log(kafka_away_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
