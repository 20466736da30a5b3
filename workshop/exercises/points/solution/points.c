/* The points of each customer: after each purchase, how many they are by now. */
#include "schemas/schemas.gen.h"
#include "topology/topology.h"
#include "transaction/step.h"

static const struct view totals = {.name = "totals", .changelog = &topic_point_changes};

static void on_purchase(struct step *s, const struct event *in) {
    const struct purchase *p = in->value;
    struct total total = {0};
    step_get(s, &totals, SLICE_NONE, &total);
    total.total += p->points;
    step_put(s, &totals, SLICE_NONE, &total);
    step_emit(s, &topic_points, in->key, &total);
}

const struct topology points = {
    .name = "points",
    .sources = (const struct source[]){{.topic = &topic_purchases, .handle = on_purchase}, {0}},
    .views = (const struct view *const[]){&totals, NULL},
    .outputs = (const struct topic *const[]){&topic_points, NULL},
};
