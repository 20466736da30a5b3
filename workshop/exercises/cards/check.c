#include "check.h"

#include <inttypes.h>

enum { WINDOW_MS = 300000, HAVING_MORE_THAN = 3 };

static const char *const cards[] = {"c-1", "c-2", "c-3", "c-4"};

static void write_authorization(struct world *w, const struct item *item) {
    int64_t late = item->kind == ITEM_LATE ? WINDOW_MS * (1 + item->arg % 2) : 0;
    struct slice card = slice_of(cards[item->key]);
    world_write_event(
        w, &topic_authorizations, -1, card,
        &(struct authorization){.card_token = card, .order_id = SLICE("o"), .amount_cents = item->arg % 1000},
        world_now(w) - late, item->mode);
}

struct state {
    struct {
        struct slice card;
        int64_t start, count;
    } windows[MAX_ITEMS];
};

static int64_t count(struct state *s, struct slice card, int64_t start) {
    int i = 0;
    while (s->windows[i].count > 0 &&
           (s->windows[i].start != start || !slice_equal(s->windows[i].card, card)))
        i++;
    s->windows[i].card = card;
    s->windows[i].start = start;
    return ++s->windows[i].count;
}

static void reckon(struct reckoning *r, const struct event *in) {
    int64_t start = in->timestamp - in->timestamp % WINDOW_MS;
    int64_t n = count(reckoning_state(r), in->key, start);
    if (n > HAVING_MORE_THAN)
        expect(r, in, &topic_possible_fraud, in->key,
               &(struct possible_fraud){
                   .card_token = in->key, .count = n, .window_start = start, .window_end = start + WINDOW_MS},
               0, "the %" PRId64 "th authorization of card " SLICE_FMT " in its five minutes", n,
               SLICE_ARG(in->key));
    else
        expect_nothing(r, in, &topic_possible_fraud, "false-alarm",
                       "Card " SLICE_FMT " had no more than %" PRId64 " authorizations in these five minutes",
                       SLICE_ARG(in->key), n);
}

const struct exercise exercise_cards = {
    .topology = "cards",
    .inputs = (const struct topic *const[]){&topic_authorizations, NULL},
    .outputs = (const struct topic *const[]){&topic_possible_fraud, NULL},
    .state = sizeof(struct state),
    .write = write_authorization,
    .reckon = reckon,
};
