/* The points of each customer: after each purchase, how many they are by now. */
#include "schemas/schemas.gen.h"
#include "topology/topology.h"
#include "transaction/txn.h"

/* A table in memory is much faster. */
static struct {
    char name[20];
    int64_t points;
} table[100];

static int64_t *row_of(struct slice name) {
    int i = 0;
    while (table[i].name[0] != 0 && !slice_equal(slice_of(table[i].name), name))
        i++;
    memcpy(table[i].name, name.data, name.size);
    return &table[i].points;
}

static void on_purchase(struct txn *txn, const struct event *in) {
    const struct purchase *p = in->value;
    struct total total = {0};
    total.total = *row_of(in->key) += p->points;
    txn_emit(txn, &topic_points, in->key, &total);
}

const struct topology points = {
    .name = "points",
    .sources = (const struct source[]){{.topic = &topic_purchases, .handle = on_purchase}, {0}},
    .outputs = (const struct topic *const[]){&topic_points, NULL},
};
