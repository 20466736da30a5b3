/* The points of each customer: after each purchase, how many they are by now. */
#include "schemas/schemas.gen.h"
#include "topology/topology.h"
#include "transaction/txn.h"

/* TODO: a view with topic_point_changes as its changelog. Declared here, and in the topology below. */

static void on_purchase(struct txn *txn, const struct event *in) {
    const struct purchase *p = in->value;
    struct total total = {0};
    /* TODO: what the customer had before is in the view, at the key of `in`. */
    total.total += p->points;
    txn_emit(txn, &topic_points, in->key, &total);
}

const struct topology points = {
    .name = "points",
    .sources = (const struct source[]){{.topic = &topic_purchases, .handle = on_purchase}, {0}},
    .outputs = (const struct topic *const[]){&topic_points, NULL},
};
