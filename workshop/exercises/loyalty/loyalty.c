/* loyalty: the points of each customer, for each of their VALIDATED orders, by their level. */
#include "schemas/schemas.gen.h"
#include "topology/topology.h"
#include "transaction/txn.h"

static void on_order(struct txn *txn, const struct event *in);
static void on_customer_order(struct txn *txn, const struct event *in);

/* The points, a row for each customer. Their topic is public: it is its own changelog. */
const struct view loyalty_points = {.name = "points", .changelog = &topic_loyalty};

/* Fresh: whoever saw the order has seen its customer, and so does this. */
const struct table loyalty_customers = {.name = "customers", .topic = &topic_customers, .fresh = true};

/* What HTTP reads, on each instance. */
const struct table loyalty_table = {.name = "loyalty", .topic = &topic_loyalty};

const struct topology loyalty_topology = {
    .name = "loyalty",
    .sources =
        (const struct source[]){
            {.topic = &topic_orders, .handle = on_order},
            {.topic = &topic_loyalty_orders, .handle = on_customer_order},
            {0},
        },
    .views = (const struct view *const[]){&loyalty_points, NULL},
    .tables = (const struct table *const[]){&loyalty_customers, &loyalty_table, NULL},
    .outputs = (const struct topic *const[]){&topic_loyalty_orders, NULL},
};

/* A point for each whole unit of money: BRONZE once, SILVER twice, GOLD three times, PLATINUM four times. */
static int64_t points_for(const struct order *o, enum customer_level level) {
    return o->quantity * o->price_cents / 100 * (level + 1);
}

/* The orders have their id as key, and the points are by customer: the VALIDATED ones go on under the
 * customer's key, so that all of a customer's come to one partition. */
static void on_order(struct txn *txn, const struct event *in) {
    const struct order *o = in->value;
    /* TODO: emit the order to topic_loyalty_orders, with o->customer_id as key, once it is
     *       ORDER_STATE_VALIDATED: an order has an event for each of its states. */
    (void)txn, (void)o;
}

/* The key is the customer's. */
static void on_customer_order(struct txn *txn, const struct event *in) {
    const struct order *o = in->value;
    struct customer c;
    struct loyalty row = {.customer_id = in->key};
    if (!txn_lookup(txn, &loyalty_customers, in->key, &c))
        return; /* deleted since: no points for nobody */
    /* TODO: what the customer had before, and the points for this order; one order more; written back. */
    (void)o, (void)row, (void)points_for;
}
