#include "ratings_fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct world {
    struct audit *audit;
    struct ratings_fold *fold;
};

static int setup(void **state) {
    static struct world w;
    w = (struct world){audit_create(), ratings_fold_create()};
    *state = &w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    ratings_fold_destroy(w->fold);
    audit_destroy(w->audit);
    return 0;
}

static void rate(struct world *w, int32_t tenths) {
    ratings_fold_rating(w->fold, SLICE("7"), &(struct raw_rating){7, tenths});
}

static void totals(struct world *w, int64_t count, int64_t sum) {
    ratings_fold_totals(w->fold, SLICE("7"),
                        &(struct rating_totals){.rating_count = count, .rating_sum_tenths = sum});
}

static struct rated_movie row(int64_t count, int64_t sum) {
    return (struct rated_movie){.movie_id = 7,
                                .title = SLICE("Seven"),
                                .release_year = {true, 1995},
                                .rating_count = count,
                                .rating_sum_tenths = sum,
                                .average_rating = count == 0 ? 0 : (double)sum / (double)count / 10};
}

static void rated(struct world *w, int64_t count, int64_t sum) {
    struct rated_movie m = row(count, sum);
    ratings_fold_rated(w->fold, SLICE("7"), &m);
}

static void in_table(struct world *w) {
    ratings_fold_movie(w->fold, SLICE("7"),
                       &(struct movie){.movie_id = 7, .title = SLICE("Seven"), .release_year = {true, 1995}});
}

static uint64_t violations(struct world *w, int invariant) {
    return audit_result(w->audit, invariant)->violations;
}

static void what_adds_up_is_right(void **state) {
    struct world *w = *state;
    in_table(w), rate(w, 70), rate(w, 80), totals(w, 2, 150), rated(w, 2, 150);
    assert_int_equal(ratings_fold_in_flight(w->fold, NULL), 0);
    ratings_fold_judge(w->fold, w->audit, true);
    assert_int_equal(violations(w, AUDIT_RATINGS), 0);
}

static void what_is_behind_is_in_flight_unless_all_is_quiet(void **state) {
    struct world *w = *state;
    in_table(w), rate(w, 70), totals(w, 1, 70), rated(w, 1, 70), rate(w, 80);
    assert_int_equal(ratings_fold_in_flight(w->fold, NULL), 1);
    ratings_fold_judge(w->fold, w->audit, false);
    assert_int_equal(violations(w, AUDIT_RATINGS), 0);
    ratings_fold_judge(w->fold, w->audit, true);
    assert_int_equal(violations(w, AUDIT_RATINGS), 1);
}

/* A sum that no beginning of the ratings gives: that of a lost, doubled or half-counted one. */
static void wrong_sums_are_found_at_any_time(void **state) {
    struct world *w = *state;
    in_table(w), rate(w, 70), rate(w, 80), totals(w, 2, 140), rated(w, 2, 150);
    ratings_fold_judge(w->fold, w->audit, false);
    assert_int_equal(violations(w, AUDIT_RATINGS), 1);
    rated(w, 1, 80);
    ratings_fold_judge(w->fold, w->audit, false);
    assert_int_equal(violations(w, AUDIT_RATINGS), 3);
    totals(w, 3, 150), rated(w, 1, 70);
    ratings_fold_judge(w->fold, w->audit, false);
    assert_int_equal(violations(w, AUDIT_RATINGS), 4);
}

static void a_wrong_average_is_found(void **state) {
    struct world *w = *state;
    struct rated_movie m = row(2, 150);
    m.average_rating = 7.0;
    in_table(w), rate(w, 70), rate(w, 80), totals(w, 2, 150);
    ratings_fold_rated(w->fold, SLICE("7"), &m);
    ratings_fold_judge(w->fold, w->audit, true);
    assert_int_equal(violations(w, AUDIT_RATINGS), 1);
}

static void deleted_movies_keep_their_totals_and_lose_their_row(void **state) {
    struct world *w = *state;
    in_table(w), rate(w, 70), totals(w, 1, 70), rated(w, 1, 70);
    ratings_fold_movie(w->fold, SLICE("7"), NULL);
    assert_int_equal(ratings_fold_in_flight(w->fold, NULL), 1);
    ratings_fold_rated(w->fold, SLICE("7"), NULL);
    assert_int_equal(ratings_fold_in_flight(w->fold, NULL), 0);
    ratings_fold_judge(w->fold, w->audit, true);
    assert_int_equal(violations(w, AUDIT_RATINGS), 0);
}

static void views_show_what_the_log_has(void **state) {
    struct world *w = *state;
    struct rated_movie m = row(2, 150), other = row(2, 160);
    int64_t spread[10] = {[7] = 1, [8] = 1}, wrong[10] = {[8] = 2};
    in_table(w), rate(w, 70), rate(w, 80), totals(w, 2, 150), rated(w, 2, 150);
    ratings_fold_view_end(w->fold, w->audit, false);
    assert_int_equal(violations(w, AUDIT_VIEWS), 1); /* missing */
    ratings_fold_view(w->fold, w->audit, &m, false);
    ratings_fold_view_end(w->fold, w->audit, false);
    ratings_fold_view_one(w->fold, w->audit, &m, spread, 10, false);
    assert_int_equal(violations(w, AUDIT_VIEWS), 1);
    ratings_fold_view(w->fold, w->audit, &m, false); /* twice */
    assert_int_equal(violations(w, AUDIT_VIEWS), 2);
    ratings_fold_view(w->fold, w->audit, &other, true); /* newer than the log was read */
    ratings_fold_view_one(w->fold, w->audit, &m, spread, 10, true);
    assert_int_equal(violations(w, AUDIT_VIEWS), 2);
    ratings_fold_view_one(w->fold, w->audit, &m, wrong, 10, false);
    ratings_fold_view_one(w->fold, w->audit, &m, spread, 9, false);
    assert_int_equal(violations(w, AUDIT_VIEWS), 4);
}

static void a_list_is_in_order(void **state) {
    struct world *w = *state;
    struct rated_movie best = row(2, 160), same = row(1, 80), less = row(9, 160), none = row(0, 0);
    ratings_fold_view_order(w->audit, &best, &same);
    ratings_fold_view_order(w->audit, &same, &less);
    ratings_fold_view_order(w->audit, &less, &none);
    assert_int_equal(violations(w, AUDIT_VIEWS), 0);
    ratings_fold_view_order(w->audit, &same, &best);
    ratings_fold_view_order(w->audit, &less, &same);
    ratings_fold_view_order(w->audit, &none, &less);
    ratings_fold_view_order(w->audit, &same, &same);
    assert_int_equal(violations(w, AUDIT_VIEWS), 4);
}

static void what_is_no_rating_is_not_counted(void **state) {
    (void)state;
    assert_true(ratings_fold_accepts(SLICE("7"), &(struct raw_rating){7, 100}));
    assert_false(ratings_fold_accepts(SLICE("7"), &(struct raw_rating){7, 101}));
    assert_false(ratings_fold_accepts(SLICE("7"), &(struct raw_rating){7, -1}));
    assert_false(ratings_fold_accepts(SLICE("07"), &(struct raw_rating){7, 1}));
    assert_true(ratings_fold_accepts_movie(SLICE("7"), NULL));
    assert_false(ratings_fold_accepts_movie(SLICE("7"), &(struct movie){.movie_id = 8}));
}

int main(void) {
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(what_adds_up_is_right),
        test(what_is_behind_is_in_flight_unless_all_is_quiet),
        test(wrong_sums_are_found_at_any_time),
        test(a_wrong_average_is_found),
        test(deleted_movies_keep_their_totals_and_lose_their_row),
        test(views_show_what_the_log_has),
        test(a_list_is_in_order),
        test(what_is_no_rating_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
