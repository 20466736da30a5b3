/* The topologies one behind the other, as Kafka would connect them: each reads its topics in order, but
 * nothing is said about who is ahead, and anything may come twice. Whatever the schedule, the rules hold. */
#include "fraud/fraud.h"
#include "inventory/inventory.h"
#include "log/partitions.h"
#include "order-details/order_details.h"
#include "orders/orders.h"
#include "testing/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ORDERS = 60, PRODUCTS = 4, CUSTOMERS = 5, PARTITIONS = 3, SCHEDULES = 60 };
enum { ORDERS_NODE, INVENTORY_NODE, FRAUD_NODE, DETAILS_NODE, NODES };

static const struct topology *const topologies[NODES] = {&orders_topology, &inventory_topology,
                                                         &fraud_topology, &order_details_topology};

static const struct {
    int node;
    const struct topic *topic;
} edges[] = {
    {ORDERS_NODE, &topic_order_requests},      {ORDERS_NODE, &topic_order_validations},
    {ORDERS_NODE, &topic_order_cancellations}, {INVENTORY_NODE, &topic_orders_by_product},
    {FRAUD_NODE, &topic_orders_by_customer},   {DETAILS_NODE, &topic_orders},
};
enum { EDGES = sizeof edges / sizeof *edges, LANES = EDGES * PARTITIONS };

/* One reader's way through one partition. */
struct lane {
    struct event *events;
    size_t head, count, capacity;
};

struct result {
    int created, validated, failed;
    bool cancelled;
    int first[3]; /* by check: 0 none yet, 1 PASS, 2 FAIL */
};

struct pipeline {
    struct driver *nodes[NODES];
    struct lane lanes[LANES];
    struct order_request requests[ORDERS];
    struct result results[ORDERS];
    char ids[ORDERS][8];
    struct order_cancellation cancellations[ORDERS];
    int duplicates; /* percent of what is delivered comes again */
    int cancels;    /* so often, in percent, an order is cancelled after something was said of it */
    unsigned seed;
};

static const char *const products[PRODUCTS] = {"lp", "mc", "cd", "unknown"};
static const int32_t on_hand[PRODUCTS] = {12, 40, 0, 0};
static const char *const customers[CUSTOMERS] = {"ann", "bob", "cid", "dee", "unknown"};

static int draw(struct pipeline *p, int n) {
    return rand_r(&p->seed) % n;
}

static struct pipeline *pipeline_create(unsigned seed, int duplicates) {
    struct pipeline *p = xcalloc(1, sizeof *p);
    p->seed = seed;
    p->duplicates = duplicates;
    for (int n = 0; n < NODES; n++)
        p->nodes[n] = driver_create(topologies[n]);
    for (int i = 0; i < PRODUCTS - 1; i++) {
        struct stock s = {.product_id = slice_of(products[i]), .quantity = {true, on_hand[i]}};
        driver_send(p->nodes[INVENTORY_NODE], &topic_stock, s.product_id, &s, 0);
        driver_send(p->nodes[DETAILS_NODE], &topic_stock, s.product_id, &s, 0);
    }
    for (int i = 0; i < CUSTOMERS - 1; i++) {
        struct customer c = {.id = slice_of(customers[i])};
        driver_send(p->nodes[DETAILS_NODE], &topic_customers, c.id, &c, 0);
    }
    return p;
}

static void pipeline_destroy(struct pipeline *p) {
    for (int n = 0; n < NODES; n++)
        driver_destroy(p->nodes[n]);
    for (int l = 0; l < LANES; l++)
        free(p->lanes[l].events);
    free(p);
}

static struct result *result_of(struct pipeline *p, struct slice id) {
    for (int i = 0; i < ORDERS; i++)
        if (slice_equal(slice_of(p->ids[i]), id))
            return &p->results[i];
    fail_msg("nobody asked for order " SLICE_FMT, SLICE_ARG(id));
    return NULL;
}

static void note(struct pipeline *p, const struct event *e) {
    if (e->topic == &topic_orders) {
        const struct order *o = e->value;
        struct result *r = result_of(p, o->id);
        r->created += o->state == ORDER_STATE_CREATED;
        r->validated += o->state == ORDER_STATE_VALIDATED;
        r->failed += o->state == ORDER_STATE_FAILED;
        assert_int_equal(o->reasons.count, o->state == ORDER_STATE_FAILED ? 1 : 0);
        r->cancelled = r->cancelled || (o->state == ORDER_STATE_FAILED &&
                                        slice_equal(o->reasons.items[0], SLICE(ORDER_CANCELLED)));
    } else if (e->topic == &topic_order_validations) {
        const struct validation *v = e->value;
        int *first = &result_of(p, v->order_id)->first[v->check];
        assert_int_equal(*first, 0); /* a check speaks once of an order, however often the order comes */
        *first = v->result == CHECK_RESULT_PASS ? 1 : 2;
    } else if (e->topic == &topic_dead_letters) {
        fail_msg("dead letter: " SLICE_FMT, SLICE_ARG(((const struct dead_letter *)e->value)->reason));
    }
}

/* Appends to the partition of the key, for each who reads the topic. */
static void append(struct pipeline *p, const struct event *e) {
    note(p, e);
    for (int i = 0; i < EDGES; i++) {
        if (edges[i].topic != e->topic)
            continue;
        struct lane *l = &p->lanes[i * PARTITIONS + partition_of(e->key, PARTITIONS)];
        if (l->count == l->capacity)
            l->events = xrealloc(l->events, (l->capacity = l->capacity * 2 + 16) * sizeof *l->events);
        l->events[l->count++] = *e;
    }
}

/* Once an order is there, or a check has spoken of it. */
static void cancel_some(struct pipeline *p, const struct event *e) {
    if ((e->topic != &topic_orders && e->topic != &topic_order_validations) || draw(p, 100) >= p->cancels)
        return;
    ptrdiff_t i = result_of(p, e->key) - p->results;
    p->cancellations[i].order_id = slice_of(p->ids[i]);
    append(p, &(struct event){.topic = &topic_order_cancellations,
                              .timestamp = e->timestamp,
                              .key = p->cancellations[i].order_id,
                              .value = &p->cancellations[i]});
}

static void deliver(struct pipeline *p, int lane, const struct event *in) {
    struct driver *d = p->nodes[edges[lane / PARTITIONS].node];
    struct event out;
    driver_send(d, in->topic, in->key, in->value, in->timestamp);
    while (driver_next(d, &out)) {
        append(p, &out);
        cancel_some(p, &out);
    }
}

/* Any reader may be the next, until all have read everything. */
static void run(struct pipeline *p) {
    for (;;) {
        int open[LANES], count = 0;
        for (int l = 0; l < LANES; l++)
            if (p->lanes[l].head < p->lanes[l].count)
                open[count++] = l;
        if (count == 0)
            return;
        int l = open[draw(p, count)];
        struct event in = p->lanes[l].events[p->lanes[l].head++];
        deliver(p, l, &in);
        if (draw(p, 100) < p->duplicates)
            deliver(p, l, &in);
    }
}

static void request(struct pipeline *p, int i, struct order_request r, int64_t time) {
    snprintf(p->ids[i], sizeof p->ids[i], "o%d", i);
    r.id = slice_of(p->ids[i]);
    p->requests[i] = r;
    append(p, &(struct event){
                  .topic = &topic_order_requests, .timestamp = time, .key = r.id, .value = &p->requests[i]});
}

static void request_any(struct pipeline *p, int i) {
    struct order_request r = {
        .customer_id = slice_of(customers[draw(p, CUSTOMERS)]),
        .product_id = slice_of(products[draw(p, PRODUCTS)]),
        .quantity = draw(p, 6) - 1,
        .price_cents = draw(p, 12000) - 500,
    };
    request(p, i, r, INT64_C(1700000000000) + draw(p, 12) * INT64_C(1800000));
}

/* Every order has its one outcome, and it follows from its checks or a cancellation. */
static void expect_outcomes(struct pipeline *p) {
    for (int i = 0; i < ORDERS; i++) {
        const struct result *r = &p->results[i];
        bool pass = r->first[0] == 1 && r->first[1] == 1 && r->first[2] == 1 && !r->cancelled;
        if (r->created != 1 || r->validated != pass || r->failed != !pass ||
            r->first[0] * r->first[1] * r->first[2] == 0)
            fail_msg("order %s: %d created, %d validated, %d failed; checks %d %d %d", p->ids[i], r->created,
                     r->validated, r->failed, r->first[0], r->first[1], r->first[2]);
    }
}

/* What is reserved is what the valid orders hold, never more than there is. */
static void expect_reserved(struct pipeline *p) {
    for (int k = 0; k < PRODUCTS; k++) {
        struct reserved_stock reserved = {0};
        int64_t held = 0;
        for (int i = 0; i < ORDERS; i++)
            if (p->results[i].validated == 1 && slice_equal(p->requests[i].product_id, slice_of(products[k])))
                held += p->requests[i].quantity;
        driver_view(p->nodes[INVENTORY_NODE], &inventory_reserved, slice_of(products[k]), SLICE_NONE,
                    &reserved);
        assert_int_equal(reserved.reserved, held);
        assert_true(held <= on_hand[k]);
    }
}

static void schedules(int duplicates) {
    int validated = 0, failed = 0, cancelled = 0, too_late = 0;
    for (unsigned seed = 1; seed <= SCHEDULES; seed++) {
        struct pipeline *p = pipeline_create(seed, duplicates);
        p->cancels = 10;
        for (int i = 0; i < ORDERS; i++)
            request_any(p, i);
        run(p);
        expect_outcomes(p);
        expect_reserved(p);
        for (int i = 0; i < ORDERS; i++) {
            validated += p->results[i].validated;
            failed += p->results[i].failed;
            cancelled += p->results[i].cancelled;
            too_late += p->cancellations[i].order_id.data != NULL && !p->results[i].cancelled;
        }
        pipeline_destroy(p);
    }
    assert_true(validated > SCHEDULES && failed > SCHEDULES); /* the rules were put to use */
    assert_true(cancelled > SCHEDULES && too_late > SCHEDULES);
}

static void any_schedule_keeps_the_rules(void **state) {
    (void)state;
    schedules(0);
}

static void so_it_does_when_records_come_twice(void **state) {
    (void)state;
    schedules(30);
}

/* Two orders race for the last piece; then the loser's place is free again for a third after a release. */
static void a_failed_order_gives_its_stock_to_the_next(void **state) {
    (void)state;
    struct pipeline *p = pipeline_create(1, 0);
    const struct order_request all = {
        .customer_id = SLICE("unknown"), .product_id = SLICE("lp"), .quantity = 12};
    struct order_request good = all;
    good.customer_id = SLICE("ann");
    request(p, 0, all, 1000); /* reserves all, and fails: nobody knows the customer */
    run(p);
    assert_int_equal(p->results[0].failed, 1);
    request(p, 1, good, 1000);
    run(p);
    assert_int_equal(p->results[1].validated, 1);
    request(p, 2, good, 1000);
    run(p);
    assert_int_equal(p->results[2].failed, 1);
    pipeline_destroy(p);
}

/* The same request from two instances, and another body for the id: one order, the first. */
static void an_id_makes_one_order(void **state) {
    (void)state;
    struct pipeline *p = pipeline_create(1, 0);
    struct order_request r = {.customer_id = SLICE("ann"), .product_id = SLICE("mc"), .quantity = 2};
    request(p, 0, r, 1000);
    request(p, 0, r, 1001);
    run(p);
    r.quantity = 3;
    request(p, 0, r, 1002);
    run(p);
    assert_int_equal(p->results[0].created, 1);
    assert_int_equal(p->results[0].validated, 1);
    struct reserved_stock reserved;
    assert_true(
        driver_view(p->nodes[INVENTORY_NODE], &inventory_reserved, SLICE("mc"), SLICE_NONE, &reserved));
    assert_int_equal(reserved.reserved, 2);
    pipeline_destroy(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_schedule_keeps_the_rules),
        cmocka_unit_test(so_it_does_when_records_come_twice),
        cmocka_unit_test(a_failed_order_gives_its_stock_to_the_next),
        cmocka_unit_test(an_id_makes_one_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
