#include "base/cleanup.h"
#include "legacy_fold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct world {
    struct audit *audit;
    struct legacy_fold *fold;
};

static int setup(void **state) {
    static struct world w;
    w = (struct world){audit_create(), legacy_fold_create()};
    *state = &w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    legacy_fold_destroy(w->fold);
    audit_destroy(w->audit);
    return 0;
}

static void stock(struct world *w, const char *id, struct slice name, struct optional_int quantity) {
    legacy_fold_stock(w->fold, slice_of(id),
                      &(struct stock){.product_id = slice_of(id), .name = name, .quantity = quantity});
}

static void row(struct world *w, const char *id, const char *name, const char *quantity) {
    legacy_fold_row(w->fold, SLICE("stock"), slice_of(id), slice_of(name), slice_of(quantity));
}

static void expect(struct world *w, uint64_t violations, const char *first) {
    assert_int_equal(legacy_fold_in_flight(w->fold, NULL), violations);
    legacy_fold_judge(w->fold, w->audit, true);
    const struct audit_result *r = audit_result(w->audit, AUDIT_LEGACY);
    assert_int_equal(r->violations, violations);
    if (violations > 0)
        assert_string_equal(r->examples[0], first);
}

static void topics_that_say_what_the_tables_say(void **state) {
    struct world *w = *state;
    stock(w, "a", SLICE("old"), (struct optional_int){true, 9});
    stock(w, "a", SLICE("A"), (struct optional_int){true, 7});
    stock(w, "b", SLICE_NONE, (struct optional_int){0});
    stock(w, "gone", SLICE("G"), (struct optional_int){true, 1});
    legacy_fold_stock(w->fold, SLICE("gone"), NULL);
    legacy_fold_movie(w->fold, SLICE("7"),
                      &(struct movie){.movie_id = 7, .title = SLICE("Seven"), .release_year = {true, 1995}});
    legacy_fold_begin(w->fold);
    row(w, "gone", "G", "1");
    legacy_fold_begin(w->fold); /* looked again, after it had been deleted */
    row(w, "a ", "A  ", "7.00");
    row(w, "b", NULL, NULL);
    legacy_fold_row(w->fold, SLICE("movies"), SLICE("7"), SLICE("Seven"), SLICE("1995"));
    expect(w, 0, NULL);
    assert_int_equal(audit_result(w->audit, AUDIT_LEGACY)->checked, 3);
}

static void a_truncated_table_whose_rows_are_still_in_the_topic(void **state) {
    struct world *w = *state;
    stock(w, "a", SLICE("A"), (struct optional_int){true, 7});
    legacy_fold_begin(w->fold);
    expect(w, 1, "stock/a: the topic has 7, the table no row");
}

static void a_row_that_never_came(void **state) {
    struct world *w = *state;
    row(w, "a", "A", "7");
    expect(w, 1, "stock/a: the topic has no row, the table 7");
}

static void another_number(void **state) {
    struct world *w = *state;
    stock(w, "a", SLICE("A"), (struct optional_int){true, 7});
    row(w, "a", "A", "8");
    expect(w, 1, "stock/a: the topic has 7, the table 8");
}

static void a_long_name_that_was_not_in_the_event(void **state) {
    struct world *w = *state;
    stock(w, "a", SLICE("__debezium_unavailable_value"), (struct optional_int){true, 7});
    row(w, "a", "a long name", "7");
    expect(w, 1, "stock/a: the topic has 7, the table 7, and other words");
}

static void null_is_not_nought(void **state) {
    struct world *w = *state;
    stock(w, "a", SLICE(""), (struct optional_int){0});
    row(w, "a", "", "0");
    stock(w, "b", SLICE_NONE, (struct optional_int){true, 1});
    row(w, "b", "", "1");
    expect(w, 2, "stock/a: the topic has a row without number, the table 0");
}

static void what_others_still_write_is_in_flight(void **state) {
    struct world *w = *state;
    _cleanup_(buf_free) struct buf names = {0};
    row(w, "a", "A", "7");
    assert_int_equal(legacy_fold_in_flight(w->fold, &names), 1);
    assert_true(slice_equal(buf_slice(&names), SLICE("legacy row stock/a")));
    legacy_fold_judge(w->fold, w->audit, false);
    assert_int_equal(audit_result(w->audit, AUDIT_LEGACY)->violations, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(topics_that_say_what_the_tables_say),
        TEST(a_truncated_table_whose_rows_are_still_in_the_topic),
        TEST(a_row_that_never_came),
        TEST(another_number),
        TEST(a_long_name_that_was_not_in_the_event),
        TEST(null_is_not_nought),
        TEST(what_others_still_write_is_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
