#include "payments.h"

#include "base/id.h"
#include "testing/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static int setup(void **state) {
    *state = driver_create(&payments_topology);
    return 0;
}

static int teardown(void **state) {
    driver_destroy(*state);
    return 0;
}

static void request_as(struct driver *d, const char *key, struct payment p) {
    driver_send(d, &topic_payment_requests, slice_of(key), &p, 1000);
}

static struct payment payment(const char *id, const char *order, int64_t cents, const char *token) {
    return (struct payment){slice_of(id), slice_of(order), cents, slice_of(token)};
}

static void expect_nothing(struct driver *d) {
    struct event e;
    assert_false(driver_next(d, &e));
}

static void expect_payment(struct driver *d, const char *id, const char *order, int64_t cents,
                           const char *token) {
    struct event e;
    assert_true(driver_next(d, &e));
    assert_string_equal(e.topic->name, topic_payments.name);
    assert_true(slice_equal(e.key, slice_of(order)));
    const struct payment *p = e.value;
    assert_true(slice_equal(p->id, slice_of(id)));
    assert_true(slice_equal(p->order_id, slice_of(order)));
    assert_int_equal(p->amount_cents, cents);
    assert_true(slice_equal(p->card_token, slice_of(token)));

    assert_true(driver_next(d, &e));
    assert_string_equal(e.topic->name, topic_authorizations.name);
    assert_true(slice_equal(e.key, slice_of(token)));
    const struct authorization *a = e.value;
    assert_true(slice_equal(a->card_token, slice_of(token)));
    assert_true(slice_equal(a->order_id, slice_of(order)));
    assert_int_equal(a->amount_cents, cents);
}

static void expect_dead_letter(struct driver *d, const char *reason) {
    struct event e;
    assert_true(driver_next(d, &e));
    assert_string_equal(e.topic->name, topic_dead_letters.name);
    assert_true(slice_equal(((const struct dead_letter *)e.value)->reason, slice_of(reason)));
    expect_nothing(d);
}

static void first_request_makes_the_payment(void **state) {
    struct driver *d = *state;
    request_as(d, "p1", payment("p1", "o1", 500, "t1"));
    expect_payment(d, "p1", "o1", 500, "t1");
    request_as(d, "p1", payment("p1", "o1", 500, "t1"));
    request_as(d, "p1", payment("p1", "o2", 501, "t2"));
    expect_nothing(d);
    struct payment made;
    assert_true(driver_view(d, &payments_made, SLICE("p1"), SLICE_NONE, &made));
    assert_int_equal(made.amount_cents, 500);
}

static void an_order_can_be_paid_twice(void **state) {
    struct driver *d = *state;
    request_as(d, "p1", payment("p1", "o1", 500, "t1"));
    expect_payment(d, "p1", "o1", 500, "t1");
    request_as(d, "p2", payment("p2", "o1", 500, "t1"));
    expect_payment(d, "p2", "o1", 500, "t1");
}

static void bad_requests_are_dead_letters(void **state) {
    struct driver *d = *state;
    request_as(d, "p1", payment("p 1", "o1", 500, "t1"));
    expect_dead_letter(d, "id: must match " ID_PATTERN);
    request_as(d, "p1", payment("p1", "", 500, "t1"));
    expect_dead_letter(d, "orderId: must match " ID_PATTERN);
    request_as(d, "p1", payment("p1", "o1", 500, "t/1"));
    expect_dead_letter(d, "cardToken: must match " ID_PATTERN);
    request_as(d, "p1", payment("p2", "o1", 500, "t1"));
    expect_dead_letter(d, "id: differs from the record's key");
}

int main(void) {
#define driven(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        driven(first_request_makes_the_payment),
        driven(an_order_can_be_paid_twice),
        driven(bad_requests_are_dead_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
