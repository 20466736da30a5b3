#include "check.h"

#include <inttypes.h>

static const char *const names[] = {"ann", "bea", "cleo", "dora"};

static void write_number(struct world *w, const struct item *item) {
    world_write_event(w, &topic_numbers, -1, slice_of(names[item->key]),
                      &(struct number){.number = item->arg % 100},
                      world_now(w) - (item->kind == ITEM_LATE ? 600000 : 0), item->mode);
}

static void reckon(struct reckoning *r, const struct event *in) {
    int64_t n = ((const struct number *)in->value)->number, *sum = reckoning_state(r);
    if (in->topic == &topic_numbers) {
        expect(r, in, &topic_doubled, in->key, &(struct number){.number = 2 * n}, 0, SLICE_FMT "'s %" PRId64,
               SLICE_ARG(in->key), n);
        if (n % 2 != 0)
            expect(r, in, &topic_odd_numbers, SLICE("odd"), &(struct number){.number = n}, 0,
                   SLICE_FMT "'s odd %" PRId64, SLICE_ARG(in->key), n);
    } else if (slice_equal(in->key, SLICE("odd"))) {
        *sum += n;
        expect(r, in, &topic_odd_sums, in->key, &(struct total){.total = *sum}, n,
               "the %" PRId64 " at offset %" PRId64 " of odd-numbers", n, in->offset);
    }
}

static int64_t amount(const struct topic *t, const void *value) {
    return t == &topic_odd_sums ? ((const struct total *)value)->total : 0;
}

const struct exercise exercise_odds = {
    .topology = "odds",
    .inputs = (const struct topic *const[]){&topic_numbers, &topic_odd_numbers, NULL},
    .outputs = (const struct topic *const[]){&topic_doubled, &topic_odd_numbers, &topic_odd_sums, NULL},
    .state = sizeof(int64_t),
    .write = write_number,
    .reckon = reckon,
    .amount = amount,
};
