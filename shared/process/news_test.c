#include "process/news.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void nothing_is_no_news(void **state) {
    (void)state;
    struct told t = {0};
    assert_false(is_news(&t, false, ""));
    assert_false(is_news(&t, true, ""));
}

static void each_status_once_while_it_is_not_well(void **state) {
    (void)state;
    struct told t = {0};
    assert_true(is_news(&t, false, "starting"));
    assert_true(is_news(&t, false, "table movies: no registry"));
    assert_true(is_news(&t, false, "table totals: no registry"));
    for (int i = 0; i < 1000; i++) {
        assert_false(is_news(&t, false, "table movies: no registry"));
        assert_false(is_news(&t, false, "table totals: no registry"));
    }
    assert_true(is_news(&t, true, "running"));
    assert_false(is_news(&t, true, "running"));
}

static void the_next_spell_is_told_anew(void **state) {
    (void)state;
    struct told t = {0};
    assert_true(is_news(&t, false, "no registry"));
    assert_true(is_news(&t, true, "running"));
    assert_true(is_news(&t, false, "no registry"));
    assert_false(is_news(&t, false, "no registry"));
    assert_true(is_news(&t, true, "running"));
    assert_false(is_news(&t, true, "running"));
}

static void so_many_statuses_are_bounded(void **state) {
    (void)state;
    struct told t = {0};
    char text[40];
    for (int i = 0; i < 10 * TOLD_MAX; i++) {
        snprintf(text, sizeof text, "restoring, %d of 1000 tasks", i);
        assert_true(is_news(&t, false, text));
        assert_false(is_news(&t, false, text));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_no_news),
        cmocka_unit_test(each_status_once_while_it_is_not_well),
        cmocka_unit_test(the_next_spell_is_told_anew),
        cmocka_unit_test(so_many_statuses_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
