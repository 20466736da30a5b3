/* The suite's own topologies, all together: orders from request to outcome. Judged as `./demo audit` judges a
 * real log, and against the services' rules, told in the order of the log. */
#include "rows.h"

#include "audit_fold.h"
#include "customers/customers.h"
#include "fraud/fraud.h"
#include "inventory/inventory.h"
#include "log/partitions.h"
#include "order-details/order_details.h"
#include "orders/orders.h"
#include "recount.h"
#include "shipping/shipping.h"

#include <inttypes.h>
#include <stdlib.h>

#define BEGINS INT64_C(1700000000000) /* what is written has times up to then */
enum { ORDERS = 12, PRODUCTS = 3, CUSTOMERS = 3 };

static const char *const orders[ORDERS] = {"o0", "o1", "o2", "o3", "o4", "o5",
                                           "o6", "o7", "o8", "o9", "oa", "ob"};
static const char *const products[PRODUCTS + 1] = {"lp", "mc", "cd", "unheard-of"};
static const char *const customers[CUSTOMERS + 1] = {"ann", "bob", "cid", "nobody"};

static const struct topology *const all[] = {&orders_topology,    &inventory_topology,
                                             &fraud_topology,     &order_details_topology,
                                             &customers_topology, &shipping_topology};

enum item_kind { ITEM_REQUEST, ITEM_STOCK, ITEM_CUSTOMER, ITEM_CANCEL, ITEM_BAD, ITEM_MISPLACED };

static void suite_plan(struct plan *p, uint64_t *rng) {
    static const uint8_t kinds[] = {ITEM_REQUEST, ITEM_REQUEST, ITEM_REQUEST,  ITEM_REQUEST,  ITEM_REQUEST,
                                    ITEM_REQUEST, ITEM_STOCK,   ITEM_STOCK,    ITEM_CUSTOMER, ITEM_CANCEL,
                                    ITEM_CANCEL,  ITEM_BAD,     ITEM_MISPLACED};
    uint32_t variety = random_below(rng, 3) == 0 ? sizeof kinds : sizeof kinds - 2;
    for (int i = 0; i < 4; i++)
        p->instances[i] = 1 + (int)random_below(rng, 2);
    p->instances[4] = 1;
    p->instances[5] = 1 + (int)random_below(rng, 2);
    p->item_count = 6 + (int)random_below(rng, 20);
    for (int i = 0; i < p->item_count; i++)
        p->items[i] = (struct item){.kind = i < 4 ? (i % 2 == 0 ? ITEM_STOCK : ITEM_CUSTOMER)
                                                  : kinds[random_below(rng, variety)],
                                    .key = (uint8_t)random_below(rng, ORDERS),
                                    .partition = (uint8_t)random_below(rng, (uint32_t)p->partitions),
                                    .arg = (uint32_t)random_next(rng)};
}

static void suite_topologies(const struct plan *p, const struct topology **topologies) {
    (void)p;
    memcpy(topologies, all, sizeof all);
}

/* Has a client been able to read a row of this key? */
static bool is_known(struct world *w, const struct topic *t, struct slice key) {
    struct rows rows = {.count = 0};
    rows_fold(&rows, w, t, partition_of(key, world_plan(w)->partitions));
    for (int i = 0; i < rows.count; i++)
        if (slice_equal(rows.keys[i], key))
            return rows.values[i].data != NULL;
    return false;
}

/* A request says in its price's last digit whether product and customer could be known by then: the price is
 * the one field that nobody looks up. */
static void write_request(struct world *w, const struct item *item, int32_t partition) {
    uint32_t n = item->arg;
    struct order_request r = {.id = slice_of(orders[item->key]),
                              .customer_id = slice_of(customers[n % 16 == 0 ? CUSTOMERS : n % CUSTOMERS]),
                              .product_id = slice_of(products[n % 17 == 0 ? PRODUCTS : n / 3 % PRODUCTS]),
                              .quantity = (int32_t)(n / 16 % 7) - 1,
                              .price_cents = (int64_t)(n / 128 % 4000) * 10};
    r.price_cents += is_known(w, &topic_stock, r.product_id) && is_known(w, &topic_customers, r.customer_id);
    int64_t time = BEGINS - n % 8 * INT64_C(1800000);
    world_write_event(w, &topic_order_requests, partition, r.id, &r, time, WRITE_PLAIN);
}

/* As HTTP does: of an order that is there. */
static void write_cancellation(struct world *w, struct slice id) {
    if (is_known(w, &topic_orders, id))
        world_write_event(w, &topic_order_cancellations, -1, id, &(struct order_cancellation){.order_id = id},
                          BEGINS, WRITE_PLAIN);
}

static void suite_write(struct world *w, const struct item *item) {
    struct slice product = slice_of(products[item->arg % PRODUCTS]),
                 customer = slice_of(customers[item->arg % CUSTOMERS]);
    int64_t now = world_now(w);
    switch (item->kind) {
    case ITEM_REQUEST:
        write_request(w, item, -1);
        break;
    case ITEM_MISPLACED:
        write_request(w, item, item->partition);
        break;
    case ITEM_CANCEL:
        write_cancellation(w, slice_of(orders[item->key]));
        break;
    case ITEM_STOCK:
        world_write_event(
            w, &topic_stock, -1, product,
            &(struct stock){.product_id = product, .quantity = {true, (int32_t)(item->arg >> 8) % 20}}, now,
            WRITE_PLAIN);
        break;
    case ITEM_CUSTOMER:
        world_write_event(w, &topic_customers, -1, customer,
                          &(struct customer){.id = customer, .address = SLICE("home")}, now, WRITE_PLAIN);
        break;
    case ITEM_BAD: /* some are of changelogs, and nobody could tell a stale store from them once they grow */
        if (world_plan(w)->stale_stores)
            break;
        world_write(w,
                    (const struct topic *const[]){&topic_order_requests, &topic_orders,
                                                  &topic_orders_by_product, &topic_order_validations,
                                                  &topic_shipments,
                                                  &topic_order_cancellations}[item->arg % 6],
                    -1, slice_of(orders[item->key]), SLICE("\0\0\0\0\1"), now, WRITE_PLAIN);
        break;
    }
}

/* ---- what must be true in the end ---- */

struct judge {
    struct world *w;
    struct audit *audit;
    struct recount *recount;
    struct arena arena;
    struct {                /* by order */
        struct order first; /* as CREATED */
        bool created;
        int details; /* enum check_result + 1 */
    } orders[ORDERS];
    struct rows letters;
};

static int order_number(struct slice id) {
    for (int i = 0; i < ORDERS; i++)
        if (slice_equal(slice_of(orders[i]), id))
            return i;
    abort();
}

static bool has_header(const struct log_header *headers, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(headers[i].name, name) == 0)
            return true;
    return false;
}

static void note_letter(void *context, const struct log_record *r, const struct log_header *headers,
                        size_t n) {
    (void)headers, (void)n;
    struct judge *c = context;
    struct dead_letter l;
    struct err e = {0};
    if (!schemas_decode(world_schemas(c->w), &dead_letter_type, r->value, &c->arena, &l, &e))
        abort();
    for (int i = 0; i < c->letters.count; i++)
        if (slice_equal(c->letters.keys[i], r->key) && plan_loses_offsets(world_plan(c->w)))
            return; /* only that can make two of them */
    c->letters.keys[c->letters.count++] = r->key;
    audit_dead_letter(c->audit, &l);
}

static void note_validation(struct judge *c, const struct validation *v) {
    int i = order_number(v->order_id);
    if (v->check == CHECK_ORDER_DETAILS_CHECK)
        c->orders[i].details = (int)v->result + 1;
}

/* To where the customer lives or lived: nobody is deleted here. */
static void note_shipment(struct judge *c, const struct shipment *s) {
    if (s->state != SHIPMENT_STATE_SHIPPED || s->address.size == 0)
        world_violation(c->w, SLICE_FMT " is shipped to nowhere", SLICE_ARG(s->order_id));
}

static void note(void *context, const struct log_record *r, const struct log_header *headers, size_t n) {
    struct judge *c = context;
    struct audit_at at = {r->partition, r->offset};
    struct err e = {0};
    if (audit_is_dead(c->audit, r->topic, at))
        return;
    void *value = arena_alloc(&c->arena, r->topic->value->size);
    bool misplaced = partition_of(r->key, world_plan(c->w)->partitions) != r->partition;
    if (!schemas_decode(world_schemas(c->w), r->topic->value, r->value, &c->arena, value, &e) ||
        (misplaced && r->topic != &topic_order_requests)) {
        audit_bad(c->audit, r->topic, at);
    } else if (r->topic == &topic_order_requests) {
        audit_request(c->audit, at, value, misplaced);
    } else if (r->topic == &topic_order_cancellations) {
        audit_cancellation(c->audit, value);
    } else if (r->topic == &topic_orders) {
        const struct order *o = value;
        audit_order(c->audit, at, r->timestamp, o);
        if (o->state == ORDER_STATE_CREATED) {
            c->orders[order_number(o->id)].first = *o;
            c->orders[order_number(o->id)].created = true;
        }
    } else if (r->topic == &topic_order_validations) {
        audit_validation(c->audit, at, value, has_header(headers, n, "caused-by"));
        note_validation(c, value);
    } else if (r->topic == &topic_orders_by_product) {
        audit_order_by_product(c->audit, at, value);
    } else if (r->topic == &topic_orders_by_customer) {
        recount_order(c->recount, c->audit, at, r->timestamp, value);
    } else if (r->topic == &topic_reserved_stock) {
        audit_reserved(c->audit, value);
    } else if (r->topic == &topic_stock) {
        audit_stock(c->audit, r->key, r->timestamp, value);
    } else if (r->topic == &topic_customers) {
        audit_customer(c->audit, r->key, r->timestamp, value);
    } else if (r->topic == &topic_shipments) {
        audit_shipment(c->audit, at, value);
        note_shipment(c, value);
    }
}

/* What a client could read before it asked, order-details knows; what nobody ever wrote, it does not. */
static void check_details(struct judge *c, int i) {
    const struct order *o = &c->orders[i].first;
    if (!c->orders[i].created)
        return;
    bool knowable =
        is_known(c->w, &topic_stock, o->product_id) && is_known(c->w, &topic_customers, o->customer_id);
    bool pass = c->orders[i].details == CHECK_RESULT_PASS + 1;
    if (pass && (!knowable || o->quantity < 1))
        world_violation(c->w, "order-details passed %s", orders[i]);
    if (!pass && o->price_cents % 10 == 1 && o->quantity >= 1)
        world_violation(c->w, "order-details failed %s, whose product and customer a client could read",
                        orders[i]);
}

static void check_audit(struct judge *c) {
    audit_judge(c->audit, true);
    for (int i = AUDIT_ORDERS; i <= AUDIT_SHIPMENTS; i++)
        if (audit_result(c->audit, i)->violations > 0)
            world_violation(c->w, "audit: %s", audit_result(c->audit, i)->examples[0]);
    struct buf names = {0};
    if (audit_in_flight(c->audit, &names).total > 0)
        world_violation(c->w, "in flight for ever: " SLICE_FMT, SLICE_ARG(buf_slice(&names)));
    buf_free(&names);
}

static void suite_check(struct world *w) {
    static const struct topic *const read[] = {&topic_orders,
                                               &topic_order_validations,
                                               &topic_reserved_stock,
                                               &topic_stock,
                                               &topic_customers,
                                               &topic_orders_by_product,
                                               &topic_orders_by_customer,
                                               &topic_order_requests,
                                               &topic_shipments,
                                               &topic_order_cancellations,
                                               NULL};
    struct judge *c = xcalloc(1, sizeof *c);
    int partitions = world_plan(w)->partitions;
    c->w = w;
    c->audit = audit_create();
    c->recount = recount_create();
    for (int32_t p = 0; p < partitions; p++)
        world_scan(w, &topic_dead_letters, p, note_letter, c);
    for (size_t t = 0; read[t] != NULL; t++)
        for (int32_t p = 0; p < partitions; p++)
            world_scan(w, read[t], p, note, c);
    for (int i = 0; i < ORDERS; i++)
        check_details(c, i);
    check_audit(c);
    for (size_t t = 0; t < sizeof all / sizeof *all; t++)
        rows_check_topology(w, all[t]);
    recount_destroy(c->recount);
    audit_destroy(c->audit);
    arena_free(&c->arena);
    free(c);
}

const struct workload suite_workload = {
    .name = "suite",
    .topics = (const struct topic *const[]){&topic_order_requests, &topic_orders, &topic_order_validations,
                                            &topic_stock, &topic_reserved_stock, &topic_customers,
                                            &topic_dead_letters, &topic_orders_by_product,
                                            &topic_orders_by_customer, &topic_order_checks,
                                            &topic_reservations, &topic_fraud_sessions, &topic_fraud_verdicts,
                                            &topic_order_details_verdicts, &topic_shipments,
                                            &topic_order_cancellations, NULL},
    .begins = BEGINS,
    .plan = suite_plan,
    .topologies = suite_topologies,
    .write = suite_write,
    .check = suite_check,
    .watch = rows_watch,
};
