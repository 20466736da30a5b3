/* Points once more. But a shop that did not hear whether its record was taken writes it again: then the log
 * has two records of one purchase, with the same id. It counts once. */
#include "schemas/schemas.gen.h"
#include "topology/topology.h"
#include "transaction/txn.h"

static const struct view totals = {.name = "totals", .changelog = &topic_point_changes};

/* What was counted: below the customer, a row for each purchase. */
static const struct view counted = {.name = "counted", .changelog = &topic_counted_purchases};

static void on_purchase(struct txn *txn, const struct event *in) {
    const struct purchase *p = in->value;
    struct purchase before;
    struct total total = {0};
    if (txn_get(txn, &counted, p->id, &before))
        return;
    txn_put(txn, &counted, p->id, p);
    txn_get(txn, &totals, SLICE_NONE, &total);
    total.total += p->points;
    txn_put(txn, &totals, SLICE_NONE, &total);
    txn_emit(txn, &topic_points, in->key, &total);
}

const struct topology once = {
    .name = "once",
    .sources = (const struct source[]){{.topic = &topic_purchases, .handle = on_purchase}, {0}},
    .views = (const struct view *const[]){&totals, &counted, NULL},
    .outputs = (const struct topic *const[]){&topic_points, NULL},
};
