#include "check.h"

#include <inttypes.h>

static const char *const names[] = {"ada", "bob", "cid", "dee"};

/* A client that did not hear that its record was taken writes it again: the same item. */
static void write_purchase(struct world *w, const struct item *item) {
    char id[20];
    snprintf(id, sizeof id, "p-%u", item->arg % 1000);
    world_write_event(w, &topic_purchases, -1, slice_of(names[item->key]),
                      &(struct purchase){.id = slice_of(id), .points = 10 * (1 + item->arg / 1000 % 9)},
                      world_now(w) - (item->kind == ITEM_LATE ? 600000 : 0), item->mode);
}

struct state {
    int64_t total[4];
    struct {
        struct slice customer, id;
    } counted[MAX_ITEMS];
    int count;
};

static bool is_counted(const struct state *s, struct slice customer, struct slice id) {
    for (int i = 0; i < s->count; i++)
        if (slice_equal(s->counted[i].customer, customer) && slice_equal(s->counted[i].id, id))
            return true;
    return false;
}

static void reckon(struct reckoning *r, const struct event *in) {
    const struct purchase *p = in->value;
    struct state *state = reckoning_state(r);
    int64_t *total = &state->total[in->key.data[0] - 'a'];
    if (is_counted(state, in->key, p->id)) {
        expect_nothing(r, in, &topic_points, "counted-twice",
                       SLICE_FMT "'s %" PRId64 " points of purchase " SLICE_FMT " were counted twice",
                       SLICE_ARG(in->key), p->points, SLICE_ARG(p->id));
        return;
    }
    state->counted[state->count].customer = in->key;
    state->counted[state->count++].id = p->id;
    *total += p->points;
    expect(r, in, &topic_points, in->key, &(struct total){.total = *total}, p->points,
           SLICE_FMT "'s %" PRId64 " points of purchase " SLICE_FMT, SLICE_ARG(in->key), p->points,
           SLICE_ARG(p->id));
}

static int64_t amount(const struct topic *t, const void *value) {
    (void)t;
    return ((const struct total *)value)->total;
}

const struct exercise exercise_once = {
    .topology = "once",
    .inputs = (const struct topic *const[]){&topic_purchases, NULL},
    .outputs = (const struct topic *const[]){&topic_points, NULL},
    .state = sizeof(struct state),
    .write = write_purchase,
    .reckon = reckon,
    .amount = amount,
};
