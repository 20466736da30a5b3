#include "audit_fold.h"

#include "base/cleanup.h"
#include "spill.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* A log that is written by hand. Offsets count up by topic, all in partition 0. */
struct world {
    struct audit *audit;
    int64_t next[64];
};

static int setup(void **state) {
    struct world *w = xcalloc(1, sizeof *w);
    w->audit = audit_create();
    /* What checks and shipments ask for. */
    audit_customer(w->audit, SLICE("ann"), 0,
                   &(struct customer){.id = SLICE("ann"), .address = SLICE("1 Groove Lane")});
    audit_stock(w->audit, SLICE("lp"), 0, &(struct stock){.product_id = SLICE("lp"), .quantity = {true, 10}});
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    audit_destroy(w->audit);
    free(w);
    return 0;
}

static struct audit_at next(struct world *w, const struct topic *t) {
    return (struct audit_at){0, w->next[t->number]++};
}

static struct order order_of(const char *id, int32_t quantity, enum order_state state) {
    return (struct order){.id = slice_of(id),
                          .customer_id = SLICE("ann"),
                          .product_id = SLICE("lp"),
                          .quantity = quantity,
                          .price_cents = 100,
                          .state = state};
}

static void request(struct world *w, const char *id, int32_t quantity) {
    struct order o = order_of(id, quantity, ORDER_STATE_CREATED);
    struct order_request r = {o.id, o.customer_id, o.product_id, o.quantity, o.price_cents};
    audit_request(w->audit, next(w, &topic_order_requests), &r, false);
}

static void only_order(struct world *w, const char *id, int32_t quantity, enum order_state state) {
    struct order o = order_of(id, quantity, state);
    audit_order(w->audit, next(w, &topic_orders), 0, &o);
}

static void only_indexed(struct world *w, const char *id, int32_t quantity, enum order_state state) {
    struct order o = order_of(id, quantity, state);
    audit_order_by_product(w->audit, next(w, &topic_orders_by_product), &o);
}

static void ship(struct world *w, const char *id) {
    struct shipment s = {
        .order_id = slice_of(id), .customer_id = SLICE("ann"), .address = SLICE("1 Groove Lane")};
    audit_shipment(w->audit, next(w, &topic_shipments), &s);
}

static void mail(struct world *w, const char *id) {
    struct email m = {.order_id = slice_of(id), .to = SLICE("ann@example.org")};
    audit_email(w->audit, next(w, &topic_emails), &m);
}

static void not_shipped(struct world *w, const char *id, int32_t quantity, enum order_state state) {
    only_order(w, id, quantity, state);
    only_indexed(w, id, quantity, state);
}

static void order(struct world *w, const char *id, int32_t quantity, enum order_state state) {
    not_shipped(w, id, quantity, state);
    if (state == ORDER_STATE_VALIDATED)
        ship(w, id);
}

static void create(struct world *w, const char *id, int32_t quantity) {
    request(w, id, quantity);
    order(w, id, quantity, ORDER_STATE_CREATED);
}

static void says(struct world *w, const char *id, enum check check, bool pass, bool own) {
    struct validation v = {
        .order_id = slice_of(id), .check = check, .result = pass ? CHECK_RESULT_PASS : CHECK_RESULT_FAIL};
    audit_validation(w->audit, next(w, &topic_order_validations), &v, own);
}

static void inventory(struct world *w, const char *id, bool pass, int32_t on_hand, int64_t reserved_before) {
    struct validation v = {
        .order_id = slice_of(id),
        .check = CHECK_INVENTORY_CHECK,
        .result = pass ? CHECK_RESULT_PASS : CHECK_RESULT_FAIL,
        .on_hand = {true, on_hand},
        .reserved_before = {true, reserved_before},
    };
    audit_validation(w->audit, next(w, &topic_order_validations), &v, true);
}

static void others(struct world *w, const char *id, bool pass) {
    says(w, id, CHECK_FRAUD_CHECK, true, true);
    says(w, id, CHECK_ORDER_DETAILS_CHECK, pass, true);
}

static void reserved(struct world *w, int64_t n) {
    audit_reserved(w->audit, &(struct reserved_stock){.product_id = SLICE("lp"), .reserved = n});
}

static void stock(struct world *w, int32_t n) {
    audit_stock(w->audit, SLICE("lp"), 0, &(struct stock){.product_id = SLICE("lp"), .quantity = {true, n}});
}

/* a: VALIDATED and holds 6; b: FAILED by details, held 3 and gave it back; c: FAILED, too little. */
static void ordinary(struct world *w) {
    stock(w, 10);
    create(w, "a", 6);
    create(w, "b", 3);
    inventory(w, "a", true, 10, 0);
    inventory(w, "b", true, 10, 6);
    others(w, "b", false);
    order(w, "b", 3, ORDER_STATE_FAILED);
    others(w, "a", true);
    order(w, "a", 6, ORDER_STATE_VALIDATED);
    create(w, "c", 5);
    inventory(w, "c", false, 10, 6);
    order(w, "c", 5, ORDER_STATE_FAILED);
    others(w, "c", true);
    reserved(w, 6);
}

/* The violations of each invariant, as "orders outcomes stock views". */
static void expect(struct world *w, int orders, int outcomes, int stock_count, int views) {
    const int wanted[] = {orders, outcomes, stock_count, views};
    static const int numbers[] = {AUDIT_ORDERS, AUDIT_OUTCOMES, AUDIT_STOCK, AUDIT_VIEWS};
    for (int i = 0; i < 4; i++) {
        const struct audit_result *r = audit_result(w->audit, numbers[i]);
        if ((int)r->violations != wanted[i])
            fail_msg("invariant %d: %d violations, %d expected; the first: %s", numbers[i],
                     (int)r->violations, wanted[i], r->violations > 0 ? r->examples[0] : "-");
    }
}

static void expect_text(struct world *w, int invariant, const char *text) {
    const struct audit_result *r = audit_result(w->audit, invariant);
    if (r->violations == 0 || strstr(r->examples[0], text) == NULL)
        fail_msg("invariant %d says \"%s\", not \"%s\"", invariant, r->violations > 0 ? r->examples[0] : "",
                 text);
}

static void a_clean_log_passes(void **state) {
    struct world *w = *state;
    ordinary(w);
    assert_int_equal(audit_in_flight(w->audit, NULL).total, 0);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 0, 0);
    struct audit_counts c = audit_counts(w->audit);
    assert_int_equal(c.requested, 3);
    assert_int_equal(c.created, 3);
    assert_int_equal(c.validated, 1);
    assert_int_equal(c.failed, 2);
    assert_int_equal(audit_result(w->audit, AUDIT_STOCK)->checked, 3);
}

static void outcome_because(struct world *w, const char *id, int32_t quantity, const char *reason) {
    struct order o = order_of(id, quantity, ORDER_STATE_FAILED);
    struct slice text = slice_of(reason);
    o.reasons = (struct slices){&text, 1};
    audit_order(w->audit, next(w, &topic_orders), 0, &o);
    audit_order_by_product(w->audit, next(w, &topic_orders_by_product), &o);
}

static void cancelled(struct world *w, const char *id) {
    audit_cancellation(w->audit, &(struct order_cancellation){.order_id = slice_of(id)});
}

/* It counts before the checks, and after an outcome it does not. */
static void a_cancelled_order_fails_whatever_its_checks_say(void **state) {
    struct world *w = *state;
    ordinary(w);
    cancelled(w, "a");
    create(w, "d", 2);
    cancelled(w, "d");
    outcome_because(w, "d", 2, "CANCELLED");
    inventory(w, "d", true, 10, 6);
    others(w, "d", true);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 0, 0);
}

static void a_cancellation_that_nobody_asked_for_is_found(void **state) {
    struct world *w = *state;
    ordinary(w);
    create(w, "d", 2);
    inventory(w, "d", true, 10, 6);
    others(w, "d", true);
    outcome_because(w, "d", 2, "CANCELLED");
    audit_judge(w->audit, true);
    expect(w, 0, 1, 0, 0);
    expect_text(w, AUDIT_OUTCOMES, "does not follow");
}

static void topics_may_be_told_in_any_order(void **state) {
    struct world *w = *state;
    only_indexed(w, "a", 6, ORDER_STATE_CREATED);
    only_indexed(w, "a", 6, ORDER_STATE_FAILED);
    reserved(w, 0);
    others(w, "a", false);
    inventory(w, "a", true, 10, 0);
    only_order(w, "a", 6, ORDER_STATE_CREATED);
    only_order(w, "a", 6, ORDER_STATE_FAILED);
    request(w, "a", 6);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 0, 0);
}

static void an_order_less_than_one_piece_holds_nothing(void **state) {
    struct world *w = *state;
    create(w, "a", -3);
    inventory(w, "a", true, 0, 0);
    others(w, "a", false);
    order(w, "a", -3, ORDER_STATE_FAILED);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 0, 0);
}

static void repeats_change_nothing(void **state) {
    struct world *w = *state;
    ordinary(w);
    request(w, "a", 6);
    request(w, "a", 7); /* the first counts */
    says(w, "a", CHECK_FRAUD_CHECK, false, false);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 0, 0);
    assert_int_equal(audit_counts(w->audit).repeats, 3);
}

/* ---- invariant 1 ---- */

static void created_twice(void **state) {
    struct world *w = *state;
    ordinary(w);
    only_order(w, "a", 6, ORDER_STATE_CREATED);
    audit_judge(w->audit, true);
    expect(w, 1, 0, 0, 0);
    expect_text(w, AUDIT_ORDERS, "order a: a second CREATED, CREATED at orders/0/6");
}

static void two_outcomes(void **state) {
    struct world *w = *state;
    ordinary(w);
    only_order(w, "c", 5, ORDER_STATE_VALIDATED);
    audit_judge(w->audit, true);
    expect(w, 1, 0, 0, 0);
    expect_text(w, AUDIT_ORDERS, "order c: a second outcome");
}

static void not_as_requested(void **state) {
    struct world *w = *state;
    ordinary(w);
    request(w, "d", 2);
    order(w, "d", 3, ORDER_STATE_CREATED);
    audit_judge(w->audit, false);
    expect(w, 1, 0, 1, 0);
    expect_text(w, AUDIT_ORDERS, "order d: other fields than its request");
}

static void nobody_requested_it(void **state) {
    struct world *w = *state;
    only_order(w, "a", 1, ORDER_STATE_CREATED);
    audit_judge(w->audit, false);
    expect(w, 1, 0, 0, 0);
    expect_text(w, AUDIT_ORDERS, "nobody requested it");
}

static void an_outcome_of_nothing(void **state) {
    struct world *w = *state;
    request(w, "a", 1);
    only_order(w, "a", 1, ORDER_STATE_FAILED);
    audit_judge(w->audit, false);
    expect(w, 1, 0, 0, 0);
}

static void in_flight_is_a_violation_after_quiescence_only(void **state) {
    for (int quiescent = 0; quiescent <= 1; quiescent++) {
        struct world *w = *state;
        ordinary(w);
        request(w, "d", 1); /* without CREATED */
        create(w, "e", 1);  /* without anything more */
        audit_bad(w->audit, &topic_orders, next(w, &topic_orders));
        _cleanup_(buf_free) struct buf names = {0};
        struct audit_flight f = audit_in_flight(w->audit, &names);
        assert_int_equal(f.requests, 1);
        assert_int_equal(f.orders, 1);
        assert_int_equal(f.records, 1);
        assert_int_equal(f.total, 3);
        assert_true(slice_equal(buf_slice(&names), SLICE("d, e, orders/0/7")));
        audit_judge(w->audit, quiescent == 1);
        expect(w, quiescent == 1 ? 3 : 0, 0, 0, 0);
        teardown(state);
        setup(state);
    }
}

static void misplaced_requests_count_as_requests(void **state) {
    struct world *w = *state;
    struct order_request r = {SLICE("a"), SLICE("ann"), SLICE("lp"), 9, 1};
    audit_request(w->audit, (struct audit_at){3, 7}, &r, true);
    assert_int_equal(audit_in_flight(w->audit, NULL).requests, 1);
    create(w, "a", 1); /* another was first in the right partition */
    audit_judge(w->audit, false);
    expect(w, 0, 0, 0, 0);
}

/* ---- dead letters ---- */

static void dead_letters_name_what_is_skipped(void **state) {
    struct world *w = *state;
    struct audit_at at = {1, 42};
    assert_false(audit_is_dead(w->audit, &topic_orders, at));
    audit_bad(w->audit, &topic_orders, at);
    assert_int_equal(audit_in_flight(w->audit, NULL).records, 1);
    audit_dead_letter(w->audit,
                      &(struct dead_letter){.topic = SLICE("orders"), .partition = 1, .offset = 42});
    assert_true(audit_is_dead(w->audit, &topic_orders, at));
    assert_false(audit_is_dead(w->audit, &topic_order_requests, at));
    assert_false(audit_is_dead(w->audit, &topic_orders, (struct audit_at){1, 4}));
    assert_int_equal(audit_in_flight(w->audit, NULL).total, 0);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 0, 0);
}

static void a_check_of_no_order(void **state) {
    struct world *w = *state;
    says(w, "nobody", CHECK_FRAUD_CHECK, true, false);
    says(w, "dead", CHECK_FRAUD_CHECK, true, false);
    audit_dead_letter(w->audit, &(struct dead_letter){.topic = SLICE("order-validations"), .offset = 1});
    assert_int_equal(audit_in_flight(w->audit, NULL).total, 1);
    audit_judge(w->audit, true);
    expect(w, 0, 1, 0, 0);
    expect_text(w, AUDIT_OUTCOMES, "order-validations/0/0: FRAUD_CHECK of nobody");
}

/* ---- invariant 2 ---- */

static void validated_without_a_check(void **state) {
    struct world *w = *state;
    create(w, "a", 1);
    inventory(w, "a", true, 10, 0);
    says(w, "a", CHECK_FRAUD_CHECK, true, true);
    order(w, "a", 1, ORDER_STATE_VALIDATED);
    reserved(w, 1);
    audit_judge(w->audit, false);
    expect(w, 0, 1, 0, 0);
    expect_text(w, AUDIT_OUTCOMES, "order a, orders/0/1: VALIDATED does not follow");
}

static void failed_without_a_fail(void **state) {
    struct world *w = *state;
    create(w, "a", 1);
    inventory(w, "a", true, 10, 0);
    others(w, "a", true);
    order(w, "a", 1, ORDER_STATE_FAILED);
    audit_judge(w->audit, true);
    expect(w, 0, 1, 0, 0);
}

static void validated_despite_a_fail(void **state) {
    struct world *w = *state;
    create(w, "a", 1);
    inventory(w, "a", true, 10, 0);
    others(w, "a", false);
    order(w, "a", 1, ORDER_STATE_VALIDATED);
    reserved(w, 1);
    audit_judge(w->audit, true);
    expect(w, 0, 1, 0, 0);
}

static void a_check_decides_twice(void **state) {
    struct world *w = *state;
    ordinary(w);
    says(w, "a", CHECK_FRAUD_CHECK, true, true);
    audit_judge(w->audit, true);
    expect(w, 0, 1, 0, 0);
    expect_text(w, AUDIT_OUTCOMES, "order a: FRAUD_CHECK decided twice, again at order-validations/0/9");
}

/* ---- invariant 3 ---- */

static void oversold(void **state) {
    struct world *w = *state;
    create(w, "a", 6);
    create(w, "b", 6);
    inventory(w, "a", true, 10, 0);
    inventory(w, "b", true, 10, 6);
    others(w, "a", true);
    others(w, "b", true);
    order(w, "a", 6, ORDER_STATE_VALIDATED);
    order(w, "b", 6, ORDER_STATE_VALIDATED);
    reserved(w, 12);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 1, 0);
    expect_text(w, AUDIT_STOCK, "order b of lp, order-validations/0/1: oversold");
}

static void failed_with_stock_left(void **state) {
    struct world *w = *state;
    create(w, "a", 6);
    inventory(w, "a", false, 6, 0);
    others(w, "a", true);
    order(w, "a", 6, ORDER_STATE_FAILED);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 1, 0);
}

/* b did not see what a had reserved. */
static void two_see_the_same_stock(void **state) {
    struct world *w = *state;
    create(w, "a", 6);
    create(w, "b", 3);
    inventory(w, "a", true, 10, 0);
    inventory(w, "b", true, 10, 0);
    others(w, "a", true);
    others(w, "b", true);
    order(w, "a", 6, ORDER_STATE_VALIDATED);
    order(w, "b", 3, ORDER_STATE_VALIDATED);
    reserved(w, 9);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 2, 0); /* the decision, and the sum that follows from it */
    expect_text(w, AUDIT_STOCK, "order b of lp, order-validations/0/1: reservedBefore is not the fold");
}

/* What b gave back is not seen by c, which comes behind it in the partition. */
static void a_release_is_overtaken(void **state) {
    struct world *w = *state;
    create(w, "b", 3);
    inventory(w, "b", true, 10, 0);
    others(w, "b", false);
    order(w, "b", 3, ORDER_STATE_FAILED);
    create(w, "c", 1);
    inventory(w, "c", true, 10, 3);
    audit_judge(w->audit, false);
    assert_true(audit_result(w->audit, AUDIT_STOCK)->violations > 0);
    expect_text(w, AUDIT_STOCK, "order c of lp");
}

static void reserved_is_not_the_sum(void **state) {
    for (int quiescent = 0; quiescent <= 1; quiescent++) {
        struct world *w = *state;
        ordinary(w);
        reserved(w, 9); /* as if b had never given back, with c decided behind it */
        assert_int_equal(audit_in_flight(w->audit, NULL).products, 1);
        audit_judge(w->audit, quiescent == 1);
        expect(w, 0, 0, 1, 0);
        expect_text(w, AUDIT_STOCK, "product lp: reserved is 9 in reserved-stock, 6 by the decisions");
        teardown(state);
        setup(state);
    }
}

static void a_release_may_be_under_way(void **state) {
    static const struct {
        int64_t stated;
        int violations;
    } cases[] = {{6, 0}, {9, 0}, {3, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world *w = *state;
        create(w, "a", 6);
        create(w, "b", 3);
        inventory(w, "a", true, 10, 0);
        inventory(w, "b", true, 10, 6);
        others(w, "b", false);
        order(w, "b", 3, ORDER_STATE_FAILED);
        reserved(w, cases[i].stated);
        audit_judge(w->audit, false);
        expect(w, 0, 0, cases[i].violations, 0);
        teardown(state);
        setup(state);
    }
}

/* A transaction of inventory may show in reserved-stock before its validation is seen; not after. */
static void a_late_decision_may_show_or_not(void **state) {
    static const struct {
        int64_t stated;
        int violations;
    } cases[] = {{0, 1}, {6, 0}, {8, 0}, {2, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world *w = *state;
        create(w, "a", 6);
        create(w, "b", 2);
        create(w, "c", 1);
        inventory(w, "a", true, 10, 0);
        reserved(w, cases[i].stated);
        audit_late(w->audit);
        inventory(w, "b", true, 10, 6);
        audit_judge(w->audit, false);
        expect(w, 0, 0, cases[i].violations, 0);
        teardown(state);
        setup(state);
    }
}

static void an_order_is_passed_over(void **state) {
    struct world *w = *state;
    create(w, "a", 6);
    create(w, "b", 2);
    inventory(w, "b", true, 10, 0);
    reserved(w, 2);
    audit_judge(w->audit, false);
    expect(w, 0, 0, 1, 0);
    expect_text(w, AUDIT_STOCK, "order a, orders-by-product/0/0: passed over");
}

static void the_index_lacks_or_repeats_an_order(void **state) {
    struct world *w = *state;
    ordinary(w);
    only_indexed(w, "a", 6, ORDER_STATE_CREATED);
    request(w, "d", 1);
    only_order(w, "d", 1, ORDER_STATE_CREATED);
    inventory(w, "d", false, 0, 6);
    others(w, "d", true);
    only_order(w, "d", 1, ORDER_STATE_FAILED);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 2, 0);
    expect_text(w, AUDIT_STOCK, "order a, orders-by-product/0/6: CREATED twice");
}

static void a_lost_release_is_found_although_the_index_lost_it(void **state) {
    struct world *w = *state;
    create(w, "b", 3);
    inventory(w, "b", true, 10, 0);
    others(w, "b", false);
    only_order(w, "b", 3, ORDER_STATE_FAILED);
    reserved(w, 3);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 1, 0);
    expect_text(w, AUDIT_STOCK, "its orders hold 0");
}

/* ---- invariant 7 ---- */

static void expect_shipments(struct world *w, int violations, const char *text) {
    audit_judge(w->audit, true);
    expect(w, 0, 0, 0, 0);
    assert_int_equal(audit_result(w->audit, AUDIT_SHIPMENTS)->violations, violations);
    if (text != NULL)
        expect_text(w, AUDIT_SHIPMENTS, text);
}

static void shipped_and_mailed_once(void **state) {
    struct world *w = *state;
    ordinary(w);
    mail(w, "a");
    mail(w, "b"); /* failed, and paid for all the same */
    expect_shipments(w, 0, NULL);
    assert_int_equal(audit_result(w->audit, AUDIT_SHIPMENTS)->checked, 3);
}

static void shipped_twice(void **state) {
    struct world *w = *state;
    ordinary(w);
    ship(w, "a");
    expect_shipments(w, 1, "order a: a second shipment at shipments/0/1");
}

static void shipped_although_failed(void **state) {
    struct world *w = *state;
    ordinary(w);
    ship(w, "c");
    expect_shipments(w, 1, "order c is shipped, and is FAILED");
}

static void shipped_without_an_order(void **state) {
    struct world *w = *state;
    ordinary(w);
    ship(w, "x");
    expect_shipments(w, 1, "order x is shipped, and is none");
}

static void mailed_twice(void **state) {
    struct world *w = *state;
    ordinary(w);
    mail(w, "a");
    mail(w, "a");
    mail(w, "x");
    expect_shipments(w, 2, "order a: a second email at emails/0/1");
}

static void not_shipped_is_in_flight_for_a_while(void **state) {
    struct world *w = *state;
    stock(w, 10);
    create(w, "a", 6);
    inventory(w, "a", true, 10, 0);
    others(w, "a", true);
    not_shipped(w, "a", 6, ORDER_STATE_VALIDATED);
    reserved(w, 6);
    _cleanup_(buf_free) struct buf names = {0};
    struct audit_flight f = audit_in_flight(w->audit, &names);
    assert_int_equal(f.shipments, 1);
    assert_int_equal(f.total, 1);
    assert_true(slice_equal(buf_slice(&names), SLICE("a")));
    expect_shipments(w, 1, "order a, orders/0/1: VALIDATED, and not shipped");
}

static void views_of_what_follows(void **state) {
    struct world *w = *state;
    struct shipment s = {
        .order_id = SLICE("a"), .customer_id = SLICE("ann"), .address = SLICE("1 Groove Lane")};
    struct email m = {.order_id = SLICE("a"), .to = SLICE("ann@example.org")};
    ordinary(w);
    mail(w, "a");
    audit_judge(w->audit, true);
    audit_view_shipment(w->audit, SLICE("a"), &s, false);
    audit_view_shipment(w->audit, SLICE("b"), NULL, false);
    audit_view_email(w->audit, SLICE("a"), &m, false);
    audit_view_email(w->audit, SLICE("c"), NULL, false);
    audit_view_email(w->audit, SLICE("b"), &m, true); /* newer */
    expect(w, 0, 0, 0, 0);
    s.address = SLICE("2 Groove Lane");
    audit_view_shipment(w->audit, SLICE("a"), &s, true); /* it never changes */
    audit_view_shipment(w->audit, SLICE("a"), NULL, false);
    audit_view_email(w->audit, SLICE("b"), &m, false);
    expect(w, 0, 0, 0, 3);
    expect_text(w, AUDIT_VIEWS, "/v1/shipments/a is not what the log has");
}

static void show(struct world *w, const char *id, int32_t quantity, enum order_state state, bool moving) {
    struct order o = order_of(id, quantity, state);
    audit_view_order(w->audit, &o, moving);
}

static void show_ordinary(struct world *w, enum order_state b, bool moving) {
    show(w, "a", 6, ORDER_STATE_VALIDATED, moving);
    show(w, "b", 3, b, moving);
    show(w, "c", 5, ORDER_STATE_FAILED, moving);
    audit_view_orders_end(w->audit);
    audit_view_product(w->audit, SLICE("lp"), 10, 6, moving);
    audit_view_products_end(w->audit, moving);
}

static void views_that_agree(void **state) {
    struct world *w = *state;
    struct customer ann = {.id = SLICE("ann"), .first_name = SLICE("Ann")};
    ordinary(w);
    audit_customer(w->audit, SLICE("ann"), 0, &ann);
    audit_judge(w->audit, true);
    show_ordinary(w, ORDER_STATE_FAILED, false);
    audit_view_customer(w->audit, SLICE("ann"), &ann, false);
    audit_view_customer(w->audit, SLICE("bob"), NULL, false);
    expect(w, 0, 0, 0, 0);
    assert_int_equal(audit_result(w->audit, AUDIT_VIEWS)->checked, 6);
    assert_string_equal(audit_customer_id(w->audit, 0), "ann");
}

static void views_that_differ(void **state) {
    struct world *w = *state;
    struct customer ann = {.id = SLICE("ann"), .first_name = SLICE("Ann")}, other = ann;
    other.level = CUSTOMER_LEVEL_GOLD;
    ordinary(w);
    audit_customer(w->audit, SLICE("ann"), 0, &ann);
    audit_judge(w->audit, true);
    show(w, "a", 6, ORDER_STATE_CREATED, true);    /* older than the log */
    show(w, "a", 6, ORDER_STATE_VALIDATED, false); /* twice */
    show(w, "b", 4, ORDER_STATE_FAILED, true);     /* another quantity */
    show(w, "x", 1, ORDER_STATE_CREATED, false);   /* unknown */
    audit_view_orders_end(w->audit);               /* c is missing */
    audit_view_product(w->audit, SLICE("lp"), 10, 7, false);
    audit_view_product(w->audit, SLICE("mc"), 1, 0, false);
    audit_view_customer(w->audit, SLICE("ann"), &other, false);
    audit_view_customer(w->audit, SLICE("ann"), NULL, false);
    expect(w, 0, 0, 0, 9);
}

static void views_may_be_newer_while_somebody_writes(void **state) {
    struct world *w = *state;
    ordinary(w);
    create(w, "d", 1);
    audit_judge(w->audit, false);
    show_ordinary(w, ORDER_STATE_FAILED, true);
    expect(w, 0, 0, 0, 1); /* d is missing */
    show(w, "d", 1, ORDER_STATE_FAILED, true);
    show(w, "e", 1, ORDER_STATE_CREATED, true);
    audit_view_product(w->audit, SLICE("lp"), 9, 7, true);
    expect(w, 0, 0, 0, 1);
    assert_int_equal(audit_counts(w->audit).newer, 3);
}

static void many_orders_of_many_products(void **state) {
    struct world *w = *state;
    char id[16], product[16];
    for (int i = 0; i < 5000; i++) {
        snprintf(id, sizeof id, "order-%d", i);
        snprintf(product, sizeof product, "product-%d", i % 700);
        struct order o = order_of(id, 1, ORDER_STATE_CREATED);
        o.product_id = slice_of(product);
        audit_stock(w->audit, o.product_id, 0,
                    &(struct stock){.product_id = o.product_id, .quantity = {true, 100}});
        struct order_request r = {o.id, o.customer_id, o.product_id, o.quantity, o.price_cents};
        audit_request(w->audit, next(w, &topic_order_requests), &r, false);
        audit_order(w->audit, next(w, &topic_orders), 0, &o);
        audit_order_by_product(w->audit, next(w, &topic_orders_by_product), &o);
        inventory(w, id, true, 100, i / 700);
        others(w, id, true);
        o.state = ORDER_STATE_VALIDATED;
        audit_order(w->audit, next(w, &topic_orders), 0, &o);
        ship(w, id);
        audit_reserved(w->audit,
                       &(struct reserved_stock){.product_id = o.product_id, .reserved = i / 700 + 1});
    }
    assert_int_equal(audit_in_flight(w->audit, NULL).total, 0);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 0, 0);
    assert_int_equal(audit_counts(w->audit).created, 5000);
}

/* ---- decisions against what they are about ---- */

static void decides(struct world *w, const char *id, int32_t on_hand, int64_t reserved_before) {
    create(w, id, 1);
    inventory(w, id, true, on_hand, reserved_before);
    others(w, id, true);
    order(w, id, 1, ORDER_STATE_VALIDATED);
}

static void decisions_see_rows_of_the_stock(void **state) {
    struct world *w = *state; /* there are 10 */
    decides(w, "a", 10, 0);
    decides(w, "b", 7, 1);
    decides(w, "c", 5, 2); /* not every row is seen */
    reserved(w, 3);
    stock(w, 7), stock(w, 9), stock(w, 5);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 0, 0);
}

static void stock_that_never_was_is_found(void **state) {
    struct world *w = *state;
    decides(w, "a", 900, 0);
    reserved(w, 1);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 1, 0);
    expect_text(w, AUDIT_STOCK, "of no row of stock");
}

static void stock_of_before_is_found(void **state) {
    struct world *w = *state;
    stock(w, 5);
    decides(w, "a", 5, 0);
    decides(w, "b", 10, 1);
    reserved(w, 2);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 1, 0);
}

static void what_is_compacted_away_may_have_been_seen(void **state) {
    struct world *w = *state;
    audit_gap(w->audit, &topic_stock);
    decides(w, "a", 900, 0);
    reserved(w, 1);
    audit_judge(w->audit, true);
    expect(w, 0, 0, 0, 0);
}

static void details(struct world *w, const char *id, bool pass, const char *reason) {
    struct validation v = {.order_id = slice_of(id),
                           .check = CHECK_ORDER_DETAILS_CHECK,
                           .result = pass ? CHECK_RESULT_PASS : CHECK_RESULT_FAIL,
                           .reason = slice_of(reason)};
    audit_validation(w->audit, next(w, &topic_order_validations), &v, true);
}

/* An order of `quantity` that was made so many hours after the customer and the product. */
static void order_later(struct world *w, const char *id, int32_t quantity, const char *customer, int hours) {
    struct order o = order_of(id, quantity, ORDER_STATE_CREATED);
    o.customer_id = slice_of(customer);
    audit_order(w->audit, next(w, &topic_orders), hours * INT64_C(3600000), &o);
}

static void wrong_details_are_found(void **state) {
    static const struct {
        const char *name;
        int32_t quantity;
        const char *customer;
        int hours;
        bool pass;
        const char *reason;
        int violations;
    } cases[] = {
        {"good", 1, "ann", 9, true, NULL, 0},
        {"PASS of nothing", 0, "ann", 9, true, NULL, 1},
        {"PASS of nobody", 1, "bob", 9, true, NULL, 1},
        {"nothing", 0, "ann", 9, false, "quantity: 0 is less than 1", 0},
        {"another reason", 1, "ann", 9, false, "quantity: 1 is less than 1", 1},
        {"a price", 1, "ann", 9, false, "priceCents: -1 is less than 0", 1},
        {"nobody", 1, "bob", 9, false, "customerId: unknown customer bob", 0},
        {"perhaps later", 1, "ann", 1, false, "customerId: unknown customer ann", 0},
        {"who was there", 1, "ann", 2, false, "customerId: unknown customer ann", 1},
        {"what was there", 1, "ann", 2, false, "productId: unknown product lp", 1},
        {"for nothing", 1, "ann", 2, false, NULL, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setup(state);
        struct world *w = *state;
        order_later(w, "a", cases[i].quantity, cases[i].customer, cases[i].hours);
        details(w, "a", cases[i].pass, cases[i].reason);
        audit_judge(w->audit, false);
        int found = (int)audit_result(w->audit, AUDIT_OUTCOMES)->violations;
        if (found != cases[i].violations)
            fail_msg("%s: %d violations", cases[i].name, found);
        teardown(state);
    }
}

static void wrong_verdicts_of_fraud_are_found(void **state) {
    struct world *w = *state;
    ordinary(w);
    audit_fraud_due(w->audit, SLICE("a"), true);
    audit_fraud_due(w->audit, SLICE("b"), false);
    audit_judge(w->audit, true);
    expect(w, 0, 1, 0, 0);
    expect_text(w, AUDIT_OUTCOMES, "FRAUD_CHECK: PASS, where its session says FAIL");
}

/* ---- what follows ---- */

static void shipped_to(struct world *w, const char *id, const char *customer, const char *address) {
    struct shipment s = {
        .order_id = slice_of(id), .customer_id = slice_of(customer), .address = slice_of(address)};
    audit_shipment(w->audit, next(w, &topic_shipments), &s);
}

static void shipments_go_where_the_customer_lives_or_lived(void **state) {
    static const struct {
        const char *customer, *address;
        int violations;
    } cases[] = {{"ann", "1 Groove Lane", 0},
                 {"ann", "2 Groove Lane", 0},
                 {"ann", "3 Groove Lane", 1},
                 {"ann", "", 1},
                 {"eve", "1 Groove Lane", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setup(state);
        struct world *w = *state;
        create(w, "a", 1);
        inventory(w, "a", true, 10, 0);
        others(w, "a", true);
        not_shipped(w, "a", 1, ORDER_STATE_VALIDATED);
        shipped_to(w, "a", cases[i].customer, cases[i].address);
        audit_customer(w->audit, SLICE("ann"), 0,
                       &(struct customer){.id = SLICE("ann"), .address = SLICE("2 Groove Lane")});
        reserved(w, 1);
        audit_judge(w->audit, true);
        int found = (int)audit_result(w->audit, AUDIT_SHIPMENTS)->violations;
        if (found != cases[i].violations)
            fail_msg("to %s, %s: %d violations", cases[i].customer, cases[i].address, found);
        teardown(state);
    }
}

static void dead_letters_come_once_and_of_bad_records(void **state) {
    struct world *w = *state;
    struct dead_letter d = {.topic = SLICE("orders"), .partition = 1, .offset = 42};
    audit_dead_letter(w->audit, &d);
    d.offset = 43;
    audit_dead_letter(w->audit, &d);
    expect(w, 0, 0, 0, 0);
    audit_dead_letter(w->audit, &d);
    expect(w, 1, 0, 0, 0);
    expect_text(w, AUDIT_ORDERS, "orders/1/43 has two dead letters");
    audit_good_dead(w->audit, &topic_orders, (struct audit_at){1, 42});
    expect(w, 2, 0, 0, 0);
    d.offset = 44;
    d.reason = SLICE("Kafka refuses a record for orders: too large");
    audit_dead_letter(w->audit, &d);
    audit_good_dead(w->audit, &topic_orders, (struct audit_at){1, 44});
    expect(w, 2, 0, 0, 0);
}

static void dead_word(struct world *w, const struct topic *t, const char *id, bool own, const char *reason) {
    struct audit_at at = next(w, t);
    audit_dead_letter(w->audit, &(struct dead_letter){.topic = slice_of(t->name),
                                                      .partition = at.partition,
                                                      .offset = at.offset,
                                                      .reason = slice_of(reason)});
    audit_dead_word(w->audit, t, at, slice_of(id), own);
}

static void cancel(struct world *w, const char *id) {
    next(w, &topic_order_cancellations);
    audit_cancellation(w->audit, &(struct order_cancellation){.order_id = slice_of(id)});
}

static void words_about_an_order_that_there_was_are_no_dead_letters(void **state) {
    static const char none[] = "orderId: no such order";
    static const struct topic *const about[] = {&topic_order_validations, &topic_order_cancellations};
    for (size_t i = 0; i < 2; i++)
        for (int planted = 0; planted < 5; planted++) {
            setup(state);
            struct world *w = *state;
            bool checks = about[i] == &topic_order_validations;
            const char *wrong = planted == 0 || planted == 1 ? none : NULL;
            switch (planted) {
            case 0: /* from one who had seen the order, told before or after it */
                dead_word(w, about[i], "a", true, none);
                create(w, "a", 1);
                break;
            case 1: /* behind one that was taken */
                create(w, "a", 1);
                checks ? says(w, "a", CHECK_FRAUD_CHECK, true, true) : cancel(w, "a");
                dead_word(w, about[i], "a", false, none);
                break;
            case 2: /* by anybody, perhaps before there was the order */
                dead_word(w, about[i], "a", false, none);
                create(w, "a", 1);
                break;
            case 3: /* there never was one */
                dead_word(w, about[i], "a", true, none);
                break;
            case 4:
                create(w, "a", 1);
                dead_word(w, about[i], "a", true, "its timestamp is too far ahead");
                break;
            }
            audit_judge(w->audit, false);
            expect(w, wrong != NULL, 0, 0, 0);
            if (wrong != NULL) {
                expect_text(w, AUDIT_ORDERS, about[i]->name);
                expect_text(w, AUDIT_ORDERS, "is a good record of order a, and a dead letter names it");
            }
            teardown(state);
        }
}

/* What AddressSanitizer keeps of freed memory, to find who uses it, counts as memory too. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "quarantine_size_mb=1";
}

static size_t resident(void) {
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%*s %lu", &pages), 1);
    fclose(statm);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void create_one(struct world *w, const char *id) {
    create(w, id, 1);
}

static void decide_one(struct world *w, const char *id) {
    inventory(w, id, false, 0, 0);
    others(w, id, true);
}

static void end_one(struct world *w, const char *id) {
    order(w, id, 1, ORDER_STATE_FAILED);
}

/* Topic by topic, as a log is read. */
static void many_orders(struct world *w, int from, int to) {
    void (*const steps[])(struct world *, const char *) = {create_one, decide_one, end_one, mail};
    for (size_t t = 0; t < sizeof steps / sizeof *steps; t++)
        for (int n = from; n < to; n++) {
            char id[40];
            snprintf(id, sizeof id, "0199c0de-0000-7000-8000-%012d", n);
            steps[t](w, id);
        }
}

static void memory_does_not_grow_with_the_log(void **state) {
    struct world *w = *state;
    const int few = 50000, many = 300000, held = 16 << 20;
    spill_limit(held);
    many_orders(w, 0, few);
    size_t before = resident();
    many_orders(w, few, many);
    assert_int_equal(audit_in_flight(w->audit, NULL).orders, 0);
    audit_judge(w->audit, false);
    assert_int_equal(audit_counts(w->audit).created, many);
    assert_int_equal(audit_counts(w->audit).failed, many);
    assert_int_equal(audit_result(w->audit, AUDIT_OUTCOMES)->violations, 0);
    assert_true(resident() < before + held + (4 << 20)); /* 60 MB, were all of it in memory */
}

int main(void) {
#define world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        world(a_clean_log_passes),
        world(a_cancelled_order_fails_whatever_its_checks_say),
        world(a_cancellation_that_nobody_asked_for_is_found),
        world(topics_may_be_told_in_any_order),
        world(an_order_less_than_one_piece_holds_nothing),
        world(repeats_change_nothing),
        world(created_twice),
        world(two_outcomes),
        world(not_as_requested),
        world(nobody_requested_it),
        world(an_outcome_of_nothing),
        world(in_flight_is_a_violation_after_quiescence_only),
        world(misplaced_requests_count_as_requests),
        world(dead_letters_name_what_is_skipped),
        world(dead_letters_come_once_and_of_bad_records),
        cmocka_unit_test(words_about_an_order_that_there_was_are_no_dead_letters),
        world(decisions_see_rows_of_the_stock),
        world(stock_that_never_was_is_found),
        world(stock_of_before_is_found),
        world(what_is_compacted_away_may_have_been_seen),
        cmocka_unit_test(wrong_details_are_found),
        world(wrong_verdicts_of_fraud_are_found),
        cmocka_unit_test(shipments_go_where_the_customer_lives_or_lived),
        world(a_check_of_no_order),
        world(validated_without_a_check),
        world(failed_without_a_fail),
        world(validated_despite_a_fail),
        world(a_check_decides_twice),
        world(oversold),
        world(failed_with_stock_left),
        world(two_see_the_same_stock),
        world(a_release_is_overtaken),
        world(reserved_is_not_the_sum),
        world(a_release_may_be_under_way),
        world(a_late_decision_may_show_or_not),
        world(an_order_is_passed_over),
        world(the_index_lacks_or_repeats_an_order),
        world(a_lost_release_is_found_although_the_index_lost_it),
        world(views_that_agree),
        world(views_that_differ),
        world(views_may_be_newer_while_somebody_writes),
        world(many_orders_of_many_products),
        world(memory_does_not_grow_with_the_log),
        world(shipped_and_mailed_once),
        world(shipped_twice),
        world(shipped_although_failed),
        world(shipped_without_an_order),
        world(mailed_twice),
        world(not_shipped_is_in_flight_for_a_while),
        world(views_of_what_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
