#include "shipping.h"

#include "transaction/txn.h"

static void on_order(struct txn *txn, const struct event *in);

/* What was shipped is what the topic says: it is its own changelog. */
const struct view shipping_shipped = {.name = "shipped", .changelog = &topic_shipments};

/* Fresh: whoever saw the order VALIDATED has seen its customer, and so does this. */
const struct table shipping_customers = {.name = "customers", .topic = &topic_customers, .fresh = true};
const struct table shipping_shipments = {.name = "shipments", .topic = &topic_shipments};

const struct topology shipping_topology = {
    .name = "shipping",
    .sources =
        (const struct source[]){
            {.topic = &topic_orders, .handle = on_order},
            {.topic = &topic_shipments},
            {0},
        },
    .views = (const struct view *const[]){&shipping_shipped, NULL},
    .tables = (const struct table *const[]){&shipping_customers, &shipping_shipments, NULL},
    .dead_letters = &topic_dead_letters,
};

/* Once per order, to where the customer lives now. One who was deleted since the checks has no address any
 * more: then the order is held, and not lost. */
static void on_order(struct txn *txn, const struct event *in) {
    const struct order *o = in->value;
    struct shipment shipment;
    struct customer customer;
    if (o->state != ORDER_STATE_VALIDATED || txn_get(txn, &shipping_shipped, SLICE_NONE, &shipment))
        return;
    bool known = txn_lookup(txn, &shipping_customers, o->customer_id, &customer);
    txn_put(txn, &shipping_shipped, SLICE_NONE,
            &(struct shipment){
                .order_id = in->key,
                .customer_id = o->customer_id,
                .address = known ? customer.address : SLICE(""),
                .state = known ? SHIPMENT_STATE_SHIPPED : SHIPMENT_STATE_HELD,
            });
}
