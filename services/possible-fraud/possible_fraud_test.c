#include "possible_fraud.h"

#include "stream/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define WINDOW INT64_C(300000)
#define T (WINDOW * 5666666) /* the start of a window */

static int setup(void **state) {
    *state = driver_create(&possible_fraud_topology);
    return 0;
}

static int teardown(void **state) {
    driver_destroy(*state);
    return 0;
}

static void authorize(struct driver *d, const char *card, int64_t time) {
    struct authorization a = {slice_of(card), SLICE("o1"), 100};
    driver_send(d, &topic_authorizations, a.card_token, &a, time);
}

static void expect_nothing(struct driver *d) {
    struct event e;
    assert_false(driver_next(d, &e));
}

static void expect(struct driver *d, const char *card, int64_t count, int64_t start) {
    struct event e;
    assert_true(driver_next(d, &e));
    assert_string_equal(e.topic->name, topic_possible_fraud.name);
    assert_true(slice_equal(e.key, slice_of(card)));
    const struct possible_fraud *f = e.value;
    assert_true(slice_equal(f->card_token, slice_of(card)));
    assert_int_equal(f->count, count);
    assert_int_equal(f->window_start, start);
    assert_int_equal(f->window_end, start + WINDOW);
}

static void the_fourth_is_suspicious(void **state) {
    struct driver *d = *state;
    for (int i = 0; i < 3; i++)
        authorize(d, "c1", T + i);
    authorize(d, "c2", T); /* cards have windows of their own */
    expect_nothing(d);
    authorize(d, "c1", T + 3);
    expect(d, "c1", 4, T);
    authorize(d, "c1", T + 4); /* the same row, again */
    expect(d, "c1", 5, T);
}

static void windows_do_not_overlap(void **state) {
    struct driver *d = *state;
    for (int i = 0; i < 3; i++)
        authorize(d, "c1", T);
    authorize(d, "c1", T + WINDOW); /* the first moment of the next */
    authorize(d, "c1", T - 1);
    expect_nothing(d);
    authorize(d, "c1", T + WINDOW - 1); /* the last of this one, late */
    expect(d, "c1", 4, T);
}

static void windows_before_1970_are_windows(void **state) {
    struct driver *d = *state;
    authorize(d, "c1", 0);
    for (int i = 1; i <= 4; i++)
        authorize(d, "c1", -i);
    expect(d, "c1", 4, -WINDOW);
    expect_nothing(d);
}

static void an_authorization_of_another_card_is_a_dead_letter(void **state) {
    struct driver *d = *state;
    struct event e;
    driver_send(d, &topic_authorizations, SLICE("c1"), &(struct authorization){.card_token = SLICE("c2")}, T);
    assert_true(driver_next(d, &e));
    assert_string_equal(e.topic->name, topic_dead_letters.name);
    expect_nothing(d);
}

int main(void) {
#define driven(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        driven(the_fourth_is_suspicious),
        driven(windows_do_not_overlap),
        driven(windows_before_1970_are_windows),
        driven(an_authorization_of_another_card_is_a_dead_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
