/* Logs that lose their front (retention) and their tail (a broker that lost its last records), read by
 * whatever keeps a position: none is changed without a word, nothing is read twice, and what comes then
 * counts. */
#include "delivery/delivery.h"
#include "stream/stream.h"
#include "tail/tail.h"
#include "transaction/keys.h"
#include "transaction/retention.h"
#include "transaction/txn.h"

#include "testing/bank.h"
#include "testing/memory_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WAIT_MS = 100 };

struct fixture {
    struct bank *bank;
    struct memory_log *log;
    struct stream *stream;
    struct deliverer *deliverer;
    struct tail *tail;
    struct buf notices,
        seen; /* each notice and ", "; "note " of each delivery, "key@offset " of each record */
    struct err e;
};

static void on_notice(void *context, const char *text) {
    buf_printf(&((struct fixture *)context)->notices, "%s, ", text);
}

static void nobody(void *context, struct slice name) {
    (void)context, (void)name;
}

static int setup(void **state) {
    struct fixture *f = *state = xcalloc(1, sizeof *f);
    f->bank = bank_create();
    f->log = memory_log_create(1);
    return 0;
}

static void destroy(struct fixture *f) {
    stream_destroy(f->stream);
    deliverer_destroy(f->deliverer);
    tail_destroy(f->tail);
    f->stream = NULL;
    f->deliverer = NULL;
    f->tail = NULL;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    destroy(f);
    assert_int_equal(f->log->given, 0); /* every record was released */
    memory_log_destroy(f->log);
    bank_destroy(f->bank);
    buf_free(&f->notices);
    buf_free(&f->seen);
    free(f);
    return 0;
}

/* A process that is gone: nothing was said to anyone. */
static void crash(struct fixture *f) {
    destroy(f);
    memory_log_disconnect(f->log);
}

static void expect(struct buf *text, const char *expected) {
    buf_append_byte(text, 0);
    assert_string_equal(text->data, expected);
    buf_clear(text);
}

static int64_t group_of(const struct fixture *f, const struct topic *t) {
    return f->log->parts[t->number][0].group;
}

static void deposit(struct fixture *f, const char *account, int64_t amount, const char *note) {
    memory_log_append(f->log, &topic_deposits, 0, slice_of(account), bank_deposit(f->bank, amount, note));
}

static void deposits(struct fixture *f, int n) {
    while (n-- > 0)
        deposit(f, "a", 1, "");
}

static void owner(struct fixture *f, const char *account, const char *name) {
    memory_log_append(f->log, &topic_owners, 0, slice_of(account), bank_owner(f->bank, name, "Rome"));
}

/* ---- streams ---- */

static void rounds(struct fixture *f, int n) {
    while (n-- > 0)
        if (!stream_step(f->stream, WAIT_MS, &f->e))
            fail_msg("%s", f->e.text);
}

static void start(struct fixture *f) {
    f->stream = stream_create(&(struct stream_options){.topology = &bank_topology,
                                                       .schemas = f->bank->schemas,
                                                       .store = f->bank->store,
                                                       .log = &f->log->log,
                                                       .context = f,
                                                       .notice = on_notice});
    memory_log_assign(f->log, 1);
    rounds(f, 6);
    char text[600];
    stream_status(f->stream, text, sizeof text);
    if (!stream_ready(f->stream))
        fail_msg("not ready: %s", text);
}

/* Until the lazy commit has been made. */
static void settle(struct fixture *f) {
    rounds(f, 20);
    assert_true(stream_ready(f->stream));
}

static int64_t latest_balance(struct fixture *f) {
    const struct memory_partition *p = &f->log->parts[topic_balances.number][0];
    for (size_t i = p->count; i-- > 0;)
        if (p->entries[i].state == ENTRY_COMMITTED)
            return *(const int64_t *)bank_value(f->bank, &topic_balances, p->entries[i].value);
    return 0;
}

static bool has_owner(struct fixture *f, const char *account) {
    struct arena a = {0};
    struct event row;
    assert_true(stream_row(f->stream, &bank_owners, slice_of(account), &a, &row, &f->e));
    bool there = row.value != NULL;
    arena_free(&a);
    return there;
}

static void expect_moved(struct fixture *f, const struct topic *t, long deleted, long lost) {
    struct metrics all = {0};
    struct buf out = {0};
    char sample[200];
    stream_metrics(f->stream, &all);
    metrics_write(&all, &out);
    buf_append_byte(&out, 0);
    for (int i = 0; i < 2; i++) {
        snprintf(sample, sizeof sample,
                 "\ninsideout_positions_moved_total{topology=\"bank\",topic=\"%s\",why=\"%s\"} %ld\n",
                 t->name, i == 0 ? "deleted" : "lost", i == 0 ? deleted : lost);
        if (strstr(out.data, sample) == NULL)
            fail_msg("no %s in %s", sample, out.data);
    }
    buf_free(&out);
    metrics_free(&all);
}

static void an_input_that_was_deleted_unread(void **state) {
    struct fixture *f = *state;
    deposits(f, 2);
    start(f);
    crash(f);
    deposits(f, 4);
    memory_log_trim(f->log, &topic_deposits, 0, 5);
    start(f);
    settle(f);
    assert_int_equal(latest_balance(f), 3);
    assert_int_equal(group_of(f, &topic_deposits), 6);
    expect_moved(f, &topic_deposits, 1, 0);
    expect(&f->notices, "deposits/0: what came from 2 on is deleted; going on from 5, where it begins now, ");
    crash(f);
    start(f);
    expect(&f->notices, ""); /* once */
    memory_log_append(f->log, &topic_deposits, 0, SLICE("a"), bank_deposit(f->bank, 1, ""));
    memory_log_append(f->log, &topic_deposits, 0, SLICE("a"), bank_deposit(f->bank, 1, ""));
    memory_log_trim(f->log, &topic_deposits, 0, 7); /* while running */
    settle(f);
    assert_int_equal(latest_balance(f), 4);
    expect(&f->notices, "deposits/0: what came from 6 on is deleted; going on from 7, where it begins now, ");
}

/* All that is left is deleted too: the group hears of it all the same. */
static void an_input_that_is_empty_now(void **state) {
    struct fixture *f = *state;
    deposits(f, 2);
    start(f);
    crash(f);
    deposits(f, 2);
    memory_log_trim(f->log, &topic_deposits, 0, 4);
    start(f);
    settle(f);
    assert_int_equal(group_of(f, &topic_deposits), 4);
    expect(&f->notices, "deposits/0: what came from 2 on is deleted; going on from 4, where it begins now, ");
}

static void an_input_that_lost_its_last_records(void **state) {
    struct fixture *f = *state;
    deposits(f, 4);
    start(f);
    assert_int_equal(group_of(f, &topic_deposits), 4);
    crash(f);
    memory_log_cut(f->log, &topic_deposits, 0, 1);
    start(f);
    settle(f);
    assert_int_equal(latest_balance(f), 4); /* what was folded is not folded again, */
    assert_int_equal(group_of(f, &topic_deposits), 1);
    expect_moved(f, &topic_deposits, 0, 1);
    expect(&f->notices, "deposits/0: it was read up to 4 and ends at 1; going on from there, ");
    deposits(f, 2);
    settle(f);
    assert_int_equal(latest_balance(f), 6); /* and what is new counts */
    assert_int_equal(group_of(f, &topic_deposits), 3);
    memory_log_cut(f->log, &topic_deposits, 0, 2); /* while running */
    settle(f);
    deposits(f, 1);
    settle(f);
    assert_int_equal(latest_balance(f), 7);
    expect(&f->notices, "deposits/0: it was read up to 3 and ends at 2; going on from there, ");
    crash(f);
    start(f);
    expect(&f->notices, "");
    memory_log_cut(f->log, &topic_deposits, 0, 0); /* and where it goes on is in the state too, */
    settle(f);
    expect(&f->notices, "deposits/0: it was read up to 3 and ends at 0; going on from there, ");
    deposits(f, 1);
    settle(f);
    assert_int_equal(group_of(f, &topic_deposits), 1);
    crash(f);
    deposits(f, 5);
    start(f); /* although the log is longer than ever by now */
    settle(f);
    assert_int_equal(latest_balance(f), 13);
    expect(&f->notices, "");
}

static void a_table_whose_front_is_deleted(void **state) {
    struct fixture *f = *state;
    owner(f, "a", "Ann");
    start(f);
    crash(f);
    owner(f, "b", "Bob");
    owner(f, "c", "Cid");
    memory_log_trim(f->log, &topic_owners, 0, 2);
    start(f);
    assert_true(has_owner(f, "a"));
    assert_true(has_owner(f, "c"));
    expect_moved(f, &topic_owners, 1, 0);
    expect(&f->notices, "owners/0: what came from 1 on is deleted; going on from 2, where it begins now, ");
    crash(f);
    store_close(f->bank->store); /* a new one begins where the log does: nothing is moved */
    f->bank->store = store_create_memory();
    start(f);
    assert_true(has_owner(f, "c"));
    expect(&f->notices, "");
}

/* Its rows may be of records that nobody else will ever see. */
static void a_table_that_lost_its_last_records(void **state) {
    struct fixture *f = *state;
    owner(f, "a", "Ann");
    owner(f, "b", "Bob");
    owner(f, "c", "Cid");
    start(f);
    crash(f);
    memory_log_cut(f->log, &topic_owners, 0, 2);
    start(f);
    assert_true(has_owner(f, "b"));
    assert_false(has_owner(f, "c"));
    expect_moved(f, &topic_owners, 0, 1);
    expect(&f->notices, "owners/0: it was read up to 3 and ends at 2; owners is read anew, ");
    memory_log_cut(f->log, &topic_owners, 0, 1); /* while running */
    settle(f);
    assert_true(has_owner(f, "a"));
    assert_false(has_owner(f, "b"));
    owner(f, "d", "Dan");
    settle(f);
    assert_true(has_owner(f, "d"));
    expect(&f->notices, "owners/0: it was read up to 2 and ends at 1; owners is read anew, ");
}

static void a_changelog_whose_front_is_deleted(void **state) {
    struct fixture *f = *state;
    deposit(f, "a", 1, "");
    start(f);
    crash(f);
    deposit(f, "b", 2, "");
    struct store *before = f->bank->store; /* another instance goes on, and this one comes back */
    f->bank->store = store_create_memory();
    start(f);
    crash(f);
    store_close(f->bank->store);
    f->bank->store = before;
    int64_t end = (int64_t)f->log->parts[topic_balances.number][0].count;
    memory_log_trim(f->log, &topic_balances, 0, end);
    start(f);
    expect_moved(f, &topic_balances, 1, 0);
    assert_non_null(f->notices.data);
    buf_append_byte(&f->notices, 0);
    assert_non_null(strstr(f->notices.data, "balances/0: what came from 1 on is deleted"));
    deposit(f, "a", 5, "");
    settle(f);
    assert_int_equal(latest_balance(f), 6);
}

static void a_changelog_that_lost_its_last_records(void **state) {
    struct fixture *f = *state;
    deposit(f, "a", 1, "");
    start(f);
    crash(f);
    memory_log_cut(f->log, &topic_balances, 0, 0);
    start(f);
    expect_moved(f, &topic_balances, 0, 1);
    expect(&f->notices, "balances/0: it was read up to 1 and ends at 0; balances is read anew, ");
    crash(f);
    start(f);
    expect(&f->notices, ""); /* once */
}

static void restore(struct fixture *f) {
    crash(f);
    store_close(f->bank->store);
    f->bank->store = store_create_memory();
    start(f);
}

/* There is nothing to wait for where the log begins and ends, wherever that is. */
static void an_empty_changelog_that_does_not_begin_at_0(void **state) {
    struct fixture *f = *state;
    deposit(f, "a", 1, "");
    start(f);
    int64_t end = (int64_t)f->log->parts[topic_balances.number][0].count;
    assert_true(end > 0);
    memory_log_trim(f->log, &topic_balances, 0, end);
    restore(f);
    expect(&f->notices, "");
    deposit(f, "a", 5, "");
    settle(f);
    assert_int_equal(latest_balance(f), 5);
}

/* The last offsets are a transaction's end, or an aborted one: no record ever comes from there. */
static void a_changelog_that_does_not_end_with_a_record(void **state) {
    struct fixture *f = *state;
    deposit(f, "a", 1, "");
    start(f);
    for (int commits = 0; commits < 2; commits++) {
        struct slice value = f->log->parts[topic_balances.number][0].entries[0].value;
        memory_log_open(f->log, &topic_balances, 0, SLICE("b"), value);
        memory_log_end(f->log, commits);
        restore(f);
        deposit(f, "a", 1, "");
        settle(f);
        assert_int_equal(latest_balance(f), 2 + commits);
    }
}

static int64_t balance_in_store(struct fixture *f, const char *account) {
    struct arena a = {0};
    struct buf key = {0};
    struct slice row;
    store_key_view(&key, &bank_balances, 0, slice_of(account));
    assert_true(store_get(f->bank->store, buf_slice(&key), &a, &row, &f->e));
    int64_t balance = row.data == NULL ? 0
                                       : *(const int64_t *)bank_value(f->bank, &topic_balances,
                                                                      row_payload(&bank_balances, row));
    arena_free(&a);
    buf_free(&key);
    return balance;
}

/* The next record that is written comes to lie before the last one: then the view is what the log says. */
static void a_changelog_that_loses_its_last_records_while_its_task_runs(void **state) {
    struct fixture *f = *state;
    deposit(f, "a", 1, "");
    start(f);
    deposit(f, "b", 2, "");
    settle(f);
    deposit(f, "b", 5, "");
    settle(f);
    int64_t end = (int64_t)f->log->parts[topic_balances.number][0].count;
    assert_int_equal(balance_in_store(f, "b"), 7);
    memory_log_cut(f->log, &topic_balances, 0, end - 2); /* a record, and its marker */
    deposit(f, "a", 1, "");
    settle(f);
    assert_int_equal(balance_in_store(f, "a"), 2);
    assert_int_equal(balance_in_store(f, "b"), 2);
    assert_int_equal(group_of(f, &topic_deposits), 4); /* what was folded is not folded again */
    expect_moved(f, &topic_balances, 0, 1);
    expect(&f->notices, "balances/0: it was read up to 5 and has lost some of that, and ends again at 6; "
                        "balances is read anew, ");
}

/* And where nobody could look at that before it went down, it is so afterwards. */
static void a_changelog_whose_loss_nobody_could_mend_in_time(void **state) {
    struct fixture *f = *state;
    deposit(f, "a", 1, "");
    deposit(f, "b", 2, "");
    start(f);
    deposit(f, "b", 5, "");
    settle(f);
    memory_log_cut(f->log, &topic_balances, 0, 3);
    deposit(f, "a", 1, "");
    while (group_of(f, &topic_deposits) < 4)
        rounds(f, 1);
    crash(f);
    start(f);
    assert_int_equal(balance_in_store(f, "a"), 2);
    assert_int_equal(balance_in_store(f, "b"), 2);
}

/* Where a table ends is asked for, and then the log loses it before anybody has read it. */
static void what_is_aimed_at_is_lost_before_it_is_read(void **state) {
    struct fixture *f = *state;
    owner(f, "a", "Ann");
    start(f);
    owner(f, "b", "Bob");
    owner(f, "c", "Cid");
    f->log->tables_stuck = true;
    uint64_t ticket = stream_refresh(f->stream);
    rounds(f, 2);
    memory_log_cut(f->log, &topic_owners, 0, 2);
    f->log->tables_stuck = false;
    for (int n = 0; n < 100 && !stream_fresh(f->stream, ticket); n++)
        rounds(f, 1);
    assert_true(stream_fresh(f->stream, ticket));
    assert_true(has_owner(f, "b"));
}

/* ---- deliveries ---- */

static struct fixture *delivers; /* one test at a time */
static int64_t slow_ms;

static enum delivery_result deliver(const struct event *in, const atomic_bool *stopping, struct err *e) {
    (void)stopping, (void)e;
    delivers->log->now += slow_ms;
    buf_printf(&delivers->seen, SLICE_FMT " ", SLICE_ARG(((const struct deposit *)in->value)->note));
    return DELIVERY_DONE;
}

static const struct delivery delivery = {.name = "out",
                                         .topic = &topic_deposits,
                                         .later = &topic_transfers,
                                         .later_tries = 9,
                                         .refused_tries = 2,
                                         .undelivered = &topic_letters,
                                         .deliver = deliver};

static void steps(struct fixture *f, int n) {
    while (n-- > 0)
        if (!deliverer_step(f->deliverer, WAIT_MS, &f->e))
            fail_msg("%s", f->e.text);
}

static void start_delivery(struct fixture *f) {
    delivers = f;
    f->deliverer = deliverer_create(&(struct delivery_options){.delivery = &delivery,
                                                               .schemas = f->bank->schemas,
                                                               .log = &f->log->log,
                                                               .notice = on_notice,
                                                               .context = f});
    memory_log_assign(f->log, 1);
    steps(f, 30);
}

static void a_delivery_whose_front_is_deleted(void **state) {
    struct fixture *f = *state;
    deposit(f, "a", 1, "one");
    start_delivery(f);
    crash(f);
    deposit(f, "a", 1, "two");
    deposit(f, "a", 1, "three");
    memory_log_trim(f->log, &topic_deposits, 0, 2);
    start_delivery(f);
    expect(&f->seen, "one three ");
    assert_int_equal(group_of(f, &topic_deposits), 3);
    expect(&f->notices, "deposits/0: what came from 1 on is deleted; going on from 2, where it begins now, ");
    deposit(f, "a", 1, "four");
    deposit(f, "a", 1, "five");
    memory_log_trim(f->log, &topic_deposits, 0, 4); /* while running */
    steps(f, 30);
    expect(&f->seen, "five ");
    expect(&f->notices, "deposits/0: what came from 3 on is deleted; going on from 4, where it begins now, ");
}

static void a_delivery_that_lost_its_last_records(void **state) {
    struct fixture *f = *state;
    deposit(f, "a", 1, "one");
    deposit(f, "a", 1, "two");
    deposit(f, "a", 1, "three");
    start_delivery(f);
    crash(f);
    memory_log_cut(f->log, &topic_deposits, 0, 1);
    start_delivery(f);
    expect(&f->seen, "one two three ");
    assert_int_equal(group_of(f, &topic_deposits), 1);
    expect(&f->notices, "deposits/0: it was read up to 3 and ends at 1; going on from there, ");
    deposit(f, "a", 1, "new");
    steps(f, 30);
    expect(&f->seen, "new ");
    memory_log_cut(f->log, &topic_deposits, 0, 1); /* while running */
    steps(f, 30);
    deposit(f, "a", 1, "newer");
    steps(f, 30);
    expect(&f->seen, "newer ");
    assert_int_equal(group_of(f, &topic_deposits), 2);
    expect(&f->notices, "deposits/0: it was read up to 2 and ends at 1; going on from there, ");
}

/* However slow, the group hears of it between two of them. */
static void slow_deliveries_do_not_overrun_the_poll(void **state) {
    struct fixture *f = *state;
    start_delivery(f);
    for (int i = 0; i < 100; i++)
        deposit(f, "a", 1, "slow");
    int64_t longest = 0;
    for (int i = 0; i < 100 && group_of(f, &topic_deposits) < 100; i++) {
        int64_t since = f->log->now;
        slow_ms = 10000;
        steps(f, 1);
        slow_ms = 0;
        longest = f->log->now - since > longest ? f->log->now - since : longest;
    }
    assert_int_equal(group_of(f, &topic_deposits), 100);
    assert_in_range(longest, 10000, 60000);
}

/* A missing permission, say: what it does not concern goes on. */
static void whoever_has_trouble_is_not_ready(void **state) {
    struct fixture *f = *state;
    char text[600];
    start(f);
    f->log->trouble = "waiting for Kafka: owners/0 from 3 on: not authorized";
    deposits(f, 1);
    rounds(f, 5);
    assert_false(stream_ready(f->stream));
    assert_true(stream_status(f->stream, text, sizeof text));
    assert_string_equal(text, f->log->trouble);
    assert_int_equal(latest_balance(f), 1);
    f->log->trouble = NULL;
    settle(f);
    stream_status(f->stream, text, sizeof text);
    assert_string_equal(text, "running");
    crash(f);
    f->log->trouble = "waiting for the group out: a stranger";
    start_delivery(f);
    assert_false(deliverer_ready(f->deliverer));
    assert_true(deliverer_status(f->deliverer, text, sizeof text));
    assert_string_equal(text, f->log->trouble);
    f->log->trouble = NULL;
    steps(f, 1);
    assert_true(deliverer_ready(f->deliverer));
}

/* ---- tails ---- */

static void tail_rounds(struct fixture *f, int n) {
    if (f->tail == NULL)
        f->tail = tail_create(&(struct tail_options){.log = &f->log->log,
                                                     .schemas = f->bank->schemas,
                                                     .topic_count = LOG_TOPICS_MAX,
                                                     .wake = nobody,
                                                     .notice = on_notice,
                                                     .context = f});
    while (n-- > 0)
        assert_true(tail_step(f->tail, WAIT_MS, &f->e));
}

static bool visit(void *context, const struct tail_record *r) {
    struct fixture *f = context;
    buf_printf(&f->seen, SLICE_FMT "@%d ", SLICE_ARG(r->key), (int)r->offset);
    return true;
}

static enum tail_state follow(struct fixture *f, struct tail_cursor *c) {
    enum tail_state state = TAIL_COMING;
    if (c->part == NULL)
        tail_open(f->tail, c);
    for (int i = 0; i < 20 && (state == TAIL_COMING || state == TAIL_STARTING); i++) {
        tail_rounds(f, 1);
        state = tail_read(f->tail, c, visit, f);
    }
    return state;
}

static void a_cursor_whose_records_are_deleted(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = {.topic = &topic_deposits, .offset = 1};
    deposits(f, 1500); /* more than the ring begins with */
    memory_log_trim(f->log, &topic_deposits, 0, 499);
    tail_rounds(f, 1);
    assert_int_equal(follow(f, &c), TAIL_DELETED);
    assert_int_equal(c.offset, 499);
    assert_int_equal(follow(f, &c), TAIL_CAUGHT_UP);
    buf_append_byte(&f->seen, 0);
    assert_memory_equal(f->seen.data, "a@499 a@500 ", 12);
    assert_int_equal(c.offset, 1500);
    buf_clear(&f->seen);
    deposits(f, 3);
    memory_log_trim(f->log, &topic_deposits, 0, 1502); /* while it follows */
    tail_rounds(f, 1);
    assert_int_equal(follow(f, &c), TAIL_DELETED);
    assert_int_equal(c.offset, 1502);
    assert_int_equal(follow(f, &c), TAIL_CAUGHT_UP);
    expect(&f->seen, "a@1502 ");
    tail_close(f->tail, &c);
}

static void a_cursor_at_records_that_are_lost(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = {.topic = &topic_deposits, .offset = 0}, behind = c, late = c;
    deposits(f, 4);
    tail_rounds(f, 1);
    assert_int_equal(follow(f, &c), TAIL_CAUGHT_UP);
    expect(&f->seen, "a@0 a@1 a@2 a@3 ");
    behind.offset = 1;
    tail_open(f->tail, &behind);
    memory_log_cut(f->log, &topic_deposits, 0, 2);
    tail_rounds(f, 1);
    deposits(f, 5); /* it is longer again when the cursors look */
    tail_rounds(f, 1);
    assert_int_equal(follow(f, &c), TAIL_AHEAD);
    assert_int_equal(c.offset, 2);
    assert_int_equal(follow(f, &c), TAIL_CAUGHT_UP);
    expect(&f->seen, "a@2 a@3 a@4 a@5 a@6 ");
    assert_int_equal(follow(f, &behind), TAIL_CAUGHT_UP);
    expect(&f->seen, "a@1 a@2 a@3 a@4 a@5 a@6 ");
    expect(&f->notices, "deposits/0: it was read up to 4 and ends at 2; going on from there, ");
    late.offset = 50;
    assert_int_equal(follow(f, &late), TAIL_AHEAD);
    assert_int_equal(late.offset, 7);
    tail_close(f->tail, &c);
    tail_close(f->tail, &behind);
    tail_close(f->tail, &late);
}

/* One that does not follow comes to its end too. */
static void a_cursor_that_begins_beyond_the_end(void **state) {
    struct fixture *f = *state;
    struct tail_cursor c = {.topic = &topic_deposits, .offset = 50, .once = 10};
    deposits(f, 4);
    tail_rounds(f, 1);
    assert_int_equal(follow(f, &c), TAIL_AHEAD);
    assert_int_equal(c.offset, 4);
    tail_close(f->tail, &c);
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_input_that_was_deleted_unread),
        TEST(an_input_that_is_empty_now),
        TEST(an_input_that_lost_its_last_records),
        TEST(a_table_whose_front_is_deleted),
        TEST(a_table_that_lost_its_last_records),
        TEST(a_changelog_whose_front_is_deleted),
        TEST(a_changelog_that_lost_its_last_records),
        TEST(an_empty_changelog_that_does_not_begin_at_0),
        TEST(a_changelog_that_does_not_end_with_a_record),
        TEST(a_changelog_that_loses_its_last_records_while_its_task_runs),
        TEST(a_changelog_whose_loss_nobody_could_mend_in_time),
        TEST(what_is_aimed_at_is_lost_before_it_is_read),
        TEST(a_delivery_whose_front_is_deleted),
        TEST(a_delivery_that_lost_its_last_records),
        TEST(slow_deliveries_do_not_overrun_the_poll),
        TEST(whoever_has_trouble_is_not_ready),
        TEST(a_cursor_whose_records_are_deleted),
        TEST(a_cursor_at_records_that_are_lost),
        TEST(a_cursor_that_begins_beyond_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
