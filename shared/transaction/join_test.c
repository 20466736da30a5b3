#include "transaction/join.h"

#include "testing/bank.h"
#include "testing/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* Deposits are the left side, transfers the right one, an amount tells each from the others. */

enum { WITHIN = 60, KEPT = 1000, EVENTS = 8 };

static void pair(struct txn *txn, const struct event *left, const struct event *right);

static const struct view lefts = {.name = "lefts", .changelog = &topic_kept_deposits, .retention_ms = KEPT};
static const struct view rights = {
    .name = "rights", .changelog = &topic_kept_transfers, .retention_ms = KEPT};
static const struct join join = {&lefts, &rights, WITHIN, pair};

static void pair(struct txn *txn, const struct event *left, const struct event *right) {
    const struct deposit *l = left->value, *r = right->value;
    txn_emit(txn, &topic_receipts, left->key,
             &(struct receipt){arena_printf(txn_arena(txn), "%lld@%lld %lld@%lld", (long long)l->amount,
                                            (long long)left->timestamp, (long long)r->amount,
                                            (long long)right->timestamp),
                               0});
}

static void on_left(struct txn *txn, const struct event *in) {
    join_left(txn, &join, in, ((const struct deposit *)in->value)->note);
}

static void on_right(struct txn *txn, const struct event *in) {
    join_right(txn, &join, in, ((const struct deposit *)in->value)->note);
}

static const struct topology topology = {
    .name = "join",
    .sources = (const struct source[]){{.topic = &topic_deposits, .handle = on_left},
                                       {.topic = &topic_transfers, .handle = on_right},
                                       {0}},
    .views = (const struct view *const[]){&lefts, &rights, NULL},
    .outputs = (const struct topic *const[]){&topic_receipts, NULL},
};

static const struct {
    const char *name;
    struct {
        char side; /* L or R; 0 ends them */
        int64_t time, amount;
        const char *key, *id;
    } events[EVENTS];
    const char *pairs[EVENTS]; /* in their order, up to NULL */
} cases[] = {
    {"left first", {{'L', 100, 1, "a", ""}, {'R', 110, 2, "a", ""}}, {"1@100 2@110"}},
    {"right first", {{'R', 100, 1, "a", ""}, {'L', 110, 2, "a", ""}}, {"2@110 1@100"}},
    {"same time", {{'R', 100, 1, "a", ""}, {'L', 100, 2, "a", ""}}, {"2@100 1@100"}},
    {"apart, inclusive", {{'L', 100, 1, "a", ""}, {'R', 160, 2, "a", ""}}, {"1@100 2@160"}},
    {"before, inclusive", {{'L', 160, 1, "a", ""}, {'R', 100, 2, "a", ""}}, {"1@160 2@100"}},
    {"too far after", {{'L', 100, 1, "a", ""}, {'R', 161, 2, "a", ""}}, {NULL}},
    {"too far before", {{'L', 161, 1, "a", ""}, {'R', 100, 2, "a", ""}}, {NULL}},
    {"another key", {{'L', 100, 1, "a", ""}, {'R', 100, 2, "b", ""}}, {NULL}},
    {"a key that begins as another", {{'L', 100, 1, "a", ""}, {'R', 100, 2, "aa", ""}}, {NULL}},
    {"duplicates, both sides",
     {{'L', 100, 1, "a", ""},
      {'L', 100, 1, "a", ""},
      {'R', 110, 2, "a", ""},
      {'R', 110, 2, "a", ""},
      {'L', 100, 1, "a", ""}},
     {"1@100 2@110"}},
    {"ids tell apart",
     {{'L', 100, 1, "a", "x"}, {'L', 100, 2, "a", "y"}, {'R', 100, 3, "a", "x"}},
     {"1@100 3@100", "2@100 3@100"}},
    {"each with each",
     {{'L', 100, 1, "a", ""}, {'L', 101, 2, "a", ""}, {'R', 100, 3, "a", ""}, {'R', 99, 4, "a", ""}},
     {"1@100 3@100", "2@101 3@100", "1@100 4@99", "2@101 4@99"}},
    {"late: both are old, and time has gone on",
     {{'L', 5000, 1, "z", ""}, {'L', 100, 2, "a", ""}, {'R', 5900, 3, "z", ""}, {'R', 110, 4, "a", ""}},
     {"2@100 4@110"}},
    {"out of order",
     {{'R', 900, 1, "a", ""}, {'L', 870, 2, "a", ""}, {'R', 860, 3, "a", ""}},
     {"2@870 1@900", "2@870 3@860"}},
};

static void pairs_are_found_whatever_the_order(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct driver *d = driver_create(&topology);
        for (size_t k = 0; k < EVENTS && cases[i].events[k].side != 0; k++)
            driver_send(d, cases[i].events[k].side == 'L' ? &topic_deposits : &topic_transfers,
                        slice_of(cases[i].events[k].key),
                        &(struct deposit){cases[i].events[k].amount, slice_of(cases[i].events[k].id)},
                        cases[i].events[k].time);
        struct event out;
        for (size_t k = 0; cases[i].pairs[k] != NULL; k++) {
            if (!driver_next(d, &out))
                fail_msg("%s: no pair %s", cases[i].name, cases[i].pairs[k]);
            assert_slice(((const struct receipt *)out.value)->text, cases[i].pairs[k]);
        }
        if (driver_next(d, &out))
            fail_msg("%s: " SLICE_FMT, cases[i].name, SLICE_ARG(((const struct receipt *)out.value)->text));
        driver_destroy(d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pairs_are_found_whatever_the_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
