#include "check.h"

static const char *const names[] = {"ann", "bea", "cleo", "dora"};

static void write_caterpillar(struct world *w, const struct item *item) {
    struct slice name = slice_of(names[item->key]);
    world_write_event(w, &topic_caterpillars, -1, name,
                      &(struct caterpillar){.name = name, .length = 10 + (int32_t)(item->arg % 40)},
                      world_now(w) - (item->kind == ITEM_LATE ? 600000 : 0), item->mode);
}

static void reckon(struct reckoning *r, const struct event *in) {
    const struct caterpillar *c = in->value;
    expect(r, in, &topic_butterflies, in->key,
           &(struct butterfly){.name = c->name, .wingspan = 2 * c->length}, 0,
           "the caterpillar " SLICE_FMT " of %d mm", SLICE_ARG(c->name), c->length);
}

const struct exercise exercise_butterflies = {
    .topology = "butterflies",
    .inputs = (const struct topic *const[]){&topic_caterpillars, NULL},
    .outputs = (const struct topic *const[]){&topic_butterflies, NULL},
    .write = write_caterpillar,
    .reckon = reckon,
};
