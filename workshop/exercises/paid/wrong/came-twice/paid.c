/* An order and its payment within a minute of each other, whichever comes first: a join of two streams. */
#include "schemas/schemas.gen.h"
#include "topology/topology.h"
#include "transaction/join.h"
#include "transaction/txn.h"

#define WITHIN_MS INT64_C(60000)
#define KEEP_MS INT64_C(86400000) /* for how long each waits for the other */

/* Each side is kept in a view of its own. */
static const struct view kept_orders = {
    .name = "orders", .changelog = &topic_paid_order_changes, .retention_ms = KEEP_MS};
static const struct view kept_payments = {
    .name = "payments", .changelog = &topic_paid_payment_changes, .retention_ms = KEEP_MS};

static void on_pair(struct txn *txn, const struct event *order, const struct event *payment) {
    const struct order *o = order->value;
    const struct payment *p = payment->value;
    txn_emit(txn, &topic_paid_orders, o->id,
             &(struct paid_order){.order_id = o->id,
                                  .customer_id = o->customer_id,
                                  .payment_id = p->id,
                                  .amount_cents = p->amount_cents});
}

static const struct join pairs = {&kept_orders, &kept_payments, WITHIN_MS, on_pair};

/* Of an order there is one event here, its CREATED. */
static void on_order(struct txn *txn, const struct event *in) {
    const struct order *o = in->value;
    if (o->state == ORDER_STATE_CREATED)
        join_left(txn, &pairs, in, SLICE_NONE);
}

static void on_payment(struct txn *txn, const struct event *in) {
    const struct payment *p = in->value;
    /* An id that is new each time never meets another. */
    join_right(txn, &pairs, in,
               arena_printf(txn_arena(txn), SLICE_FMT ".%d", SLICE_ARG(p->id), (int)in->offset));
}

const struct topology paid = {
    .name = "paid",
    .sources =
        (const struct source[]){
            {.topic = &topic_orders, .handle = on_order},
            {.topic = &topic_payments, .handle = on_payment},
            {0},
        },
    .views = (const struct view *const[]){&kept_orders, &kept_payments, NULL},
    .outputs = (const struct topic *const[]){&topic_paid_orders, NULL},
};
