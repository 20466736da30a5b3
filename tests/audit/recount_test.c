#include "recount.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000)
#define MINUTE INT64_C(60000)
#define T (INT64_C(1700000000000) / HOUR * HOUR)

struct world {
    struct audit *audit;
    struct recount *recount;
    int64_t offset;
};

static int setup(void **state) {
    struct world *w = xcalloc(1, sizeof *w);
    w->audit = audit_create();
    w->recount = recount_create();
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    recount_destroy(w->recount);
    audit_destroy(w->audit);
    free(w);
    return 0;
}

static struct audit_at at(struct world *w) {
    return (struct audit_at){0, w->offset++};
}

static void expect(struct world *w, int invariant, uint64_t violations, const char *text) {
    const struct audit_result *r = audit_result(w->audit, invariant);
    if (r->violations != violations || (text != NULL && strstr(r->examples[0], text) == NULL))
        fail_msg("%d violations, the first: %s", (int)r->violations,
                 r->violations > 0 ? r->examples[0] : "-");
}

/* ---- fraud ---- */

/* An order of so many cents, and what fraud says of it. */
static void buys(struct world *w, const char *id, const char *customer, int64_t time, int64_t cents,
                 bool pass) {
    struct order o = {.id = slice_of(id),
                      .customer_id = slice_of(customer),
                      .product_id = SLICE("lp"),
                      .quantity = 1,
                      .price_cents = cents};
    struct validation v = {
        .order_id = o.id, .check = CHECK_FRAUD_CHECK, .result = pass ? CHECK_RESULT_PASS : CHECK_RESULT_FAIL};
    recount_order(w->recount, w->audit, at(w), time, &o);
    audit_validation(w->audit, (struct audit_at){0, w->offset}, &v, true);
}

static void sessions_add_up(void **state) {
    struct world *w = *state;
    buys(w, "a", "ann", T, 199999, true);
    buys(w, "b", "bob", T, 199999, true);
    buys(w, "c", "ann", T + HOUR, 1, false);
    buys(w, "d", "ann", T + 2 * HOUR + 1, 199999, true); /* another session */
    buys(w, "e", "bob", T + HOUR + 1, 5, true);
    buys(w, "f", "ann", T + 30 * 24 * HOUR, 199999, true);
    audit_judge(w->audit, false);
    expect(w, AUDIT_OUTCOMES, 0, NULL);
}

static void a_wrong_verdict_is_found(void **state) {
    struct world *w = *state;
    buys(w, "a", "ann", T, 199999, true);
    buys(w, "b", "ann", T, 1, true);
    buys(w, "c", "bob", T, 1, false);
    audit_judge(w->audit, false);
    expect(w, AUDIT_OUTCOMES, 2, "order b, ");
}

/* Once per order, also where its event comes again. */
static void an_order_counts_once(void **state) {
    struct world *w = *state;
    struct order o = {.id = SLICE("a"), .customer_id = SLICE("ann"), .quantity = 1, .price_cents = 199999};
    buys(w, "a", "ann", T, 199999, true);
    recount_order(w->recount, w->audit, at(w), T, &o);
    o.state = ORDER_STATE_FAILED;
    recount_order(w->recount, w->audit, at(w), T, &o);
    buys(w, "b", "ann", T, 0, true);
    audit_judge(w->audit, false);
    expect(w, AUDIT_OUTCOMES, 0, NULL);
}

/* ---- payments ---- */

static void pays(struct world *w, const char *id) {
    struct payment p = {slice_of(id), SLICE("a"), 100, SLICE("card")};
    recount_payment(w->recount, w->audit, at(w), &p, true);
}

static void authorizes(struct world *w, const char *card, int64_t time) {
    recount_authorization(w->recount, at(w), time, &(struct authorization){slice_of(card), SLICE("a"), 100},
                          true);
}

static void says(struct world *w, const char *card, int64_t count, int64_t start) {
    recount_possible_fraud(w->recount, w->audit, at(w),
                           &(struct possible_fraud){slice_of(card), count, start, start + 5 * MINUTE});
}

static void a_payment_twice_is_found(void **state) {
    struct world *w = *state;
    pays(w, "1");
    pays(w, "2");
    authorizes(w, "card", T);
    assert_int_equal(recount_in_flight(w->recount), 1);
    authorizes(w, "card", T);
    assert_int_equal(recount_in_flight(w->recount), 0);
    recount_judge(w->recount, w->audit, true);
    expect(w, AUDIT_SHIPMENTS, 0, NULL);
    pays(w, "1");
    expect(w, AUDIT_SHIPMENTS, 1, "payment 1 a second time");
    recount_judge(w->recount, w->audit, true);
    expect(w, AUDIT_SHIPMENTS, 2, NULL);
}

/* ---- possible-fraud ---- */

static void counts_are_those_of_the_window(void **state) {
    struct world *w = *state;
    says(w, "x", 4, T); /* topics may be told in any order */
    for (int i = 0; i < 5; i++) {
        authorizes(w, "x", T + i * MINUTE);
        authorizes(w, "y", T + (3 + i) * MINUTE); /* two in one window, three in the next */
    }
    recount_judge(w->recount, w->audit, false);
    assert_int_equal(recount_in_flight(w->recount), 1 + 10); /* and authorizations of no payment */
    says(w, "x", 5, T);
    for (int i = 0; i < 10; i++) {
        char id[] = {(char)('0' + i), 0};
        pays(w, id);
    }
    assert_int_equal(recount_in_flight(w->recount), 0);
    recount_judge(w->recount, w->audit, true);
    expect(w, AUDIT_SHIPMENTS, 0, NULL);
}

static void wrong_counts_are_found(void **state) {
    static const struct {
        const char *name;
        int64_t counts[4], start;
        bool quiescent;
        uint64_t violations;
    } cases[] = {
        {"right", {4, 5}, T, true, 0},
        {"too high", {4, 6}, T, true, 1},
        {"too early", {3, 4}, T, true, 2},
        {"too many", {4, 5, 6}, T, true, 1},
        {"twice", {4, 4}, T, true, 1},
        {"missing", {4}, T, true, 1},
        {"not yet there", {4}, T, false, 0},
        {"of no window", {4, 5}, T + 1, false, 3},
        {"of another window", {4}, T + 5 * MINUTE, false, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setup(state);
        struct world *w = *state;
        for (int n = 0; n < 5; n++) {
            char id[] = {(char)('0' + n), 0};
            authorizes(w, "x", T);
            pays(w, id);
        }
        for (size_t n = 0; cases[i].counts[n] != 0; n++)
            says(w, "x", cases[i].counts[n], cases[i].start);
        recount_judge(w->recount, w->audit, cases[i].quiescent);
        uint64_t found = audit_result(w->audit, AUDIT_SHIPMENTS)->violations;
        if (found != cases[i].violations)
            fail_msg("%s: %d violations", cases[i].name, (int)found);
        teardown(state);
    }
}

/* What is over is forgotten, and what was said of it is right all the same. */
static void it_remembers_no_more_than_a_day(void **state) {
    struct world *w = *state;
    char card[32];
    for (int i = 0; i < 100000; i++) {
        snprintf(card, sizeof card, "card-%d", i);
        for (int n = 0; n < 4; n++)
            authorizes(w, card, T + i * MINUTE);
        says(w, card, 4, (T + i * MINUTE) / (5 * MINUTE) * (5 * MINUTE));
        buys(w, card, card, T + i * MINUTE, 1, true);
    }
    recount_judge(w->recount, w->audit, false);
    expect(w, AUDIT_SHIPMENTS, 0, NULL);
    assert_in_range(recount_remembers(w->recount), 1440, 60000);
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(sessions_add_up),
        TEST(a_wrong_verdict_is_found),
        TEST(an_order_counts_once),
        TEST(a_payment_twice_is_found),
        TEST(counts_are_those_of_the_window),
        cmocka_unit_test(wrong_counts_are_found),
        TEST(it_remembers_no_more_than_a_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
