#include "card.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void numbers_are_read_as_people_write_them(void **state) {
    (void)state;
    static const struct {
        const char *text, *digits; /* NULL: no card number */
    } cases[] = {
        {"4111111111111111", "4111111111111111"},
        {"4111 1111 1111 1111", "4111111111111111"},
        {" 4111-1111-1111-1111 ", "4111111111111111"},
        {"123456789012", "123456789012"},
        {"1234567890123456789", "1234567890123456789"},
        {"12345678901", NULL},
        {"12345678901234567890", NULL},
        {"", NULL},
        {"----------------", NULL},
        {"411111111111111x", NULL},
        {"4111111111111111\n", NULL},
        {"\xef\xbc\x94\xef\xbc\x91"
         "11111111111111",
         NULL}, /* full-width digits */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct card_digits d = {.size = 0};
        assert_int_equal(card_number_read(slice_of(cases[i].text), &d), cases[i].digits != NULL);
        assert_true(slice_equal((struct slice){d.text, d.size}, slice_of(cases[i].digits)));
    }
    assert_false(card_number_read((struct slice){"411111111111\0", 13}, &(struct card_digits){.size = 0}));
}

static struct card_digits digits(const char *text) {
    struct card_digits d = {.size = 0};
    assert_true(card_number_read(slice_of(text), &d));
    return d;
}

/* The token is what openssl dgst -sha256 -hmac says. */
static void tokens_are_keyed(void **state) {
    (void)state;
    struct card_key key = {.size = 32}, other = {.size = 32};
    char token[CARD_TOKEN_SIZE], again[CARD_TOKEN_SIZE];
    memset(key.bytes, 'k', 32);
    memset(other.bytes, 'o', 32);
    struct card_digits d = digits("4111111111111111");
    card_token(&key, &d, token);
    assert_memory_equal(token, "68461c4333f0d6ffc13ab17a895ccb61b6a8864e96602c4e91c869cfb9ccc6f1",
                        CARD_TOKEN_SIZE);
    d = digits("4111-1111-1111-1111");
    card_token(&key, &d, again);
    assert_memory_equal(token, again, CARD_TOKEN_SIZE);
    card_token(&other, &d, again);
    assert_memory_not_equal(token, again, CARD_TOKEN_SIZE);
    d = digits("4111111111111112");
    card_token(&key, &d, again);
    assert_memory_not_equal(token, again, CARD_TOKEN_SIZE);
}

static bool key_of(size_t size, mode_t mode, struct card_key *key, struct err *e) {
    char path[] = "/tmp/card-key-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && fchmod(fd, mode) == 0);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    bool ok = card_key_read(path, key, e);
    unlink(path);
    return ok;
}

static void a_key_is_long_enough_and_nobody_elses(void **state) {
    (void)state;
    struct card_key key = {.size = 0};
    struct err e = {0};
    assert_true(key_of(CARD_KEY_MIN, 0600, &key, &e));
    assert_int_equal(key.size, CARD_KEY_MIN);
    assert_true(key_of(CARD_KEY_MAX, 0400, &key, &e));
    assert_int_equal(key.size, CARD_KEY_MAX);
    const struct {
        size_t size;
        mode_t mode;
    } bad[] = {
        {CARD_KEY_MIN - 1, 0600}, {CARD_KEY_MAX + 1, 0600}, {CARD_KEY_MIN, 0640}, {CARD_KEY_MIN, 0604}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(key_of(bad[i].size, bad[i].mode, &key, &e));
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_int_equal(key.size, CARD_KEY_MAX); /* untouched */
    }
    assert_false(card_key_read("/nowhere/card-key", &key, &e));
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_non_null(strstr(e.text, "CARD_KEY_FILE"));
}

static void no_dump_has_memory(void **state) {
    (void)state;
    struct err e = {0};
    struct rlimit limit;
    char filter[32] = "";
    assert_true(card_forbid_dumps(&e));
    assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
    assert_int_equal(limit.rlim_max, 0);
    FILE *f = fopen("/proc/self/coredump_filter", "r");
    assert_non_null(f);
    assert_non_null(fgets(filter, sizeof filter, f));
    fclose(f);
    assert_string_equal(filter, "00000000\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_as_people_write_them),
        cmocka_unit_test(tokens_are_keyed),
        cmocka_unit_test(a_key_is_long_enough_and_nobody_elses),
        cmocka_unit_test(no_dump_has_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
