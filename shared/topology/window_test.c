#include "topology/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { GAP = 10, EVENTS = 8 };

static void tumbling_windows_are_aligned(void **state) {
    (void)state;
    static const struct {
        int64_t time, size, start;
    } cases[] = {{0, 10, 0},
                 {9, 10, 0},
                 {10, 10, 10},
                 {25, 10, 20},
                 {-1, 10, -10},
                 {-10, 10, -10},
                 {1700000123, 300, 1700000100}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct window w = window_tumbling(cases[i].time, cases[i].size);
        assert_int_equal(w.start, cases[i].start);
        assert_int_equal(w.end, cases[i].start + cases[i].size);
    }
    assert_true(window_tumbling(INT64_MAX, 10).end == INT64_MAX);
}

/* Events in the order of arrival; what the session of the last one is, and how many sessions there are. */
static const struct {
    const char *name;
    int64_t events[EVENTS]; /* 0 ends them */
    struct window own;
    size_t sessions;
} cases[] = {
    {"one", {100}, {100, 100}, 1},
    {"duplicate", {100, 100}, {100, 100}, 1},
    {"gap, inclusive", {100, 110}, {100, 110}, 1},
    {"more than the gap", {100, 111}, {111, 111}, 2},
    {"late, before", {100, 90}, {90, 100}, 1},
    {"late, too early", {100, 89}, {89, 89}, 2},
    {"a chain", {100, 110, 120, 130}, {100, 130}, 1},
    {"inside", {100, 110, 105}, {100, 110}, 1},
    {"joins both sides", {100, 120, 110}, {100, 120}, 1},
    {"joins the earlier only", {100, 121, 110}, {100, 110}, 2},
    {"joins the later only", {100, 121, 111}, {111, 121}, 2},
    {"apart from both", {100, 140, 120}, {120, 120}, 3},
    {"one of three is far", {100, 120, 200, 110}, {100, 120}, 2},
    {"limits", {INT64_MAX, INT64_MIN}, {INT64_MIN, INT64_MIN}, 2},
};

static void sessions_are_joined_in_any_order(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct window sessions[EVENTS], own = {0};
        size_t count = 0;
        for (const int64_t *time = cases[i].events; *time != 0; time++) {
            bool joins[EVENTS];
            own = window_session(sessions, count, *time, GAP, joins);
            size_t kept = 0;
            for (size_t k = 0; k < count; k++)
                if (!joins[k])
                    sessions[kept++] = sessions[k];
            sessions[kept++] = own;
            count = kept;
        }
        if (own.start != cases[i].own.start || own.end != cases[i].own.end || count != cases[i].sessions)
            fail_msg("%s: %lld to %lld, %zu sessions", cases[i].name, (long long)own.start,
                     (long long)own.end, count);
    }
}

static void times_sort_as_text(void **state) {
    (void)state;
    static const int64_t times[] = {0, 1, 9, 10, 1699999999999, 1700000000000, 999999999999999};
    struct arena a = {0};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        assert_int_equal(time_of_sub(time_sub(&a, times[i])), times[i]);
        assert_true(i == 0 || slice_compare(time_sub(&a, times[i - 1]), time_sub(&a, times[i])) < 0);
    }
    assert_int_equal(time_of_sub(time_sub(&a, -1)), 0);
    assert_int_equal(time_of_sub(time_sub(&a, INT64_MAX)), 999999999999999);
    assert_int_equal(time_of_sub(SLICE("001700000000000.id")), 1700000000000);
    assert_int_equal(time_of_sub(SLICE("0017000000000")), 0);
    assert_int_equal(time_of_sub(SLICE("not a time, but long")), 0);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tumbling_windows_are_aligned),
        cmocka_unit_test(sessions_are_joined_in_any_order),
        cmocka_unit_test(times_sort_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
