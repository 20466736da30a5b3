#include "base/address.h"
#include "base/buf.h"
#include "base/card_number.h"
#include "base/err.h"
#include "base/id.h"
#include "base/json.h"
#include "base/num.h"
#include "base/utf8.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void err_keeps_kind_and_prefixes_text(void **state) {
    (void)state;
    struct err e = {0};
    assert_false(err_set(&e, ERR_POISON, "byte %d", 3));
    assert_false(err_prefix(&e, "orders/%d", 1));
    assert_int_equal(e.kind, ERR_POISON);
    assert_string_equal(e.text, "orders/1: byte 3");
    assert_string_equal(err_kind_name(e.kind), "poison");
    assert_false(err_set(NULL, ERR_RETRY, "nobody asks"));
}

static void err_truncates_long_text(void **state) {
    (void)state;
    struct err e;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    err_set(&e, ERR_RETRY, "%s", text);
    err_prefix(&e, "%s", "p");
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    assert_memory_equal(e.text, "p: x", 4);
}

static void buf_grows(void **state) {
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 100; i++)
        buf_printf(&b, "%02d,", i);
    assert_int_equal(b.size, 300);
    assert_memory_equal(b.data, "00,01,02,", 9);
    buf_clear(&b);
    buf_printf(&b, "%0200d", 7); /* longer than the first guess */
    assert_int_equal(b.size, 200);
    assert_int_equal(b.data[199], '7');
    buf_free(&b);
    assert_null(b.data);
}

static void buf_writes_whole_numbers(void **state) {
    (void)state;
    struct buf b = {0};
    static const int64_t numbers[] = {0, 7, -7, 10, 99, 100, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        buf_append_int(&b, numbers[i]);
        buf_append_byte(&b, ' ');
    }
    static const char text[] = "0 7 -7 10 99 100 9223372036854775807 -9223372036854775808 ";
    assert_int_equal(b.size, sizeof text - 1);
    assert_memory_equal(b.data, text, b.size);
    buf_free(&b);
}

static void buf_wipes_what_it_held(void **state) {
    (void)state;
    struct buf b = {0};
    buf_wipe(&b);
    buf_append_slice(&b, SLICE("4111"));
    buf_wipe(&b);
    assert_null(b.data);
    assert_int_equal(b.size + b.capacity, 0);
}

static void descending_keys_sort_newest_first(void **state) {
    (void)state;
    const int64_t rising[] = {INT64_MIN, -1, 0, 1, 1700000000000, INT64_MAX};
    for (size_t i = 0; i + 1 < sizeof rising / sizeof *rising; i++) {
        struct buf older = {0}, newer = {0};
        buf_append_descending(&older, rising[i]);
        buf_append_descending(&newer, rising[i + 1]);
        assert_int_equal(older.size, 16);
        assert_true(slice_compare(buf_slice(&newer), buf_slice(&older)) < 0);
        buf_free(&older);
        buf_free(&newer);
    }
}

static void arena_survives_large_and_small(void **state) {
    (void)state;
    struct arena a = {0};
    struct slice first = arena_copy(&a, SLICE("first"));
    char *large = arena_alloc(&a, 1 << 20);
    memset(large, 1, 1 << 20);
    struct slice text = arena_printf(&a, "%s-%d", "order", 7);
    assert_true(slice_equal(first, SLICE("first")));
    assert_true(slice_equal(text, SLICE("order-7")));
    assert_int_equal((uintptr_t)arena_alloc(&a, 1) % 16, 0);
    arena_reset(&a);
    assert_null(arena_copy(&a, SLICE_NONE).data);
    arena_free(&a);
}

static void slices_order_as_bytes(void **state) {
    (void)state;
    assert_true(slice_compare(SLICE("a"), SLICE("b")) < 0);
    assert_true(slice_compare(SLICE("a"), SLICE("a\0")) < 0);
    assert_int_equal(slice_compare(SLICE("ab"), SLICE("ab")), 0);
    assert_true(slice_starts_with(SLICE("orders"), SLICE("ord")));
    assert_false(slice_starts_with(SLICE("or"), SLICE("ord")));
}

static void amounts_saturate(void **state) {
    (void)state;
    assert_int_equal(sat_mul(INT64_MAX, 2), INT64_MAX);
    assert_int_equal(sat_mul(INT64_MIN, 2), INT64_MIN);
    assert_int_equal(sat_mul(INT64_MIN, -1), INT64_MAX);
    assert_int_equal(sat_add(INT64_MAX, 1), INT64_MAX);
    assert_int_equal(sat_add(INT64_MIN, -1), INT64_MIN);
    assert_int_equal(sat_sub(0, INT64_MIN), INT64_MAX);
    assert_int_equal(sat_sub(-2, INT64_MAX), INT64_MIN);
    assert_int_equal(sat_add(2, 3), 5);
}

static void utf8_is_strict(void **state) {
    (void)state;
    assert_true(utf8_valid(SLICE("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\x95")));
    assert_true(utf8_valid(SLICE("")));
    assert_true(utf8_valid(SLICE("\xf4\x8f\xbf\xbf")));
    assert_false(utf8_valid(SLICE("\xc0\x80")));         /* overlong */
    assert_false(utf8_valid(SLICE("\xe0\x9f\xbf")));     /* overlong */
    assert_false(utf8_valid(SLICE("\xed\xa0\x80")));     /* surrogate */
    assert_false(utf8_valid(SLICE("\xf4\x90\x80\x80"))); /* above U+10FFFF */
    assert_false(utf8_valid(SLICE("\xe2\x82")));         /* cut off */
    assert_false(utf8_valid(SLICE("\xff")));
}

static void addresses_are_name_and_domain(void **state) {
    (void)state;
    static const char *const good[] = {"a@b", "ann.lee+shop@example.org", "o'neil@x-y.example",
                                       "j\xc3\xb6rg@b\xc3\xbc.de", "1@2.3"};
    static const char *const bad[] = {
        "",      "a",     "@b",    "a@",     "a@b@c",   "a b@c", "a@b\r\nRCPT TO:<c@d>",
        "<a@b>", "a@b>",  "a\"@b", "a,c@b",  "a@b\x7f", "a\t@b", "\xff@b",
        "a;c@b", "a@b\n", ".a@b",  "a.@b",   "a..c@b",  "a@.b",  "a@b.",
        "a@b..", "a@-b",  "a@b-",  "a@b-.c", "a@b_c",   "a@b/c", "a@[127.0.0.1]"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(address_valid(slice_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (address_valid(slice_of(bad[i])))
            fail_msg("\"%s\" is taken for an address", bad[i]);
    assert_false(address_valid((struct slice){"a\0@b", 4}));
    assert_true(address_is_international(slice_of(good[3])));
    assert_false(address_is_international(slice_of(good[2])));
}

static void addresses_have_an_end(void **state) {
    (void)state;
    char text[400];
    memset(text, 'a', sizeof text);
    text[64] = '@';
    for (size_t dot = 64 + 64; dot < sizeof text; dot += 64)
        text[dot] = '.';
    assert_true(address_valid((struct slice){text, 254}));
    assert_false(address_valid((struct slice){text, 255}));
    text[64 + 64] = 'a'; /* a label of 64 */
    assert_false(address_valid((struct slice){text, 200}));
    text[64 + 64] = '.';
    text[64] = 'a', text[65] = '@'; /* a name of 65 */
    assert_false(address_valid((struct slice){text, 200}));
}

static void card_numbers_are_found_in_ids(void **state) {
    (void)state;
    static const char *const cards[] = {"4111111111111111",
                                        "4111-1111-1111-1111",
                                        "4111.1111.1111.1111",
                                        "4111_1111:1111-1111",
                                        "4111--1111-11111111",
                                        "order-4111111111111111",
                                        "order4111111111111111",
                                        "4111111111111111-7",
                                        "7-4111-1111-1111-1111",
                                        "x.5500:0000:0000:0004.y",
                                        "3782-822463-10005",
                                        "3056 9309 0259 04",
                                        "4222222222222",
                                        "6011000990139424",
                                        "2223-0000-4841-0010",
                                        "6304000000000000000",
                                        "4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1"};
    static const char *const none[] = {
        "",
        "1",
        "4111111111111112",      /* the check digit is another */
        "1764381600000",         /* a time in ms, */
        "o-1764381600000000000", /* in ns */
        "20261129-021605-375123",
        "41111111111111110000",                 /* 20 digits */
        "4111-1111-x-1111-1111",                /* a letter between */
        "4006381333931",                        /* an article */
        "41111111-1111-4111-8111-111111111111", /* a UUID, */
        "o-41111111-1111-1111-9999-00000000000a:1",
        "a4111111111111111bcdef0123456789", /* 128 bits in hexadecimal */
        "0000000000000000",
        "9999999999999995",
    };
    for (size_t i = 0; i < sizeof cards / sizeof *cards; i++)
        if (!has_card_number(slice_of(cards[i])))
            fail_msg("%s is not found", cards[i]);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (has_card_number(slice_of(none[i])))
            fail_msg("%s is taken for a card number", none[i]);
    char uuid[UUID_SIZE];
    for (int i = 0; i < 200000; i++) {
        uuid_make(uuid, 1764381600000 + i);
        assert_false(has_card_number((struct slice){uuid, UUID_SIZE}));
    }
}

static void json_is_valid_whatever_comes(void **state) {
    (void)state;
    struct buf b = {0};
    struct json j = {.out = &b};
    json_begin_object(&j);
    json_key(&j, "text"), json_put_string(&j, SLICE("a\"\\\n\x01\xc3\xa9\xff\0z"));
    json_key(&j, "list"), json_begin_array(&j);
    json_put_int(&j, INT64_C(1) << 53), json_put_int(&j, (INT64_C(1) << 53) + 1), json_put_int(&j, INT64_MIN);
    json_put_double(&j, 0.1), json_put_double(&j, NAN), json_put_bool(&j, true);
    json_begin_object(&j), json_end_object(&j);
    json_end_array(&j);
    json_key(&j, "raw"), json_put_raw(&j, SLICE("[1]"));
    json_end_object(&j);
    buf_append_byte(&b, 0);
    assert_string_equal(b.data, "{\"text\":\"a\\\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd\\u0000z\","
                                "\"list\":[9007199254740992,\"9007199254740993\",\"-9223372036854775808\",0."
                                "1,null,true,{}],\"raw\":[1]}");
    buf_free(&b);
}

static void ids_match_their_pattern(void **state) {
    (void)state;
    char text[129];
    memset(text, 'x', sizeof text);
    assert_true(id_valid(SLICE("A-z0.9_:")));
    assert_true(id_valid((struct slice){text, 128}));
    assert_false(id_valid((struct slice){text, 129}));
    assert_false(id_valid(SLICE("")));
    assert_false(id_valid(SLICE_NONE));
    assert_false(id_valid(SLICE("a/b")));
    assert_false(id_valid(SLICE(".")));
    assert_false(id_valid(SLICE("..")));
    assert_true(id_valid(SLICE("...")));
    assert_false(id_valid(SLICE("a\0b")));
    assert_false(id_valid(SLICE("\xc3\xa9")));
}

static void uuids_sort_by_time(void **state) {
    (void)state;
    char a[UUID_SIZE], b[UUID_SIZE];
    uuid_make(a, 0x0123456789ab);
    uuid_make(b, 0x0123456789ab);
    assert_memory_equal(a, "01234567-89ab-7", 15);
    assert_memory_not_equal(a, b, UUID_SIZE);
    assert_true(a[19] == '8' || a[19] == '9' || a[19] == 'a' || a[19] == 'b');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_keeps_kind_and_prefixes_text),
        cmocka_unit_test(err_truncates_long_text),
        cmocka_unit_test(buf_grows),
        cmocka_unit_test(buf_writes_whole_numbers),
        cmocka_unit_test(buf_wipes_what_it_held),
        cmocka_unit_test(descending_keys_sort_newest_first),
        cmocka_unit_test(arena_survives_large_and_small),
        cmocka_unit_test(slices_order_as_bytes),
        cmocka_unit_test(amounts_saturate),
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(addresses_are_name_and_domain),
        cmocka_unit_test(addresses_have_an_end),
        cmocka_unit_test(card_numbers_are_found_in_ids),
        cmocka_unit_test(json_is_valid_whatever_comes),
        cmocka_unit_test(ids_match_their_pattern),
        cmocka_unit_test(uuids_sort_by_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
