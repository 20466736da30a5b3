#include "orders.h"

#include "base/cleanup.h"
#include "base/id.h"
#include "stream/stream.h"
#include "transaction/txn.h"

static void on_request(struct txn *txn, const struct event *in);
static void on_validation(struct txn *txn, const struct event *in);
static void on_cancellation(struct txn *txn, const struct event *in);
static void index_order(struct index *to, const struct event *row);

/* What an order is, is what the topic says: it is its own changelog. */
const struct view orders_made = {
    .name = "made", .changelog = &topic_orders, .events = true, .served = &orders_table};
/* Until it has its outcome. */
const struct view orders_checks = {.name = "checks", .changelog = &topic_order_checks, .private = true};

const struct topology orders_topology = {
    .name = "orders",
    .sources =
        (const struct source[]){
            {.topic = &topic_order_requests, .handle = on_request, .forward_misplaced = true, .yields = true},
            {.topic = &topic_order_validations, .handle = on_validation},
            {.topic = &topic_order_cancellations, .handle = on_cancellation},
            {0},
        },
    .views = (const struct view *const[]){&orders_made, &orders_checks, NULL},
    .outputs = (const struct topic *const[]){&topic_orders_by_product, &topic_orders_by_customer, NULL},
    .dead_letters = &topic_dead_letters,
};

const struct table orders_table = {
    .name = "orders",
    .topic = &topic_orders,
    .index = index_order,
    .index_version = 2,
    .passing = "0/", /* the lists of orders without an outcome */
    .view = &orders_made,
};

const struct table orders_assignments = {.name = "assignments", .topic = &topic_assignments};

const struct topology orders_view_topology = {
    .name = "orders-view",
    .tables = (const struct table *const[]){&orders_table, &orders_assignments, NULL},
};

/* To the log, and to those of its indexes whose readers do something about it: stock is released by the way
 * on which it was reserved. */
static void put_order(struct txn *txn, const struct order *o) {
    txn_put(txn, &orders_made, SLICE_NONE, o);
    if (o->state != ORDER_STATE_VALIDATED)
        txn_emit(txn, &topic_orders_by_product, o->product_id, o);
    if (o->state == ORDER_STATE_CREATED)
        txn_emit(txn, &topic_orders_by_customer, o->customer_id, o);
}

/* The first request of an id makes the order; later ones, equal or not, change nothing. */
static void on_request(struct txn *txn, const struct event *in) {
    const struct order_request *r = in->value;
    const char *bad = !id_valid(r->id)            ? "id"
                      : !id_valid(r->customer_id) ? "customerId"
                      : !id_valid(r->product_id)  ? "productId"
                                                  : NULL;
    if (bad != NULL) {
        txn_reject(txn, "%s: must match " ID_PATTERN, bad);
        return;
    }
    if (!slice_equal(in->key, r->id)) {
        txn_reject(txn, "id: differs from the record's key");
        return;
    }
    struct order o;
    if (txn_get(txn, &orders_made, SLICE_NONE, &o))
        return;
    put_order(txn, &(struct order){
                       .id = r->id,
                       .customer_id = r->customer_id,
                       .product_id = r->product_id,
                       .quantity = r->quantity,
                       .price_cents = r->price_cents,
                       .state = ORDER_STATE_CREATED,
                       .created_at = in->timestamp,
                   });
}

int64_t orders_created_at(const struct event *row) {
    const struct order *o = row->value;
    return o->created_at > 0 ? o->created_at : row->timestamp; /* of a version that did not keep it */
}

static enum check_state *check_of(struct order_checks *c, enum check check) {
    switch (check) {
    case CHECK_INVENTORY_CHECK:
        return &c->inventory;
    case CHECK_FRAUD_CHECK:
        return &c->fraud;
    case CHECK_ORDER_DETAILS_CHECK:
        break;
    }
    return &c->order_details;
}

enum order_state orders_outcome(const struct order_checks *c) {
    if (c->inventory == CHECK_STATE_FAIL || c->fraud == CHECK_STATE_FAIL ||
        c->order_details == CHECK_STATE_FAIL)
        return ORDER_STATE_FAILED;
    if (c->inventory == CHECK_STATE_PASS && c->fraud == CHECK_STATE_PASS &&
        c->order_details == CHECK_STATE_PASS)
        return ORDER_STATE_VALIDATED;
    return ORDER_STATE_CREATED;
}

/* The order that a record speaks of. False: there is none, and the record is rejected. */
static bool find_order(struct txn *txn, const struct event *in, struct slice order_id, struct order *o) {
    if (!slice_equal(in->key, order_id))
        txn_reject(txn, "orderId: differs from the record's key");
    else if (!txn_get(txn, &orders_made, SLICE_NONE, o))
        txn_reject(txn, "orderId: no such order"); /* who speaks of an order has seen its CREATED */
    else
        return true;
    return false;
}

/* Each check counts once, and an order that has its outcome keeps it. */
static void on_validation(struct txn *txn, const struct event *in) {
    const struct validation *v = in->value;
    struct order o;
    struct order_checks checks = {0};
    if (!find_order(txn, in, v->order_id, &o) || o.state != ORDER_STATE_CREATED)
        return;
    bool begun = txn_get(txn, &orders_checks, SLICE_NONE, &checks);
    enum check_state *check = check_of(&checks, v->check);
    if (*check != CHECK_STATE_NONE)
        return;
    *check = v->result == CHECK_RESULT_PASS ? CHECK_STATE_PASS : CHECK_STATE_FAIL;
    o.state = orders_outcome(&checks);
    if (o.state == ORDER_STATE_CREATED) {
        txn_put(txn, &orders_checks, SLICE_NONE, &checks);
        return;
    }
    if (begun)
        txn_delete(txn, &orders_checks, SLICE_NONE);
    struct slice reason =
        v->reason.data != NULL ? v->reason : slice_of(event_enum_name(&check_enum, (int)v->check));
    if (o.state == ORDER_STATE_FAILED)
        o.reasons = (struct slices){&reason, 1};
    put_order(txn, &o);
}

/* An outcome like any other: the first one counts, stock is released in the same way. */
static void on_cancellation(struct txn *txn, const struct event *in) {
    const struct order_cancellation *c = in->value;
    struct order o;
    struct order_checks checks;
    if (!find_order(txn, in, c->order_id, &o) || o.state != ORDER_STATE_CREATED)
        return;
    if (txn_get(txn, &orders_checks, SLICE_NONE, &checks))
        txn_delete(txn, &orders_checks, SLICE_NONE);
    struct slice reason = SLICE(ORDER_CANCELLED);
    o.state = ORDER_STATE_FAILED;
    o.reasons = (struct slices){&reason, 1};
    put_order(txn, &o);
}

/* An id has no '/', so no list's prefix begins another's. */
void orders_list_prefix(struct slice customer_id, enum order_state state, struct buf *out) {
    buf_append_int(out, (int)state);
    buf_append_byte(out, '/');
    buf_append_slice(out, customer_id);
    buf_append_byte(out, '/');
}

/* Newest first, and of one millisecond too each has its place. */
void orders_list_place(int64_t timestamp, struct slice id, struct buf *out) {
    buf_append_descending(out, timestamp);
    buf_append_slice(out, id);
}

bool orders_list_place_valid(struct slice place) {
    size_t n = 0;
    while (n < place.size && n < 16 && memchr("0123456789abcdef", place.data[n], 16) != NULL)
        n++;
    return n == 16 && id_valid((struct slice){place.data + n, place.size - n});
}

/* Two lists have it, and what they do not have is merged when somebody reads: writing is what there is most
 * of. */
static void index_order(struct index *to, const struct event *row) {
    const struct order *o = row->value;
    const struct slice customers[] = {SLICE_NONE, o->customer_id};
    _cleanup_(buf_free) struct buf key = {0};
    for (size_t i = 0; i < sizeof customers / sizeof *customers; i++) {
        buf_clear(&key);
        orders_list_prefix(customers[i], o->state, &key);
        orders_list_place(orders_created_at(row), row->key, &key);
        index_key(to, buf_slice(&key));
    }
}
