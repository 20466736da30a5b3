/* Views that are served: the state that decides is read by others, its owner's and its standbys' alike. */
#include "stream/stream.h"
#include "transaction/txn.h"

#include "log/partitions.h"
#include "testing/bank.h"
#include "testing/memory_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WAIT_MS = 100, PARTS = 4 };
static const char accounts[] = "abcdefghijklmnop";

/* ---- balances, by their amount too ---- */

static const struct view balances;

static void by_amount(struct index *to, const struct event *row) {
    char key[40];
    int n = snprintf(key, sizeof key, "%03lld/" SLICE_FMT,
                     (long long)((const struct balance *)row->value)->amount, SLICE_ARG(row->key));
    index_key(to, (struct slice){key, (size_t)n});
}

static void on_deposit(struct txn *txn, const struct event *in) {
    const struct deposit *deposit = in->value;
    struct balance balance = {0};
    txn_get(txn, &balances, SLICE_NONE, &balance);
    balance.amount += deposit->amount;
    if (deposit->amount == 0)
        txn_delete(txn, &balances, SLICE_NONE);
    else
        txn_put(txn, &balances, SLICE_NONE, &balance);
    if (deposit->amount < 0)
        txn_reject(txn, "an amount of %lld", (long long)deposit->amount);
}

static const struct table shown = {
    .name = "shown", .topic = &topic_balances, .view = &balances, .index = by_amount};
static const struct view balances = {.name = "balances", .changelog = &topic_balances, .served = &shown};
static const struct topology topology = {
    .name = "bank",
    .sources = (const struct source[]){{.topic = &topic_deposits, .handle = on_deposit}, {0}},
    .views = (const struct view *const[]){&balances, NULL},
    .dead_letters = &topic_letters,
};

static void by_account(struct index *to, const struct event *row) {
    index_key(to, row->key);
}

static const struct view reindexed;
static const struct table reindexed_shown = {
    .name = "shown", .topic = &topic_balances, .view = &reindexed, .index = by_account, .index_version = 1};
static const struct view reindexed = {
    .name = "balances", .changelog = &topic_balances, .served = &reindexed_shown};
static const struct topology reindexed_topology = {
    .name = "bank",
    .sources = (const struct source[]){{.topic = &topic_deposits}, {0}},
    .views = (const struct view *const[]){&reindexed, NULL},
    .dead_letters = &topic_letters,
};

/* ---- a stream of it ---- */

struct fixture {
    struct bank *bank;
    struct memory_log *log;
    struct stream *stream;
    const struct topology *topology;
    struct buf changed, notices;
    int moved, advanced;
    bool everything; /* it holds all partitions, whoever has the tasks */
    int64_t seen;    /* of account a, by whoever looks during a call */
};

static int setup(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    f->bank = bank_create();
    f->log = memory_log_create(PARTS);
    f->topology = &topology;
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    stream_destroy(f->stream);
    assert_int_equal(f->log->given, 0);
    memory_log_destroy(f->log);
    bank_destroy(f->bank);
    buf_free(&f->changed);
    buf_free(&f->notices);
    free(f);
    return 0;
}

static void on_changed(void *context, const struct table *t, struct slice key, int32_t partition,
                       int64_t offset) {
    struct fixture *f = context;
    assert_true(partition == partition_of(key, PARTS));
    (void)offset;
    buf_printf(&f->changed, "%s/" SLICE_FMT " ", t->name, SLICE_ARG(key));
}

static void on_moved(void *context) {
    ((struct fixture *)context)->moved++;
}

static void on_advanced(void *context) {
    ((struct fixture *)context)->advanced++;
}

static void on_notice(void *context, const char *text) {
    buf_printf(&((struct fixture *)context)->notices, "%s\n", text);
}

static void create(struct fixture *f) {
    f->stream = stream_create(&(struct stream_options){.topology = f->topology,
                                                       .schemas = f->bank->schemas,
                                                       .store = f->bank->store,
                                                       .log = &f->log->log,
                                                       .context = f,
                                                       .divided = !f->everything,
                                                       .changed = on_changed,
                                                       .moved = on_moved,
                                                       .advanced = on_advanced,
                                                       .notice = on_notice});
}

static void rounds(struct fixture *f, int n) {
    struct err e = {0};
    while (n-- > 0)
        if (!stream_step(f->stream, WAIT_MS, &e))
            fail_msg("%s", e.text);
}

static void start(struct fixture *f, int32_t tasks) {
    create(f);
    memory_log_assign(f->log, tasks);
    rounds(f, 6);
    assert_true(stream_ready(f->stream));
}

/* A process that is gone: nothing was said to anyone. */
static void crash(struct fixture *f) {
    stream_destroy(f->stream);
    f->stream = NULL;
    memory_log_disconnect(f->log);
}

static void deposit(struct fixture *f, const char *account, int64_t amount) {
    memory_log_append(f->log, &topic_deposits, -1, slice_of(account), bank_deposit(f->bank, amount, ""));
}

static void deposit_to_all(struct fixture *f) {
    for (const char *p = accounts; *p != 0; p++)
        deposit(f, (char[]){*p, 0}, 1);
}

/* What somebody else writes into the changelog, in a transaction of its own as this topology's instances do.
 */
static void another_writes(struct fixture *f, const char *account, int64_t amount) {
    memory_log_open(f->log, &topic_balances, partition_of(slice_of(account), PARTS), slice_of(account),
                    bank_bytes(f->bank, &topic_balances, &(struct balance){amount}));
    memory_log_end(f->log, true);
}

static const struct table *table(struct fixture *f) {
    return f->topology->views[0]->served;
}

/* -1: there is none. */
static int64_t amount_of(struct fixture *f, const char *account) {
    struct arena a = {0};
    struct event row;
    struct err e = {0};
    if (!stream_row(f->stream, table(f), slice_of(account), &a, &row, &e))
        fail_msg("%s", e.text);
    int64_t amount = row.value == NULL ? -1 : ((const struct balance *)row.value)->amount;
    arena_free(&a);
    return amount;
}

static int rows(struct fixture *f) {
    int n = 0;
    for (const char *p = accounts; *p != 0; p++)
        n += amount_of(f, (char[]){*p, 0}) >= 0;
    return n;
}

static int in_partitions(const char *partitions) {
    int n = 0;
    for (const char *p = accounts; *p != 0; p++)
        n += strchr(partitions, '0' + partition_of((struct slice){p, 1}, PARTS)) != NULL;
    return n;
}

static bool scanned(void *context, struct slice index_key, struct slice key) {
    (void)key;
    buf_printf(context, SLICE_FMT " ", SLICE_ARG(index_key));
    return true;
}

static void assert_index(struct fixture *f, const char *account, const char *expected) {
    struct buf all = {0};
    struct err e = {0};
    if (!stream_scan_partition(f->stream, table(f), partition_of(slice_of(account), PARTS), SLICE(""),
                               SLICE_NONE, scanned, &all, &e))
        fail_msg("%s", e.text);
    assert_slice(buf_slice(&all), expected);
    buf_free(&all);
}

static void hold(struct fixture *f, const char *partitions) {
    struct partitions wanted = {0};
    for (const char *p = partitions; *p != 0; p++)
        partitions_put(&wanted, *p - '0', true);
    stream_hold(f->stream, &wanted);
}

static void assert_held(struct fixture *f, const char *partitions) {
    struct partitions wanted, held;
    char text[PARTS + 1] = "", *at = text;
    stream_held(f->stream, &wanted, &held);
    for (int p = 0; p < PARTS; p++)
        if (partitions_has(&held, p))
            *at++ = (char)('0' + p);
    assert_string_equal(text, partitions);
}

/* How far the account's partition is behind the end that committed readers see now. */
static uint64_t behind(struct fixture *f, const char *account) {
    int32_t p = partition_of(slice_of(account), PARTS);
    return stream_behind(f->stream, table(f), p, memory_log_stable_end(f->log, &topic_balances, p));
}

/* ---- the owner ---- */

static void what_is_committed_can_be_read_at_once(void **state) {
    struct fixture *f = *state;
    start(f, PARTS);
    assert_held(f, "0123");
    assert_int_equal(amount_of(f, "a"), -1);
    deposit(f, "a", 5);
    rounds(f, 1);
    assert_int_equal(amount_of(f, "a"), 5);
    assert_slice(buf_slice(&f->changed), "shown/a ");
    assert_int_equal(behind(f, "a"), 0); /* nobody reads that back to know it */
    deposit(f, "a", 2);
    deposit(f, "a", 3);
    rounds(f, 1);
    assert_int_equal(amount_of(f, "a"), 10);
    assert_int_equal(behind(f, "a"), 0);
    deposit(f, "a", 0);
    rounds(f, 1);
    assert_int_equal(amount_of(f, "a"), -1);
    assert_slice(buf_slice(&f->changed), "shown/a shown/a shown/a ");
    assert_int_equal(bank_metric(f->stream, "restored_records_total"), 0);
    assert_int_equal(bank_metric(f->stream, "tasks_reconciled_total"), 0);
}

static void index_keys_go_with_their_rows(void **state) {
    struct fixture *f = *state;
    start(f, PARTS);
    deposit(f, "a", 5);
    rounds(f, 1);
    assert_index(f, "a", "005/a ");
    deposit(f, "a", 1);
    deposit(f, "a", 1); /* what was only within the transaction has never been */
    rounds(f, 1);
    assert_index(f, "a", "007/a ");
    deposit(f, "a", -1); /* rejected: as if nothing had happened */
    rounds(f, 1);
    assert_index(f, "a", "007/a ");
    crash(f);
    start(f, PARTS);
    assert_index(f, "a", "007/a ");
    deposit(f, "a", 0);
    rounds(f, 1);
    assert_index(f, "a", "");
}

static void look(void *context, enum log_call call) {
    struct fixture *f = context;
    if (call == CALL_COMMIT)
        f->seen = amount_of(f, "a");
}

/* Before the log has it nobody does. */
static void what_a_transaction_puts_is_not_read_before_its_end(void **state) {
    struct fixture *f = *state;
    start(f, PARTS);
    deposit(f, "a", 5);
    rounds(f, 1);
    f->log->during = look;
    f->log->context = f;
    deposit(f, "a", 1);
    rounds(f, 1);
    assert_int_equal(f->seen, 5);
    f->log->during = NULL;
    memory_log_fail(f->log, CALL_COMMIT, ERR_ABORT, 1, false);
    deposit(f, "a", 1);
    rounds(f, 1);
    assert_int_equal(amount_of(f, "a"), 6);
    assert_index(f, "a", "006/a ");
    rounds(f, 4);
    assert_int_equal(amount_of(f, "a"), 7);
    assert_int_equal(behind(f, "a"), 0);
}

/* Between the commit and the store a process can die: the log has the rest. */
static void a_crash_after_the_commit_loses_nothing(void **state) {
    struct fixture *f = *state;
    start(f, PARTS);
    deposit(f, "a", 5);
    rounds(f, 1);
    memory_log_fail(f->log, CALL_COMMIT, ERR_UNKNOWN, 1, true);
    deposit(f, "a", 1);
    rounds(f, 1);
    crash(f);
    start(f, PARTS);
    assert_int_equal(amount_of(f, "a"), 6);
    assert_index(f, "a", "006/a ");
}

/* A process that was stopped for long does not know that others have its tasks: it must not answer from what
 * it has. What it asks the log for tells. */
static void who_is_taken_for_dead_does_not_answer(void **state) {
    struct fixture *f = *state;
    start(f, PARTS);
    deposit(f, "a", 5);
    rounds(f, 1);
    another_writes(f, "a", 9);
    assert_int_equal(behind(f, "a"), 2); /* its record, and the marker */
    assert_int_equal(f->advanced, 0);
    rounds(f, 4);
    assert_int_equal(f->advanced > 0, true);
    assert_int_equal(behind(f, "a"), 0);
    assert_int_equal(amount_of(f, "a"), 9);
    assert_index(f, "a", "009/a ");
    assert_int_equal(bank_metric(f->stream, "tasks_reconciled_total"), 1);
    deposit(f, "a", 1);
    rounds(f, 2);
    assert_int_equal(amount_of(f, "a"), 10);
}

/* An account in the same partition. */
static const char *neighbour_of(const char *account) {
    static char name[2];
    for (name[0] = 'b'; partition_of(slice_of(name), PARTS) != partition_of(slice_of(account), PARTS);
         name[0]++)
        ;
    return name;
}

/* Nobody asks, but its own next record lies behind the other's. */
static void what_others_have_written_shows_by_the_next_record(void **state) {
    struct fixture *f = *state;
    start(f, PARTS);
    deposit(f, "a", 5);
    rounds(f, 1);
    const char *beside = neighbour_of("a");
    another_writes(f, beside, 9);
    assert_int_equal(amount_of(f, beside), -1);
    deposit(f, "a", 1);
    rounds(f, 5);
    assert_int_equal(amount_of(f, "a"), 6);
    assert_int_equal(amount_of(f, beside), 9);
    assert_int_equal(bank_metric(f->stream, "tasks_reconciled_total"), 1);
    crash(f);
    start(f, PARTS);
    assert_int_equal(amount_of(f, beside), 9);
}

/* A transaction that came to nothing leaves a marker, and nothing else. */
static void a_marker_is_read_past(void **state) {
    struct fixture *f = *state;
    start(f, PARTS);
    memory_log_open(f->log, &topic_balances, 0, SLICE("x"), SLICE("never"));
    memory_log_end(f->log, false);
    int64_t end = memory_log_stable_end(f->log, &topic_balances, 0);
    assert_true(stream_behind(f->stream, &shown, 0, end) > 0);
    rounds(f, 3);
    assert_int_equal(stream_behind(f->stream, &shown, 0, end), 0);
    rounds(f, 3);
    assert_int_equal(bank_metric(f->stream, "tasks_reconciled_total"), 1);
}

/* Without reports of where records lie, nothing is believed of them. */
static void who_does_not_hear_where_records_lie_reads_them(void **state) {
    struct fixture *f = *state;
    start(f, PARTS);
    f->log->reports_lost = true;
    deposit(f, "a", 5);
    rounds(f, 1);
    assert_true(behind(f, "a") > 0);
    rounds(f, 4);
    assert_int_equal(behind(f, "a"), 0);
    assert_int_equal(amount_of(f, "a"), 5);
}

static void another_index_is_made_anew(void **state) {
    struct fixture *f = *state;
    start(f, PARTS);
    deposit(f, "a", 5);
    rounds(f, 1);
    crash(f);
    f->topology = &reindexed_topology;
    start(f, PARTS);
    assert_index(f, "a", "a ");
    assert_int_equal(bank_metric(f->stream, "restored_records_total"), 1);
    buf_append_byte(&f->notices, 0);
    assert_non_null(strstr(f->notices.data, "table shown: its index is another one now, so it is read anew"));
}

/* ---- standbys ---- */

static void a_standby_has_what_it_shall_hold(void **state) {
    struct fixture *f = *state;
    start(f, PARTS);
    deposit_to_all(f);
    rounds(f, 2);
    crash(f);
    store_close(f->bank->store);
    f->bank->store = store_create_memory();
    buf_clear(&f->changed);

    create(f); /* nobody has given it a task */
    rounds(f, 3);
    assert_held(f, "");
    assert_int_equal(rows(f), 0);
    hold(f, "02");
    rounds(f, 4);
    assert_held(f, "02");
    assert_int_equal(rows(f), in_partitions("02"));
    assert_true(f->moved >= 2);

    crash(f); /* the next one goes on with what the store has */
    create(f);
    rounds(f, 4);
    assert_held(f, "02");
    assert_int_equal(bank_metric(f->stream, "restored_records_total"), 0);

    hold(f, "23");
    rounds(f, 4);
    assert_held(f, "23");
    assert_int_equal(rows(f), in_partitions("23"));
    hold(f, "03"); /* what was deleted is read again */
    rounds(f, 4);
    assert_held(f, "03");
    assert_int_equal(rows(f), in_partitions("03"));
}

static void a_standby_follows(void **state) {
    struct fixture *f = *state;
    f->everything = true;
    create(f);
    rounds(f, 4);
    assert_held(f, "0123");
    another_writes(f, "a", 5);
    assert_true(behind(f, "a") > 0);
    rounds(f, 2);
    assert_int_equal(behind(f, "a"), 0);
    assert_int_equal(f->advanced > 0, true);
    assert_int_equal(amount_of(f, "a"), 5);
    assert_slice(buf_slice(&f->changed), "shown/a ");
    another_writes(f, "a", 6);
    rounds(f, 2);
    assert_index(f, "a", "006/a ");
}

/* Nothing that an owner has not committed yet. */
static void a_standby_has_nothing_of_open_transactions(void **state) {
    struct fixture *f = *state;
    f->everything = true;
    create(f);
    rounds(f, 4);
    memory_log_open(f->log, &topic_balances, partition_of(SLICE("a"), PARTS), SLICE("a"),
                    bank_bytes(f->bank, &topic_balances, &(struct balance){5}));
    rounds(f, 3);
    assert_int_equal(amount_of(f, "a"), -1);
    memory_log_end(f->log, false);
    rounds(f, 3);
    assert_int_equal(amount_of(f, "a"), -1);
    assert_int_equal(behind(f, "a"), 0);
}

/* Whoever stood by has read what there is: when the task becomes its own it handles inputs at once. */
static void a_standby_becomes_the_owner_without_restoring(void **state) {
    struct fixture *f = *state;
    start(f, PARTS);
    deposit_to_all(f);
    rounds(f, 2);
    crash(f);
    store_close(f->bank->store);
    f->bank->store = store_create_memory();
    f->everything = true;
    create(f);
    rounds(f, 4);
    assert_int_equal(rows(f), 16);
    long followed = bank_metric(f->stream, "restored_records_total");
    assert_int_equal(followed, 16);
    deposit(f, "a", 1);
    memory_log_assign(f->log, PARTS);
    rounds(f, 4);
    assert_held(f, "0123");
    assert_int_equal(amount_of(f, "a"), 2);
    assert_int_equal(bank_metric(f->stream, "restored_records_total"), followed);
}

/* An owner that gives a task away stands by for it, if it shall. */
static void what_is_given_away_is_followed(void **state) {
    struct fixture *f = *state;
    start(f, PARTS);
    deposit(f, "a", 5);
    rounds(f, 1);
    hold(f, "0123");
    rounds(f, 1);
    int32_t p = partition_of(SLICE("a"), PARTS);
    memory_log_revoke(f->log, p, false);
    rounds(f, 4);
    assert_held(f, "0123");
    another_writes(f, "a", 7);
    deposit(f, "a", 100); /* that is not its business any more */
    rounds(f, 3);
    assert_int_equal(amount_of(f, "a"), 7);
    struct partitions others = {0};
    for (int32_t k = 0; k < PARTS; k++)
        partitions_put(&others, k, k != p);
    stream_hold(f->stream, &others);
    rounds(f, 2);
    assert_int_equal(amount_of(f, "a"), -1);
    struct partitions wanted, held;
    stream_held(f->stream, &wanted, &held);
    assert_false(partitions_has(&held, p));
}

/* Retention, a log that was deleted and made anew: what the store has is of another log. */
static void a_standby_of_another_log_begins_anew(void **state) {
    struct fixture *f = *state;
    f->everything = true;
    create(f);
    rounds(f, 4);
    another_writes(f, "a", 5);
    rounds(f, 2);
    crash(f);
    int32_t p = partition_of(SLICE("a"), PARTS);
    memory_log_cut(f->log, &topic_balances, p, 0);
    create(f);
    rounds(f, 4);
    assert_int_equal(amount_of(f, "a"), -1);
    assert_held(f, "0123");
    assert_non_null(f->notices.data);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_committed_can_be_read_at_once),
        TEST(index_keys_go_with_their_rows),
        TEST(what_a_transaction_puts_is_not_read_before_its_end),
        TEST(a_crash_after_the_commit_loses_nothing),
        TEST(who_is_taken_for_dead_does_not_answer),
        TEST(what_others_have_written_shows_by_the_next_record),
        TEST(a_marker_is_read_past),
        TEST(who_does_not_hear_where_records_lie_reads_them),
        TEST(another_index_is_made_anew),
        TEST(a_standby_has_what_it_shall_hold),
        TEST(a_standby_follows),
        TEST(a_standby_has_nothing_of_open_transactions),
        TEST(a_standby_becomes_the_owner_without_restoring),
        TEST(what_is_given_away_is_followed),
        TEST(a_standby_of_another_log_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
