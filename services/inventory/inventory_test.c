#include "inventory.h"

#include "inventory_rules.h"
#include "testing/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void stock_is_enough_or_not(void **state) {
    (void)state;
    static const struct {
        int32_t on_hand;
        int64_t reserved;
        int32_t wanted;
        bool pass;
        int32_t hold;
    } cases[] = {
        {10, 0, 10, true, 10},
        {10, 0, 11, false, 0},
        {10, 4, 6, true, 6},
        {10, 4, 7, false, 0},
        {10, 10, 1, false, 0},
        {10, 10, 0, true, 0},
        {10, 11, 0, false, 0}, /* stock was written off below what is reserved */
        {10, 11, -1, true, 0},
        {0, 0, -5, true, 0},
        {-3, 0, 1, false, 0},
        {-3, 0, -3, true, 0},
        {INT32_MAX, 0, INT32_MAX, true, INT32_MAX},
        {INT32_MIN, INT64_MAX, INT32_MIN, false, 0},
        {INT32_MAX, INT64_MIN, INT32_MAX, true, INT32_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t hold = 0;
        bool pass = inventory_decide(cases[i].on_hand, cases[i].reserved, cases[i].wanted, &hold);
        if (pass != cases[i].pass || hold != cases[i].hold)
            fail_msg("case %zu: pass %d, hold %d", i, pass, hold);
    }
}

static int setup(void **state) {
    *state = driver_create(&inventory_topology);
    return 0;
}

static int teardown(void **state) {
    driver_destroy(*state);
    return 0;
}

static void stock(struct driver *d, int32_t quantity) {
    driver_send(d, &topic_stock, SLICE("lp"),
                &(struct stock){.product_id = SLICE("lp"), .name = SLICE("LP"), .quantity = {true, quantity}},
                0);
}

static void order(struct driver *d, const char *id, int32_t quantity, enum order_state state) {
    driver_send(d, &topic_orders_by_product, SLICE("lp"),
                &(struct order){.id = slice_of(id),
                                .customer_id = SLICE("ann"),
                                .product_id = SLICE("lp"),
                                .quantity = quantity,
                                .state = state},
                1000);
}

static void create(struct driver *d, const char *id, int32_t quantity) {
    order(d, id, quantity, ORDER_STATE_CREATED);
}

static void expect_nothing(struct driver *d) {
    struct event e;
    assert_false(driver_next(d, &e));
}

static struct validation expect(struct driver *d, const char *id, enum check_result result, int32_t on_hand,
                                int64_t reserved_before) {
    struct event e;
    assert_true(driver_next(d, &e));
    assert_string_equal(e.topic->name, topic_order_validations.name);
    const struct validation *v = e.value;
    assert_true(slice_equal(e.key, slice_of(id)));
    assert_true(slice_equal(v->order_id, slice_of(id)));
    assert_int_equal(v->check, CHECK_INVENTORY_CHECK);
    assert_int_equal(v->result, result);
    assert_true(v->on_hand.present && v->reserved_before.present);
    assert_int_equal(v->on_hand.value, on_hand);
    assert_int_equal(v->reserved_before.value, reserved_before);
    assert_int_equal(v->reason.data != NULL, result == CHECK_RESULT_FAIL);
    return *v;
}

static void expect_reserved(struct driver *d, int64_t reserved) {
    struct reserved_stock r = {0};
    driver_view(d, &inventory_reserved, SLICE("lp"), SLICE_NONE, &r);
    assert_int_equal(r.reserved, reserved);
}

static void orders_reserve_until_stock_is_used_up(void **state) {
    struct driver *d = *state;
    stock(d, 10);
    create(d, "o1", 6);
    expect(d, "o1", CHECK_RESULT_PASS, 10, 0);
    create(d, "o2", 5);
    struct validation v = expect(d, "o2", CHECK_RESULT_FAIL, 10, 6);
    assert_true(slice_equal(v.reason, SLICE("quantity: 5 wanted, 4 available")));
    create(d, "o3", 4);
    expect(d, "o3", CHECK_RESULT_PASS, 10, 6);
    expect_reserved(d, 10);
}

static void an_order_is_decided_once(void **state) {
    struct driver *d = *state;
    stock(d, 10);
    create(d, "o1", 6);
    expect(d, "o1", CHECK_RESULT_PASS, 10, 0);
    create(d, "o1", 6);
    create(d, "o2", 5);
    expect(d, "o2", CHECK_RESULT_FAIL, 10, 6);
    stock(d, 100);
    create(d, "o2", 5); /* a FAIL stays too */
    expect_nothing(d);
    expect_reserved(d, 6);
}

static void failed_releases_once_and_validated_keeps(void **state) {
    struct driver *d = *state;
    stock(d, 10);
    create(d, "o1", 6);
    create(d, "o2", 2);
    order(d, "o2", 2, ORDER_STATE_VALIDATED);
    expect_reserved(d, 8);
    order(d, "o1", 6, ORDER_STATE_FAILED);
    expect_reserved(d, 2);
    order(d, "o1", 6, ORDER_STATE_FAILED);
    create(d, "o1", 6);
    expect_reserved(d, 2);

    struct reservation r;
    assert_true(driver_view(d, &inventory_reservations, SLICE("lp"), SLICE("o1"), &r));
    assert_int_equal(r.quantity, 6);
    assert_true(r.released);
}

static void failed_that_held_nothing_releases_nothing(void **state) {
    struct driver *d = *state;
    stock(d, 10);
    order(d, "foreign", 6, ORDER_STATE_FAILED);
    create(d, "much", 11);
    order(d, "much", 11, ORDER_STATE_FAILED);
    create(d, "none", 0);
    order(d, "none", 0, ORDER_STATE_FAILED);
    create(d, "less", -4);
    order(d, "less", -4, ORDER_STATE_FAILED);
    expect_reserved(d, 0);
    expect(d, "much", CHECK_RESULT_FAIL, 10, 0);
    expect(d, "none", CHECK_RESULT_PASS, 10, 0);
    expect(d, "less", CHECK_RESULT_PASS, 10, 0);
    expect_nothing(d);
}

static void unknown_and_deleted_products_have_no_stock(void **state) {
    struct driver *d = *state;
    create(d, "o1", 1);
    expect(d, "o1", CHECK_RESULT_FAIL, 0, 0);
    stock(d, 10);
    create(d, "o2", 1);
    expect(d, "o2", CHECK_RESULT_PASS, 10, 0);
    driver_send(d, &topic_stock, SLICE("lp"), NULL, 0);
    create(d, "o3", 1);
    expect(d, "o3", CHECK_RESULT_FAIL, 0, 1);
    driver_send(d, &topic_stock, SLICE("lp"), &(struct stock){.product_id = SLICE("lp")},
                0); /* null quantity */
    create(d, "o4", 1);
    expect(d, "o4", CHECK_RESULT_FAIL, 0, 1);
}

static void a_changed_stock_counts_from_then_on(void **state) {
    struct driver *d = *state;
    stock(d, 5);
    create(d, "o1", 5);
    expect(d, "o1", CHECK_RESULT_PASS, 5, 0);
    stock(d, 3);
    create(d, "o2", 1);
    struct validation v = expect(d, "o2", CHECK_RESULT_FAIL, 3, 5);
    assert_true(slice_equal(v.reason, SLICE("quantity: 1 wanted, -2 available")));
    stock(d, 6);
    create(d, "o3", 1);
    expect(d, "o3", CHECK_RESULT_PASS, 6, 5);
}

int main(void) {
#define driven(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stock_is_enough_or_not),
        driven(orders_reserve_until_stock_is_used_up),
        driven(an_order_is_decided_once),
        driven(failed_releases_once_and_validated_keeps),
        driven(failed_that_held_nothing_releases_nothing),
        driven(unknown_and_deleted_products_have_no_stock),
        driven(a_changed_stock_counts_from_then_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
