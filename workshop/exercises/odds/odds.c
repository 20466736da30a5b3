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
    /* TODO: the odd ones go to topic_odd_numbers as they are, all under the key SLICE("odd"). A record of
     *       that topic comes back to on_odd(), in the one partition that has this key. */
}

/* A record of odd-numbers. */
static void on_odd(struct txn *txn, const struct event *in) {
    const struct number *n = in->value;
    struct total sum = {0};
    /* TODO: read the row of the key from the view, add to it, write it back, and emit it to topic_odd_sums.
     *       txn_get(txn, &view, SLICE_NONE, &row) leaves the row as it is where there is none;
     *       txn_put(txn, &view, SLICE_NONE, &row). */
    (void)txn, (void)n, (void)sum;
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
