#include "order_details.h"

#include "transaction/txn.h"

#include <inttypes.h>

static void on_order(struct txn *txn, const struct event *in);

const struct view order_details_verdicts = {.name = "verdicts", .changelog = &topic_order_details_verdicts};

/* Fresh, so that what a client could read before it posted is known here, and an unknown id really is. */
const struct table order_details_stock = {.name = "stock", .topic = &topic_stock, .fresh = true};
const struct table order_details_customers = {.name = "customers", .topic = &topic_customers, .fresh = true};

const struct topology order_details_topology = {
    .name = "order-details",
    .sources = (const struct source[]){{.topic = &topic_orders, .handle = on_order}, {0}},
    .views = (const struct view *const[]){&order_details_verdicts, NULL},
    .tables = (const struct table *const[]){&order_details_stock, &order_details_customers, NULL},
    .outputs = (const struct topic *const[]){&topic_order_validations, NULL},
    .dead_letters = &topic_dead_letters,
};

/* What is wrong with the order; SLICE_NONE: nothing. */
static struct slice find_fault(struct txn *txn, const struct order *o) {
    struct arena *a = txn_arena(txn);
    if (o->quantity < 1)
        return arena_printf(a, "quantity: %" PRId32 " is less than 1", o->quantity);
    if (o->price_cents < 0)
        return arena_printf(a, "priceCents: %" PRId64 " is less than 0", o->price_cents);
    struct stock stock;
    if (!txn_lookup(txn, &order_details_stock, o->product_id, &stock))
        return arena_printf(a, "productId: unknown product " SLICE_FMT, SLICE_ARG(o->product_id));
    struct customer customer;
    if (!txn_lookup(txn, &order_details_customers, o->customer_id, &customer))
        return arena_printf(a, "customerId: unknown customer " SLICE_FMT, SLICE_ARG(o->customer_id));
    return SLICE_NONE;
}

/* Once per order: a verdict stays, whatever becomes known later. */
static void on_order(struct txn *txn, const struct event *in) {
    const struct order *o = in->value;
    struct verdict verdict;
    if (o->state != ORDER_STATE_CREATED || txn_get(txn, &order_details_verdicts, SLICE_NONE, &verdict))
        return;
    struct slice fault = find_fault(txn, o);
    enum check_result result = fault.data == NULL ? CHECK_RESULT_PASS : CHECK_RESULT_FAIL;
    txn_put(txn, &order_details_verdicts, SLICE_NONE, &(struct verdict){.order_id = o->id, .result = result});
    txn_emit(txn, &topic_order_validations, o->id,
             &(struct validation){
                 .order_id = o->id, .check = CHECK_ORDER_DETAILS_CHECK, .result = result, .reason = fault});
}
