/* fill: orders that have their outcome, straight into the log: as what a view restores from.
 *
 *   fill [--count N] [--from N]    orders fill-FROM … fill-(FROM+N-1) (1000000 from 0), FAILED, into
 * `orders`; stop the service orders before, which takes them from there when it starts
 *   --topic NAME                   into another topic, in the same form
 *
 * Prints {"perSecond": …}. Environment: bench/where.h. Exit codes: 0; 1 when Kafka is away; 2 usage. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "options.h"
#include "shop.h"
#include "writer.h"

#include <stdio.h>

struct wanted {
    struct topic topic;
    double from, count;
};

static bool fill(void *context, struct writer *w, struct err *e) {
    const struct wanted *wanted = context;
    const struct topic *t = &wanted->topic;
    size_t from = (size_t)wanted->from, count = (size_t)wanted->count;
    _cleanup_(arena_free) struct arena a = {0};
    struct slice reason = SLICE("filled");
    bool ok = writer_prepare(w, t, &topic_orders, e);
    for (size_t n = from; n < from + count && ok; n++, arena_reset(&a)) {
        struct order_request r = shop_order(n, &a);
        int64_t now = clock_wall_ms();
        struct order o = {.id = arena_printf(&a, "fill-%zu", n),
                          .customer_id = r.customer_id,
                          .product_id = r.product_id,
                          .quantity = r.quantity,
                          .price_cents = r.price_cents,
                          .state = ORDER_STATE_FAILED,
                          .reasons = {.items = &reason, .count = 1},
                          .created_at = now};
        ok = writer_write(w, t, &topic_orders, o.id, &o, now, e);
    }
    return ok && writer_flush(w, e);
}

int main(int argc, char **argv) {
    struct wanted wanted = {.topic = topic_orders, .count = 1000000};
    const char *name = NULL;
    const struct option_spec options[] = {
        {.name = "count", .min = 1, .max = 100000000, .number = &wanted.count},
        {.name = "from", .min = 0, .max = 100000000, .number = &wanted.from},
        {.name = "topic", .text = &name},
        {0}};
    if (!options_parse(argc, argv, options)) {
        fprintf(stderr, "usage: fill [--count N] [--from N] [--topic NAME]\n");
        return 2;
    }
    if (name != NULL)
        wanted.topic.name = name;
    return writer_run("fill", topics_count, wanted.count, fill, &wanted);
}
