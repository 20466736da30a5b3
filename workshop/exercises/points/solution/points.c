/* The points of each customer: after each purchase, how many they are by now. */
#include "schemas/schemas.gen.h"
#include "topology/topology.h"
#include "transaction/txn.h"

static const struct view totals = {.name = "totals", .changelog = &topic_point_changes};

static void on_purchase(struct txn *txn, const struct event *in) {
    const struct purchase *p = in->value;
    struct total total = {0};
    txn_get(txn, &totals, SLICE_NONE, &total);
    total.total += p->points;
    txn_put(txn, &totals, SLICE_NONE, &total);
    txn_emit(txn, &topic_points, in->key, &total);
}

const struct topology points = {
    .name = "points",
    .sources = (const struct source[]){{.topic = &topic_purchases, .handle = on_purchase}, {0}},
    .views = (const struct view *const[]){&totals, NULL},
    .outputs = (const struct topic *const[]){&topic_points, NULL},
};
