#include "transaction/txn.h"

#include "base/cleanup.h"
#include "testing/bank.h"
#include "transaction/keys.h"
#include "transaction/retention.h"
#include "transaction/table.h"
#include "transaction/transaction.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define TRACE "00-0123456789abcdef0123456789abcdef-fedcba9876543210-01"

struct fixture {
    struct bank *bank;
    struct txn *txn;
    struct task_time time;
    int64_t offset;
    const char *trace;
};

static int setup(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    f->bank = bank_create();
    f->txn = txn_create(&bank_topology, f->bank->schemas, f->bank->store);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    txn_destroy(f->txn);
    bank_destroy(f->bank);
    free(f);
    return 0;
}

/* ---- running one record through a handler ---- */

static struct log_record record(struct fixture *f, const char *key, struct slice value) {
    int64_t offset = f->offset++;
    return (struct log_record){.topic = &topic_deposits,
                               .offset = offset,
                               .timestamp = 1000 + offset,
                               .key = slice_of(key),
                               .value = value};
}

static bool run_record(struct fixture *f, handler *handle, const struct log_record *r, struct err *e) {
    const struct source source = {.topic = r->topic, .handle = handle};
    return txn_run(f->txn, &source, r, slice_of(f->trace), 1, &f->time, e);
}

static bool run(struct fixture *f, handler *handle, const char *key, int64_t amount, const char *note,
                struct err *e) {
    struct log_record r = record(f, key, bank_deposit(f->bank, amount, note));
    return run_record(f, handle, &r, e);
}

static void deposit(struct fixture *f, const char *key, int64_t amount) {
    struct err e = {0};
    if (!run(f, bank_on_deposit, key, amount, "", &e))
        fail_msg("%s", e.text);
}

static const struct receipt *receipt_of(struct fixture *f, const struct emission *m) {
    assert_ptr_equal(m->topic, &topic_receipts);
    return bank_value(f->bank, m->topic, m->value);
}

static struct slice header_of(const struct emission *m, const char *name) {
    struct slice found = SLICE_NONE;
    for (size_t i = 0; i < m->header_count; i++)
        if (strcmp(m->headers[i].name, name) == 0) {
            assert_null(found.data); /* once */
            found = m->headers[i].value;
        }
    return found;
}

/* ---- the changelog, as "key=amount[causes] …" ---- */

struct collected {
    struct fixture *f;
    struct buf text;
    size_t stop_after;
};

static bool collect(void *context, const struct emission *m) {
    struct collected *c = context;
    assert_ptr_equal(m->topic, &topic_balances);
    assert_ptr_equal(m->view, &bank_balances);
    buf_printf(&c->text, SLICE_FMT "=", SLICE_ARG(m->key));
    if (m->value.data == NULL)
        buf_printf(&c->text, "none");
    else
        buf_printf(&c->text, "%lld",
                   (long long)((const struct balance *)bank_value(c->f->bank, m->topic, m->value))->amount);
    buf_printf(&c->text, "[" SLICE_FMT "] ", SLICE_ARG(header_of(m, "caused-by")));
    return --c->stop_after > 0;
}

static void assert_changelog(struct fixture *f, const char *expected) {
    struct collected c = {f, {0}, SIZE_MAX};
    assert_true(txn_changelogs(f->txn, 0, collect, &c));
    assert_slice(buf_slice(&c.text), expected);
    buf_free(&c.text);
}

static void commit(struct fixture *f) {
    assert_true(overlay_apply(txn_overlay(f->txn), NULL));
    txn_clear(f->txn);
}

/* ---- state ---- */

static void get_sees_what_was_put(void **state) {
    struct fixture *f = *state;
    size_t n;
    deposit(f, "a", 5);
    deposit(f, "b", 1);
    deposit(f, "a", 6); /* of the overlay */
    const struct emission *m = txn_emissions(f->txn, &n);
    assert_int_equal(n, 3);
    assert_int_equal(receipt_of(f, &m[2])->amount, 11);
    commit(f);
    deposit(f, "a", 7); /* of the store */
    m = txn_emissions(f->txn, &n);
    assert_int_equal(n, 1);
    assert_int_equal(receipt_of(f, m)->amount, 18);

    txn_clear(f->txn); /* an abort: the 7 never was */
    deposit(f, "a", 1);
    assert_int_equal(receipt_of(f, txn_emissions(f->txn, &n))->amount, 12);
}

static bool there;

static void look(struct txn *txn, const struct event *in) {
    struct balance b;
    (void)in;
    there = txn_get(txn, &bank_balances, SLICE_NONE, &b);
}

static void looks(struct fixture *f, bool expected) {
    struct err e;
    assert_true(run(f, look, "a", 0, "", &e));
    assert_int_equal(there, expected);
}

/* The store is not asked again, until the transaction ends or a task goes. */
static void a_row_is_read_once(void **state) {
    struct fixture *f = *state;
    for (int gone = 0; gone < 2; gone++) {
        deposit(f, "a", 5);
        commit(f);
        looks(f, true);
        assert_true(store_delete_prefix(f->bank->store, SLICE(""), NULL));
        looks(f, true);
        if (gone)
            txn_task_gone(f->txn);
        else
            txn_clear(f->txn);
        looks(f, false);
    }
}

static void on_gone_and_bad(struct txn *txn, const struct event *in) {
    (void)in;
    txn_delete(txn, &bank_balances, SLICE_NONE);
    txn_reject(txn, "bad");
}

static void a_changelog_record_stands_for_all_changes_of_its_key(void **state) {
    struct fixture *f = *state;
    deposit(f, "a", 5);
    deposit(f, "b", 1);
    deposit(f, "a", 6);
    commit(f);
    deposit(f, "b", 0); /* put and deleted by one input */
    assert_changelog(f, "b=none[deposits/0/3] ");
    commit(f);
    assert_changelog(f, "");
    deposit(f, "a", 1);
    assert_changelog(f, "a=12[deposits/0/4] ");
}

static void what_comes_and_goes_in_a_transaction_has_never_been(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct store_metrics m;
    deposit(f, "a", 5);
    deposit(f, "b", 0);
    assert_changelog(f, "a=5[deposits/0/0] ");
    deposit(f, "a", 0);
    assert_changelog(f, "");
    deposit(f, "a", 7);
    assert_changelog(f, "a=7[deposits/0/0,deposits/0/2,deposits/0/3] ");
    assert_false(run(f, on_gone_and_bad, "a", 0, "", &e)); /* a reject brings it back */
    assert_changelog(f, "a=7[deposits/0/0,deposits/0/2,deposits/0/3] ");
    commit(f);
    store_metrics(f->bank->store, &m);
    assert_int_equal(m.keys, 1);
}

/* ---- a view whose changelog is a topic of events ---- */

static const struct view noted = {.name = "noted", .changelog = &topic_receipts, .events = true};

static void on_noted(struct txn *txn, const struct event *in) {
    const struct deposit *d = in->value;
    struct receipt r = {SLICE(""), 0};
    txn_get(txn, &noted, d->note, &r);
    txn_put(txn, &noted, d->note, &(struct receipt){SLICE("noted"), r.amount + d->amount});
    if (d->amount < 0)
        txn_reject(txn, "less than nothing");
}

static const struct topology noted_topology = {
    .name = "bank",
    .sources = (const struct source[]){{.topic = &topic_deposits, .handle = on_noted}, {0}},
    .views = (const struct view *const[]){&noted, NULL},
};

static void each_put_of_events_is_one(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    size_t n;
    txn_destroy(f->txn);
    f->txn = txn_create(&noted_topology, f->bank->schemas, f->bank->store);
    assert_true(run(f, on_noted, "a", 5, "x", NULL));
    assert_false(run(f, on_noted, "a", -1, "x", &e));
    assert_true(run(f, on_noted, "a", 2, "x", NULL));
    assert_true(txn_awaited(f->txn));
    const struct emission *m = txn_emissions(f->txn, &n);
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(m[i].view, &noted);
        assert_int_equal(m[i].partition, 0); /* that of the input, whatever the key's is */
        assert_slice(m[i].key, "a/x");
        assert_int_equal(m[i].timestamp, 1000 + (i == 0 ? 0 : 2));
        assert_slice(header_of(&m[i], "caused-by"), i == 0 ? "deposits/0/0" : "deposits/0/2");
    }
    assert_int_equal(receipt_of(f, &m[0])->amount, 5);
    assert_int_equal(receipt_of(f, &m[1])->amount, 7);
    assert_changelog(f, "");
}

/* ---- what no topology may do ---- */

static const struct table divided;
static const struct view served = {.name = "served", .changelog = &topic_owners, .served = &divided};
static const struct table divided = {.name = "divided", .topic = &topic_owners, .view = &served};
static const struct view lasting = {.name = "lasting", .changelog = &topic_deposits};
static const struct topology careless_topology = {
    .name = "careless",
    .views = (const struct view *const[]){&lasting, NULL},
    .tables = (const struct table *const[]){&divided, NULL},
    .outputs = (const struct topic *const[]){&topic_deposits, NULL},
};

static void on_view(struct txn *txn, const struct event *in) {
    txn_put(txn, &bank_balances, SLICE_NONE, in->value);
}

static bool none(void *context, struct slice sub, const void *value) {
    (void)context, (void)sub, (void)value;
    return true;
}

static void on_each(struct txn *txn, const struct event *in) {
    (void)in;
    txn_each(txn, &bank_balances, SLICE_NONE, SLICE_NONE, none, NULL);
}

static void on_delete(struct txn *txn, const struct event *in) {
    txn_put(txn, &lasting, SLICE_NONE, in->value);
    txn_delete(txn, &lasting, SLICE_NONE);
}

static void on_table(struct txn *txn, const struct event *in) {
    struct owner owner;
    txn_lookup(txn, &bank_owners, in->key, &owner);
}

static void on_divided(struct txn *txn, const struct event *in) {
    struct owner owner;
    txn_lookup(txn, &divided, in->key, &owner);
}

static void on_output(struct txn *txn, const struct event *in) {
    txn_emit(txn, &topic_receipts, in->key, in->value);
}

static void on_no_tombstone(struct txn *txn, const struct event *in) {
    txn_emit(txn, &topic_deposits, in->key, NULL);
}

static void what_is_not_declared_cannot_be_used(void **state) {
    static const struct {
        handler *handle;
        const char *says;
    } careless[] = {
        {on_view, "topology careless uses the view balances, which it does not declare"},
        {on_each, "topology careless uses the view balances, which it does not declare"},
        {on_delete,
         "topology careless deletes from the view lasting, whose changelog deposits knows no tombstones"},
        {on_table, "topology careless looks up the table owners, which it does not declare"},
        {on_divided,
         "topology careless looks up the table divided, of which another instance may have the row"},
        {on_output, "topology careless emits to receipts, which it does not declare"},
        {on_no_tombstone, "topology careless emits a tombstone to deposits, which has none"},
    };
    struct fixture *f = *state;
    size_t n;
    txn_destroy(f->txn);
    f->txn = txn_create(&careless_topology, f->bank->schemas, f->bank->store);
    for (size_t i = 0; i < sizeof careless / sizeof *careless; i++) {
        struct err e = {0};
        assert_false(run(f, careless[i].handle, "a", 1, "", &e));
        assert_string_equal(e.text, careless[i].says);
        assert_int_equal(e.kind, ERR_CONFIG);
        txn_emissions(f->txn, &n);
        assert_int_equal(n, 0);
    }
}

static void a_changelog_record_names_the_last_32_causes(void **state) {
    struct fixture *f = *state;
    struct buf expected = {0};
    for (int i = 0; i < 100; i++)
        deposit(f, "a", 1);
    buf_printf(&expected, "a=100[");
    for (int i = 68; i < 100; i++)
        buf_printf(&expected, "%sdeposits/0/%d", i == 68 ? "" : ",", i);
    buf_printf(&expected, "] %c", 0);
    assert_changelog(f, expected.data);
    buf_free(&expected);
}

static void changelogs_stop_where_told(void **state) {
    struct fixture *f = *state;
    deposit(f, "a", 5);
    deposit(f, "b", 1);
    struct collected c = {f, {0}, 1};
    assert_false(txn_changelogs(f->txn, 0, collect, &c));
    assert_slice(buf_slice(&c.text), "a=5[deposits/0/0] ");
    buf_free(&c.text);
}

/* A changed key's record goes to the partition of its input and has its time and trace. */
static bool check_place(void *context, const struct emission *m) {
    (void)context;
    assert_int_equal(m->partition, 3);
    assert_int_equal(m->timestamp, 1000);
    assert_int_equal(header_of(m, "traceparent").size, 55);
    return true;
}

static void changelogs_are_partitioned_as_the_input(void **state) {
    struct fixture *f = *state;
    struct log_record r = record(f, "abc", bank_deposit(f->bank, 5, ""));
    r.partition = 3; /* 479470107 % 4 */
    assert_true(txn_run(f->txn, &bank_deposits, &r, SLICE_NONE, 4, &f->time, NULL));
    assert_true(txn_changelogs(f->txn, 3, check_place, NULL));
    assert_true(txn_changelogs(f->txn, 0, check_place, NULL)); /* none */
}

static void a_reject_undoes_everything_of_its_record(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    size_t n;
    deposit(f, "a", 5);
    assert_false(run(f, bank_on_deposit, "a", -1, "", &e));
    assert_int_equal(e.kind, ERR_POISON);
    assert_string_equal(e.text, "an amount of -1");
    assert_false(run(f, bank_on_deposit, "new", -1, "", &e));
    deposit(f, "a", 2);
    const struct emission *m = txn_emissions(f->txn, &n);
    assert_int_equal(n, 2);
    assert_int_equal(receipt_of(f, &m[1])->amount, 7);
    assert_changelog(f, "a=7[deposits/0/0,deposits/0/3] ");
    deposit(f, "new", 3); /* what was taken back can be put again */
    assert_changelog(f, "a=7[deposits/0/0,deposits/0/3] new=3[deposits/0/4] ");
}

static void on_twice(struct txn *txn, const struct event *in) {
    bank_on_deposit(txn, in);
    bank_on_deposit(txn, in);
    if (slice_equal(((const struct deposit *)in->value)->note, SLICE("bad")))
        txn_reject(txn, "bad");
}

static void a_reject_undoes_what_was_put_twice(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    assert_true(run(f, on_twice, "a", 5, "", NULL));
    assert_false(run(f, on_twice, "a", 7, "bad", &e));
    assert_string_equal(e.text, "bad");
    assert_changelog(f, "a=10[deposits/0/0] ");
}

/* Rows lie where earlier ones of the same key were: whatever the order of puts, deletes and rejects, short
 * ones and long ones, each says what it should. */
static void rows_that_take_each_others_place_stay_apart(void **state) {
    static const char *const keys[] = {"a", "b", "c"};
    struct fixture *f = *state;
    int64_t sums[3] = {0};
    uint64_t random = 1;
    for (int i = 0; i < 3000; i++) {
        struct err e = {0};
        random = random * 6364136223846793005 + 1442695040888963407;
        size_t k = random >> 33 & 3;
        k = k == 3 ? 0 : k;
        int64_t amount = INT64_C(1) << (random >> 40) % 50;
        bool twice = (random >> 50 & 1) != 0, bad = (random >> 51 & 3) == 0, gone = (random >> 53 & 15) == 0;
        amount = gone ? 0 : amount;
        bool ok = run(f, twice ? on_twice : bank_on_deposit, keys[k],
                      bad && !gone && !twice ? -amount : amount, bad && twice ? "bad" : "", &e);
        assert_true(ok == !(bad && (twice || !gone)));
        if (ok)
            sums[k] = gone ? 0 : sums[k] + amount * (twice ? 2 : 1);
        struct balance b;
        struct err none = {0};
        struct slice stored;
        _cleanup_(buf_free) struct buf key = {0};
        store_key_view(&key, &bank_balances, 0, slice_of(keys[k]));
        assert_true(overlay_get(txn_overlay(f->txn), buf_slice(&key), &stored, &none));
        assert_true((stored.data == NULL) == (sums[k] == 0));
        b = stored.data == NULL ? (struct balance){0}
                                : *(const struct balance *)bank_value(f->bank, &topic_balances, stored);
        assert_true(b.amount == sums[k]);
    }
}

/* ---- sub-keys ---- */

static void on_entry(struct txn *txn, const struct event *in) {
    const struct deposit *d = in->value;
    struct balance all = {0}, entry = {0};
    txn_get(txn, &bank_balances, SLICE_NONE, &all);
    txn_get(txn, &bank_balances, d->note, &entry);
    all.amount += d->amount;
    entry.amount += d->amount;
    txn_put(txn, &bank_balances, SLICE_NONE, &all);
    txn_put(txn, &bank_balances, d->note, &entry);
}

static void sub_keys_lie_below_the_key(void **state) {
    struct fixture *f = *state;
    assert_true(run(f, on_entry, "a", 5, "rent", NULL));
    assert_true(run(f, on_entry, "a", 6, "food", NULL));
    assert_true(run(f, on_entry, "b", 1, "rent", NULL));
    assert_true(run(f, on_entry, "a", 7, "rent/may", NULL)); /* a slash below is nobody else's */
    assert_changelog(f, "a=18[deposits/0/0,deposits/0/1,deposits/0/3] a/rent=5[deposits/0/0] "
                        "a/food=6[deposits/0/1] b=1[deposits/0/2] b/rent=1[deposits/0/2] "
                        "a/rent/may=7[deposits/0/3] ");
}

/* The key "a/rent" with sub-keys could reach into those of "a". */
static void a_key_with_a_slash_has_no_sub_keys(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    assert_true(run(f, on_entry, "a", 5, "rent", NULL));
    assert_false(run(f, on_entry, "a/rent", 1, "may", &e));
    assert_int_equal(e.kind, ERR_POISON);
    assert_string_equal(e.text, "key \"a/rent\": a slash is for sub-keys");
    assert_changelog(f, "a=5[deposits/0/0] a/rent=5[deposits/0/0] ");
}

/* ---- tables ---- */

static void a_stale_table_is_not_looked_up(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    txn_tables_fresh(f->txn, false);
    assert_true(run(f, bank_on_deposit, "a", 1, "nothing", &e));
    assert_false(txn_looked_up_stale(f->txn));
    assert_false(run(f, bank_on_deposit, "a", 1, "", &e));
    assert_true(txn_looked_up_stale(f->txn));
    assert_int_equal(e.kind, ERR_RETRY);
    assert_changelog(f, "");
    txn_tables_fresh(f->txn, true);
    deposit(f, "a", 1);
    assert_false(txn_looked_up_stale(f->txn));
    assert_changelog(f, "a=1[deposits/0/2] ");
}

static void a_lookup_finds_any_row(void **state) {
    struct fixture *f = *state;
    struct overlay rows = {.store = f->bank->store};
    struct log_record owner = {
        .topic = &topic_owners, .key = SLICE("a"), .value = bank_owner(f->bank, "Ann", "Rome")};
    size_t n;
    assert_true(table_put(&bank_owners, &rows, f->bank->schemas, &owner, 1, NULL));
    assert_true(overlay_apply(&rows, NULL));
    overlay_free(&rows);
    deposit(f, "a", 5);
    deposit(f, "b", 5);
    const struct emission *m = txn_emissions(f->txn, &n);
    assert_slice(receipt_of(f, &m[0])->text, "Ann");
    assert_slice(receipt_of(f, &m[1])->text, "nobody");
}

/* ---- what is emitted ---- */

static void emissions_come_once_and_in_order(void **state) {
    struct fixture *f = *state;
    size_t n;
    deposit(f, "a", 1);
    deposit(f, "b", 2);
    const struct emission *m = txn_emissions(f->txn, &n);
    assert_int_equal(n, 2);
    assert_slice(m[0].key, "a");
    assert_slice(m[1].key, "b");
    assert_int_equal(m[1].partition, -1); /* by its key */
    assert_int_equal(m[1].timestamp, 1001);
    txn_emissions(f->txn, &n);
    assert_int_equal(n, 0);
    deposit(f, "c", 3);
    assert_slice(txn_emissions(f->txn, &n)->key, "c");
    assert_int_equal(n, 1);
}

static void an_emission_continues_the_trace(void **state) {
    struct fixture *f = *state;
    size_t n;
    f->trace = TRACE;
    deposit(f, "a", 1);
    deposit(f, "a", 1);
    const struct emission *m = txn_emissions(f->txn, &n);
    struct slice first = header_of(&m[0], "traceparent"), second = header_of(&m[1], "traceparent");
    assert_int_equal(first.size, strlen(TRACE));
    assert_memory_equal(first.data, TRACE, 36);               /* the same trace */
    assert_memory_not_equal(first.data + 36, &TRACE[36], 16); /* a span of its own … */
    assert_memory_not_equal(first.data, second.data, 55);     /* … for each input */
    assert_slice(header_of(&m[1], "caused-by"), "deposits/0/1");

    /* Run again, the same: replays make the same records. */
    struct slice before = arena_copy(&f->bank->arena, first);
    txn_clear(f->txn);
    f->offset = 0;
    deposit(f, "a", 1);
    m = txn_emissions(f->txn, &n);
    assert_true(slice_equal(header_of(m, "traceparent"), before));
}

static void a_bad_trace_is_replaced(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = {
        "",
        "00-0123456789abcdef0123456789abcdef-fedcba9876543210-0",
        "00-0123456789abcdef0123456789abcdef-fedcba9876543210-011",
        "01-0123456789abcdef0123456789abcdef-fedcba9876543210-01",
        "00-0123456789ABCDEF0123456789abcdef-fedcba9876543210-01",
        "00-0123456789abcdef0123456789abcdef_fedcba9876543210-01",
        "00-0123456789abcdef0123456789abcde\n-fedcba9876543210-01",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t n;
        f->trace = bad[i];
        deposit(f, "a", 1);
        struct slice trace = header_of(txn_emissions(f->txn, &n), "traceparent");
        assert_int_equal(trace.size, 55);
        assert_memory_equal(trace.data, "00-", 3);
        assert_memory_not_equal(trace.data, bad[i], strlen(bad[i]) < 35 ? strlen(bad[i]) + 1 : 35);
    }
}

static void on_tombstone(struct txn *txn, const struct event *in) {
    txn_emit(txn, &topic_receipts, in->key, NULL);
}

static void a_null_value_is_a_tombstone(void **state) {
    struct fixture *f = *state;
    size_t n;
    assert_true(run(f, on_tombstone, "a", 1, "", NULL));
    assert_null(txn_emissions(f->txn, &n)->value.data);
    assert_int_equal(n, 1);
}

static void on_unprintable(struct txn *txn, const struct event *in) {
    txn_emit(txn, &topic_receipts, in->key, &(struct receipt){SLICE("\xff"), 1});
}

static void what_no_reader_could_decode_is_not_emitted(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    size_t n;
    assert_false(run(f, on_unprintable, "a", 1, "", &e));
    assert_int_equal(e.kind, ERR_POISON);
    txn_emissions(f->txn, &n);
    assert_int_equal(n, 0);
}

/* ---- bad input ---- */

static void assert_poison(struct fixture *f, struct log_record r, const char *expected) {
    struct err e = {0};
    size_t n;
    assert_false(run_record(f, bank_on_deposit, &r, &e));
    assert_int_equal(e.kind, ERR_POISON);
    if (strstr(e.text, expected) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", e.text, expected);
    txn_emissions(f->txn, &n);
    assert_int_equal(n, 0);
    assert_changelog(f, "");
}

static void poison_is_told_with_its_reason(void **state) {
    struct fixture *f = *state;
    struct slice good = bank_deposit(f->bank, 5, "");
    struct log_record keyless = record(f, "", good);
    assert_poison(f, keyless, "no key");
    keyless.key = SLICE_NONE;
    assert_poison(f, keyless, "no key");
    assert_poison(f, record(f, "a", SLICE_NONE), "a tombstone, in a topic that has none");
    assert_poison(f, record(f, "a", SLICE("")), "too short");
    assert_poison(f, record(f, "a", SLICE("\1garbage")), "magic byte 1");
    assert_poison(f, record(f, "a", SLICE("\0\0\0\x7f\xff....")), "no schema 32767");
    assert_poison(f, record(f, "a", (struct slice){good.data, good.size - 1}), "");
}

static void the_registry_away_is_no_poison(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    struct log_record r =
        record(f, "a", bank_foreign(f->bank, &topic_deposits, bank_deposit(f->bank, 5, "")));
    f->bank->registry_is_away = true;
    assert_false(run_record(f, bank_on_deposit, &r, &e));
    assert_int_equal(e.kind, ERR_RETRY);
    assert_changelog(f, "");
    f->bank->registry_is_away = false;
    assert_true(run_record(f, bank_on_deposit, &r, &e));
    assert_changelog(f, "a=5[deposits/0/0] ");
}

static void a_misplaced_record_is_poison_or_forwarded(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    size_t n;
    struct log_record r = record(f, "abc", bank_deposit(f->bank, 5, "")); /* of partition 3 of 4 */
    r.partition = 1;
    assert_false(txn_run(f->txn, &bank_deposits, &r, SLICE_NONE, 4, &f->time, &e));
    assert_int_equal(e.kind, ERR_POISON);
    assert_string_equal(e.text, "key \"abc\" belongs to partition 3 of 4 (murmur2), not 1");

    r.topic = &topic_transfers;
    assert_true(txn_run(f->txn, &bank_transfers, &r, SLICE_NONE, 4, &f->time, &e));
    const struct emission *m = txn_emissions(f->txn, &n);
    assert_int_equal(n, 1); /* the record itself, and no receipt */
    assert_ptr_equal(m->topic, &topic_transfers);
    assert_int_equal(m->partition, -1);
    assert_slice(m->key, "abc");
    assert_true(slice_equal(m->value, r.value));
    assert_slice(header_of(m, "caused-by"), "transfers/1/0");
    assert_changelog(f, "");

    r.value = SLICE("garbage"); /* is not passed on */
    assert_false(txn_run(f->txn, &bank_transfers, &r, SLICE_NONE, 4, &f->time, &e));
    assert_int_equal(e.kind, ERR_POISON);
}

/* Our own state cannot be read: the record is not to blame, and it waits. */
static void assert_waits(struct fixture *f, struct buf *store_key, struct slice value, const char *where) {
    struct err e = {0};
    struct store_change change = {buf_slice(store_key), value};
    assert_true(store_apply(f->bank->store, &change, 1, NULL));
    buf_free(store_key);
    assert_false(run(f, bank_on_deposit, "a", 1, "", &e));
    assert_int_equal(e.kind, ERR_RETRY);
    if (strstr(e.text, where) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", e.text, where);
}

static void a_row_of_a_view_that_cannot_be_read_is_waited_for(void **state) {
    struct buf key = {0};
    store_key_view(&key, &bank_balances, 0, SLICE("a"));
    assert_waits(*state, &key, SLICE("junk"), "view balances, key a");
}

static void a_row_of_a_table_that_cannot_be_read_is_waited_for(void **state) {
    struct buf key = {0};
    store_key_row(&key, &bank_owners, -1, SLICE("a"));
    assert_waits(*state, &key, SLICE("24 bytes before the junk junk"), "table owners, key a");
}

static bool wrote(struct fixture *f, const struct topology *t, const struct emission *m) {
    (void)f;
    return txn_wrote(t, header_of(m, "traceparent"), header_of(m, "caused-by"));
}

static bool wrote_it(void *context, const struct emission *m) {
    return wrote(context, &bank_topology, m) && !wrote(context, &careless_topology, m);
}

static void knows_what_it_wrote(void **state) {
    struct fixture *f = *state;
    size_t n;
    f->trace = TRACE;
    deposit(f, "a", 5);
    f->trace = NULL;
    deposit(f, "b", 5);
    deposit(f, "b", 6); /* two causes */
    assert_true(txn_changelogs(f->txn, 0, wrote_it, f));
    const struct emission *m = txn_emissions(f->txn, &n);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++)
        assert_true(wrote(f, &bank_topology, &m[i]));
    static const char *const causes[] = {"deposits/0/1",
                                         "deposits/1/0",
                                         "transfers/0/0",
                                         "deposits/0/",
                                         "/0/0",
                                         "0/0",
                                         "",
                                         "deposits/x/0",
                                         "deposits/0/0/0",
                                         "deposits/0/0x",
                                         "deposits/0/11111111111111111111111111"};
    struct slice trace = header_of(&m[0], "traceparent");
    assert_true(txn_wrote(&bank_topology, trace, SLICE("other/1/2,deposits/0/0")));
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++)
        assert_false(txn_wrote(&bank_topology, trace, slice_of(causes[i])));
    assert_false(txn_wrote(&bank_topology, trace, SLICE_NONE));
    assert_false(txn_wrote(&bank_topology, SLICE_NONE, SLICE("deposits/0/0")));
    assert_false(txn_wrote(&bank_topology, SLICE("junk"), SLICE("deposits/0/0")));
}

/* ---- dead letters ---- */

static const struct letter *letter_of(struct fixture *f, const struct emission *m) {
    assert_ptr_equal(m->topic, &topic_letters);
    return bank_value(f->bank, m->topic, m->value);
}

static void a_dead_letter_says_everything(void **state) {
    struct fixture *f = *state;
    size_t n;
    const struct log_header kept[] = {
        {"traceparent", SLICE(TRACE)}, {"caused-by", SLICE("x/0/1")}, {"from", SLICE("a\0b")}};
    struct log_record r = record(f, "a", SLICE("\xff\0garbage"));
    txn_dead_letter(f->txn, &r, kept, 3, "bad \xff\n\"quoted\"");
    const struct emission *m = txn_emissions(f->txn, &n);
    assert_int_equal(n, 1);
    const struct letter *letter = letter_of(f, m);
    assert_slice(m->key, "deposits/0/0");
    assert_int_equal(m->timestamp, 1000);
    assert_slice(letter->topic, "deposits");
    assert_int_equal(letter->partition, 0);
    assert_int_equal(letter->offset, 0);
    assert_slice(letter->reason, "bad ??\"quoted\"");
    assert_int_equal(letter->payload.size, 9);
    assert_memory_equal(letter->payload.data, "\xff\0garbage", 9);
    assert_memory_equal(header_of(m, "traceparent").data, TRACE, 36);
    assert_slice(header_of(m, "caused-by"), "deposits/0/0");
    assert_int_equal(header_of(m, "from").size, 3);
    assert_int_equal(m->header_count, 3);
}

static void a_dead_letter_of_nothing(void **state) {
    struct fixture *f = *state;
    size_t n;
    struct log_record r = record(f, "", SLICE_NONE);
    r.key = SLICE_NONE;
    txn_dead_letter(f->txn, &r, NULL, 0, "no key");
    const struct letter *letter = letter_of(f, txn_emissions(f->txn, &n));
    assert_int_equal(letter->payload.size, 0);
}

static void a_dead_letter_of_a_large_record_fits(void **state) {
    struct fixture *f = *state;
    enum { MIB = 1024 * 1024 };
    char *large = xmalloc(MIB);
    size_t n;
    memset(large, 'x', MIB);
    struct log_record r = record(f, "a", (struct slice){large, MIB});
    txn_dead_letter(f->txn, &r, NULL, 0, "too large");
    const struct emission *m = txn_emissions(f->txn, &n);
    const struct letter *letter = letter_of(f, m);
    assert_slice(letter->reason, "too large (payload cut from 1048576 bytes)");
    assert_in_range(letter->payload.size, MIB / 2, MIB);
    assert_true(m->value.size < MIB);
    free(large);
}

/* Kafka takes what a client has compressed to less than its limit; our letter is not compressed. */
static void a_dead_letter_of_large_headers_fits(void **state) {
    struct fixture *f = *state;
    enum { MIB = 1024 * 1024, HEADERS = 20 };
    char *large = xcalloc(1, MIB);
    struct log_header kept[HEADERS];
    size_t n, size = 0;
    for (int i = 0; i < HEADERS; i++)
        kept[i] = (struct log_header){"h", {large, i == 1 ? 100 * 1000 : 1000}};
    struct log_record r = record(f, "a", (struct slice){large, MIB});
    txn_dead_letter(f->txn, &r, kept, HEADERS, "too large");
    const struct emission *m = txn_emissions(f->txn, &n);
    for (size_t i = 0; i < m->header_count; i++)
        size += strlen(m->headers[i].name) + m->headers[i].value.size;
    assert_true(m->key.size + m->value.size + size < MIB - 1000);
    assert_int_equal(m->header_count, 2 + HEADERS - 1); /* but for the one that is too large */
    free(large);
}

/* A record that Kafka would refuse would abort its transaction again and again. */
static void on_large(struct txn *txn, const struct event *in) {
    const struct deposit *d = in->value;
    struct slice note = {arena_alloc(txn_arena(txn), (size_t)d->amount), (size_t)d->amount};
    memset((char *)(uintptr_t)note.data, 'x', note.size);
    if (slice_equal(d->note, SLICE("emit")))
        txn_emit(txn, &topic_receipts, in->key, &(struct receipt){note, 1});
    else if (slice_equal(d->note, SLICE("key")))
        txn_emit(txn, &topic_receipts, note, &(struct receipt){in->key, 1});
    else
        txn_put(txn, &bank_balances, note, &(struct balance){1});
}

static void what_kafka_would_refuse_is_rejected(void **state) {
    struct fixture *f = *state;
    static const char *const ways[] = {"emit", "key", "put"};
    for (size_t i = 0; i < 3; i++) {
        struct err e = {0};
        assert_true(run(f, on_large, "a", 900 * 1000, ways[i], &e));
        assert_false(run(f, on_large, "a", 1040 * 1000, ways[i], &e));
        assert_int_equal(e.kind, ERR_POISON);
        assert_non_null(strstr(e.text, "of 10400"));
    }
}

/* After a failed step the next records go on; the dead letter's place is in the order of the records. */
static void a_dead_letter_stands_in_its_order(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    size_t n;
    deposit(f, "a", 1);
    struct log_record r = record(f, "a", bank_deposit(f->bank, -1, ""));
    assert_false(run_record(f, bank_on_deposit, &r, &e));
    txn_dead_letter(f->txn, &r, NULL, 0, e.text);
    deposit(f, "a", 2);
    const struct emission *m = txn_emissions(f->txn, &n);
    assert_int_equal(n, 3);
    assert_int_equal(receipt_of(f, &m[0])->amount, 1);
    assert_slice(letter_of(f, &m[1])->reason, "an amount of -1");
    assert_int_equal(receipt_of(f, &m[2])->amount, 3);
}

/* ---- ranges of sub-keys ---- */

struct walk {
    struct txn *txn;
    struct buf text;
    size_t stop_after;
};

static bool walk_on(void *context, struct slice sub, const void *value) {
    struct walk *w = context;
    buf_printf(&w->text, SLICE_FMT "=%lld ", SLICE_ARG(sub),
               (long long)((const struct balance *)value)->amount);
    txn_delete(w->txn, &bank_balances, sub); /* what is visited can be changed */
    txn_put(w->txn, &bank_balances, SLICE("zz"), &(struct balance){9});
    return --w->stop_after > 0;
}

static struct walk walk;

/* The note is "from to", each "-" for none. */
static void walk_range(struct txn *txn, const struct event *in) {
    struct slice note = ((const struct deposit *)in->value)->note;
    struct slice from = {note.data, 1}, to = {note.data + 2, 1};
    walk.txn = txn;
    txn_each(txn, &bank_balances, *from.data == '-' ? SLICE_NONE : from, *to.data == '-' ? SLICE_NONE : to,
             walk_on, &walk);
    txn_reject(txn, "only to look");
}

static void put_sub(struct txn *txn, const struct event *in) {
    const struct deposit *d = in->value;
    txn_put(txn, &bank_balances, d->note.size > 0 ? d->note : SLICE_NONE, &(struct balance){d->amount});
}

static void sub_keys_are_walked_in_their_order(void **state) {
    struct fixture *f = *state;
    struct err e = {0};
    static const struct {
        const char *key, *sub;
    } rows[] = {{"k", ""}, {"k", "c"}, {"k", "a"}, {"k", "b"}, {"kk", "a"}, {"j", "a"}};
    static const struct {
        const char *range, *seen;
        size_t stop_after;
    } cases[] = {{"- -", "a=3 b=4 c=2 ", 9}, {"b -", "b=4 c=2 ", 9}, {"- b", "a=3 ", 9},
                 {"a c", "a=3 b=4 ", 9},     {"d -", "", 9},         {"b b", "", 9},
                 {"- -", "a=3 ", 1}};
    for (int applied = 0; applied < 2; applied++) { /* pending, and in the store */
        for (size_t i = 0; applied == 0 && i < sizeof rows / sizeof *rows; i++)
            assert_true(run(f, put_sub, rows[i].key, (int64_t)i + 1, rows[i].sub, &e));
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            walk.stop_after = cases[i].stop_after;
            buf_clear(&walk.text);
            assert_false(run(f, walk_range, "k", 1, cases[i].range, &e));
            assert_string_equal(e.text, "only to look");
            assert_slice(buf_slice(&walk.text), cases[i].seen);
        }
        assert_true(overlay_apply(txn_overlay(f->txn), &e));
        txn_clear(f->txn);
    }
    buf_free(&walk.text);
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(get_sees_what_was_put),
        TEST(a_row_is_read_once),
        TEST(a_changelog_record_stands_for_all_changes_of_its_key),
        TEST(what_comes_and_goes_in_a_transaction_has_never_been),
        TEST(each_put_of_events_is_one),
        TEST(what_is_not_declared_cannot_be_used),
        TEST(a_changelog_record_names_the_last_32_causes),
        TEST(changelogs_stop_where_told),
        TEST(changelogs_are_partitioned_as_the_input),
        TEST(a_reject_undoes_everything_of_its_record),
        TEST(a_reject_undoes_what_was_put_twice),
        TEST(rows_that_take_each_others_place_stay_apart),
        TEST(sub_keys_lie_below_the_key),
        TEST(a_key_with_a_slash_has_no_sub_keys),
        TEST(a_stale_table_is_not_looked_up),
        TEST(a_lookup_finds_any_row),
        TEST(emissions_come_once_and_in_order),
        TEST(an_emission_continues_the_trace),
        TEST(a_bad_trace_is_replaced),
        TEST(a_null_value_is_a_tombstone),
        TEST(what_no_reader_could_decode_is_not_emitted),
        TEST(poison_is_told_with_its_reason),
        TEST(the_registry_away_is_no_poison),
        TEST(a_misplaced_record_is_poison_or_forwarded),
        TEST(knows_what_it_wrote),
        TEST(a_row_of_a_view_that_cannot_be_read_is_waited_for),
        TEST(a_row_of_a_table_that_cannot_be_read_is_waited_for),
        TEST(a_dead_letter_says_everything),
        TEST(a_dead_letter_of_nothing),
        TEST(a_dead_letter_of_a_large_record_fits),
        TEST(a_dead_letter_of_large_headers_fits),
        TEST(what_kafka_would_refuse_is_rejected),
        TEST(a_dead_letter_stands_in_its_order),
        TEST(sub_keys_are_walked_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
