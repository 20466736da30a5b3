#include "shipping.h"

#include "testing/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static int setup(void **state) {
    *state = driver_create(&shipping_topology);
    return 0;
}

static int teardown(void **state) {
    driver_destroy(*state);
    return 0;
}

static void customer(struct driver *d, const char *id, const char *address) {
    struct customer c = {.id = slice_of(id), .address = slice_of(address)};
    driver_send(d, &topic_customers, c.id, address == NULL ? NULL : &c, 0);
}

static void order(struct driver *d, const char *id, const char *customer_id, enum order_state state) {
    struct order o = {.id = slice_of(id), .customer_id = slice_of(customer_id), .state = state};
    driver_send(d, &topic_orders, o.id, &o, 1000);
}

static void expect(struct driver *d, const char *id, const char *address, enum shipment_state state) {
    struct shipment s;
    assert_true(driver_view(d, &shipping_shipped, slice_of(id), SLICE_NONE, &s));
    assert_true(slice_equal(s.order_id, slice_of(id)));
    assert_true(slice_equal(s.customer_id, SLICE("ann")));
    if (!slice_equal(s.address, slice_of(address)))
        fail_msg("%s goes to \"" SLICE_FMT "\"", id, SLICE_ARG(s.address));
    assert_int_equal(s.state, state);
}

static void expect_none(struct driver *d, const char *id) {
    struct shipment s;
    assert_false(driver_view(d, &shipping_shipped, slice_of(id), SLICE_NONE, &s));
}

static void only_a_validated_order_is_shipped(void **state) {
    struct driver *d = *state;
    customer(d, "ann", "1 Groove Lane");
    order(d, "o1", "ann", ORDER_STATE_CREATED);
    expect_none(d, "o1");
    order(d, "o2", "ann", ORDER_STATE_FAILED);
    expect_none(d, "o2");
    order(d, "o1", "ann", ORDER_STATE_VALIDATED);
    expect(d, "o1", "1 Groove Lane", SHIPMENT_STATE_SHIPPED);
}

static void a_change_changes_later_shipments_only(void **state) {
    struct driver *d = *state;
    customer(d, "ann", "1 Groove Lane");
    order(d, "o1", "ann", ORDER_STATE_VALIDATED);
    customer(d, "ann", "2 Label Street");
    order(d, "o1", "ann", ORDER_STATE_VALIDATED); /* again */
    order(d, "o2", "ann", ORDER_STATE_VALIDATED);
    expect(d, "o1", "1 Groove Lane", SHIPMENT_STATE_SHIPPED);
    expect(d, "o2", "2 Label Street", SHIPMENT_STATE_SHIPPED);
}

static void a_deleted_customer_holds_the_order(void **state) {
    struct driver *d = *state;
    customer(d, "ann", "1 Groove Lane");
    customer(d, "ann", NULL);
    order(d, "o1", "ann", ORDER_STATE_VALIDATED);
    expect(d, "o1", "", SHIPMENT_STATE_HELD);
    customer(d, "ann", "1 Groove Lane");
    order(d, "o1", "ann", ORDER_STATE_VALIDATED);
    expect(d, "o1", "", SHIPMENT_STATE_HELD);
}

int main(void) {
#define driven(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        driven(only_a_validated_order_is_shipped),
        driven(a_change_changes_later_shipments_only),
        driven(a_deleted_customer_holds_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
