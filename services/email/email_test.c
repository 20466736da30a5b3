#include "email.h"

#include "testing/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define T INT64_C(1700000000000)
#define MINUTE INT64_C(60000)

static int setup(void **state) {
    *state = driver_create(&email_topology);
    return 0;
}

static int teardown(void **state) {
    driver_destroy(*state);
    return 0;
}

static void customer(struct driver *d, const char *id, const char *email) {
    struct customer c = {.id = slice_of(id), .first_name = SLICE("Ann"), .last_name = SLICE("Lee")};
    c.email = slice_of(email);
    driver_send(d, &topic_customers, c.id, email == NULL ? NULL : &c, 0);
}

static void order(struct driver *d, const char *id, enum order_state state, int64_t time) {
    struct order o = {.id = slice_of(id),
                      .customer_id = SLICE("ann"),
                      .product_id = SLICE("lp-blue-hour"),
                      .quantity = 2,
                      .price_cents = 1050,
                      .state = state};
    driver_send(d, &topic_orders, o.id, &o, time);
}

static void pay_as(struct driver *d, const char *key, const char *id, const char *order_id, int64_t cents,
                   int64_t time) {
    struct payment p = {slice_of(id), slice_of(order_id), cents, SLICE("t")};
    driver_send(d, &topic_payments, slice_of(key), &p, time);
}

static void pay(struct driver *d, const char *id, const char *order_id, int64_t time) {
    pay_as(d, order_id, id, order_id, 2100, time);
}

static bool has_email(struct driver *d, const char *order_id, struct email *m) {
    return driver_view(d, &email_written, slice_of(order_id), SLICE_NONE, m);
}

static void expect_none(struct driver *d, const char *order_id) {
    struct email m;
    assert_false(has_email(d, order_id, &m));
}

static void expect_to(struct driver *d, const char *order_id, const char *to) {
    struct email m;
    assert_true(has_email(d, order_id, &m));
    if (!slice_equal(m.to, slice_of(to)))
        fail_msg("%s: to " SLICE_FMT, order_id, SLICE_ARG(m.to));
}

static void an_email_says_what_was_paid(void **state) {
    struct driver *d = *state;
    struct email m;
    customer(d, "ann", "ann@example.org");
    order(d, "o1", ORDER_STATE_CREATED, T);
    expect_none(d, "o1");
    pay(d, "p1", "o1", T + 5);
    assert_true(has_email(d, "o1", &m));
    assert_true(slice_equal(m.order_id, SLICE("o1")));
    assert_true(slice_equal(m.to, SLICE("ann@example.org")));
    assert_true(slice_equal(m.name, SLICE("Ann Lee")));
    assert_true(slice_equal(m.subject, SLICE("We have received your payment for order o1")));
    assert_true(slice_equal(m.body, SLICE("Dear Ann Lee,\n\n"
                                          "we have received your payment of 21.00 for order o1:\n\n"
                                          "    2 x lp-blue-hour\n\n"
                                          "It is sent on its way as soon as all is checked.\n")));
}

/* Either side first, up to a minute apart by event time, inclusive; anything else is none. */
static void pairs_within_a_minute(void **state) {
    static const struct {
        const char *id;
        bool payment_first;
        int64_t apart; /* payment - order */
        bool email;
    } cases[] = {
        {"same", false, 0, true},
        {"minute-after", false, MINUTE, true},
        {"more-after", false, MINUTE + 1, false},
        {"minute-before", false, -MINUTE, true},
        {"more-before", false, -MINUTE - 1, false},
        {"first-same", true, 0, true},
        {"first-minute-after", true, MINUTE, true},
        {"first-more-after", true, MINUTE + 1, false},
        {"first-minute-before", true, -MINUTE, true},
        {"first-more-before", true, -MINUTE - 1, false},
    };
    struct driver *d = *state;
    customer(d, "ann", "ann@example.org");
    for (int i = 0; i < 2; i++) /* also when the clock of the log has gone on by hours */
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
            const char *id = cases[k].id;
            int64_t time = T - i;
            char payment[] = {'p', (char)('0' + i), 0};
            if (cases[k].payment_first)
                pay(d, payment, id, time + cases[k].apart);
            order(d, id, ORDER_STATE_CREATED, time);
            if (!cases[k].payment_first)
                pay(d, payment, id, time + cases[k].apart);
            struct email m;
            if (i == 0 && has_email(d, id, &m) != cases[k].email)
                fail_msg("%s", id);
            if (k == 0)
                order(d, "later", ORDER_STATE_CREATED, T + 5 * 60 * MINUTE);
        }
}

static void a_late_payment_finds_its_order(void **state) {
    struct driver *d = *state;
    customer(d, "ann", "ann@example.org");
    order(d, "o1", ORDER_STATE_CREATED, T);
    order(d, "o2", ORDER_STATE_CREATED, T + 6 * 24 * 60 * MINUTE); /* six days of the log go by */
    pay(d, "p1", "o1", T + 1);
    expect_to(d, "o1", "ann@example.org");
}

static void one_email_an_order(void **state) {
    struct driver *d = *state;
    customer(d, "ann", "ann@example.org");
    order(d, "o1", ORDER_STATE_CREATED, T);
    pay(d, "p1", "o1", T);
    customer(d, "ann", "ann@example.net");
    pay(d, "p2", "o1", T + 1);
    pay(d, "p1", "o1", T); /* again */
    order(d, "o1", ORDER_STATE_CREATED, T);
    order(d, "o1", ORDER_STATE_VALIDATED, T);
    expect_to(d, "o1", "ann@example.org");
}

static void a_change_of_the_customer_is_for_later_emails(void **state) {
    struct driver *d = *state;
    customer(d, "ann", "ann@example.org");
    order(d, "o1", ORDER_STATE_CREATED, T);
    order(d, "o2", ORDER_STATE_CREATED, T);
    pay(d, "p1", "o1", T);
    customer(d, "ann", "ann@example.net");
    pay(d, "p2", "o2", T);
    expect_to(d, "o1", "ann@example.org");
    expect_to(d, "o2", "ann@example.net");
}

static void nobody_to_write_to(void **state) {
    struct driver *d = *state;
    order(d, "o1", ORDER_STATE_CREATED, T);
    pay(d, "p1", "o1", T);
    expect_none(d, "o1");
    customer(d, "ann", "ann@example.org");
    expect_none(d, "o1");
    pay(d, "p2", "o1", T + 1); /* a later payment tries again */
    expect_to(d, "o1", "ann@example.org");
    customer(d, "ann", NULL);
    order(d, "o2", ORDER_STATE_CREATED, T);
    pay(d, "p3", "o2", T);
    expect_none(d, "o2");
}

static void an_outcome_is_no_order(void **state) {
    struct driver *d = *state;
    customer(d, "ann", "ann@example.org");
    order(d, "o1", ORDER_STATE_VALIDATED, T);
    order(d, "o1", ORDER_STATE_FAILED, T);
    pay(d, "p1", "o1", T);
    expect_none(d, "o1");
    order(d, "o1", ORDER_STATE_CREATED, T);
    expect_to(d, "o1", "ann@example.org");
}

static void any_amount_can_be_written(void **state) {
    static const struct {
        int64_t cents;
        const char *text;
    } cases[] = {{5, " 0.05 "},
                 {-5, " -0.05 "},
                 {-150, " -1.50 "},
                 {INT64_MAX, " 92233720368547758.07 "},
                 {INT64_MIN, " -92233720368547758.08 "}};
    struct driver *d = *state;
    customer(d, "ann", "ann@example.org");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char id[] = {'o', (char)('0' + i), 0};
        struct email m;
        order(d, id, ORDER_STATE_CREATED, T);
        pay_as(d, id, "p", id, cases[i].cents, T);
        assert_true(has_email(d, id, &m));
        assert_non_null(memmem(m.body.data, m.body.size, cases[i].text, strlen(cases[i].text)));
    }
}

static void a_payment_of_another_order_is_a_dead_letter(void **state) {
    struct driver *d = *state;
    struct event e;
    pay_as(d, "o1", "p1", "o2", 1, T);
    assert_true(driver_next(d, &e));
    assert_string_equal(e.topic->name, topic_dead_letters.name);
    assert_false(driver_next(d, &e));
}

int main(void) {
#define driven(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        driven(an_email_says_what_was_paid),
        driven(pairs_within_a_minute),
        driven(a_late_payment_finds_its_order),
        driven(one_email_an_order),
        driven(a_change_of_the_customer_is_for_later_emails),
        driven(nobody_to_write_to),
        driven(an_outcome_is_no_order),
        driven(any_amount_can_be_written),
        driven(a_payment_of_another_order_is_a_dead_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
