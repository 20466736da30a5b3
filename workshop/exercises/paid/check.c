#include "check.h"

#include <inttypes.h>

enum { WITHIN_MS = 60000, ORDERS = 12 };

/* Each order has a time of its own; a payment is as far from it as its number says. */
static void write_order_or_payment(struct world *w, const struct item *item) {
    static const int64_t apart[] = {1000, 60000, 60001, 30000, -30000, 90000};
    uint32_t n = item->arg % 4000, order = n / 2 % ORDERS, which = item->arg / 4000 % 6;
    char id[20], payment[20], customer[20];
    snprintf(id, sizeof id, "o-%u", order);
    snprintf(customer, sizeof customer, "c-%u", order % 3);
    snprintf(payment, sizeof payment, "pay-%u-%u", order, which);
    int64_t time = INT64_C(1700000100000) + order * 1000;
    if (n % 2 == 0)
        world_write_event(w, &topic_orders, -1, slice_of(id),
                          &(struct order){.id = slice_of(id),
                                          .customer_id = slice_of(customer),
                                          .quantity = 1,
                                          .price_cents = 100 * (1 + (int64_t)order),
                                          .state = ORDER_STATE_CREATED},
                          time, item->mode);
    else
        world_write_event(w, &topic_payments, -1, slice_of(id),
                          &(struct payment){.id = slice_of(payment),
                                            .order_id = slice_of(id),
                                            .amount_cents = 100 * (1 + (int64_t)order),
                                            .card_token = SLICE("t")},
                          time + apart[which], item->mode);
}

struct state {
    struct {
        struct slice id, customer;
        int64_t time;
    } orders[MAX_ITEMS];
    struct slice payments[MAX_ITEMS];
    int order_count, payment_count;
};

static void reckon_payment(struct reckoning *r, struct state *s, const struct event *in) {
    const struct payment *p = in->value;
    for (int i = 0; i < s->payment_count; i++)
        if (slice_equal(s->payments[i], p->id))
            return; /* once more */
    s->payments[s->payment_count++] = p->id;
    for (int i = 0; i < s->order_count; i++) {
        int64_t apart = s->orders[i].time - in->timestamp;
        if (slice_equal(s->orders[i].id, in->key) && apart <= WITHIN_MS && apart >= -WITHIN_MS)
            expect(r, NULL, &topic_paid_orders, in->key,
                   &(struct paid_order){.order_id = in->key,
                                        .customer_id = s->orders[i].customer,
                                        .payment_id = p->id,
                                        .amount_cents = p->amount_cents},
                   0, "order " SLICE_FMT " and its payment " SLICE_FMT ", %" PRId64 " s apart",
                   SLICE_ARG(in->key), SLICE_ARG(p->id), (apart < 0 ? -apart : apart) / 1000);
    }
}

/* A partition's orders come first, then its payments. */
static void reckon(struct reckoning *r, const struct event *in) {
    struct state *s = reckoning_state(r);
    if (in->topic == &topic_payments) {
        reckon_payment(r, s, in);
        return;
    }
    for (int i = 0; i < s->order_count; i++)
        if (slice_equal(s->orders[i].id, in->key))
            return;
    s->orders[s->order_count].id = in->key;
    s->orders[s->order_count].customer = ((const struct order *)in->value)->customer_id;
    s->orders[s->order_count++].time = in->timestamp;
}

const struct exercise exercise_paid = {
    .topology = "paid",
    .inputs = (const struct topic *const[]){&topic_orders, &topic_payments, NULL},
    .outputs = (const struct topic *const[]){&topic_paid_orders, NULL},
    .state = sizeof(struct state),
    .write = write_order_or_payment,
    .reckon = reckon,
};
