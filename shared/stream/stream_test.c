/* The runtime over a log in memory: what is visible to committed readers, and what it says of itself. */
#include "stream/stream.h"
#include "transaction/txn.h"

#include "log/partitions.h"
#include "testing/bank.h"
#include "testing/memory_log.h"

#include <pthread.h>
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
    const struct topology *topology;
    int32_t partitions; /* the setting */
    struct buf changed; /* "table/key " of each callback */
    struct buf notices; /* a line each */
    int refreshed;
    size_t pending_outputs;
};

static int setup_partitions(void **state, int32_t partitions) {
    struct fixture *f = xcalloc(1, sizeof *f);
    f->bank = bank_create();
    f->log = memory_log_create(partitions);
    f->topology = &bank_topology;
    *state = f;
    return 0;
}

static int setup(void **state) {
    return setup_partitions(state, 1);
}

static int setup_4(void **state) {
    return setup_partitions(state, 4);
}

static int teardown(void **state) {
    struct fixture *f = *state;
    stream_destroy(f->stream);
    assert_int_equal(f->log->given, 0); /* every record was released */
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
    assert_true(partition >= 0 && offset >= 0);
    buf_printf(&f->changed, "%s/" SLICE_FMT " ", t->name, SLICE_ARG(key));
}

static void on_refreshed(void *context) {
    ((struct fixture *)context)->refreshed++;
}

static void on_notice(void *context, const char *text) {
    buf_printf(&((struct fixture *)context)->notices, "%s\n", text);
}

static void create(struct fixture *f) {
    f->stream = stream_create(&(struct stream_options){.topology = f->topology,
                                                       .partitions = f->partitions,
                                                       .schemas = f->bank->schemas,
                                                       .store = f->bank->store,
                                                       .log = &f->log->log,
                                                       .context = f,
                                                       .changed = on_changed,
                                                       .refreshed = on_refreshed,
                                                       .pending_outputs = f->pending_outputs,
                                                       .notice = on_notice});
}

/* A process that is gone: nothing was said to anyone. */
static void crash(struct fixture *f) {
    stream_destroy(f->stream);
    f->stream = NULL;
    memory_log_disconnect(f->log);
}

static void lose_views(struct fixture *f) {
    store_close(f->bank->store);
    f->bank->store = store_create_memory();
}

static void rounds(struct fixture *f, int n) {
    struct err e = {0};
    while (n-- > 0)
        if (!stream_step(f->stream, WAIT_MS, &e))
            fail_msg("%s", e.text);
}

static const char *status_of(struct fixture *f) {
    static char text[600];
    stream_status(f->stream, text, sizeof text);
    return text;
}

static bool in_trouble(struct fixture *f) {
    char text[600];
    return stream_status(f->stream, text, sizeof text);
}

/* Created, assigned all tasks, and ready. */
static void start(struct fixture *f) {
    create(f);
    memory_log_assign(f->log, f->log->partitions[0]);
    rounds(f, 6);
    if (!stream_ready(f->stream))
        fail_msg("not ready: %s", status_of(f));
}

static void deposit(struct fixture *f, const char *account, int64_t amount, const char *note) {
    memory_log_append(f->log, &topic_deposits, -1, slice_of(account), bank_deposit(f->bank, amount, note));
}

static void owner(struct fixture *f, const char *account, const char *name) {
    memory_log_append(f->log, &topic_owners, -1, slice_of(account), bank_owner(f->bank, name, "Rome"));
}

/* What a committed reader finds in the topic, over all partitions: "key:text=amount " of each record. */
static void assert_topic(struct fixture *f, const struct topic *t, const char *expected) {
    struct buf all = {0};
    for (int32_t k = 0; k < f->log->partitions[t->number]; k++)
        for (int64_t i = 0; i < memory_log_stable_end(f->log, t, k); i++) {
            const struct entry *entry = &f->log->parts[t->number][k].entries[i];
            if (entry->state != ENTRY_COMMITTED)
                continue;
            buf_printf(&all, SLICE_FMT, SLICE_ARG(entry->key));
            const void *v = entry->value.data == NULL ? NULL : bank_value(f->bank, t, entry->value);
            if (v == NULL)
                buf_printf(&all, "=none");
            else if (t == &topic_receipts)
                buf_printf(&all, ":" SLICE_FMT "=%lld", SLICE_ARG(((const struct receipt *)v)->text),
                           (long long)((const struct receipt *)v)->amount);
            else if (t == &topic_letters)
                buf_printf(&all, ":" SLICE_FMT, SLICE_ARG(((const struct letter *)v)->reason));
            else
                buf_printf(&all, "=%lld", (long long)*(const int64_t *)v); /* the amount comes first */
            buf_append_byte(&all, ' ');
        }
    assert_slice(buf_slice(&all), expected);
    buf_free(&all);
}

static void assert_receipts(struct fixture *f, const char *expected) {
    assert_topic(f, &topic_receipts, expected);
}

static int64_t group_offset(struct fixture *f, const struct topic *t) {
    return f->log->parts[t->number][0].group;
}

/* ---- what may not be ---- */

static const struct view expires = {.name = "expires", .changelog = &topic_deposits, .retention_ms = 1};
static const struct topology careless = {
    .name = "careless",
    .sources = (const struct source[]){{.topic = &topic_transfers}, {0}},
    .views = (const struct view *const[]){&expires, NULL},
};

static void a_topology_that_may_not_be_ends_at_once(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    f->topology = &careless;
    create(f);
    assert_false(stream_step(f->stream, WAIT_MS, &e));
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_non_null(strstr(e.text, "knows no tombstones"));
    assert_false(stream_ready(f->stream));
}

/* ---- from the start to ready ---- */

static void says_what_it_waits_for(void **state) {
    struct fixture *f = *state;
    create(f);
    assert_string_equal(status_of(f), "starting");
    assert_false(in_trouble(f));
    f->log->partitions[topic_balances.number] = 0;
    rounds(f, 2);
    assert_true(in_trouble(f));
    assert_string_equal(status_of(f), "waiting for the topic balances");
    f->log->partitions[topic_balances.number] = 1;
    memory_log_fail(f->log, CALL_ENDS, ERR_RETRY, 1, false);
    rounds(f, 1);
    assert_string_equal(status_of(f), "waiting for Kafka: ends fails");
    memory_log_fail(f->log, CALL_INIT, ERR_RETRY, 1, false);
    rounds(f, 1);
    assert_string_equal(status_of(f), "waiting for Kafka: init fails");
    rounds(f, 2);
    assert_string_equal(status_of(f),
                        "waiting for Kafka: init fails"); /* it may fail again soon: one status */
    f->log->now += 1000;
    rounds(f, 1);
    assert_string_equal(status_of(f), "joining the group bank");
    assert_false(in_trouble(f));
    assert_false(stream_ready(f->stream));
    memory_log_assign(f->log, 1);
    rounds(f, 3);
    assert_string_equal(status_of(f), "running");
    assert_true(stream_ready(f->stream));
}

static void more_instances_than_tasks_are_ready_too(void **state) {
    struct fixture *f = *state;
    create(f);
    memory_log_assign(f->log, 0);
    rounds(f, 3);
    assert_true(stream_ready(f->stream));
}

static void tables_alone_need_no_group(void **state) {
    struct fixture *f = *state;
    const struct topology tables_only = {.name = "bank", .tables = bank_topology.tables};
    f->topology = &tables_only;
    owner(f, "a", "Ann");
    create(f);
    rounds(f, 3);
    assert_true(stream_ready(f->stream));
    assert_null(f->log->listener);
    assert_int_equal(f->log->calls[CALL_INIT], 0);
    stream_destroy(f->stream); /* before its topology goes */
    f->stream = NULL;
}

static void is_not_ready_before_its_tables(void **state) {
    struct fixture *f = *state;
    owner(f, "a", "Ann");
    f->log->tables_stuck = true;
    create(f);
    memory_log_assign(f->log, 1);
    rounds(f, 5);
    assert_string_equal(status_of(f), "hydrating tables");
    assert_false(stream_ready(f->stream));
    f->log->tables_stuck = false;
    rounds(f, 2);
    assert_true(stream_ready(f->stream));
}

static void assert_refused(struct fixture *f, const char *expected) {
    struct err e = {0};
    create(f);
    assert_false(stream_step(f->stream, WAIT_MS, &e));
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_string_equal(e.text, expected);
    assert_string_equal(status_of(f), expected);
}

static void refuses_other_partition_counts(void **state) {
    struct fixture *f = *state;
    f->partitions = 3;
    assert_refused(f, "topic deposits has 4 partitions, PARTITIONS says 3: set PARTITIONS=4, or start from "
                      "nothing (./demo reset)");
}

static void refuses_sources_that_are_not_copartitioned(void **state) {
    struct fixture *f = *state;
    f->log->partitions[topic_balances.number] = 2;
    assert_refused(f, "topology bank: deposits has 4 partitions, balances has 2; they must be the same");
}

/* ---- consume, transform, produce ---- */

static void one_transaction_carries_all(void **state) {
    struct fixture *f = *state;
    owner(f, "a", "Ann");
    start(f);
    deposit(f, "a", 5, "");
    deposit(f, "b", 1, "");
    deposit(f, "a", 6, "");
    rounds(f, 1);
    assert_receipts(f, "a:Ann=5 b:nobody=1 a:Ann=11 ");
    assert_topic(f, &topic_balances, "a=11 b=1 "); /* one record for each key that changed */
    assert_int_equal(group_offset(f, &topic_deposits), 3);
    assert_int_equal(f->log->calls[CALL_COMMIT], 1);
    assert_int_equal(bank_metric(f->stream, "records_out_total"), 5);
    assert_int_equal(bank_metric(f->stream, "transactions_committed_total"), 1);

    rounds(f, 20); /* nothing more follows */
    assert_int_equal(f->log->calls[CALL_COMMIT], 1);
    assert_string_equal(status_of(f), "running");
}

static void each_partition_is_a_task(void **state) {
    struct fixture *f = *state;
    char key[10];
    start(f);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 20; i++) {
            snprintf(key, sizeof key, "%d", i);
            deposit(f, key, 1, "");
        }
    rounds(f, 1);
    for (int i = 0; i < 4; i++) {
        const struct memory_partition *p = &f->log->parts[topic_deposits.number][i];
        assert_true(p->count > 0);
        assert_int_equal(p->group, p->count);
        for (size_t k = 0; k < f->log->parts[topic_balances.number][i].count; k++) {
            const struct entry *entry = &f->log->parts[topic_balances.number][i].entries[k];
            if (entry->state == ENTRY_COMMITTED)
                assert_int_equal(
                    ((const struct balance *)bank_value(f->bank, &topic_balances, entry->value))->amount, 2);
        }
    }
}

static void a_backlog_waits_for_other_inputs(void **state) {
    struct fixture *f = *state;
    struct topology yielding = *f->topology;
    yielding.sources = (const struct source[]){
        {.topic = &topic_deposits, .handle = bank_on_deposit, .yields = true}, bank_transfers, {0}};
    f->topology = &yielding;
    start(f);
    for (int i = 0; i < 1500; i++)
        deposit(f, "late", 1, "state only");
    for (int i = 0; i < 1200; i++)
        memory_log_append(f->log, &topic_transfers, -1, SLICE("soon"),
                          bank_deposit(f->bank, 1, "state only"));
    rounds(f, 1); /* a full batch */
    assert_int_equal(bank_metric(f->stream, "input_lag_records"), 1500 + 200);
    rounds(f, 1); /* the rest of these, and what there is room for */
    assert_int_equal(bank_metric(f->stream, "input_lag_records"),
                     1500 - 799); /* one place has the news that they end */
    rounds(f, 10);
    assert_topic(f, &topic_balances, "soon=1200 late=1500 ");
    crash(f);
}

static void a_misplaced_record_goes_where_it_belongs(void **state) {
    struct fixture *f = *state;
    start(f);
    memory_log_append(f->log, &topic_transfers, 0, SLICE("abc"), bank_deposit(f->bank, 5, "")); /* is of 3 */
    memory_log_append(f->log, &topic_deposits, 0, SLICE("abc"), bank_deposit(f->bank, 7, ""));
    rounds(f, 3);
    assert_receipts(f, "abc:nobody=5 ");
    assert_int_equal(memory_log_stable_end(f->log, &topic_transfers, 3), 2); /* with its marker */
    assert_topic(f, &topic_letters, "deposits/0/0:key \"abc\" belongs to partition 3 of 4 (murmur2), not 0 ");
}

static void commits_once_for_all_that_is_there(void **state) {
    struct fixture *f = *state;
    start(f);
    for (int i = 0; i < 2500; i++)
        deposit(f, "a", 1, "");
    rounds(f, 2); /* two full batches: there is more */
    assert_int_equal(f->log->calls[CALL_COMMIT], 0);
    assert_receipts(f, "");
    rounds(f, 10);
    assert_int_equal(f->log->calls[CALL_COMMIT], 1);
    assert_topic(f, &topic_balances, "a=2500 ");
}

static void state_alone_is_committed_together_too(void **state) {
    struct fixture *f = *state;
    start(f);
    for (int i = 0; i < 2500; i++)
        deposit(f, "a", 1, "state only");
    rounds(f, 2);
    assert_int_equal(f->log->calls[CALL_COMMIT], 0);
    rounds(f, 10);
    assert_int_equal(f->log->calls[CALL_COMMIT], 1);
    assert_topic(f, &topic_balances, "a=2500 ");
}

static void commits_by_size_and_by_age(void **state) {
    struct fixture *f = *state;
    start(f);
    for (int i = 0; i < 60000; i++)
        deposit(f, "a", 1, "");
    int n = 0;
    while (f->log->calls[CALL_COMMIT] == 0 && n < 50) /* a receipt for each */
        rounds(f, 1), n++;
    assert_int_equal(f->log->calls[CALL_COMMIT], 1);
    assert_in_range(n, 5, 49);
    rounds(f, 1);
    assert_int_equal(f->log->calls[CALL_COMMIT], 1);
    f->log->now += 300;
    rounds(f, 1);
    assert_int_equal(f->log->calls[CALL_COMMIT], 2);
}

/* Its size is that of what it writes: one record for each key. */
static void a_commit_takes_however_many_inputs_change_the_same_state(void **state) {
    struct fixture *f = *state;
    start(f);
    for (int i = 0; i < 40500; i++)
        deposit(f, "a", 1, "state only");
    rounds(f, 40);
    assert_int_equal(f->log->calls[CALL_COMMIT], 0);
    f->log->now += 300;
    rounds(f, 1);
    assert_int_equal(f->log->calls[CALL_COMMIT], 1);
    assert_topic(f, &topic_balances, "a=40500 ");
}

/* Offsets alone are not worth a transaction each. */
static void commits_lazily_what_has_no_consequences(void **state) {
    struct fixture *f = *state;
    start(f);
    deposit(f, "a", 1, "nothing");
    rounds(f, 5);
    assert_int_equal(group_offset(f, &topic_deposits), -1);
    rounds(f, 10); /* of WAIT_MS */
    assert_int_equal(f->log->calls[CALL_COMMIT], 1);
    assert_int_equal(group_offset(f, &topic_deposits), 1);

    deposit(f, "a", 2, "nothing");
    deposit(f, "a", 3, "state only"); /* state is worth one at once */
    rounds(f, 1);
    assert_int_equal(group_offset(f, &topic_deposits), 3);
    assert_receipts(f, "");
    assert_topic(f, &topic_balances, "a=3 ");
}

static const struct view banked = {.name = "banked", .changelog = &topic_deposits, .events = true};

static void on_banked(struct txn *txn, const struct event *in) {
    const struct deposit *d = in->value;
    struct deposit sum = {0, SLICE("")};
    txn_get(txn, &banked, SLICE_NONE, &sum);
    txn_put(txn, &banked, SLICE_NONE, &(struct deposit){sum.amount + d->amount, SLICE("")});
}

static const struct topology banked_topology = {
    .name = "banked",
    .sources = (const struct source[]){{.topic = &topic_transfers, .handle = on_banked}, {0}},
    .views = (const struct view *const[]){&banked, NULL},
};

static void a_tombstone_where_there_are_none_takes_no_row_away(void **state) {
    struct fixture *f = *state;
    f->topology = &banked_topology;
    start(f);
    memory_log_append(f->log, &topic_transfers, -1, SLICE("a"), bank_deposit(f->bank, 5, ""));
    rounds(f, 1);
    memory_log_append(f->log, &topic_deposits, -1, SLICE("a"), SLICE_NONE); /* by a stranger */
    crash(f);
    lose_views(f);
    start(f);
    memory_log_append(f->log, &topic_transfers, -1, SLICE("a"), bank_deposit(f->bank, 2, ""));
    rounds(f, 1);
    assert_topic(f, &topic_deposits, "a=5 a=none a=7 ");
}

static const struct view quiet = {.name = "quiet", .changelog = &topic_balances, .private = true};

static void on_quiet(struct txn *txn, const struct event *in) {
    const struct deposit *deposit = in->value;
    struct balance balance = {0};
    txn_get(txn, &quiet, SLICE_NONE, &balance);
    balance.amount += deposit->amount;
    txn_put(txn, &quiet, SLICE_NONE, &balance);
    if (slice_equal(deposit->note, SLICE("tell")))
        txn_emit(txn, &topic_receipts, in->key, &(struct receipt){SLICE("quiet"), balance.amount});
}

static const struct topology quiet_topology = {
    .name = "quiet",
    .sources = (const struct source[]){{.topic = &topic_deposits, .handle = on_quiet}, {0}},
    .views = (const struct view *const[]){&quiet, NULL},
    .outputs = (const struct topic *const[]){&topic_receipts, NULL},
};

static const struct view noted = {.name = "noted", .changelog = &topic_receipts, .events = true};

static void on_noted(struct txn *txn, const struct event *in) {
    const struct deposit *d = in->value;
    struct receipt r = {SLICE(""), 0};
    txn_get(txn, &noted, SLICE_NONE, &r);
    txn_put(txn, &noted, SLICE_NONE, &(struct receipt){SLICE("noted"), r.amount + d->amount});
}

static const struct topology noted_topology = {
    .name = "noted",
    .sources = (const struct source[]){{.topic = &topic_deposits, .handle = on_noted}, {0}},
    .views = (const struct view *const[]){&noted, NULL},
};

static void a_view_can_be_what_it_says_in_a_topic_of_events(void **state) {
    struct fixture *f = *state;
    f->topology = &noted_topology;
    start(f);
    deposit(f, "a", 1, "");
    deposit(f, "a", 2, ""); /* in one transaction, and an event each */
    rounds(f, 1);
    assert_receipts(f, "a:noted=1 a:noted=3 ");
    crash(f);
    start(f);
    deposit(f, "a", 10, "");
    rounds(f, 1);
    crash(f);
    lose_views(f);
    start(f);
    deposit(f, "a", 20, "");
    rounds(f, 1);
    assert_receipts(f, "a:noted=1 a:noted=3 a:noted=13 a:noted=33 ");
}

static void changes_that_nobody_reads_wait_for_company(void **state) {
    struct fixture *f = *state;
    f->topology = &quiet_topology;
    start(f);
    deposit(f, "a", 1, "");
    rounds(f, 2); /* of WAIT_MS */
    deposit(f, "b", 2, "");
    rounds(f, 2);
    assert_int_equal(f->log->calls[CALL_COMMIT], 0);
    rounds(f, 2);
    assert_int_equal(f->log->calls[CALL_COMMIT], 1);
    assert_topic(f, &topic_balances, "a=1 b=2 ");

    deposit(f, "a", 10, "");
    rounds(f, 1);
    assert_int_equal(f->log->calls[CALL_COMMIT], 1);
    deposit(f, "a", 100, "tell"); /* takes the other along, at once */
    rounds(f, 1);
    assert_int_equal(f->log->calls[CALL_COMMIT], 2);
    assert_int_equal(group_offset(f, &topic_deposits), 4);
    assert_topic(f, &topic_balances, "a=1 b=2 a=111 ");
}

static void bad_records_are_dead_lettered_or_skipped(void **state) {
    struct fixture *f = *state;
    start(f);
    deposit(f, "a", 1, "");
    memory_log_append(f->log, &topic_deposits, -1, SLICE("a"), SLICE("garbage"));
    memory_log_append(f->log, &topic_deposits, -1, SLICE_NONE, bank_deposit(f->bank, 5, ""));
    memory_log_append(f->log, &topic_transfers, -1, SLICE("a"), SLICE("garbage")); /* nobody's letters */
    memory_log_append(f->log, &topic_owners, -1, SLICE("a"), SLICE("garbage"));    /* a table's */
    deposit(f, "a", -1, "");
    deposit(f, "a", 2, "");
    rounds(f, 1);
    assert_receipts(f, "a:nobody=1 a:nobody=3 ");
    assert_topic(
        f, &topic_letters,
        "deposits/0/1:byte 0: magic byte 103, not 0 deposits/0/2:no key deposits/0/3:an amount of -1 ");
    assert_int_equal(group_offset(f, &topic_deposits), 5);
    assert_int_equal(group_offset(f, &topic_transfers), 1);
    assert_int_equal(bank_metric(f->stream, "dead_letters_total"), 3);
    assert_int_equal(bank_metric(f->stream, "skipped_records_total"), 2);
    assert_int_equal(f->log->calls[CALL_COMMIT], 1);
}

/* ---- tables ---- */

/* What is in the log before an input is known when the input is decided. */
static void inputs_wait_for_fresh_tables(void **state) {
    struct fixture *f = *state;
    start(f);
    f->log->tables_lag = true;
    owner(f, "a", "Ann");
    deposit(f, "a", 5, "");
    rounds(f, 1);
    assert_receipts(f, "a:Ann=5 ");
}

static void who_looks_nothing_up_asks_for_no_ends(void **state) {
    struct fixture *f = *state;
    start(f);
    deposit(f, "a", 5, "");
    rounds(f, 1);
    int asked = f->log->calls[CALL_ENDS];
    deposit(f, "a", 1, "nothing");
    rounds(f, 1);
    assert_int_equal(f->log->calls[CALL_ENDS], asked);
    deposit(f, "a", 1, "nothing");
    deposit(f, "a", 1, ""); /* once for both that look it up */
    deposit(f, "a", 1, "");
    rounds(f, 1);
    assert_int_equal(f->log->calls[CALL_ENDS], asked + 1);
    assert_receipts(f, "a:nobody=5 a:nobody=6 a:nobody=7 ");
    assert_int_equal(group_offset(f, &topic_deposits), 5);
}

static void tables_that_cannot_be_read_hold_inputs_back(void **state) {
    struct fixture *f = *state;
    start(f);
    f->log->tables_stuck = true;
    owner(f, "a", "Ann");
    deposit(f, "a", 5, "");
    rounds(f, 1);
    assert_string_equal(status_of(f), "waiting for Kafka: the tables of bank are not read to their end yet");
    assert_false(stream_ready(f->stream));
    assert_receipts(f, "");
    f->log->tables_stuck = false;
    rounds(f, 3);
    assert_receipts(f, "a:Ann=5 ");
    assert_true(stream_ready(f->stream));
}

static void readers_see_rows(void **state) {
    struct fixture *f = *state;
    struct arena a = {0};
    struct event row;
    start(f);
    owner(f, "a", "Ann");
    rounds(f, 1);
    assert_slice(buf_slice(&f->changed), "owners/a ");
    assert_true(stream_row(f->stream, &bank_owners, SLICE("a"), &a, &row, NULL));
    assert_slice(((const struct owner *)row.value)->name, "Ann");
    assert_int_equal(row.offset, 0);
    assert_true(stream_row(f->stream, &bank_owners, SLICE("b"), &a, &row, NULL));
    assert_null(row.value);
    memory_log_append(f->log, &topic_owners, -1, SLICE("a"), SLICE_NONE);
    rounds(f, 1);
    assert_slice(buf_slice(&f->changed), "owners/a owners/a ");
    assert_true(stream_row(f->stream, &bank_owners, SLICE("a"), &a, &row, NULL));
    assert_null(row.value);
    arena_free(&a);
}

struct scanned {
    struct buf text;
    int stop_after;
};

static bool scan_key(void *context, struct slice index_key, struct slice key) {
    struct scanned *s = context;
    buf_printf(&s->text, SLICE_FMT "=" SLICE_FMT " ", SLICE_ARG(index_key), SLICE_ARG(key));
    return --s->stop_after > 0;
}

static bool scan_row(void *context, const struct event *row) {
    struct scanned *s = context;
    buf_printf(&s->text, SLICE_FMT ":" SLICE_FMT " ", SLICE_ARG(row->key),
               SLICE_ARG(((const struct owner *)row->value)->name));
    return --s->stop_after > 0;
}

static void assert_scan(struct fixture *f, struct slice prefix, struct slice from, int stop_after,
                        const char *expected) {
    struct scanned s = {{0}, stop_after};
    assert_true(stream_scan(f->stream, &bank_owners, prefix, from, scan_key, &s, NULL));
    assert_slice(buf_slice(&s.text), expected);
    buf_free(&s.text);
}

static void readers_scan_by_index_and_by_key(void **state) {
    struct fixture *f = *state;
    start(f);
    owner(f, "b", "Bob");
    owner(f, "a", "Ann");
    owner(f, "c", "Cas");
    memory_log_append(f->log, &topic_owners, -1, SLICE("d"), bank_owner(f->bank, "Dan", "Oslo"));
    rounds(f, 1);
    assert_scan(f, SLICE(""), SLICE_NONE, 9, "Oslo/d=d Rome/a=a Rome/b=b Rome/c=c ");
    assert_scan(f, SLICE("Rome/"), SLICE_NONE, 9, "Rome/a=a Rome/b=b Rome/c=c ");
    assert_scan(f, SLICE("Rome/"), SLICE("Rome/b"), 9, "Rome/b=b Rome/c=c ");
    assert_scan(f, SLICE("Rome/"), SLICE_NONE, 2, "Rome/a=a Rome/b=b ");
    assert_scan(f, SLICE("Paris/"), SLICE_NONE, 9, "");

    struct scanned s = {{0}, 2};
    assert_true(stream_scan_rows(f->stream, &bank_owners, SLICE("b"), scan_row, &s, NULL));
    assert_slice(buf_slice(&s.text), "b:Bob c:Cas ");
    buf_free(&s.text);
}

static void by_name(struct index *to, const struct event *row) {
    index_key(to, ((const struct owner *)row->value)->name);
}

static const struct table renamed_owners = {
    .name = "owners", .topic = &topic_owners, .index = by_name, .index_version = 1};
static const struct topology renamed_topology = {
    .name = "bank", .tables = (const struct table *const[]){&renamed_owners, NULL}};

/* Entries of another index would stay where they are and be found. */
static void another_index_is_made_anew(void **state) {
    struct fixture *f = *state;
    start(f);
    owner(f, "a", "Ann");
    owner(f, "b", "Bob");
    rounds(f, 1);
    assert_scan(f, SLICE(""), SLICE_NONE, 9, "Rome/a=a Rome/b=b ");
    f->topology = &renamed_topology;
    for (int again = 0; again < 2; again++) {
        crash(f);
        create(f);
        rounds(f, 2);
        struct scanned s = {{0}, 9};
        assert_true(stream_scan(f->stream, &renamed_owners, SLICE(""), SLICE_NONE, scan_key, &s, NULL));
        assert_slice(buf_slice(&s.text), "Ann=a Bob=b ");
        buf_free(&s.text);
        assert_int_equal(bank_metric(f->stream, "tables_reindexed_total"), again == 0);
        assert_int_equal(bank_metric(f->stream, "hydrated_records_total"), again == 0 ? 2 : 0);
    }
    assert_slice(buf_slice(&f->notices),
                 "table owners: its index is another one now, so it is read anew from owners\n");
}

static void a_table_that_is_not_there_cannot_be_read(void **state) {
    struct fixture *f = *state;
    struct event row;
    struct err e = {0};
    int64_t offset;
    struct scanned s = {{0}, 9};
    start(f);
    assert_false(stream_row(f->stream, &renamed_owners, SLICE("a"), &f->bank->arena, &row, &e));
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_string_equal(e.text, "topology bank does not declare the table owners");
    assert_false(stream_scan(f->stream, &renamed_owners, SLICE(""), SLICE_NONE, scan_key, &s, &e));
    assert_false(stream_scan_rows(f->stream, &renamed_owners, SLICE_NONE, scan_row, &s, &e));
    assert_false(stream_positions(f->stream, &renamed_owners, &offset, 1, &e));
}

static void a_refresh_reads_to_the_end_of_its_moment(void **state) {
    struct fixture *f = *state;
    start(f);
    f->log->tables_stuck = true;
    owner(f, "a", "Ann");
    uint64_t ticket = stream_refresh(f->stream);
    rounds(f, 3);
    assert_false(stream_fresh(f->stream, ticket));
    f->log->tables_stuck = false;
    rounds(f, 2);
    assert_true(stream_fresh(f->stream, ticket));
    assert_int_equal(f->refreshed, 1);
    uint64_t next = stream_refresh(f->stream);
    assert_false(stream_fresh(f->stream, next));
    rounds(f, 1);
    assert_true(stream_fresh(f->stream, next)); /* nothing new: at once */
}

static void ask_again(void *context, enum log_call call) {
    struct fixture *f = context;
    if (call == CALL_ENDS)
        stream_refresh(f->stream);
}

/* Of many who ask all the time, while somebody writes all the time, each is answered; and whoever asks
 * while an answer is looked up is not answered by the same look. */
static void a_refresh_is_not_put_off_by_the_next(void **state) {
    struct fixture *f = *state;
    start(f);
    owner(f, "a", "Ann");
    uint64_t ticket = stream_refresh(f->stream);
    for (int i = 0; i < 10; i++) {
        rounds(f, 1);
        owner(f, "a", "Ann");
        stream_refresh(f->stream);
    }
    assert_true(stream_fresh(f->stream, ticket));

    rounds(f, 3);
    f->log->during = ask_again;
    f->log->context = f;
    ticket = stream_refresh(f->stream);
    int asked = f->log->calls[CALL_ENDS];
    rounds(f, 3);
    assert_int_equal(f->log->calls[CALL_ENDS], asked + 3); /* one look a round */
    assert_true(stream_fresh(f->stream, ticket));
    assert_false(stream_fresh(f->stream, ticket + 3));
}

/* ---- restoring ---- */

static void goes_on_where_it_was(void **state) {
    struct fixture *f = *state;
    start(f);
    owner(f, "a", "Ann");
    deposit(f, "a", 5, "");
    rounds(f, 2);
    crash(f);
    deposit(f, "a", 6, "");
    start(f);
    rounds(f, 2);
    assert_receipts(f, "a:Ann=5 a:Ann=11 ");
    assert_int_equal(bank_metric(f->stream, "restored_records_total"), 0); /* all was in the store */
    assert_int_equal(bank_metric(f->stream, "hydrated_records_total"), 0);
}

static void a_lost_view_is_restored_from_its_changelog(void **state) {
    struct fixture *f = *state;
    start(f);
    owner(f, "a", "Ann");
    deposit(f, "a", 5, "");
    deposit(f, "b", 1, "");
    rounds(f, 1);
    deposit(f, "a", 6, "");
    deposit(f, "b", 0, ""); /* closed: a tombstone */
    rounds(f, 1);
    crash(f);
    lose_views(f);
    deposit(f, "a", 7, "");
    deposit(f, "b", 2, "");
    start(f);
    rounds(f, 2);
    assert_receipts(f, "a:Ann=5 b:nobody=1 a:Ann=11 b:nobody=1 a:Ann=18 b:nobody=2 ");
    assert_int_equal(bank_metric(f->stream, "restored_records_total"), 4);
}

/* Its inputs, its tables, and the changelogs of its views. */
static void where_it_is_can_be_asked(void **state) {
    struct fixture *f = *state;
    struct stream_place at;
    int64_t inputs = 0, views = 0;
    start(f);
    owner(f, "a", "Ann");
    deposit(f, "a", 5, "");
    deposit(f, "b", 1, "");
    rounds(f, 2);
    for (size_t i = 0; stream_place(f->stream, i, &at); i++) {
        inputs += strcmp(at.what, "input") == 0 && at.position > 0 ? at.position : 0;
        views += strcmp(at.what, "view") == 0 && at.position > 0 ? at.position : 0;
    }
    assert_int_equal(inputs, 2);
    assert_int_equal(views, 3); /* behind the marker */
}

/* Whatever it was made from, the same rows come to the same sum; others do not. */
static void a_copy_of_a_view_has_the_same_digest(void **state) {
    struct fixture *f = *state;
    struct stream_digest parts = {0}, whole = {0}, other = {0};
    struct err e;
    start(f);
    for (int i = 0; i < 9; i++)
        deposit(f, (char[]){(char)('a' + i), 0}, i + 1, "");
    rounds(f, 2);
    while (!parts.done)
        assert_true(stream_digest(f->stream, topic_balances.name, 2, &parts, &e));
    assert_int_equal(parts.rows, 9);
    assert_int_equal(parts.tries, 1);
    crash(f);
    lose_views(f);
    start(f);
    assert_true(stream_digest(f->stream, topic_balances.name, 100, &whole, &e));
    assert_true(whole.done);
    assert_memory_equal(whole.sum, parts.sum, sizeof whole.sum);
    assert_int_equal(whole.rows, 9);
    assert_true(stream_digest(f->stream, topic_balances.name, 2, &other, &e));
    deposit(f, "a", 1, "");
    rounds(f, 2);
    while (!other.done) /* it changed meanwhile: from the beginning */
        assert_true(stream_digest(f->stream, topic_balances.name, 2, &other, &e));
    assert_int_equal(other.tries, 2);
    assert_int_equal(other.rows, 9);
    assert_memory_not_equal(other.sum, whole.sum, sizeof other.sum);
    assert_false(stream_digest(f->stream, "nothing", 2, &other, &e));
    assert_int_equal(e.kind, ERR_CONFIG);
    buf_free(&parts.next);
    buf_free(&whole.next);
    buf_free(&other.next);
}

/* Records that cannot be read are left out, of changelogs as of tables; nothing is written about them. */
static void poison_in_a_changelog_is_skipped(void **state) {
    struct fixture *f = *state;
    memory_log_append(f->log, &topic_balances, -1, SLICE("a"), SLICE("garbage"));
    memory_log_append(f->log, &topic_balances, -1, SLICE_NONE,
                      bank_bytes(f->bank, &topic_balances, &(struct balance){9}));
    memory_log_append(f->log, &topic_balances, -1, SLICE("a"),
                      bank_bytes(f->bank, &topic_balances, &(struct balance){5}));
    memory_log_append(f->log, &topic_owners, -1, SLICE("a"), SLICE("garbage"));
    start(f);
    deposit(f, "a", 1, "");
    rounds(f, 1);
    assert_receipts(f, "a:nobody=6 ");
    assert_topic(f, &topic_letters, "");
    assert_int_equal(bank_metric(f->stream, "skipped_records_total"), 3);
}

/* A new process, at a registry that has what the test says. */
static void restart_at(struct fixture *f, struct registry *registry) {
    crash(f);
    f->bank->registry = registry;
    schemas_destroy(f->bank->schemas);
    f->bank->schemas = schemas_create(&f->bank->away_or_not);
    for (size_t i = 0; registry != NULL && i < topics_count; i++)
        assert_true(schemas_register(f->bank->schemas, topics[i], NULL));
    create(f);
    memory_log_assign(f->log, f->log->partitions[0]);
    rounds(f, 6);
}

/* What it wrote itself, unlike the garbage of others, is not left out when it cannot be read: there is a
 * store that remembers no registry, and another registry. */
static void own_records_are_waited_for(void **state) {
    struct fixture *f = *state;
    struct registry *right = f->bank->registry, *wrong = registry_memory_create();
    int32_t id;
    for (int i = 0; i < 20; i++) { /* ids that mean something else, then none */
        char schema[60];
        snprintf(schema, sizeof schema, "{\"type\":\"fixed\",\"name\":\"F\",\"size\":%d}", 40 + i);
        assert_true(wrong->add(wrong, "x", schema, &id, NULL));
    }
    start(f);
    memory_log_append(f->log, &topic_balances, -1, SLICE("a"), SLICE("garbage"));
    deposit(f, "a", 5, "");
    rounds(f, 1);
    assert_topic(f, &topic_receipts, "a:nobody=5 ");
    deposit(f, "a", 1, "");
    crash(f);
    lose_views(f);
    restart_at(f, wrong);
    assert_false(stream_ready(f->stream));
    assert_true(in_trouble(f));
    assert_non_null(strstr(status_of(f), "balances/0/1, which bank wrote itself, cannot be read"));
    assert_int_equal(bank_metric(f->stream, "unreadable_records_total"), 1);
    buf_append_byte(&f->notices, 0);
    assert_non_null(strstr(f->notices.data, "cannot be read"));
    rounds(f, 5);
    assert_int_equal(bank_metric(f->stream, "unreadable_records_total"), 1); /* it is the same one */
    assert_int_equal(bank_metric(f->stream, "skipped_records_total"), 1);    /* garbage of somebody else */
    crash(f);
    lose_views(f);
    restart_at(f, right);
    registry_destroy(wrong);
    assert_true(stream_ready(f->stream));
    rounds(f, 1);
    assert_topic(f, &topic_receipts, "a:nobody=5 a:nobody=6 ");
}

/* Where its inputs are it reads in its own records only: whoever else may write to the changelog could make
 * it skip what is to come. */
static void what_others_say_of_its_inputs_is_not_believed(void **state) {
    struct fixture *f = *state;
    static const char trace[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const struct log_header headers[] = {{"traceparent", slice_of(trace)},
                                         {"caused-by", SLICE("deposits/0/0")},
                                         {"inputs", SLICE("deposits/0:50,transfers/0:50")}};
    deposit(f, "a", 5, "");
    start(f);
    rounds(f, 1);
    crash(f);
    lose_views(f);
    memory_log_append_with(f->log, &topic_balances, -1, SLICE("b"),
                           bank_bytes(f->bank, &topic_balances, &(struct balance){3}), headers, 3);
    deposit(f, "b", 1, "");
    start(f);
    rounds(f, 1);
    assert_topic(f, &topic_receipts, "a:nobody=5 b:nobody=4 ");
    assert_int_equal(bank_metric(f->stream, "positions_moved_total"), 0);
}

static int64_t later_us;

static int64_t later(void) {
    return later_us += 10 * 1000 * 1000; /* nothing is as it just was */
}

/* The store remembers what the registry said: another one is refused before a record is read or written. */
static void another_registry_is_refused(void **state) {
    struct fixture *f = *state;
    struct registry *right = f->bank->registry, *wrong = registry_memory_create();
    int32_t id;
    struct err e = {0};
    assert_true(wrong->add(wrong, "x", "\"int\"", &id, NULL)); /* all ids are others */
    start(f);
    deposit(f, "a", 5, "");
    rounds(f, 2);
    owner(f, "a", "Bob");
    deposit(f, "a", 1, "");
    restart_at(f, wrong);
    assert_false(stream_ready(f->stream));
    assert_true(in_trouble(f));
    assert_non_null(strstr(status_of(f), "the registry is not the one of before"));
    assert_int_equal(bank_metric(f->stream, "skipped_records_total"), 0);
    assert_int_equal(bank_metric(f->stream, "restored_records_total"), 0);
    assert_receipts(f, "a:nobody=5 ");
    f->bank->registry = right; /* what this process has registered is still the other's */
    schemas_set_clock(f->bank->schemas, later);
    assert_false(stream_step(f->stream, WAIT_MS, &e));
    assert_int_equal(e.kind, ERR_FATAL);
    restart_at(f, right);
    registry_destroy(wrong);
    assert_true(stream_ready(f->stream));
    rounds(f, 1);
    assert_receipts(f, "a:nobody=5 a:Bob=6 ");
}

/* Nor is it believed that there is no such schema, when it is another registry that says so. */
static void another_registry_makes_no_letters(void **state) {
    struct fixture *f = *state;
    struct registry *right = f->bank->registry, *empty = registry_memory_create();
    start(f);
    deposit(f, "a", 1, "");
    rounds(f, 1);
    struct slice foreign = bank_foreign(f->bank, &topic_deposits, bank_deposit(f->bank, 2, ""));
    schemas_set_clock(f->bank->schemas, later);
    f->bank->registry = empty;
    memory_log_append(f->log, &topic_deposits, -1, SLICE("a"), foreign);
    memory_log_append(f->log, &topic_owners, -1, SLICE("a"),
                      bank_bytes(f->bank, &topic_owners, &(struct owner){SLICE("Ann"), SLICE("Rome")}));
    rounds(f, 3);
    assert_false(stream_ready(f->stream));
    assert_non_null(strstr(status_of(f), "the registry is not the one of before"));
    f->bank->registry = right;
    registry_destroy(empty);
    rounds(f, 3);
    assert_topic(f, &topic_letters, "");
    assert_true(stream_ready(f->stream));
    assert_topic(f, &topic_balances, "a=1 a=3 ");
}

/* A dead instance's transaction may still become committed: inputs wait until that is known. */
static void restoring_waits_for_open_transactions(void **state) {
    struct fixture *f = *state;
    for (int commit = 0; commit < 2; commit++) {
        memory_log_open(f->log, &topic_balances, -1, SLICE("a"),
                        bank_bytes(f->bank, &topic_balances, &(struct balance){100}));
        create(f);
        deposit(f, "a", 1, "");
        memory_log_assign(f->log, 1);
        rounds(f, 5);
        assert_string_equal(status_of(f), "restoring, 0 of 1 tasks are done");
        assert_false(stream_ready(f->stream));
        memory_log_end(f->log, commit == 1);
        rounds(f, 3);
        assert_true(stream_ready(f->stream));
        assert_receipts(f, commit == 0 ? "a:nobody=1 " : "a:nobody=1 a:nobody=101 ");
        crash(f);
    }
}

static void unstable_offsets_are_asked_for_again(void **state) {
    struct fixture *f = *state;
    create(f);
    memory_log_assign(f->log, 1);
    memory_log_fail(f->log, CALL_COMMITTED, ERR_RETRY, 2, false);
    deposit(f, "a", 1, "");
    rounds(f, 2);
    assert_string_equal(status_of(f), "waiting for Kafka: committed fails");
    rounds(f, 6);
    assert_true(stream_ready(f->stream));
    assert_receipts(f, "a:nobody=1 ");
}

/* What a dead instance left open in some partitions does not hold up the others. */
static void tasks_do_not_wait_for_each_other(void **state) {
    struct fixture *f = *state;
    f->log->unstable_tasks = 2;
    create(f);
    memory_log_assign(f->log, 4);
    for (int i = 0; i < 20; i++) {
        char key[10];
        snprintf(key, sizeof key, "%d", i);
        deposit(f, key, 1, "");
    }
    rounds(f, 20);
    assert_false(stream_ready(f->stream));
    for (int k = 0; k < 4; k++) {
        const struct memory_partition *p = &f->log->parts[topic_deposits.number][k];
        assert_int_equal(p->group, k < 2 ? -1 : (int64_t)p->count);
    }
    f->log->unstable_tasks = 0;
    rounds(f, 10);
    assert_true(stream_ready(f->stream));
}

/* The log was lost, or is another one: what was made from it is worth nothing. */
static void a_store_longer_than_its_log_is_forgotten(void **state) {
    struct fixture *f = *state;
    struct arena a = {0};
    struct event row;
    start(f);
    for (int i = 0; i < 3; i++) {
        owner(f, "a", "Ann");
        deposit(f, "a", 5, "");
        rounds(f, 1);
    }
    crash(f);
    memory_log_destroy(f->log);
    f->log = memory_log_create(1);
    owner(f, "b", "Bob");
    start(f);
    assert_true(stream_row(f->stream, &bank_owners, SLICE("a"), &a, &row, NULL));
    assert_null(row.value);
    assert_scan(f, SLICE(""), SLICE_NONE, 9, "Rome/b=b ");
    deposit(f, "a", 1, "");
    deposit(f, "b", 1, "");
    rounds(f, 1);
    assert_receipts(f, "a:nobody=1 b:Bob=1 ");
    arena_free(&a);
}

/* Without the offset of a delivery report nobody knows where our record is: it is read again. */
static void a_missing_delivery_report_does_not_move_the_position(void **state) {
    struct fixture *f = *state;
    start(f);
    f->log->reports_lost = true;
    deposit(f, "a", 5, "");
    rounds(f, 1);
    crash(f);
    f->log->reports_lost = false;
    start(f);
    assert_int_equal(bank_metric(f->stream, "restored_records_total"), 1);
    deposit(f, "a", 6, "");
    rounds(f, 1);
    assert_receipts(f, "a:nobody=5 a:nobody=11 ");
}

/* ---- what goes wrong ---- */

/* Whatever happens to a transaction, each input has its consequences once. */
static void every_fault_is_mended(void **state) {
    static const struct {
        enum log_call call, next;
        enum err_kind kind, next_kind;
        bool done;
        long aborts;
    } faults[] = {
        {CALL_COMMIT, CALL_POLL, ERR_ABORT, ERR_NONE, false, 1},
        {CALL_COMMIT, CALL_POLL, ERR_UNKNOWN, ERR_NONE, false, 0},
        {CALL_COMMIT, CALL_POLL, ERR_UNKNOWN, ERR_NONE, true, 0}, /* it was committed */
        {CALL_PRODUCE, CALL_POLL, ERR_ABORT, ERR_NONE, false, 1},
        {CALL_PRODUCE, CALL_POLL, ERR_RETRY, ERR_NONE, false, 1}, /* half of it is written */
        {CALL_COMMIT, CALL_POLL, ERR_RETRY, ERR_NONE, true, 0},
        {CALL_BEGIN, CALL_POLL, ERR_UNKNOWN, ERR_NONE, false, 0},
        {CALL_COMMIT, CALL_ABORT, ERR_ABORT, ERR_UNKNOWN, false, 1},
        {CALL_COMMIT, CALL_ABORT, ERR_ABORT, ERR_ABORT, false, 1},
        {CALL_COMMIT, CALL_ABORT, ERR_ABORT, ERR_RETRY, false, 2},
        {CALL_COMMIT, CALL_INIT, ERR_UNKNOWN, ERR_RETRY, true, 0},
        {CALL_COMMIT, CALL_INIT, ERR_UNKNOWN, ERR_UNKNOWN, false, 0},
        {CALL_COMMIT, CALL_COMMITTED, ERR_ABORT, ERR_RETRY, false, 1},
        {CALL_COMMIT, CALL_COMMITTED, ERR_UNKNOWN, ERR_RETRY, true, 0},
    };
    struct fixture *f;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        teardown(state);
        setup(state);
        f = *state;
        start(f);
        deposit(f, "a", 5, "");
        rounds(f, 1);
        deposit(f, "a", 6, "");
        deposit(f, "b", 1, "");
        memory_log_fail(f->log, faults[i].call, faults[i].kind, 1, faults[i].done);
        if (faults[i].next_kind != ERR_NONE)
            memory_log_fail(f->log, faults[i].next, faults[i].next_kind, 1, false);
        rounds(f, 1);
        if (bank_metric(f->stream, "rewinds_total") != 1)
            fail_msg("fault %zu: no rewind", i);
        rounds(f, 8);
        assert_receipts(f, "a:nobody=5 a:nobody=11 b:nobody=1 ");
        assert_topic(f, &topic_balances, "a=5 a=11 b=1 ");
        assert_int_equal(group_offset(f, &topic_deposits), 3);
        assert_true(stream_ready(f->stream));
        assert_int_equal(bank_metric(f->stream, "transactions_aborted_total"), faults[i].aborts);
        deposit(f, "a", 7, "");
        rounds(f, 1);
        assert_topic(f, &topic_balances, "a=5 a=11 b=1 a=18 ");
    }
}

static void fencing_ends_it(void **state) {
    struct fixture *f;
    static const enum log_call calls[] = {CALL_INIT, CALL_BEGIN, CALL_PRODUCE, CALL_COMMIT, CALL_POLL};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct err e = {0};
        teardown(state);
        setup(state);
        f = *state;
        create(f);
        memory_log_assign(f->log, 1);
        deposit(f, "a", 5, "");
        memory_log_fail(f->log, calls[i], ERR_FENCED, 1, false);
        for (int round = 0; round < 6 && stream_step(f->stream, WAIT_MS, &e); round++)
            ;
        assert_int_equal(e.kind, ERR_FENCED);
        assert_false(stream_ready(f->stream));
        assert_string_equal(status_of(f), e.text);
        assert_receipts(f, "");
    }
}

/* What came before the record is kept, what comes after it waits, and nothing is poison. */
static void the_registry_away_is_waited_for(void **state) {
    struct fixture *f = *state;
    start(f);
    deposit(f, "a", 1, "");
    deposit(f, "a", 1, "");
    rounds(f, 1); /* all schemas are known now, but for one */
    f->bank->registry_is_away = true;
    deposit(f, "a", 1, "");
    memory_log_append(f->log, &topic_deposits, -1, SLICE("a"),
                      bank_foreign(f->bank, &topic_deposits, bank_deposit(f->bank, 10, "")));
    deposit(f, "a", 100, "");
    rounds(f, 3);
    assert_string_equal(status_of(f), "waiting for the registry");
    assert_false(stream_ready(f->stream));
    assert_receipts(f, "a:nobody=1 a:nobody=2 a:nobody=3 ");
    assert_int_equal(group_offset(f, &topic_deposits), 3);
    f->bank->registry_is_away = false;
    rounds(f, 2);
    assert_receipts(f, "a:nobody=1 a:nobody=2 a:nobody=3 a:nobody=13 a:nobody=113 ");
    assert_topic(f, &topic_letters, "");
    assert_true(stream_ready(f->stream));
}

/* A transaction that cannot begin yet: what has followed from the inputs by then is kept, and follows once.
 */
static void what_waits_to_be_written_is_written_once(void **state) {
    struct fixture *f = *state;
    f->pending_outputs = 1;
    start(f);
    memory_log_fail(f->log, CALL_BEGIN, ERR_RETRY, 5, false);
    memory_log_append(f->log, &topic_deposits, -1, SLICE("a"), SLICE("garbage"));
    deposit(f, "a", 1, "");
    deposit(f, "a", 2, "");
    rounds(f, 2);
    assert_string_equal(status_of(f), "waiting for Kafka: begin fails");
    assert_receipts(f, "");
    rounds(f, 4);
    assert_topic(f, &topic_letters, "deposits/0/0:byte 0: magic byte 103, not 0 ");
    assert_receipts(f, "a:nobody=1 a:nobody=3 ");
    assert_topic(f, &topic_balances, "a=3 ");
    assert_true(stream_ready(f->stream));
}

static void registry_is_slow(void *log) {
    ((struct memory_log *)log)->now += 400;
}

/* A transaction must not become as old as many slow answers take. */
static void a_batch_ends_before_its_transaction_is_too_old(void **state) {
    struct fixture *f = *state;
    f->pending_outputs = 1;
    start(f);
    f->bank->asked = registry_is_slow;
    f->bank->asked_context = f->log;
    for (int i = 0; i < 12; i++)
        memory_log_append(f->log, &topic_deposits, -1, SLICE("a"),
                          bank_foreign(f->bank, &topic_deposits, bank_deposit(f->bank, 1, "state only")));
    rounds(f, 1);
    assert_in_range(group_offset(f, &topic_deposits), 1, 5);
    rounds(f, 6);
    assert_int_equal(group_offset(f, &topic_deposits), 12);
    assert_in_range(f->log->calls[CALL_COMMIT], 3, 6);
    deposit(f, "a", 100, "");
    rounds(f, 1);
    assert_receipts(f, "a:nobody=112 ");
}

static void a_table_waits_for_the_registry_too(void **state) {
    struct fixture *f = *state;
    start(f);
    owner(f, "a", "Ann");
    rounds(f, 1);
    f->bank->registry_is_away = true;
    owner(f, "b", "Bob");
    memory_log_append(f->log, &topic_owners, -1, SLICE("a"),
                      bank_foreign(f->bank, &topic_owners, bank_owner(f->bank, "Bea", "Rome")));
    deposit(f, "a", 1, "");
    rounds(f, 3);
    assert_non_null(strstr(status_of(f), "waiting for the registry"));
    assert_receipts(f, "");
    f->bank->registry_is_away = false;
    rounds(f, 2);
    assert_receipts(f, "a:Bea=1 ");
}

/* A transaction that is left open hides what others write, and is ended by the broker after a while. */
static void no_transaction_stays_open_while_it_waits(void **state) {
    struct fixture *f = *state;
    start(f);
    for (int i = 0; i < 9000; i++) /* full batches: the transaction stays open for the next */
        deposit(f, "a", 1, "");
    rounds(f, 9);
    assert_true(f->log->in_transaction);
    f->bank->registry_is_away = true;
    memory_log_append(f->log, &topic_owners, -1, SLICE("a"),
                      bank_foreign(f->bank, &topic_owners, bank_owner(f->bank, "Ann", "Rome")));
    rounds(f, 1);
    assert_false(f->log->in_transaction);
    assert_topic(f, &topic_balances, "a=9000 ");
}

/* /readyz says no for as long as the registry is away, and not every other moment. */
static void watch_ready(void *context, enum log_call call) {
    struct fixture *f = context;
    (void)call;
    assert_false(stream_ready(f->stream));
    assert_string_equal(status_of(f), "waiting for the registry");
}

static void waiting_does_not_flicker(void **state) {
    struct fixture *f = *state;
    start(f);
    f->bank->registry_is_away = true;
    memory_log_append(f->log, &topic_deposits, -1, SLICE("a"),
                      bank_foreign(f->bank, &topic_deposits, bank_deposit(f->bank, 10, "")));
    rounds(f, 1);
    f->log->during = watch_ready;
    f->log->context = f;
    rounds(f, 5);
    f->log->during = NULL;
    f->bank->registry_is_away = false;
    rounds(f, 3);
    assert_true(stream_ready(f->stream));
}

static void kafka_away_is_waited_for(void **state) {
    struct fixture *f = *state;
    start(f);
    memory_log_fail(f->log, CALL_POLL, ERR_RETRY, 4, false);
    rounds(f, 2);
    assert_string_equal(status_of(f), "waiting for Kafka: poll fails");
    assert_false(stream_ready(f->stream));
    deposit(f, "a", 1, "");
    rounds(f, 2);
    assert_true(stream_ready(f->stream));
    assert_receipts(f, "a:nobody=1 ");
}

/* ---- the group ---- */

static void a_revoke_commits_first(void **state) {
    struct fixture *f = *state;
    start(f);
    for (int i = 0; i < 1000; i++)
        deposit(f, "a", 1, "");
    deposit(f, "a", 1, "");
    rounds(f, 1); /* a full batch: not committed yet */
    assert_topic(f, &topic_balances, "");
    memory_log_revoke(f->log, 0, false);
    rounds(f, 1);
    assert_topic(f, &topic_balances, "a=1000 ");
    assert_int_equal(group_offset(f, &topic_deposits), 1000);
    rounds(f, 3);
    assert_int_equal(group_offset(f, &topic_deposits), 1000); /* not ours any more */
    assert_true(stream_ready(f->stream));
    memory_log_assign(f->log, 1);
    rounds(f, 3);
    assert_topic(f, &topic_balances, "a=1000 a=1001 ");
    assert_int_equal(bank_metric(f->stream, "rewinds_total"), 0);
}

static void offsets_alone_are_committed_before_a_revoke(void **state) {
    struct fixture *f = *state;
    start(f);
    deposit(f, "a", 1, "nothing");
    rounds(f, 1);
    memory_log_revoke(f->log, 0, false);
    rounds(f, 1);
    assert_int_equal(group_offset(f, &topic_deposits), 1);
}

/* The tasks are somebody else's already: what is not committed is theirs to do. */
static void a_loss_aborts(void **state) {
    struct fixture *f = *state;
    start(f);
    for (int i = 0; i < 1000; i++)
        deposit(f, "a", 1, "");
    rounds(f, 1);
    memory_log_revoke(f->log, 0, true);
    rounds(f, 3);
    assert_topic(f, &topic_balances, "");
    assert_int_equal(group_offset(f, &topic_deposits), -1);
    assert_int_equal(f->log->calls[CALL_COMMIT], 0);
    assert_false(f->log->in_transaction);
    memory_log_assign(f->log, 1);
    rounds(f, 10);
    assert_topic(f, &topic_balances, "a=1000 ");
}

static void a_revoke_that_cannot_commit_aborts(void **state) {
    struct fixture *f = *state;
    start(f);
    for (int i = 0; i < 1000; i++)
        deposit(f, "a", 1, "");
    rounds(f, 1);
    memory_log_fail(f->log, CALL_COMMIT, ERR_ABORT, 1, false);
    memory_log_revoke(f->log, 0, false);
    rounds(f, 3);
    assert_topic(f, &topic_balances, "");
    assert_false(f->log->in_transaction);
}

static void other_tasks_go_on_over_a_revoke(void **state) {
    struct fixture *f = *state;
    start(f);
    memory_log_revoke(f->log, 0, false);
    rounds(f, 2);
    for (int i = 0; i < 20; i++) {
        char key[10];
        snprintf(key, sizeof key, "%d", i);
        deposit(f, key, 1, "");
    }
    rounds(f, 2);
    for (int k = 0; k < 4; k++) {
        const struct memory_partition *p = &f->log->parts[topic_deposits.number][k];
        assert_true(p->count > 0);
        assert_int_equal(p->group, k == 0 ? -1 : (int64_t)p->count);
    }
}

/* Keys have moved to other partitions, and our state with them: a person must act. */
static void a_topic_that_grows_ends_it(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    start(f);
    memory_log_assign(f->log, 2);
    assert_false(stream_step(f->stream, WAIT_MS, &e));
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_string_equal(e.text, "topic deposits had 1 partitions at the start, and has more now");
}

/* ---- in its thread ---- */

static void *run(void *context) {
    struct fixture *f = context;
    static struct err e;
    return stream_run(f->stream, &e) ? NULL : &e;
}

static void says_how_far_it_is_behind(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 2500; i++)
        deposit(f, "a", 1, "");
    create(f);
    struct metrics none = {0};
    stream_metrics(f->stream, &none); /* nothing is known yet: no sample is a lie */
    struct buf out = {0};
    metrics_write(&none, &out);
    buf_append_byte(&out, 0);
    assert_null(strstr(out.data, "lag"));
    buf_free(&out);
    metrics_free(&none);
    memory_log_assign(f->log, 1);
    while (bank_metric(f->stream, "records_in_total") == 0)
        rounds(f, 1);
    long behind = bank_metric(f->stream, "input_lag_records");
    assert_in_range(behind, 1, 2499);
    assert_int_equal(behind, 2500 - bank_metric(f->stream, "records_in_total"));
    rounds(f, 10);
    assert_int_equal(bank_metric(f->stream, "input_lag_records"), 0);
    assert_int_equal(bank_metric(f->stream, "table_lag_records"), 0);
    assert_int_equal(bank_metric(f->stream, "transaction_input_records_sum"), 2500);
    assert_int_equal(bank_metric(f->stream, "transaction_duration_seconds_count"),
                     bank_metric(f->stream, "transactions_committed_total"));
}

static void runs_in_a_thread_until_stopped(void **state) {
    struct fixture *f = *state;
    pthread_t thread;
    struct arena a = {0};
    struct metrics metrics = {0};
    struct event row;
    void *trouble;
    owner(f, "a", "Ann");
    deposit(f, "a", 5, "");
    deposit(f, "a", 6, "nothing");
    create(f);
    memory_log_assign(f->log, 1);
    assert_int_equal(pthread_create(&thread, NULL, run, f), 0);
    while (!stream_ready(f->stream))
        stream_metrics(f->stream, &metrics);
    uint64_t ticket = stream_refresh(f->stream);
    while (!stream_fresh(f->stream, ticket))
        assert_true(strlen(status_of(f)) > 0);
    assert_true(stream_row(f->stream, &bank_owners, SLICE("a"), &a, &row, NULL));
    assert_non_null(row.value);
    stream_stop(f->stream);
    assert_int_equal(pthread_join(thread, &trouble), 0);
    assert_null(trouble);
    assert_string_equal(status_of(f), "stopped");
    assert_int_equal(stream_deadline(f->stream), 0);
    metrics_free(&metrics);
    arena_free(&a);
}

static void stopping_commits(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    start(f);
    for (int i = 0; i < 9000; i++)
        deposit(f, "a", 1, "");
    rounds(f, 9);
    assert_true(f->log->in_transaction);
    stream_stop(f->stream);
    assert_true(stream_run(f->stream, &e));
    assert_false(f->log->in_transaction);
    assert_topic(f, &topic_balances, "a=9000 ");
    assert_string_equal(status_of(f), "stopped");
}

/* Calls that have been seen to hang have a deadline while they are under way. */
static void watch_deadline(void *context, enum log_call call) {
    struct fixture *f = context;
    assert_int_equal(stream_deadline(f->stream) != 0, call != CALL_POLL);
}

static void calls_have_a_deadline(void **state) {
    struct fixture *f = *state;
    create(f);
    f->log->during = watch_deadline;
    f->log->context = f;
    memory_log_assign(f->log, 1);
    deposit(f, "a", 5, "");
    memory_log_fail(f->log, CALL_COMMIT, ERR_ABORT, 1, false);
    rounds(f, 8);
    assert_receipts(f, "a:nobody=5 ");
    for (int call = 0; call < LOG_CALLS; call++)
        assert_true(f->log->calls[call] > 0);
    assert_int_equal(stream_deadline(f->stream), 0);
}

/* ---- time ---- */

enum { TICK_MS = 500, KEPT_MS = 2000, T = 1000000 };

static void on_kept_deposit(struct txn *txn, const struct event *in);
static void on_kept_expired(struct txn *txn, const struct event *in);

static const struct view kept = {
    .name = "kept", .changelog = &topic_balances, .retention_ms = KEPT_MS, .expired = on_kept_expired};

static void on_kept_deposit(struct txn *txn, const struct event *in) {
    txn_put(txn, &kept, SLICE_NONE, &(struct balance){((const struct deposit *)in->value)->amount});
}

static void on_kept_expired(struct txn *txn, const struct event *in) {
    const struct balance *b = in->value;
    txn_emit(txn, &topic_receipts, in->key, &(struct receipt){SLICE("expired"), b->amount});
}

static const struct topology kept_topology = {
    .name = "bank",
    .sources = (const struct source[]){{.topic = &topic_deposits, .handle = on_kept_deposit},
                                       {.topic = &topic_ticks},
                                       {0}},
    .views = (const struct view *const[]){&kept, NULL},
    .outputs = (const struct topic *const[]){&topic_receipts, NULL},
    .dead_letters = &topic_letters,
    .ticks = &topic_ticks,
    .tick_ms = TICK_MS,
};

static int setup_kept(void **state) {
    setup_partitions(state, 1);
    struct fixture *f = *state;
    f->topology = &kept_topology;
    f->log->time = T;
    return 0;
}

static void a_tick_makes_rows_expire(void **state) {
    struct fixture *f = *state;
    start(f);
    rounds(f, 8);
    assert_topic(f, &topic_ticks, "tick-0=1000000 ");
    deposit(f, "a", 5, "");
    f->log->time += KEPT_MS; /* the time of day */
    rounds(f, 20);
    assert_topic(f, &topic_ticks, "tick-0=1000000 tick-0=1002000 "); /* one is enough */
    assert_receipts(f, "");
    f->log->time += TICK_MS;
    rounds(f, 20);
    assert_topic(f, &topic_ticks, "tick-0=1000000 tick-0=1002000 tick-0=1002500 ");
    assert_receipts(f, "a:expired=5 ");
    assert_topic(f, &topic_balances, "a=5 a=none ");
    assert_int_equal(bank_metric(f->stream, "expired_rows_total"), 1);
}

static void no_tick_where_events_move_time(void **state) {
    struct fixture *f = *state;
    start(f);
    rounds(f, 8);
    for (int i = 0; i < 50; i++) {
        f->log->time += TICK_MS / 2;
        deposit(f, "a", 5, "");
        rounds(f, 4);
    }
    assert_topic(f, &topic_ticks, "tick-0=1000000 ");
    assert_receipts(f, "");
}

static void one_more_that_is_late(void *context, enum log_call call) {
    struct fixture *f = context;
    if (call != CALL_ENDS)
        return;
    int64_t time = f->log->time;
    f->log->time = 1;
    deposit(f, "late", 1, "");
    f->log->time = time;
}

static void no_tick_before_all_is_handled(void **state) {
    struct fixture *f = *state;
    start(f);
    rounds(f, 8);
    f->log->during = one_more_that_is_late;
    f->log->context = f;
    f->log->time += 10 * KEPT_MS;
    int asked = f->log->calls[CALL_ENDS];
    rounds(f, 50);
    assert_true(f->log->calls[CALL_ENDS] > asked + 3);
    assert_topic(f, &topic_ticks, "tick-0=1000000 ");
    f->log->during = NULL;
    rounds(f, 10);
    assert_topic(f, &topic_ticks, "tick-0=1000000 tick-0=1020000 ");
}

static void time_goes_on_where_a_crash_ended_it(void **state) {
    struct fixture *f = *state;
    start(f);
    rounds(f, 8); /* it is T */
    f->log->time = 1;
    deposit(f, "late", 1, "");
    rounds(f, 3);
    for (int view_is_lost = 0; view_is_lost < 2; view_is_lost++) {
        crash(f);
        if (view_is_lost)
            lose_views(f);
        f->log->time = T;
        start(f);
        rounds(f, 8);
        f->log->time = 1;
        deposit(f, "again", 1, "");
        rounds(f, 3);
    }
    f->log->time = T + KEPT_MS;
    deposit(f, "b", 1, "");
    rounds(f, 3);
    assert_receipts(f, ""); /* late ones have come at T */
    f->log->time++;
    deposit(f, "b", 2, "");
    rounds(f, 3);
    assert_receipts(f, "again:expired=1 late:expired=1 ");
}

static void append_at(struct fixture *f, int64_t timestamp, const char *account, struct slice value) {
    int64_t now = f->log->time;
    f->log->time = timestamp;
    memory_log_append(f->log, &topic_deposits, -1, slice_of(account), value);
    f->log->time = now;
}

enum { HOUR_MS = 3600 * 1000 };

static void what_is_far_ahead_of_the_clock_does_not_move_time(void **state) {
    struct fixture *f = *state;
    f->log->clock_behind = 1; /* the broker keeps its own rule for what we write */
    start(f);
    rounds(f, 8);
    deposit(f, "a", 5, "");
    append_at(f, T + (int64_t)1000 * HOUR_MS + 30000, "b", bank_deposit(f->bank, 1, ""));
    rounds(f, 3);
    append_at(f, T + (int64_t)1000 * HOUR_MS + 30000, "b", SLICE("garbage"));
    rounds(f, 3);
    for (int restarted = 0; restarted < 2; restarted++) {
        assert_topic(
            f, &topic_letters,
            "deposits/0/1:its timestamp, 3601030000, is 60000 minutes ahead of the clock, more than 60 "
            "deposits/0/2:its timestamp, 3601030000, is 60000 minutes ahead of the clock, more than 60 ");
        assert_receipts(f, "");
        crash(f);
        start(f);
    }
    f->log->time += KEPT_MS + 1; /* time still passes */
    rounds(f, 20);
    assert_receipts(f, "a:expired=5 ");
}

/* Of an older version, or by a clock that was wrong. */
static void a_committed_time_far_ahead_is_not_for_ever(void **state) {
    struct fixture *f = *state;
    f->log->parts[topic_deposits.number][0].group = 0;
    f->log->parts[topic_deposits.number][0].group_time = T + (int64_t)1000 * HOUR_MS + 30000;
    start(f);
    f->log->time += HOUR_MS;
    deposit(f, "a", 5, "");
    rounds(f, 3);
    f->log->time += KEPT_MS + 1;
    rounds(f, 20);
    assert_receipts(f, "a:expired=5 ");
}

static void what_no_handler_gets_does_not_move_time(void **state) {
    struct fixture *f = *state;
    start(f);
    rounds(f, 8);
    deposit(f, "a", 5, "");
    append_at(f, T + 10 * KEPT_MS, "b", SLICE("garbage"));
    rounds(f, 3);
    assert_receipts(f, "");
    append_at(f, T + KEPT_MS, "b", bank_deposit(f->bank, 1, ""));
    rounds(f, 3);
    assert_receipts(f, "");
    append_at(f, T + KEPT_MS + 1, "b", bank_deposit(f->bank, 1, ""));
    rounds(f, 3);
    assert_receipts(f, "a:expired=5 ");
}

static void a_clock_that_is_set_back_makes_no_bad_records(void **state) {
    struct fixture *f = *state;
    f->log->clock_behind = 1;
    f->log->time += 10 * HOUR_MS;
    start(f);
    rounds(f, 8);
    deposit(f, "a", 5, "");
    rounds(f, 3);
    deposit(f, "b", 6, ""); /* by a clock that was right */
    f->log->time -= 3 * HOUR_MS;
    rounds(f, 5);
    assert_topic(f, &topic_letters, "");
    assert_topic(f, &topic_balances, "a=5 b=6 ");
    assert_int_equal(bank_metric(f->stream, "refused_transactions_total"), 0);

    crash(f); /* and the next process never saw the right time: its store did */
    start(f);
    append_at(f, T + 10 * HOUR_MS, "c", bank_deposit(f->bank, 7, ""));
    rounds(f, 5);
    assert_topic(f, &topic_letters, "");
    assert_topic(f, &topic_balances, "a=5 b=6 c=7 ");
}

/* ---- what state says of positions ---- */

static void lose_offsets(struct fixture *f) {
    for (size_t t = 0; t < topics_count; t++)
        for (int k = 0; k < LOG_PARTITIONS_MAX; k++)
            f->log->parts[t][k].group = -1;
}

static void nothing_counts_twice_where_offsets_are_gone(void **state) {
    struct fixture *f = *state;
    start(f);
    deposit(f, "a", 5, "");
    rounds(f, 2);
    memory_log_append(f->log, &topic_transfers, -1, SLICE("a"), bank_deposit(f->bank, 6, ""));
    rounds(f, 2);
    deposit(f, "b", 1, "");
    rounds(f, 2);
    for (int view_is_lost = 0; view_is_lost < 2; view_is_lost++) {
        crash(f);
        lose_offsets(f);
        if (view_is_lost)
            lose_views(f);
        start(f);
        rounds(f, 20);
        assert_receipts(f, "a:nobody=5 a:nobody=11 b:nobody=1 ");
        assert_int_equal(bank_metric(f->stream, "offsets_recovered_total"), 2);
        assert_int_equal(group_offset(f, &topic_deposits), 2); /* it has them again */
        assert_int_equal(group_offset(f, &topic_transfers), 1);
    }
    deposit(f, "a", 1, "");
    rounds(f, 2);
    assert_receipts(f, "a:nobody=5 a:nobody=11 b:nobody=1 a:nobody=12 ");
}

/* The same where the view is what a topic of events says. */
static void nor_where_each_put_is_an_event(void **state) {
    struct fixture *f = *state;
    f->topology = &noted_topology;
    start(f);
    for (int i = 0; i < 5; i++)
        deposit(f, "a", 1, "");
    rounds(f, 3);
    crash(f);
    lose_offsets(f);
    lose_views(f);
    start(f);
    rounds(f, 3);
    assert_receipts(f, "a:noted=1 a:noted=2 a:noted=3 a:noted=4 a:noted=5 ");
}

static void time_is_kept_with_the_state_too(void **state) {
    struct fixture *f = *state;
    start(f);
    rounds(f, 8);
    deposit(f, "a", 5, "");
    f->log->time += KEPT_MS;
    deposit(f, "b", 6, "");
    rounds(f, 8);
    crash(f);
    lose_offsets(f);
    lose_views(f);
    start(f);
    f->log->time = 1;
    deposit(f, "late", 1, "");
    rounds(f, 3);
    f->log->time = T + KEPT_MS + 1;
    deposit(f, "b", 6, "");
    rounds(f, 3);
    assert_receipts(f, "a:expired=5 "); /* the late one is as young as b */
}

static void offsets_are_renewed(void **state) {
    struct fixture *f = *state;
    start(f);
    deposit(f, "a", 5, "");
    memory_log_append(f->log, &topic_transfers, -1, SLICE("a"), bank_deposit(f->bank, 6, "nothing"));
    rounds(f, 20);
    lose_offsets(f);
    f->log->now += HOUR_MS;
    rounds(f, 20);
    assert_int_equal(group_offset(f, &topic_deposits), 1);
    assert_int_equal(group_offset(f, &topic_transfers), 1);
    assert_receipts(f, "a:nobody=5 ");
}

/* As compaction does with a tombstone, some time after it has taken away what that deletes. */
static void compact(struct fixture *f, const struct topic *t, size_t from) {
    for (size_t i = from; i < f->log->parts[t->number][0].count; i++)
        if (f->log->parts[t->number][0].entries[i].value.data == NULL)
            f->log->parts[t->number][0].entries[i].state = ENTRY_MARKER;
}

static void what_was_elsewhere_for_long_is_read_anew(void **state) {
    struct fixture *f = *state;
    f->log->time = 1000;
    start(f);
    deposit(f, "gone", 5, "");
    deposit(f, "there", 7, "");
    rounds(f, 10);
    for (int hours = 11; hours <= 13; hours += 2) {
        struct memory_partition *changelog = &f->log->parts[topic_balances.number][0];
        memory_log_revoke(f->log, 0, false);
        rounds(f, 2);
        memory_log_append(f->log, &topic_balances, 0, SLICE("gone"), SLICE_NONE); /* by another instance */
        memory_log_append(f->log, &topic_balances, 0, SLICE("other"),
                          bank_bytes(f->bank, &topic_balances, &(struct balance){1}));
        f->log->now += hours * HOUR_MS;
        for (size_t i = 0; i < changelog->count; i++)
            if (hours == 13 && slice_equal(changelog->entries[i].key, SLICE("gone")))
                changelog->entries[i].state = ENTRY_MARKER;
        memory_log_assign(f->log, 1);
        rounds(f, 10);
        deposit(f, "gone", 1, "");
        rounds(f, 3);
        assert_int_equal(bank_metric(f->stream, "outdated_partitions_total"), hours == 13);
    }
    assert_receipts(f, "gone:nobody=5 there:nobody=7 gone:nobody=1 gone:nobody=1 ");
}

static void a_table_that_is_too_old_is_read_anew(void **state) {
    struct fixture *f = *state;
    struct arena a = {0};
    struct event row;
    f->log->time = 1000;
    owner(f, "gone", "Gil");
    owner(f, "there", "Tim");
    start(f);
    f->log->now += HOUR_MS; /* it is looked at how old it is */
    rounds(f, 10);
    crash(f);
    memory_log_append(f->log, &topic_owners, -1, SLICE("gone"), SLICE_NONE);
    owner(f, "other", "Ole");
    compact(f, &topic_owners, 0);
    f->log->parts[topic_owners.number][0].entries[0].state = ENTRY_MARKER;
    f->log->now += 14 * HOUR_MS;
    start(f);
    assert_int_equal(bank_metric(f->stream, "outdated_partitions_total"), 1);
    assert_true(stream_row(f->stream, &bank_owners, SLICE("gone"), &a, &row, NULL));
    assert_null(row.value);
    assert_true(stream_row(f->stream, &bank_owners, SLICE("there"), &a, &row, NULL));
    assert_non_null(row.value);

    for (int k = 0; k < 20; k++) { /* it runs all the time: it is never too old */
        f->log->now += HOUR_MS;
        rounds(f, 2);
    }
    crash(f);
    owner(f, "more", "Max");
    start(f);
    assert_int_equal(bank_metric(f->stream, "outdated_partitions_total"), 0);
    arena_free(&a);
}

/* ---- what the broker refuses ---- */

static void send_many(struct fixture *f, int from, int to) {
    char account[12];
    for (int i = from; i < to; i++) {
        snprintf(account, sizeof account, "%d", i);
        deposit(f, account, 1, "");
    }
}

static size_t count_records(struct fixture *f, const struct topic *t) {
    size_t n = 0;
    for (size_t i = 0; i < f->log->parts[t->number][0].count; i++)
        n += f->log->parts[t->number][0].entries[i].state == ENTRY_COMMITTED;
    return n;
}

static void what_the_broker_refuses_is_found(void **state) {
    struct fixture *f = *state;
    f->log->value_max[topic_receipts.number] = 40;
    owner(f, "big", "whose name is too long for what receipts may be");
    start(f);
    send_many(f, 0, 150);
    deposit(f, "big", 7, "");
    send_many(f, 150, 200);
    rounds(f, 60);
    assert_topic(f, &topic_letters, "deposits/0/150:Kafka refuses a record ");
    assert_int_equal(count_records(f, &topic_receipts), 200);
    assert_int_equal(count_records(f, &topic_balances), 200); /* and none of it is kept */
    assert_int_equal(group_offset(f, &topic_deposits), 201);
    assert_in_range(bank_metric(f->stream, "refused_transactions_total"), 2, 5);
    assert_true(f->log->calls[CALL_COMMIT] < 50); /* it was not searched for one by one */
    assert_string_equal(status_of(f), "running");

    int commits = f->log->calls[CALL_COMMIT]; /* and all is as before */
    send_many(f, 0, 100);
    rounds(f, 3);
    assert_int_equal(f->log->calls[CALL_COMMIT], commits + 1);
}

/* Until an input is known from which something follows that is refused; nobody has read it again yet. */
static void refuse_one(struct fixture *f, const char *account) {
    f->log->value_max[topic_receipts.number] = 1;
    deposit(f, account, 7, "");
    while (bank_metric(f->stream, "refused_transactions_total") < 2)
        rounds(f, 1);
    f->log->unstable_tasks = LOG_PARTITIONS_MAX;
    f->log->value_max[topic_receipts.number] = 0;
}

/* Another record may have its offset by then. */
static void what_the_log_has_lost_is_not_looked_for(void **state) {
    struct fixture *f = *state;
    start(f);
    refuse_one(f, "a");
    memory_log_cut(f->log, &topic_deposits, 0, 0);
    f->log->time = 12345;
    deposit(f, "b", 8, "");
    f->log->unstable_tasks = 0;
    rounds(f, 20);
    assert_receipts(f, "b:nobody=8 ");
    assert_topic(f, &topic_letters, "");
}

static void what_others_shall_handle_is_not_looked_for(void **state) {
    struct fixture *f = *state;
    start(f);
    refuse_one(f, "a");
    memory_log_revoke(f->log, partition_of(SLICE("a"), 4), false);
    f->log->unstable_tasks = 0;
    rounds(f, 20);
    int commits = f->log->calls[CALL_COMMIT];
    send_many(f, 0, 100);
    rounds(f, 3);
    assert_in_range(f->log->calls[CALL_COMMIT] - commits, 1, 3);
}

/* As when the broker's clock is wrong. */
static void what_cannot_even_be_a_letter_is_waited_for(void **state) {
    struct fixture *f = *state;
    f->log->value_max[topic_receipts.number] = f->log->value_max[topic_letters.number] = 1;
    start(f);
    deposit(f, "a", 7, "");
    rounds(f, 60);
    assert_true(in_trouble(f));
    assert_string_equal(status_of(f), "Kafka refuses a record");
    f->log->value_max[topic_receipts.number] = f->log->value_max[topic_letters.number] = 0;
    rounds(f, 10);
    assert_receipts(f, "a:nobody=7 ");
    assert_topic(f, &topic_letters, "");
}

static void a_row_that_expires_can_be_refused_too(void **state) {
    struct fixture *f = *state;
    start(f);
    rounds(f, 8);
    f->log->value_max[topic_receipts.number] = 1;
    deposit(f, "a", 5, "");
    deposit(f, "b", 6, "");
    rounds(f, 3);
    f->log->time += KEPT_MS + 1;
    deposit(f, "c", 7, "");
    rounds(f, 60);
    assert_topic(f, &topic_balances, "a=5 b=6 a=none b=none c=7 "); /* gone without a word */
    assert_receipts(f, "");
    assert_topic(f, &topic_letters, "");
    assert_int_equal(bank_metric(f->stream, "skipped_records_total"), 2);
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define TEST_4(test) cmocka_unit_test_setup_teardown(test, setup_4, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_topology_that_may_not_be_ends_at_once),
        TEST(says_what_it_waits_for),
        TEST(more_instances_than_tasks_are_ready_too),
        TEST(tables_alone_need_no_group),
        TEST(is_not_ready_before_its_tables),
        TEST_4(refuses_other_partition_counts),
        TEST_4(refuses_sources_that_are_not_copartitioned),
        TEST(one_transaction_carries_all),
        TEST_4(each_partition_is_a_task),
        TEST(a_backlog_waits_for_other_inputs),
        TEST_4(a_misplaced_record_goes_where_it_belongs),
        TEST(commits_once_for_all_that_is_there),
        TEST(state_alone_is_committed_together_too),
        TEST(commits_by_size_and_by_age),
        TEST(a_commit_takes_however_many_inputs_change_the_same_state),
        TEST(commits_lazily_what_has_no_consequences),
        TEST(a_view_can_be_what_it_says_in_a_topic_of_events),
        TEST(a_tombstone_where_there_are_none_takes_no_row_away),
        TEST(changes_that_nobody_reads_wait_for_company),
        TEST(bad_records_are_dead_lettered_or_skipped),
        TEST(inputs_wait_for_fresh_tables),
        TEST(who_looks_nothing_up_asks_for_no_ends),
        TEST(tables_that_cannot_be_read_hold_inputs_back),
        TEST(readers_see_rows),
        TEST(readers_scan_by_index_and_by_key),
        TEST(another_index_is_made_anew),
        TEST(a_table_that_is_not_there_cannot_be_read),
        TEST(a_refresh_reads_to_the_end_of_its_moment),
        TEST(a_refresh_is_not_put_off_by_the_next),
        TEST(goes_on_where_it_was),
        TEST(a_lost_view_is_restored_from_its_changelog),
        TEST(where_it_is_can_be_asked),
        TEST(a_copy_of_a_view_has_the_same_digest),
        TEST(poison_in_a_changelog_is_skipped),
        TEST(own_records_are_waited_for),
        TEST(what_others_say_of_its_inputs_is_not_believed),
        TEST(another_registry_is_refused),
        TEST(another_registry_makes_no_letters),
        TEST(restoring_waits_for_open_transactions),
        TEST(unstable_offsets_are_asked_for_again),
        TEST_4(tasks_do_not_wait_for_each_other),
        TEST(a_store_longer_than_its_log_is_forgotten),
        TEST(a_missing_delivery_report_does_not_move_the_position),
        TEST(every_fault_is_mended),
        TEST(fencing_ends_it),
        TEST(the_registry_away_is_waited_for),
        TEST(what_waits_to_be_written_is_written_once),
        TEST(a_batch_ends_before_its_transaction_is_too_old),
        TEST(a_table_waits_for_the_registry_too),
        TEST(no_transaction_stays_open_while_it_waits),
        TEST(waiting_does_not_flicker),
        TEST(kafka_away_is_waited_for),
        TEST(a_revoke_commits_first),
        TEST(offsets_alone_are_committed_before_a_revoke),
        TEST(a_loss_aborts),
        TEST(a_revoke_that_cannot_commit_aborts),
        TEST_4(other_tasks_go_on_over_a_revoke),
        TEST(a_topic_that_grows_ends_it),
        TEST(says_how_far_it_is_behind),
        TEST(runs_in_a_thread_until_stopped),
        TEST(stopping_commits),
        TEST(calls_have_a_deadline),
#define KEPT(test) cmocka_unit_test_setup_teardown(test, setup_kept, teardown)
        KEPT(a_tick_makes_rows_expire),
        KEPT(no_tick_where_events_move_time),
        KEPT(no_tick_before_all_is_handled),
        KEPT(time_goes_on_where_a_crash_ended_it),
        KEPT(what_is_far_ahead_of_the_clock_does_not_move_time),
        KEPT(a_committed_time_far_ahead_is_not_for_ever),
        KEPT(what_no_handler_gets_does_not_move_time),
        KEPT(a_clock_that_is_set_back_makes_no_bad_records),
        TEST(nothing_counts_twice_where_offsets_are_gone),
        TEST(nor_where_each_put_is_an_event),
        KEPT(time_is_kept_with_the_state_too),
        TEST(offsets_are_renewed),
        TEST(what_was_elsewhere_for_long_is_read_anew),
        TEST(a_table_that_is_too_old_is_read_anew),
        TEST(what_the_broker_refuses_is_found),
        TEST(what_the_log_has_lost_is_not_looked_for),
        TEST_4(what_others_shall_handle_is_not_looked_for),
        TEST(what_cannot_even_be_a_letter_is_waited_for),
        KEPT(a_row_that_expires_can_be_refused_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
