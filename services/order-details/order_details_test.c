#include "order_details.h"

#include "testing/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static int setup(void **state) {
    struct driver *d = driver_create(&order_details_topology);
    driver_send(d, &topic_stock, SLICE("lp"), &(struct stock){.product_id = SLICE("lp")}, 0);
    driver_send(d, &topic_customers, SLICE("ann"), &(struct customer){.id = SLICE("ann")}, 0);
    *state = d;
    return 0;
}

static int teardown(void **state) {
    driver_destroy(*state);
    return 0;
}

static void create(struct driver *d, struct order o) {
    driver_send(d, &topic_orders, o.id, &o, 1000);
}

static struct order good(const char *id) {
    return (struct order){.id = slice_of(id),
                          .customer_id = SLICE("ann"),
                          .product_id = SLICE("lp"),
                          .quantity = 1,
                          .price_cents = 0};
}

static void expect_nothing(struct driver *d) {
    struct event e;
    assert_false(driver_next(d, &e));
}

/* No reason: a PASS. */
static void expect(struct driver *d, const char *id, const char *reason) {
    struct event e;
    assert_true(driver_next(d, &e));
    assert_string_equal(e.topic->name, topic_order_validations.name);
    const struct validation *v = e.value;
    assert_true(slice_equal(e.key, slice_of(id)));
    assert_true(slice_equal(v->order_id, slice_of(id)));
    assert_int_equal(v->check, CHECK_ORDER_DETAILS_CHECK);
    assert_int_equal(v->result, reason == NULL ? CHECK_RESULT_PASS : CHECK_RESULT_FAIL);
    if (!slice_equal(v->reason, slice_of(reason)))
        fail_msg("the reason is \"" SLICE_FMT "\"", SLICE_ARG(v->reason));
}

static void a_good_order_passes(void **state) {
    create(*state, good("o1"));
    expect(*state, "o1", NULL);
}

static void each_fault_is_named(void **state) {
    struct driver *d = *state;
    struct order o = good("o1");
    o.quantity = 0;
    create(d, o);
    expect(d, "o1", "quantity: 0 is less than 1");
    o = good("o2");
    o.quantity = INT32_MIN;
    create(d, o);
    expect(d, "o2", "quantity: -2147483648 is less than 1");
    o = good("o3");
    o.price_cents = -1;
    create(d, o);
    expect(d, "o3", "priceCents: -1 is less than 0");
    o = good("o4");
    o.product_id = SLICE("mc");
    create(d, o);
    expect(d, "o4", "productId: unknown product mc");
    o = good("o5");
    o.customer_id = SLICE("bob");
    create(d, o);
    expect(d, "o5", "customerId: unknown customer bob");
}

static void a_deleted_product_is_unknown(void **state) {
    struct driver *d = *state;
    driver_send(d, &topic_stock, SLICE("lp"), NULL, 0);
    create(d, good("o1"));
    expect(d, "o1", "productId: unknown product lp");
}

static void a_verdict_stays(void **state) {
    struct driver *d = *state;
    struct order o = good("o1");
    o.customer_id = SLICE("bob");
    create(d, o);
    expect(d, "o1", "customerId: unknown customer bob");
    driver_send(d, &topic_customers, SLICE("bob"), &(struct customer){.id = SLICE("bob")}, 0);
    create(d, o);
    expect_nothing(d);
    struct verdict verdict;
    assert_true(driver_view(d, &order_details_verdicts, SLICE("o1"), SLICE_NONE, &verdict));
    assert_int_equal(verdict.result, CHECK_RESULT_FAIL);
}

static void outcomes_are_not_checked(void **state) {
    struct driver *d = *state;
    struct order o = good("o1");
    o.state = ORDER_STATE_VALIDATED;
    create(d, o);
    o.state = ORDER_STATE_FAILED;
    create(d, o);
    expect_nothing(d);
}

int main(void) {
#define driven(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        driven(a_good_order_passes), driven(each_fault_is_named),      driven(a_deleted_product_is_unknown),
        driven(a_verdict_stays),     driven(outcomes_are_not_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
