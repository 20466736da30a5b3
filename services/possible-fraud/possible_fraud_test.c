#include "possible_fraud.h"

#include "testing/driver.h"
#include "topology/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define WINDOW INT64_C(300000)
#define T (WINDOW * 5666666) /* the start of a window */

static struct arena arena;

static int setup(void **state) {
    *state = driver_create(&possible_fraud_topology);
    return 0;
}

static int teardown(void **state) {
    driver_destroy(*state);
    arena_free(&arena);
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

static void a_late_one_counts_for_a_day(void **state) {
    struct driver *d = *state;
    for (int i = 0; i < 3; i++)
        authorize(d, "c1", T);
    authorize(d, "c2", T + 24 * 12 * WINDOW); /* a day of the log goes by */
    authorize(d, "c1", T);
    expect(d, "c1", 4, T);
    authorize(d, "c2", T + 3 * 24 * 12 * WINDOW);
    authorize(d, "c1", T); /* too late: the window is forgotten, and begins anew */
    expect_nothing(d);
    struct card_window w;
    assert_true(driver_view(d, &possible_fraud_windows, SLICE("c1"), time_sub(&arena, T), &w));
    assert_int_equal(w.count, 1);
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
        driven(a_late_one_counts_for_a_day),
        driven(an_authorization_of_another_card_is_a_dead_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
