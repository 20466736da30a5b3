#include "testing/bank.h"
#include "testing/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Deposits go into the watched view, transfers into the silent one, below the key where there is a note. An
 * amount is put, 0 deletes, below 0 asks: what there is comes as a receipt, and so does what expires. */

enum { KEPT = 100, RETURNS = 7, REJECTED = 13, T = 1000000 };

static void on_expired(struct txn *txn, const struct event *in);

static const struct view silent = {.name = "rows", .changelog = &topic_kept_transfers, .retention_ms = KEPT};
static const struct view watched = {
    .name = "watched", .changelog = &topic_kept_deposits, .retention_ms = KEPT, .expired = on_expired};

static void tell(struct txn *txn, const struct event *in, struct slice sub, const char *what,
                 int64_t amount) {
    struct slice text = arena_printf(txn_arena(txn), SLICE_FMT "%s" SLICE_FMT "%s%lld", SLICE_ARG(in->key),
                                     sub.size > 0 ? "/" : "", SLICE_ARG(sub), what, (long long)amount);
    txn_emit(txn, &topic_receipts, in->key, &(struct receipt){text, in->timestamp});
}

static void on_command(struct txn *txn, const struct view *v, const struct event *in) {
    const struct deposit *d = in->value;
    struct slice sub = d->note.size > 0 ? d->note : SLICE_NONE;
    struct deposit found = {0};
    if (d->amount > 0)
        txn_put(txn, v, sub, d);
    else if (d->amount == 0)
        txn_delete(txn, v, sub);
    else if (txn_get(txn, v, sub, &found))
        tell(txn, in, sub, "=", found.amount);
    else
        tell(txn, in, sub, "?", 0);
}

static void on_deposit(struct txn *txn, const struct event *in) {
    on_command(txn, &watched, in);
}

static void on_transfer(struct txn *txn, const struct event *in) {
    on_command(txn, &silent, in);
}

static void on_expired(struct txn *txn, const struct event *in) {
    const struct deposit *d = in->value;
    struct deposit again = {RETURNS + 1, SLICE("")}, found;
    struct slice sub = in->sub.size > 0 ? in->sub : SLICE_NONE;
    assert_false(txn_get(txn, &watched, sub, &found));
    tell(txn, in, in->sub, " expired ", d->amount);
    if (d->amount == RETURNS)
        txn_put(txn, &watched, sub, &again);
    if (d->amount == REJECTED)
        txn_reject(txn, "unlucky");
}

static const struct topology topology = {
    .name = "kept",
    .sources = (const struct source[]){{.topic = &topic_deposits, .handle = on_deposit},
                                       {.topic = &topic_transfers, .handle = on_transfer},
                                       {.topic = &topic_ticks},
                                       {0}},
    .views = (const struct view *const[]){&silent, &watched, NULL},
    .outputs = (const struct topic *const[]){&topic_receipts, NULL},
    .ticks = &topic_ticks,
    .tick_ms = 10,
};

static int setup(void **state) {
    *state = driver_create(&topology);
    return 0;
}

static int teardown(void **state) {
    driver_destroy(*state);
    return 0;
}

static void send(struct driver *d, const struct topic *t, const char *key, const char *sub, int64_t amount,
                 int64_t time) {
    driver_send(d, t, slice_of(key), &(struct deposit){amount, slice_of(sub)}, time);
}

static void watch(struct driver *d, const char *key, const char *sub, int64_t amount, int64_t time) {
    send(d, &topic_deposits, key, sub, amount, time);
}

static void keep(struct driver *d, const char *key, const char *sub, int64_t amount, int64_t time) {
    send(d, &topic_transfers, key, sub, amount, time);
}

static void expect(struct driver *d, const char *text, int64_t time) {
    struct event out;
    assert_true(driver_next(d, &out));
    const struct receipt *r = out.value;
    assert_slice(r->text, text);
    assert_int_equal(r->amount, time); /* as the handler had it, and as it was written */
    assert_int_equal(out.timestamp, time);
}

static void expect_nothing(struct driver *d) {
    struct event out;
    if (driver_next(d, &out))
        fail_msg("there is more: " SLICE_FMT, SLICE_ARG(((const struct receipt *)out.value)->text));
}

static void a_row_goes_when_its_time_is_over(void **state) {
    struct driver *d = *state;
    keep(d, "a", "", 5, T);
    keep(d, "a", "", -1, T + KEPT);
    expect(d, "a=5", T + KEPT);
    keep(d, "a", "", -1, T + KEPT + 1);
    expect(d, "a?0", T + KEPT + 1);
}

static void time_is_of_all_keys_and_sources(void **state) {
    struct driver *d = *state;
    struct deposit row;
    keep(d, "a", "", 5, T);
    keep(d, "b", "", -1, T + KEPT);
    assert_true(driver_view(d, &silent, SLICE("a"), SLICE_NONE, &row));
    watch(d, "c", "", -1, T + KEPT + 1);
    assert_false(driver_view(d, &silent, SLICE("a"), SLICE_NONE, &row));
}

static void a_put_renews(void **state) {
    struct driver *d = *state;
    struct deposit row;
    for (int64_t time = T; time < T + 10 * KEPT; time += KEPT / 2)
        watch(d, "a", "", 5, time);
    expect_nothing(d);
    driver_tick(d, T + 10 * KEPT + KEPT / 2);
    expect_nothing(d);
    assert_true(driver_view(d, &watched, SLICE("a"), SLICE_NONE, &row));
    driver_tick(d, T + 10 * KEPT + KEPT / 2 + 1);
    expect(d, "a expired 5", T + 10 * KEPT + KEPT / 2 + 1);
    driver_tick(d, T + 20 * KEPT); /* once */
    expect_nothing(d);
}

static void a_late_event_stays_as_long_as_any(void **state) {
    struct driver *d = *state;
    keep(d, "a", "", 5, T);
    keep(d, "b", "", 6, 1); /* very late */
    keep(d, "b", "", -1, T + KEPT);
    expect(d, "b=6", T + KEPT);
    keep(d, "b", "", -1, T);
    expect(d, "b=6", T);
    keep(d, "b", "", -1, T + KEPT + 1);
    expect(d, "b?0", T + KEPT + 1);
}

static void what_expires_is_handled_first(void **state) {
    struct driver *d = *state;
    watch(d, "a", "", 5, T);
    watch(d, "a", "", -1, T + KEPT + 1);
    expect(d, "a expired 5", T + KEPT + 1);
    expect(d, "a?0", T + KEPT + 1);
    expect_nothing(d);
}

static void rows_expire_one_by_one_in_their_order(void **state) {
    struct driver *d = *state;
    watch(d, "b", "x", 1, T);
    watch(d, "a", "y", 2, T + 1);
    watch(d, "b", "", 3, T + 2);
    watch(d, "a", "x", 4, T + 2);
    driver_tick(d, T + KEPT + 1);
    expect(d, "b/x expired 1", T + KEPT + 1);
    expect_nothing(d);
    driver_tick(d, T + KEPT + 3);
    expect(d, "a/y expired 2", T + KEPT + 3);
    expect(d, "a/x expired 4", T + KEPT + 3);
    expect(d, "b expired 3", T + KEPT + 3);
    expect_nothing(d);
}

static void what_the_handler_puts_stays(void **state) {
    struct driver *d = *state;
    watch(d, "a", "s", RETURNS, T);
    driver_tick(d, T + 5 * KEPT);
    expect(d, "a/s expired 7", T + 5 * KEPT);
    driver_tick(d, T + 6 * KEPT);
    expect_nothing(d);
    driver_tick(d, T + 6 * KEPT + 1);
    expect(d, "a/s expired 8", T + 6 * KEPT + 1);
}

static void a_row_goes_even_if_its_handler_rejects_it(void **state) {
    struct driver *d = *state;
    struct deposit row;
    watch(d, "a", "", REJECTED, T);
    watch(d, "b", "", 5, T);
    driver_tick(d, T + KEPT + 1);
    expect(d, "b expired 5", T + KEPT + 1);
    expect_nothing(d);
    assert_false(driver_view(d, &watched, SLICE("a"), SLICE_NONE, &row));
}

static void a_deleted_row_does_not_expire(void **state) {
    struct driver *d = *state;
    watch(d, "a", "", 5, T);
    watch(d, "a", "", 0, T + 10);
    watch(d, "b", "", 5, T);
    watch(d, "b", "", 0, T + 10);
    watch(d, "b", "", 6, T + 20); /* there again: its time begins anew */
    driver_tick(d, T + KEPT + 20);
    expect_nothing(d);
    driver_tick(d, T + KEPT + 21);
    expect(d, "b expired 6", T + KEPT + 21);
    expect_nothing(d);
}

static void a_key_with_a_slash_is_refused_where_rows_expire(void **state) {
    struct driver *d = *state;
    watch(d, "a/b", "", 5, T); /* skipped: nobody could tell key and sub-key apart */
    keep(d, "a/b", "", 5, T);
    driver_tick(d, T + KEPT + 1);
    expect_nothing(d);
}

static void a_store_under_load_stays_flat(void **state) {
    struct driver *d = *state;
    uint64_t after_one = 0;
    char key[20], sub[20];
    for (int64_t i = 0; i < 20 * KEPT; i++) {
        snprintf(key, sizeof key, "k%d", (int)(i % 17));
        snprintf(sub, sizeof sub, "%lld", (long long)i / 10);
        keep(d, key, sub, 5, T + i);            /* ever new rows, */
        keep(d, "hot", "", 5, T + i);           /* one that is put all the time, */
        keep(d, "gone", sub, i % 2 * 5, T + i); /* and rows that are deleted meanwhile */
        if (i == 2 * KEPT)
            after_one = driver_store_keys(d);
        if (i > 2 * KEPT && driver_store_keys(d) > after_one + after_one / 4)
            fail_msg("%llu keys at first, %llu after %lld events", (unsigned long long)after_one,
                     (unsigned long long)driver_store_keys(d), (long long)i);
    }
    driver_tick(d, T + 100 * KEPT);
    assert_int_equal(driver_store_keys(d), 0);
}

/* ---- against the plain thing: a list of rows ---- */

enum { KEYS = 5, SUBS = 3 };

static void any_history_agrees_with_a_list_of_rows(void **state) {
    (void)state;
    static const char *const keys[KEYS] = {"a", "b", "c", "d", "e"}, *const subs[SUBS] = {"", "x", "y"};
    srand(7);
    for (int round = 0; round < 50; round++) {
        struct driver *d = driver_create(&topology);
        struct {
            int64_t amount, stamp; /* 0: none */
        } rows[KEYS * SUBS] = {{0}};
        int64_t now = T, offset = 0;
        driver_tick(d, now);
        for (int n = 0; n < 300; n++) {
            int64_t time = now + rand() % 40 - 20 + (rand() % 30 == 0 ? KEPT : 0);
            now = time > now ? time : now;
            int k = rand() % KEYS, sub = rand() % SUBS, what = rand() % 4;
            int64_t amount = what < 2 ? 100 + ++offset : what == 2 ? 0 : -1, due = 0;
            for (int i = 0; i < KEYS * SUBS; i++)
                due += rows[i].amount != 0 && rows[i].stamp + KEPT < now;
            watch(d, keys[k], subs[sub], amount, time);
            struct event out;
            for (; due > 0; due--) { /* in any order here */
                assert_true(driver_next(d, &out));
                assert_int_equal(out.timestamp, now);
                char text[40];
                int found = 0;
                for (int i = 0; i < KEYS * SUBS; i++) {
                    const char *s = subs[i % SUBS];
                    snprintf(text, sizeof text, "%s%s%s expired %lld", keys[i / SUBS], *s ? "/" : "", s,
                             (long long)rows[i].amount);
                    if (slice_equal(((const struct receipt *)out.value)->text, slice_of(text)) &&
                        rows[i].stamp + KEPT < now) {
                        rows[i].amount = 0;
                        found++;
                    }
                }
                assert_int_equal(found, 1);
            }
            if (what < 2) {
                rows[k * SUBS + sub].amount = amount;
                rows[k * SUBS + sub].stamp = now;
            } else if (what == 2) {
                rows[k * SUBS + sub].amount = 0;
            } else {
                char text[40];
                snprintf(text, sizeof text, "%s%s%s%s%lld", keys[k], *subs[sub] ? "/" : "", subs[sub],
                         rows[k * SUBS + sub].amount != 0 ? "=" : "?",
                         (long long)rows[k * SUBS + sub].amount);
                expect(d, text, time);
            }
            expect_nothing(d);
        }
        driver_destroy(d);
    }
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_row_goes_when_its_time_is_over),
        TEST(time_is_of_all_keys_and_sources),
        TEST(a_put_renews),
        TEST(a_late_event_stays_as_long_as_any),
        TEST(what_expires_is_handled_first),
        TEST(rows_expire_one_by_one_in_their_order),
        TEST(what_the_handler_puts_stays),
        TEST(a_row_goes_even_if_its_handler_rejects_it),
        TEST(a_deleted_row_does_not_expire),
        TEST(a_key_with_a_slash_is_refused_where_rows_expire),
        TEST(a_store_under_load_stays_flat),
        cmocka_unit_test(any_history_agrees_with_a_list_of_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
