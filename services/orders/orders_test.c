#include "orders.h"

#include "base/cleanup.h"
#include "base/id.h"
#include "testing/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define assert_slice(actual, expected)                                                                       \
    do {                                                                                                     \
        struct slice a_ = (actual), e_ = slice_of(expected);                                                 \
        assert_int_equal(a_.size, e_.size);                                                                  \
        assert_memory_equal(a_.data, e_.data, e_.size);                                                      \
    } while (0)

static int setup(void **state) {
    *state = driver_create(&orders_topology);
    return 0;
}

static int teardown(void **state) {
    driver_destroy(*state);
    return 0;
}

enum { ORDERED_MS = 1000, CANCELLED_MS = 60000 };

static void request_as(struct driver *d, const char *key, const char *id, const char *product,
                       int32_t quantity) {
    driver_send(d, &topic_order_requests, slice_of(key),
                &(struct order_request){.id = slice_of(id),
                                        .customer_id = SLICE("ann"),
                                        .product_id = slice_of(product),
                                        .quantity = quantity,
                                        .price_cents = 250},
                ORDERED_MS);
}

static void request(struct driver *d, const char *id, int32_t quantity) {
    request_as(d, id, id, "lp", quantity);
}

static void validate(struct driver *d, const char *id, enum check check, enum check_result result) {
    driver_send(d, &topic_order_validations, slice_of(id),
                &(struct validation){.order_id = slice_of(id),
                                     .check = check,
                                     .result = result,
                                     .reason = result == CHECK_RESULT_FAIL ? SLICE("too much") : SLICE_NONE},
                1000);
}

static void pass_all(struct driver *d, const char *id) {
    validate(d, id, CHECK_INVENTORY_CHECK, CHECK_RESULT_PASS);
    validate(d, id, CHECK_FRAUD_CHECK, CHECK_RESULT_PASS);
    validate(d, id, CHECK_ORDER_DETAILS_CHECK, CHECK_RESULT_PASS);
}

static void expect_nothing(struct driver *d) {
    struct event e;
    assert_false(driver_next(d, &e));
}

/* The same fact in the log and in its indexes, each under its own key: CREATED in both, FAILED where stock is
 * released. */
static struct order expect_order(struct driver *d, const char *id, enum order_state state) {
    const struct {
        const struct topic *topic;
        const char *key;
    } expected[] = {
        {&topic_orders, id}, {&topic_orders_by_product, "lp"}, {&topic_orders_by_customer, "ann"}};
    size_t expected_count = state == ORDER_STATE_CREATED ? 3 : state == ORDER_STATE_FAILED ? 2 : 1;
    struct order last = {0};
    for (size_t i = 0; i < expected_count; i++) {
        struct event e;
        assert_true(driver_next(d, &e));
        assert_string_equal(e.topic->name, expected[i].topic->name);
        assert_slice(e.key, expected[i].key);
        last = *(const struct order *)e.value;
        bool cancelled = last.reasons.count > 0 && slice_equal(last.reasons.items[0], SLICE("CANCELLED"));
        assert_int_equal(e.timestamp, cancelled ? CANCELLED_MS : ORDERED_MS);
        assert_int_equal(last.created_at, ORDERED_MS);
        assert_slice(last.id, id);
        assert_slice(last.customer_id, "ann");
        assert_slice(last.product_id, "lp");
        assert_int_equal(last.price_cents, 250);
        assert_int_equal(last.state, state);
    }
    return last;
}

static void expect_dead_letter(struct driver *d, const char *reason) {
    struct event e;
    assert_true(driver_next(d, &e));
    assert_string_equal(e.topic->name, topic_dead_letters.name);
    assert_slice(((const struct dead_letter *)e.value)->reason, reason);
    expect_nothing(d);
}

static void first_request_makes_the_order(void **state) {
    struct driver *d = *state;
    request(d, "o1", 3);
    struct order o = expect_order(d, "o1", ORDER_STATE_CREATED);
    assert_int_equal(o.quantity, 3);
    assert_int_equal(o.reasons.count, 0);
    request(d, "o1", 3);
    request(d, "o1", 4);
    expect_nothing(d);

    assert_true(driver_view(d, &orders_made, SLICE("o1"), SLICE_NONE, &o));
    assert_int_equal(o.quantity, 3);
    assert_int_equal(o.state, ORDER_STATE_CREATED);
}

static void later_request_after_the_outcome_changes_nothing(void **state) {
    struct driver *d = *state;
    request(d, "o1", 3);
    pass_all(d, "o1");
    expect_order(d, "o1", ORDER_STATE_CREATED);
    expect_order(d, "o1", ORDER_STATE_VALIDATED);
    request(d, "o1", 3);
    expect_nothing(d);
}

static void any_integers_make_an_order(void **state) {
    struct driver *d = *state;
    const int32_t quantities[] = {0, -1, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < 4; i++) {
        char id[] = {'o', (char)('0' + i), 0};
        request(d, id, quantities[i]);
        assert_int_equal(expect_order(d, id, ORDER_STATE_CREATED).quantity, quantities[i]);
    }
}

static void bad_requests_are_dead_letters(void **state) {
    struct driver *d = *state;
    request(d, "a b", 1);
    expect_dead_letter(d, "id: must match " ID_PATTERN);
    request_as(d, "o1", "o1", "l/p", 1);
    expect_dead_letter(d, "productId: must match " ID_PATTERN);
    request_as(d, "o1", "o2", "lp", 1);
    expect_dead_letter(d, "id: differs from the record's key");
    driver_send_raw(d, &topic_order_requests, SLICE("o1"), SLICE("\x01garbage"), 1000);
    struct event e;
    assert_true(driver_next(d, &e));
    assert_string_equal(e.topic->name, topic_dead_letters.name);
    request(d, "o1", 1); /* none of that has touched the id */
    expect_order(d, "o1", ORDER_STATE_CREATED);
}

static void three_passes_validate_in_any_order(void **state) {
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct driver *d = *state;
    for (size_t i = 0; i < 6; i++) {
        char id[] = {'o', (char)('0' + i), 0};
        request(d, id, 1);
        expect_order(d, id, ORDER_STATE_CREATED);
        for (size_t n = 0; n < 3; n++) {
            expect_nothing(d);
            validate(d, id, (enum check)orders[i][n], CHECK_RESULT_PASS);
        }
        assert_int_equal(expect_order(d, id, ORDER_STATE_VALIDATED).reasons.count, 0);
    }
}

static void first_fail_fails_with_its_reason(void **state) {
    struct driver *d = *state;
    request(d, "o1", 1);
    expect_order(d, "o1", ORDER_STATE_CREATED);
    validate(d, "o1", CHECK_FRAUD_CHECK, CHECK_RESULT_PASS);
    validate(d, "o1", CHECK_INVENTORY_CHECK, CHECK_RESULT_FAIL);
    struct order o = expect_order(d, "o1", ORDER_STATE_FAILED);
    assert_int_equal(o.reasons.count, 1);
    assert_slice(o.reasons.items[0], "too much");
    validate(d, "o1", CHECK_ORDER_DETAILS_CHECK, CHECK_RESULT_FAIL);
    pass_all(d, "o1");
    expect_nothing(d);
}

static void a_check_counts_once(void **state) {
    struct driver *d = *state;
    request(d, "o1", 1);
    expect_order(d, "o1", ORDER_STATE_CREATED);
    validate(d, "o1", CHECK_FRAUD_CHECK, CHECK_RESULT_PASS);
    validate(d, "o1", CHECK_FRAUD_CHECK, CHECK_RESULT_PASS);
    validate(d, "o1", CHECK_FRAUD_CHECK, CHECK_RESULT_FAIL); /* the first result stands */
    validate(d, "o1", CHECK_INVENTORY_CHECK, CHECK_RESULT_PASS);
    expect_nothing(d);
    validate(d, "o1", CHECK_ORDER_DETAILS_CHECK, CHECK_RESULT_PASS);
    expect_order(d, "o1", ORDER_STATE_VALIDATED);
}

static void foreign_validations_are_dead_letters(void **state) {
    struct driver *d = *state;
    validate(d, "o1", CHECK_FRAUD_CHECK, CHECK_RESULT_FAIL);
    expect_dead_letter(d, "orderId: no such order");
    request(d, "o1", 1);
    expect_order(d, "o1", ORDER_STATE_CREATED);
    driver_send(d, &topic_order_validations, SLICE("o1"), &(struct validation){.order_id = SLICE("o2")},
                1000);
    expect_dead_letter(d, "orderId: differs from the record's key");
}

static void cancel(struct driver *d, const char *key, const char *id) {
    driver_send(d, &topic_order_cancellations, slice_of(key),
                &(struct order_cancellation){.order_id = slice_of(id)}, CANCELLED_MS);
}

/* Whatever the checks have said or will say. */
static void an_order_without_outcome_is_cancelled_once(void **state) {
    struct driver *d = *state;
    struct order_checks checks;
    for (int spoken = 0; spoken < 3; spoken++) {
        char id[] = {'o', (char)('0' + spoken), 0};
        request(d, id, 1);
        expect_order(d, id, ORDER_STATE_CREATED);
        for (int c = 0; c < spoken; c++)
            validate(d, id, (enum check)c, CHECK_RESULT_PASS);
        cancel(d, id, id);
        struct order o = expect_order(d, id, ORDER_STATE_FAILED);
        assert_int_equal(o.reasons.count, 1);
        assert_slice(o.reasons.items[0], "CANCELLED");
        assert_false(driver_view(d, &orders_checks, slice_of(id), SLICE_NONE, &checks));
        cancel(d, id, id);
        pass_all(d, id);
        validate(d, id, CHECK_FRAUD_CHECK, CHECK_RESULT_FAIL);
        request(d, id, 1);
        expect_nothing(d);
    }
}

static void an_outcome_outlives_a_cancellation(void **state) {
    struct driver *d = *state;
    request(d, "o1", 1);
    pass_all(d, "o1");
    expect_order(d, "o1", ORDER_STATE_CREATED);
    expect_order(d, "o1", ORDER_STATE_VALIDATED);
    request(d, "o2", 1);
    validate(d, "o2", CHECK_FRAUD_CHECK, CHECK_RESULT_FAIL);
    expect_order(d, "o2", ORDER_STATE_CREATED);
    expect_order(d, "o2", ORDER_STATE_FAILED);
    cancel(d, "o1", "o1");
    cancel(d, "o2", "o2");
    expect_nothing(d);
}

static void foreign_cancellations_are_dead_letters(void **state) {
    struct driver *d = *state;
    cancel(d, "o1", "o1");
    expect_dead_letter(d, "orderId: no such order");
    request(d, "o1", 1);
    expect_order(d, "o1", ORDER_STATE_CREATED);
    cancel(d, "o1", "o2");
    expect_dead_letter(d, "orderId: differs from the record's key");
}

static void lists_are_newest_first(void **state) {
    (void)state;
    const int64_t times[] = {INT64_MIN, -1, 0, 1, 1700000000000, INT64_MAX};
    for (size_t i = 0; i + 1 < sizeof times / sizeof *times; i++) {
        _cleanup_(buf_free) struct buf older = {0}, newer = {0};
        orders_list_place(times[i], SLICE("a"), &older);
        orders_list_place(times[i + 1], SLICE("a"), &newer);
        assert_true(slice_compare(buf_slice(&newer), buf_slice(&older)) < 0);
        assert_true(orders_list_place_valid(buf_slice(&older)));
    }
    assert_true(orders_list_place_valid(SLICE("0123456789abcdefx")));
    assert_false(orders_list_place_valid(SLICE("0123456789abcdef")));
    assert_false(orders_list_place_valid(SLICE("0123456789abcdex1")));
    assert_false(orders_list_place_valid(SLICE("0123456789abcdef/")));
    assert_false(orders_list_place_valid(SLICE("")));
}

static void no_list_begins_as_another(void **state) {
    (void)state;
    const struct slice customers[] = {SLICE_NONE, SLICE("a"), SLICE("ab"), SLICE("1")};
    struct buf prefixes[12] = {0};
    for (size_t i = 0; i < 12; i++)
        orders_list_prefix(customers[i / 3], (enum order_state)(i % 3), &prefixes[i]);
    for (size_t i = 0; i < 12; i++)
        for (size_t k = 0; k < 12; k++)
            if (i != k)
                assert_false(slice_starts_with(buf_slice(&prefixes[k]), buf_slice(&prefixes[i])));
    for (size_t i = 0; i < 12; i++)
        buf_free(&prefixes[i]);
}

/* The lists whose entries go with the outcome, and no others. */
static void what_is_open_passes(void **state) {
    (void)state;
    const struct slice customers[] = {SLICE_NONE, SLICE("0"), SLICE("a")};
    for (size_t i = 0; i < 9; i++) {
        _cleanup_(buf_free) struct buf prefix = {0};
        orders_list_prefix(customers[i / 3], (enum order_state)(i % 3), &prefix);
        assert_int_equal(slice_starts_with(buf_slice(&prefix), slice_of(orders_table.passing)),
                         i % 3 == ORDER_STATE_CREATED);
    }
}

int main(void) {
#define driven(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        driven(first_request_makes_the_order),
        driven(later_request_after_the_outcome_changes_nothing),
        driven(any_integers_make_an_order),
        driven(bad_requests_are_dead_letters),
        driven(three_passes_validate_in_any_order),
        driven(first_fail_fails_with_its_reason),
        driven(a_check_counts_once),
        driven(foreign_validations_are_dead_letters),
        driven(an_order_without_outcome_is_cancelled_once),
        driven(an_outcome_outlives_a_cancellation),
        driven(foreign_cancellations_are_dead_letters),
        cmocka_unit_test(lists_are_newest_first),
        cmocka_unit_test(no_list_begins_as_another),
        cmocka_unit_test(what_is_open_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
