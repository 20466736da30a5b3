#include "feeds/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void take(void *context, struct slice topic, int32_t partition, int64_t offset) {
    buf_printf(context, SLICE_FMT "|%d|%lld;", SLICE_ARG(topic), partition, (long long)offset);
}

static void assert_parsed(const char *text, const char *expected) {
    struct buf out = {0};
    bool ok = vector_parse(slice_of(text), take, &out);
    buf_append_byte(&out, 0);
    assert_int_equal(ok, expected != NULL);
    assert_string_equal(out.data, expected != NULL ? expected : "");
    buf_free(&out);
}

static void what_was_written_is_read(void **state) {
    (void)state;
    struct buf out = {0};
    buf_append_byte(&out, 'x');
    vector_put(&out, 1, "orders", 0, 0);
    vector_put(&out, 1, "a.b_c-D", 12, INT64_MAX - 1);
    buf_append_byte(&out, 0);
    assert_string_equal(out.data, "xorders/0:0,a.b_c-D/12:9223372036854775806");
    assert_parsed(out.data + 1, "orders|0|0;a.b_c-D|12|9223372036854775806;");
    buf_free(&out);
}

static void what_is_no_vector_is_refused_as_a_whole(void **state) {
    (void)state;
    static const char *const hostile[] = {
        ",",
        "orders",
        "orders/",
        "orders/0",
        "orders/0:",
        "orders/:1",
        "/0:1",
        "orders/0:1,",
        ",orders/0:1",
        "orders/0:1,,orders/1:1",
        "orders/0:1 ",
        " orders/0:1",
        "orders/-1:1",
        "orders/0:-1",
        "orders/+0:1",
        "orders/0:1e3",
        "orders/0:0x10",
        "orders/2147483648:1",
        "orders/0:9223372036854775807",
        "orders/0:99999999999999999999999999",
        "orders/0/1:1",
        "or ders/0:1",
        "ord\xc3\xa9/0:1",
        "orders/0:1;orders/1:1",
        "orders/0:1,junk",
        "../../etc/passwd",
        "%s%n",
        "1234",
    };
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
        assert_parsed(hostile[i], NULL);
    char long_name[300] = {0};
    memset(long_name, 'a', 250);
    strcat(long_name, "/0:1");
    assert_parsed(long_name, NULL);
}

static void none_is_fine(void **state) {
    (void)state;
    assert_parsed("", "");
    assert_true(vector_parse(SLICE_NONE, take, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(what_is_no_vector_is_refused_as_a_whole),
        cmocka_unit_test(none_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
