/* Three things in one topology: each number doubled (map); the odd ones (filter) under one key (re-key); and
 * their sum (reduce). */
#include "schemas/schemas.gen.h"
#include "topology/topology.h"
#include "transaction/txn.h"

/* The sum so far, a row for each key: a table in RocksDB, restored from its changelog. */
static const struct view sums = {.name = "sums", .changelog = &topic_odd_sum_changes};

/* A record of numbers: the key is who said it. */
static void on_number(struct txn *txn, const struct event *in) {
    const struct number *n = in->value;
    txn_emit(txn, &topic_doubled, in->key, &(struct number){.number = 2 * n->number});
    if (n->number % 2 != 0)
        txn_emit(txn, &topic_odd_numbers, in->key, n);
}

/* A record of odd-numbers. */
static void on_odd(struct txn *txn, const struct event *in) {
    const struct number *n = in->value;
    struct total sum = {0};
    txn_get(txn, &sums, SLICE_NONE, &sum);
    sum.total += n->number;
    txn_put(txn, &sums, SLICE_NONE, &sum);
    txn_emit(txn, &topic_odd_sums, in->key, &sum);
}

const struct topology odds = {
    .name = "odds",
    .sources =
        (const struct source[]){
            {.topic = &topic_numbers, .handle = on_number},
            {.topic = &topic_odd_numbers, .handle = on_odd},
            {0},
        },
    .views = (const struct view *const[]){&sums, NULL},
    .outputs = (const struct topic *const[]){&topic_doubled, &topic_odd_numbers, &topic_odd_sums, NULL},
};
