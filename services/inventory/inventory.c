#include "inventory.h"

#include "inventory_rules.h"
#include "transaction/txn.h"

#include <inttypes.h>

static void on_order(struct txn *txn, const struct event *in);

const struct view inventory_reserved = {.name = "reserved", .changelog = &topic_reserved_stock};
const struct view inventory_reservations = {.name = "reservations", .changelog = &topic_reservations};
const struct table inventory_stock = {.name = "stock", .topic = &topic_stock, .fresh = true};
const struct table inventory_reserved_stock = {.name = "reserved-stock", .topic = &topic_reserved_stock};

/* By product, so that one task sees all orders of a product one after the other: stock is never oversold. */
const struct topology inventory_topology = {
    .name = "inventory",
    .sources =
        (const struct source[]){
            {.topic = &topic_orders_by_product, .handle = on_order},
            {.topic = &topic_stock},
            {.topic = &topic_reserved_stock},
            {0},
        },
    .views = (const struct view *const[]){&inventory_reserved, &inventory_reservations, NULL},
    .tables = (const struct table *const[]){&inventory_stock, &inventory_reserved_stock, NULL},
    .outputs = (const struct topic *const[]){&topic_order_validations, NULL},
    .dead_letters = &topic_dead_letters,
};

static int64_t get_reserved(struct txn *txn) {
    struct reserved_stock r;
    return txn_get(txn, &inventory_reserved, SLICE_NONE, &r) ? r.reserved : 0;
}

static void put_reserved(struct txn *txn, struct slice product_id, int64_t reserved) {
    txn_put(txn, &inventory_reserved, SLICE_NONE,
            &(struct reserved_stock){.product_id = product_id, .reserved = reserved});
}

static void check(struct txn *txn, struct slice product_id, const struct order *o) {
    struct stock stock;
    bool known = txn_lookup(txn, &inventory_stock, product_id, &stock);
    int32_t on_hand = known && stock.quantity.present ? stock.quantity.value : 0;
    int64_t reserved = get_reserved(txn);
    int32_t hold = 0;
    bool pass = inventory_decide(on_hand, reserved, o->quantity, &hold);

    if (hold > 0)
        put_reserved(txn, product_id, reserved + hold);
    /* Also where nothing is held: the entry says that this order is decided. */
    txn_put(txn, &inventory_reservations, o->id, &(struct reservation){.quantity = hold});
    struct validation v = {
        .order_id = o->id,
        .check = CHECK_INVENTORY_CHECK,
        .result = pass ? CHECK_RESULT_PASS : CHECK_RESULT_FAIL,
        .on_hand = {true, on_hand},
        .reserved_before = {true, reserved},
    };
    if (!pass)
        v.reason = arena_printf(txn_arena(txn), "quantity: %" PRId32 " wanted, %" PRId64 " available",
                                o->quantity, on_hand - reserved);
    txn_emit(txn, &topic_order_validations, o->id, &v);
}

static void release(struct txn *txn, struct slice product_id, struct slice order_id, struct reservation r) {
    put_reserved(txn, product_id, get_reserved(txn) - r.quantity);
    r.released = true;
    txn_put(txn, &inventory_reservations, order_id, &r);
}

/* CREATED is decided once, FAILED gives back once, VALIDATED keeps: the legacy system books the stock out. */
static void on_order(struct txn *txn, const struct event *in) {
    const struct order *o = in->value;
    struct reservation r;
    bool decided = txn_get(txn, &inventory_reservations, o->id, &r);
    if (o->state == ORDER_STATE_CREATED && !decided)
        check(txn, in->key, o);
    else if (o->state == ORDER_STATE_FAILED && decided && r.quantity > 0 && !r.released)
        release(txn, in->key, o->id, r);
}
