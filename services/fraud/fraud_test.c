#include "fraud.h"

#include "fraud_rules.h"
#include "testing/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000)

static void amounts_saturate_and_are_never_negative(void **state) {
    (void)state;
    assert_int_equal(fraud_amount(3, 250), 750);
    assert_int_equal(fraud_amount(0, 250), 0);
    assert_int_equal(fraud_amount(-3, 250), 0);
    assert_int_equal(fraud_amount(3, -250), 0);
    assert_int_equal(fraud_amount(-3, -250), 750); /* the product counts, not its factors */
    assert_true(fraud_amount(INT32_MAX, INT64_MAX) == INT64_MAX);
    assert_true(fraud_amount(INT32_MIN, INT64_MIN) == INT64_MAX);
    assert_int_equal(fraud_amount(INT32_MIN, INT64_MAX), 0);
}

/* Orders in the order of arrival, each with what its session then comes to; a time of 0 ends a case. The
 * sessions that are left are counted. */
struct arrival {
    int64_t time, amount, total;
};

#define T INT64_C(1700000000000)

static const struct {
    const char *name;
    struct arrival arrivals[8];
    size_t sessions;
} cases[] = {
    {"one", {{T, 100, 100}}, 1},
    {"same moment", {{T, 100, 100}, {T, 50, 150}}, 1},
    {"an hour apart, inclusive", {{T, 100, 100}, {T + HOUR, 50, 150}}, 1},
    {"more than an hour apart", {{T, 100, 100}, {T + HOUR + 1, 50, 50}}, 2},
    {"a chain is one session", {{T, 1, 1}, {T + HOUR, 2, 3}, {T + 2 * HOUR, 4, 7}, {T + 3 * HOUR, 8, 15}}, 1},
    {"late, an hour before, inclusive", {{T, 100, 100}, {T - HOUR, 50, 150}}, 1},
    {"late, earlier than that", {{T, 100, 100}, {T - HOUR - 1, 50, 50}}, 2},
    {"late, inside a session", {{T, 1, 1}, {T + HOUR, 2, 3}, {T + HOUR / 2, 4, 7}}, 1},
    {"late, joins both sides", {{T, 1, 1}, {T + 2 * HOUR, 2, 2}, {T + HOUR, 4, 7}}, 1},
    {"late, joins the earlier only", {{T, 1, 1}, {T + 2 * HOUR + 1, 2, 2}, {T + HOUR, 4, 5}}, 2},
    {"late, joins the later only", {{T, 1, 1}, {T + 2 * HOUR + 1, 2, 2}, {T + HOUR + 1, 4, 6}}, 2},
    {"late, alone between two", {{T, 1, 1}, {T + 4 * HOUR, 2, 2}, {T + 2 * HOUR, 4, 4}}, 3},
    {"after joining both, a third sees all",
     {{T, 1, 1}, {T + 2 * HOUR, 2, 2}, {T + HOUR, 4, 7}, {T + 3 * HOUR, 8, 15}},
     1},
    {"kept for 24 hours, inclusive", {{T, 1, 1}, {T + 24 * HOUR, 2, 2}, {T, 4, 5}}, 2},
    {"dropped after 24 hours", {{T, 1, 1}, {T + 24 * HOUR + 1, 2, 2}}, 1},
    {"an order too old to keep is on its own", {{T, 1, 1}, {T + 25 * HOUR, 2, 2}, {T, 4, 4}, {T, 8, 8}}, 1},
    {"a session lives by its last order",
     {{T, 1, 1}, {T + HOUR, 2, 3}, {T + 25 * HOUR, 4, 4}, {T - HOUR, 8, 11}},
     2},
    {"sums saturate", {{T, INT64_MAX, INT64_MAX}, {T, 1, INT64_MAX}}, 1},
    {"times at the limits", {{INT64_MAX, 1, 1}, {INT64_MIN, 2, 2}, {INT64_MAX - HOUR, 4, 5}}, 1},
};

static void sessions_by_event_time(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a = {0};
        struct fraud_sessions sessions = {.stream_time = cases[i].arrivals[0].time};
        for (const struct arrival *n = cases[i].arrivals; n->time != 0; n++) {
            int64_t total;
            sessions = fraud_add(&sessions, n->time, n->amount, &a, &total);
            if (total != n->total)
                fail_msg("%s: arrival %td comes to %lld, not %lld", cases[i].name, n - cases[i].arrivals,
                         (long long)total, (long long)n->total);
        }
        if (sessions.sessions.count != cases[i].sessions)
            fail_msg("%s: %zu sessions are left", cases[i].name, sessions.sessions.count);
        arena_free(&a);
    }
}

/* Against the plain definition: sessions are what is left of all orders so far once neighbours within an
 * hour are joined. */
static int64_t total_by_definition(const struct arrival *all, size_t count, int64_t time) {
    bool in[64] = {false};
    int64_t low = time, high = time, total = 0;
    for (bool grew = true; grew;) {
        grew = false;
        for (size_t i = 0; i < count; i++)
            if (!in[i] && all[i].time >= low - HOUR && all[i].time <= high + HOUR) {
                in[i] = grew = true;
                total += all[i].amount;
                low = all[i].time < low ? all[i].time : low;
                high = all[i].time > high ? all[i].time : high;
            }
    }
    return total;
}

static void any_order_of_arrival_agrees_with_the_definition(void **state) {
    (void)state;
    srand(7);
    for (int round = 0; round < 300; round++) {
        struct arena a = {0};
        struct arrival all[64];
        struct fraud_sessions sessions = {.stream_time = T};
        for (size_t n = 0; n < 64; n++) {
            int64_t total;
            all[n].time = T + rand() % (23 * HOUR / 1000) * 1000; /* nothing is old enough to be dropped */
            all[n].amount = rand() % 1000;
            sessions = fraud_add(&sessions, all[n].time, all[n].amount, &a, &total);
            assert_int_equal(total, total_by_definition(all, n + 1, all[n].time));
        }
        arena_free(&a);
    }
}

static int setup(void **state) {
    *state = driver_create(&fraud_topology);
    return 0;
}

static int teardown(void **state) {
    driver_destroy(*state);
    return 0;
}

static void order(struct driver *d, const char *customer, const char *id, int64_t cents, int64_t time,
                  enum order_state state) {
    driver_send(d, &topic_orders_by_customer, slice_of(customer),
                &(struct order){.id = slice_of(id),
                                .customer_id = slice_of(customer),
                                .product_id = SLICE("lp"),
                                .quantity = 1,
                                .price_cents = cents,
                                .state = state},
                time);
}

static void create(struct driver *d, const char *id, int64_t cents, int64_t time) {
    order(d, "ann", id, cents, time, ORDER_STATE_CREATED);
}

static void expect_nothing(struct driver *d) {
    struct event e;
    assert_false(driver_next(d, &e));
}

static struct validation expect(struct driver *d, const char *id, enum check_result result) {
    struct event e;
    assert_true(driver_next(d, &e));
    assert_string_equal(e.topic->name, topic_order_validations.name);
    const struct validation *v = e.value;
    assert_true(slice_equal(e.key, slice_of(id)));
    assert_true(slice_equal(v->order_id, slice_of(id)));
    assert_int_equal(v->check, CHECK_FRAUD_CHECK);
    assert_int_equal(v->result, result);
    assert_int_equal(v->reason.data != NULL, result == CHECK_RESULT_FAIL);
    assert_false(v->on_hand.present || v->reserved_before.present);
    return *v;
}

static void two_thousand_is_too_much(void **state) {
    struct driver *d = *state;
    create(d, "o1", 199999, T);
    expect(d, "o1", CHECK_RESULT_PASS);
    create(d, "o2", 1, T);
    struct validation v = expect(d, "o2", CHECK_RESULT_FAIL);
    assert_true(slice_equal(v.reason,
                            SLICE("customerId: orders of 200000 cents in one session, the limit is 200000")));
    order(d, "bob", "o3", 200000, T, ORDER_STATE_CREATED);
    expect(d, "o3", CHECK_RESULT_FAIL);
    order(d, "cid", "o4", 199999, T, ORDER_STATE_CREATED); /* customers have sessions of their own */
    expect(d, "o4", CHECK_RESULT_PASS);
}

static void failed_orders_count_too(void **state) {
    struct driver *d = *state;
    create(d, "o1", 250000, T);
    expect(d, "o1", CHECK_RESULT_FAIL);
    order(d, "ann", "o1", 250000, T, ORDER_STATE_FAILED);
    create(d, "o2", 0, T + HOUR);
    expect(d, "o2", CHECK_RESULT_FAIL);
    create(d, "o3", 0, T + 2 * HOUR + 1);
    expect(d, "o3", CHECK_RESULT_PASS);
}

static void an_order_is_decided_and_counted_once(void **state) {
    struct driver *d = *state;
    create(d, "o1", 100000, T);
    expect(d, "o1", CHECK_RESULT_PASS);
    create(d, "o1", 100000, T);
    order(d, "ann", "o1", 100000, T, ORDER_STATE_VALIDATED);
    order(d, "ann", "unseen", 100000, T, ORDER_STATE_VALIDATED); /* only CREATED is an order to check */
    expect_nothing(d);
    create(d, "o2", 99999, T);
    expect(d, "o2", CHECK_RESULT_PASS);

    struct fraud_sessions sessions;
    assert_true(driver_view(d, &fraud_sessions_view, SLICE("ann"), SLICE_NONE, &sessions));
    assert_int_equal(sessions.sessions.count, 1);
    assert_int_equal(sessions.sessions.items[0].total, 199999);
    struct verdict verdict;
    assert_true(driver_view(d, &fraud_verdicts, SLICE("ann"), SLICE("o1"), &verdict));
    assert_int_equal(verdict.result, CHECK_RESULT_PASS);
    assert_false(driver_view(d, &fraud_verdicts, SLICE("ann"), SLICE("unseen"), &verdict));
}

int main(void) {
#define driven(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(amounts_saturate_and_are_never_negative),
        cmocka_unit_test(sessions_by_event_time),
        cmocka_unit_test(any_order_of_arrival_agrees_with_the_definition),
        driven(two_thousand_is_too_much),
        driven(failed_orders_count_too),
        driven(an_order_is_decided_and_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
