#include "base/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const struct metric requests = {"t_requests_total", METRIC_COUNTER, "Requests."};
static const struct metric size = {"t_size_bytes", METRIC_GAUGE, "How large it is."};
static const struct metric duration = {"t_duration_seconds", METRIC_HISTOGRAM, "How long it took."};
static const struct metric wait = {"t_wait_seconds", METRIC_SUMMARY, "How long it waited."};

static void assert_text(struct metrics *m, const char *expected) {
    struct buf out = {0};
    metrics_write(m, &out);
    buf_append_byte(&out, 0);
    assert_string_equal(out.data, expected);
    buf_free(&out);
    metrics_free(m);
}

static void nothing_is_an_empty_text(void **state) {
    (void)state;
    struct metrics m = {0};
    assert_text(&m, "");
}

static void a_family_stands_once_whoever_adds_to_it(void **state) {
    (void)state;
    struct metrics m = {0};
    metrics_add(&m, &requests, 3, "route", "/a", "status", "200", NULL);
    metrics_add(&m, &size, 0.25, NULL);
    metrics_add(&m, &requests, 8999999999999999.0, "route", "/b", "status", "404", NULL);
    metrics_add(&m, &size, -1, NULL);
    assert_text(&m, "# HELP t_requests_total Requests.\n# TYPE t_requests_total counter\n"
                    "t_requests_total{route=\"/a\",status=\"200\"} 3\n"
                    "t_requests_total{route=\"/b\",status=\"404\"} 8999999999999999\n"
                    "# HELP t_size_bytes How large it is.\n# TYPE t_size_bytes gauge\n"
                    "t_size_bytes 0.25\nt_size_bytes -1\n");
}

static void a_label_may_have_any_value(void **state) {
    (void)state;
    struct metrics m = {0};
    metrics_add(&m, &size, 1, "of", "a \"b\"\\c\nd \xc3\xa9 {}", NULL);
    assert_text(&m, "# HELP t_size_bytes How large it is.\n# TYPE t_size_bytes gauge\n"
                    "t_size_bytes{of=\"a \\\"b\\\"\\\\c\\nd \xc3\xa9 {}\"} 1\n");
}

static void a_histogram_counts_up_to_each_bound(void **state) {
    (void)state;
    static const struct buckets b = {1e6, {1000, 10000, 500000}};
    struct metrics m = {0};
    struct histogram h = {0};
    metrics_add_histogram(&m, &duration, &h, &b, NULL);
    const int64_t values[] = {0, 999, 1000, 1001, 10000, 500001, 1000000, -5};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        histogram_observe(&h, &b, values[i]);
    metrics_add_histogram(&m, &duration, &h, &b, "of", "x", NULL);
    assert_text(&m, "# HELP t_duration_seconds How long it took.\n# TYPE t_duration_seconds histogram\n"
                    "t_duration_seconds_bucket{le=\"0.001\"} 0\nt_duration_seconds_bucket{le=\"0.01\"} 0\n"
                    "t_duration_seconds_bucket{le=\"0.5\"} 0\nt_duration_seconds_bucket{le=\"+Inf\"} 0\n"
                    "t_duration_seconds_sum 0\nt_duration_seconds_count 0\n"
                    "t_duration_seconds_bucket{of=\"x\",le=\"0.001\"} 4\n"
                    "t_duration_seconds_bucket{of=\"x\",le=\"0.01\"} 6\n"
                    "t_duration_seconds_bucket{of=\"x\",le=\"0.5\"} 6\n"
                    "t_duration_seconds_bucket{of=\"x\",le=\"+Inf\"} 8\n"
                    "t_duration_seconds_sum{of=\"x\"} 1.513001\nt_duration_seconds_count{of=\"x\"} 8\n");
}

static void all_bounds_are_used(void **state) {
    (void)state;
    const struct buckets *all[] = {&buckets_us, &buckets_records};
    for (size_t k = 0; k < 2; k++) {
        struct histogram h = {0};
        size_t n = 0;
        for (; n < HISTOGRAM_BOUNDS && all[k]->bounds[n] != 0; n++) {
            assert_true(n == 0 || all[k]->bounds[n] > all[k]->bounds[n - 1]);
            histogram_observe(&h, all[k], all[k]->bounds[n]);
            assert_int_equal(counter_get(&h.counts[n]), 1);
        }
        histogram_observe(&h, all[k], INT64_MAX);
        assert_int_equal(counter_get(&h.counts[n]), 1);
    }
}

static void a_summary_is_a_sum_and_a_count(void **state) {
    (void)state;
    struct metrics m = {0};
    metrics_add_summary(&m, &wait, 1.5, 3, "of", "x", NULL);
    assert_text(&m, "# HELP t_wait_seconds How long it waited.\n# TYPE t_wait_seconds summary\n"
                    "t_wait_seconds_sum{of=\"x\"} 1.5\nt_wait_seconds_count{of=\"x\"} 3\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_an_empty_text),
        cmocka_unit_test(a_family_stands_once_whoever_adds_to_it),
        cmocka_unit_test(a_label_may_have_any_value),
        cmocka_unit_test(a_histogram_counts_up_to_each_bound),
        cmocka_unit_test(all_bounds_are_used),
        cmocka_unit_test(a_summary_is_a_sum_and_a_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
