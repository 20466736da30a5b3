#include "ratings.h"

#include "base/cleanup.h"
#include "ratings_rules.h"
#include "taste.h"
#include "testing/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- rules ---- */

static void a_movie_id_is_read_one_way_only(void **state) {
    (void)state;
    static const struct {
        const char *key;
        bool valid;
        int64_t id;
    } cases[] = {
        {"0", true, 0},
        {"42", true, 42},
        {"-7", true, -7},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"-0", false, 0},
        {"042", false, 0},
        {"+42", false, 0},
        {" 42", false, 0},
        {"42 ", false, 0},
        {"4.2", false, 0},
        {"--4", false, 0},
        {"abc", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t id = 0;
        bool valid = movie_id_parse(slice_of(cases[i].key), &id);
        if (valid != cases[i].valid || id != cases[i].id)
            fail_msg("\"%s\": %d, %lld", cases[i].key, valid, (long long)id);
    }
}

static void totals_are_exact(void **state) {
    (void)state;
    struct rating_totals t = {0};
    int64_t sum = 0;
    for (int32_t tenths = 0; tenths <= RATING_MAX_TENTHS; tenths++) {
        totals_add(&t, tenths);
        sum += tenths;
    }
    assert_int_equal(t.rating_count, 101);
    assert_int_equal(t.rating_sum_tenths, sum);
    for (int n = 0; n < DISTRIBUTION_SIZE; n++)
        assert_int_equal(totals_distribution(&t, n), n == 9 ? 11 : 10);
    assert_true(rating_average(0, 0) == 0.0);
    assert_true(rating_average(1, 71) == 7.1);
    assert_true(rating_average(3, 3) == 0.1);
    assert_true(rating_average(2, 200) == 10.0);
}

static struct slice list_key(enum movie_order order, const struct rated_movie *m, struct buf *out) {
    buf_clear(out);
    movie_list_key(order, m, out);
    return buf_slice(out);
}

static int compare(enum movie_order order, const struct rated_movie *a, const struct rated_movie *b) {
    _cleanup_(buf_free) struct buf x = {0}, y = {0};
    int d = slice_compare(list_key(order, a, &x), list_key(order, b, &y));
    return (d > 0) - (d < 0);
}

static struct rated_movie rated(int64_t id, int64_t count, int64_t sum) {
    return (struct rated_movie){.movie_id = id, .rating_count = count, .rating_sum_tenths = sum};
}

static void the_order_by_rating_knows_no_rounding(void **state) {
    (void)state;
    const struct rated_movie best_first[] = {
        rated(1, 5, 500),
        rated(2, 1, 100), /* the same average: more ratings first */
        rated(3, 1, 100), /* the same again: the smaller id first */
        /* these differ by less than a double can tell */
        rated(4, INT64_MAX / 128, INT64_MAX / 128 * 90 + 1),
        rated(5, INT64_MAX / 128 - 1, (INT64_MAX / 128 - 1) * 90),
        rated(6, 10, 900),
        rated(7, INT64_MAX / 128, INT64_MAX / 128 * 90 - 1),
        rated(8, 3, 200),
        rated(9, 1, 66),
        rated(10, 1, 0),
        rated(-1, 0, 0), /* nobody rated these */
        rated(11, 0, 0),
    };
    size_t n = sizeof best_first / sizeof *best_first;
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b < n; b++)
            if (compare(BY_RATING, &best_first[a], &best_first[b]) != (a > b) - (a < b))
                fail_msg("%zu and %zu", a, b);
}

static uint64_t random_next(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *state >> 33;
}

/* Against the definition: a/b > c/d where a·d > c·b. Small numbers, so that many are equal. */
static void the_order_by_rating_is_that_of_fractions(void **state) {
    (void)state;
    uint64_t r = 1;
    for (int i = 0; i < 20000; i++) {
        int64_t n = (int64_t)(random_next(&r) % 12) + 1, m = (int64_t)(random_next(&r) % 12) + 1;
        struct rated_movie a = rated(1, n, (int64_t)random_next(&r) % (n * 100 + 1));
        struct rated_movie b = rated(2, m, (int64_t)random_next(&r) % (m * 100 + 1));
        int64_t difference = a.rating_sum_tenths * m - b.rating_sum_tenths * n;
        int wanted = difference != 0 ? (difference < 0) - (difference > 0) : n != m ? (n < m) - (n > m) : -1;
        if (compare(BY_RATING, &a, &b) != wanted)
            fail_msg("%lld/%lld and %lld/%lld", (long long)a.rating_sum_tenths, (long long)n,
                     (long long)b.rating_sum_tenths, (long long)m);
    }
}

static void other_orders(void **state) {
    (void)state;
    struct rated_movie alien = {
        .movie_id = 2, .title = SLICE("Alien"), .release_year = {true, 1979}, .rating_count = 3};
    struct rated_movie aliens = {
        .movie_id = 1, .title = SLICE("aliens"), .release_year = {true, 1986}, .rating_count = 7};
    struct rated_movie unknown = {.movie_id = 0};
    assert_int_equal(compare(BY_TITLE, &alien, &aliens), -1);
    assert_int_equal(compare(BY_TITLE, &aliens, &unknown), -1);
    assert_int_equal(compare(BY_COUNT, &aliens, &alien), -1);
    assert_int_equal(compare(BY_COUNT, &alien, &unknown), -1);
    assert_int_equal(compare(BY_YEAR, &aliens, &alien), -1);
    assert_int_equal(compare(BY_YEAR, &alien, &unknown), -1);
    for (int order = 0; order < MOVIE_ORDERS; order++) {
        _cleanup_(buf_free) struct buf prefix = {0}, key = {0};
        movie_list_prefix((enum movie_order)order, &prefix);
        assert_true(slice_starts_with(list_key((enum movie_order)order, &alien, &key), buf_slice(&prefix)));
    }
}

static void titles_are_searched_for(void **state) {
    (void)state;
    assert_true(title_matches(SLICE("The Seventh Seal"), SLICE("seVENth")));
    assert_true(title_matches(SLICE("The Seventh Seal"), SLICE("seal")));
    assert_true(title_matches(SLICE("Amélie"), SLICE("mél")));
    assert_true(title_matches(SLICE_NONE, SLICE("")));
    assert_false(title_matches(SLICE("The Seventh Seal"), SLICE("seals")));
    assert_false(title_matches(SLICE_NONE, SLICE("a")));
}

static void a_history_stays_small_and_keeps_its_ends(void **state) {
    (void)state;
    _cleanup_(arena_free) struct arena a = {0};
    struct rating_history h = {.interval_ms = HISTORY_INTERVAL_MS};
    struct rating_totals t = {0};
    for (int64_t now = 5; now < 5 + INT64_C(100000) * 1000; now += 500) {
        totals_add(&t, 70);
        if (now < t.next_point_at)
            continue;
        h = history_add(&h, &t, now, &a);
        t.next_point_at = now + h.interval_ms;
        assert_true(h.points.count <= HISTORY_POINTS_MAX);
    }
    assert_int_equal(h.points.items[0].timestamp, 5);
    assert_int_equal(h.points.items[0].rating_count, 1);
    assert_true(h.points.count > HISTORY_POINTS_MAX / 2);
    for (size_t i = 1; i < h.points.count; i++) {
        assert_true(h.points.items[i].timestamp - h.points.items[i - 1].timestamp >= h.interval_ms / 2);
        assert_true(h.points.items[i].rating_count > h.points.items[i - 1].rating_count);
        assert_int_equal(h.points.items[i].rating_sum_tenths, h.points.items[i].rating_count * 70);
    }
    assert_true(h.points.items[h.points.count - 1].timestamp + h.interval_ms > INT64_C(100000) * 1000);
}

static void simulated_ratings_are_ratings(void **state) {
    (void)state;
    uint64_t random = 1;
    size_t drawn[3] = {0};
    for (int i = 0; i < 3000; i++)
        drawn[taste_movie(&random, 3)]++;
    assert_true(drawn[0] > drawn[1] && drawn[1] > drawn[2] && drawn[2] > 0);
    assert_int_equal(taste_movie(&random, 1), 0);
    int32_t low = RATING_MAX_TENTHS, high = 0;
    for (int64_t id = 0; id < 10000; id++) {
        int32_t tenths = taste_tenths(&random, id);
        low = tenths < low ? tenths : low;
        high = tenths > high ? tenths : high;
    }
    assert_in_range(low, 0, 10);
    assert_in_range(high, 90, RATING_MAX_TENTHS);
}

/* ---- the topology ---- */

static int setup(void **state) {
    *state = driver_create(&ratings_topology);
    return 0;
}

static int teardown(void **state) {
    driver_destroy(*state);
    return 0;
}

static void rate(struct driver *d, const char *key, int64_t movie_id, int32_t tenths, int64_t timestamp) {
    driver_send(d, &topic_raw_ratings, slice_of(key),
                &(struct raw_rating){.movie_id = movie_id, .rating_tenths = tenths}, timestamp);
}

static void movie(struct driver *d, const char *key, int64_t id, const char *title) {
    driver_send(d, &topic_movies, slice_of(key),
                &(struct movie){.movie_id = id, .title = slice_of(title), .release_year = {true, 1957}}, 0);
}

static void expect_row(struct driver *d, const char *key, const char *title, int64_t count, int64_t sum) {
    struct rated_movie m;
    assert_true(driver_view(d, &ratings_rated_movies, slice_of(key), SLICE_NONE, &m));
    assert_true(slice_equal(m.title, slice_of(title)));
    assert_true(m.release_year.present && m.release_year.value == 1957);
    assert_int_equal(m.rating_count, count);
    assert_int_equal(m.rating_sum_tenths, sum);
    assert_true(m.average_rating == rating_average(count, sum));
}

static void expect_no_row(struct driver *d, const char *key) {
    struct rated_movie m;
    assert_false(driver_view(d, &ratings_rated_movies, slice_of(key), SLICE_NONE, &m));
}

static void expect_totals(struct driver *d, const char *key, int64_t count, int64_t sum) {
    struct rating_totals t = {0};
    driver_view(d, &ratings_totals, slice_of(key), SLICE_NONE, &t);
    assert_int_equal(t.rating_count, count);
    assert_int_equal(t.rating_sum_tenths, sum);
}

static void expect_letter(struct driver *d, const char *reason) {
    struct event e;
    assert_true(driver_next(d, &e));
    assert_string_equal(e.topic->name, topic_dead_letters.name);
    const struct dead_letter *l = e.value;
    assert_true(slice_starts_with(l->reason, slice_of(reason)));
}

static void expect_nothing(struct driver *d) {
    struct event e;
    assert_false(driver_next(d, &e));
}

static void ratings_of_a_movie_add_up(void **state) {
    struct driver *d = *state;
    movie(d, "1", 1, "Seal");
    expect_row(d, "1", "Seal", 0, 0);
    rate(d, "1", 1, 71, 10);
    rate(d, "1", 1, 0, 20);
    rate(d, "1", 1, 100, 15);
    expect_row(d, "1", "Seal", 3, 171);
    expect_totals(d, "1", 3, 171);
    expect_nothing(d);
}

static void a_rating_waits_for_its_movie(void **state) {
    struct driver *d = *state;
    rate(d, "7", 7, 80, 0);
    rate(d, "7", 7, 90, 0);
    expect_no_row(d, "7");
    expect_totals(d, "7", 2, 170);
    movie(d, "7", 7, "Late");
    expect_row(d, "7", "Late", 2, 170);
    expect_nothing(d);
}

static void a_movie_is_renamed_deleted_and_comes_back(void **state) {
    struct driver *d = *state;
    movie(d, "7", 7, "Se7en");
    rate(d, "7", 7, 80, 0);
    movie(d, "7", 7, "Seven");
    expect_row(d, "7", "Seven", 1, 80);
    driver_send(d, &topic_movies, SLICE("7"), NULL, 0);
    expect_no_row(d, "7");
    rate(d, "7", 7, 60, 0);
    expect_no_row(d, "7");
    expect_totals(d, "7", 2, 140);
    driver_send(d, &topic_movies, SLICE("7"), NULL, 0);
    movie(d, "7", 7, "Se7en");
    expect_row(d, "7", "Se7en", 2, 140);
}

static void what_is_no_rating_is_a_dead_letter(void **state) {
    struct driver *d = *state;
    rate(d, "1", 1, 101, 0);
    expect_letter(d, "ratingTenths: 101");
    rate(d, "1", 1, -1, 0);
    expect_letter(d, "ratingTenths: -1");
    rate(d, "1", 2, 50, 0);
    expect_letter(d, "movieId");
    rate(d, "01", 1, 50, 0);
    expect_letter(d, "movieId");
    movie(d, "1", 2, "Other");
    expect_letter(d, "movie_id");
    driver_send(d, &topic_raw_ratings, SLICE("1"), NULL, 0);
    expect_letter(d, "a tombstone");
    expect_nothing(d);
    expect_totals(d, "1", 0, 0);
    expect_no_row(d, "1");
}

static void the_history_follows_the_events_time(void **state) {
    struct driver *d = *state;
    struct rating_history h;
    rate(d, "1", 1, 50, 1000);
    rate(d, "1", 1, 70, 1999);
    rate(d, "1", 1, 90, 2000);
    rate(d, "1", 1, 10, 1500); /* late: counts, and is in the next point */
    rate(d, "1", 1, 20, 9000);
    assert_true(driver_view(d, &ratings_history, SLICE("1"), SLICE_NONE, &h));
    static const struct rating_point wanted[] = {{1000, 1, 50}, {2000, 3, 210}, {9000, 5, 240}};
    assert_int_equal(h.points.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(h.points.items[i].timestamp, wanted[i].timestamp);
        assert_int_equal(h.points.items[i].rating_count, wanted[i].rating_count);
        assert_int_equal(h.points.items[i].rating_sum_tenths, wanted[i].rating_sum_tenths);
    }
}

int main(void) {
#define driven(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_movie_id_is_read_one_way_only),
        cmocka_unit_test(totals_are_exact),
        cmocka_unit_test(the_order_by_rating_knows_no_rounding),
        cmocka_unit_test(the_order_by_rating_is_that_of_fractions),
        cmocka_unit_test(other_orders),
        cmocka_unit_test(titles_are_searched_for),
        cmocka_unit_test(a_history_stays_small_and_keeps_its_ends),
        cmocka_unit_test(simulated_ratings_are_ratings),
        driven(ratings_of_a_movie_add_up),
        driven(a_rating_waits_for_its_movie),
        driven(a_movie_is_renamed_deleted_and_comes_back),
        driven(what_is_no_rating_is_a_dead_letter),
        driven(the_history_follows_the_events_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
