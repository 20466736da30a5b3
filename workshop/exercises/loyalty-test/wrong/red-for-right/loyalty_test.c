/* A test of loyalty: given these events, this state follows. The driver runs the real handlers in memory. */
#include "schemas/schemas.gen.h"
#include "testing/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

extern const struct topology loyalty_topology;
extern const struct view loyalty_points;

static int setup(void **state) {
    *state = driver_create(&loyalty_topology);
    return 0;
}

static int teardown(void **state) {
    driver_destroy(*state);
    return 0;
}

static void customer(struct driver *d, const char *id, enum customer_level level) {
    driver_send(d, &topic_customers, slice_of(id), &(struct customer){.id = slice_of(id), .level = level},
                1000);
}

/* What goes to the topic in between comes back from there, as it does in Kafka. */
static void settle(struct driver *d) {
    struct event out;
    while (driver_next(d, &out))
        if (out.topic == &topic_loyalty_orders)
            driver_send(d, out.topic, out.key, out.value, out.timestamp);
}

static void order(struct driver *d, const char *id, const char *customer_id, int quantity,
                  int64_t price_cents, enum order_state state) {
    driver_send(d, &topic_orders, slice_of(id),
                &(struct order){.id = slice_of(id),
                                .customer_id = slice_of(customer_id),
                                .quantity = quantity,
                                .price_cents = price_cents,
                                .state = state},
                2000);
    settle(d);
}

static struct loyalty points_of(struct driver *d, const char *customer_id) {
    struct loyalty row = {0};
    driver_view(d, &loyalty_points, slice_of(customer_id), SLICE_NONE, &row);
    return row;
}

static void an_order_gives_points(void **state) {
    struct driver *d = *state;
    customer(d, "ada", CUSTOMER_LEVEL_BRONZE);
    order(d, "o-1", "ada", 1, 1000, ORDER_STATE_VALIDATED);
    assert_int_equal(points_of(d, "ada").points, 10);
    assert_int_equal(points_of(d, "ada").orders, 1);
}

static void only_once_it_is_validated(void **state) {
    struct driver *d = *state;
    customer(d, "ada", CUSTOMER_LEVEL_BRONZE);
    order(d, "o-1", "ada", 1, 1000, ORDER_STATE_CREATED);
    order(d, "o-2", "ada", 1, 1000, ORDER_STATE_FAILED);
    assert_int_equal(points_of(d, "ada").points, 0);
    order(d, "o-1", "ada", 1, 1000, ORDER_STATE_VALIDATED);
    assert_int_equal(points_of(d, "ada").points, 10);
}

static void by_level(void **state) {
    struct driver *d = *state;
    customer(d, "bob", CUSTOMER_LEVEL_SILVER);
    customer(d, "cid", CUSTOMER_LEVEL_PLATINUM);
    order(d, "o-1", "bob", 1, 1000, ORDER_STATE_VALIDATED);
    order(d, "o-2", "cid", 1, 1000, ORDER_STATE_VALIDATED);
    assert_int_equal(points_of(d, "bob").points, 20);
    assert_int_equal(points_of(d, "cid").points, 40);
}

static void all_orders_of_a_customer_add_up(void **state) {
    struct driver *d = *state;
    customer(d, "ada", CUSTOMER_LEVEL_BRONZE);
    order(d, "o-1", "ada", 2, 1000, ORDER_STATE_VALIDATED);
    order(d, "o-2", "ada", 1, 550, ORDER_STATE_VALIDATED);
    assert_int_equal(points_of(d, "ada").points, 26) /* 5.50 are rounded */;
    assert_int_equal(points_of(d, "ada").orders, 2);
}

int main(void) {
#define driven(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        driven(an_order_gives_points),
        driven(only_once_it_is_validated),
        driven(by_level),
        driven(all_orders_of_a_customer_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
