#include "partitions/merge.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static bool is_place(struct slice place) {
    return place.size > 16 && strspn(place.data, "0123456789abcdef") >= 16;
}

/* Lines of another instance, which may be of another version, or none at all. */
static void lines_of_others_are_read_with_care(void **state) {
    (void)state;
    struct arena arena = {0};
    _cleanup_(buf_free) struct buf lines = {0};
    struct merge all = {.arena = &arena}, again = {.arena = &arena};
    merge_read(&all,
               SLICE("0123456789abcdex-2\t{\"id\":\"x-2\"}\n" /* not 16 digits */
                     "short\t\n\t\n\nno tab\n"
                     "0123456789abcdefo-2\t\n"
                     "0123456789abcdefo-1\t{\"id\":\"o-1\"}\n"
                     "0123456789abcdefo-1\t{\"id\":\"again\"}\n"
                     "0123456789abcdefo-3\t{\"cut"),
               is_place);
    assert_int_equal(all.count, 3);
    merge_sort(&all);
    assert_int_equal(all.count, 2);
    assert_true(slice_equal(all.items[0].place, SLICE("0123456789abcdefo-1")));
    assert_true(slice_equal(all.items[1].place, SLICE("0123456789abcdefo-2")));
    assert_null(all.items[1].json.data);
    merge_write(&all, 2, &lines);
    merge_read(&again, buf_slice(&lines), is_place);
    assert_int_equal(again.count, 2);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines_of_others_are_read_with_care)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
