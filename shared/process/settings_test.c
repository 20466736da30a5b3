#include "process/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int forget_all(void **state) {
    (void)state;
    static const char *const names[] = {"KAFKA_BROKERS", "REGISTRY_URL",
                                        "DATA_DIR",      "LISTEN",
                                        "PARTITIONS",    "SLOT",
                                        "PORT",          "LOG_LEVEL",
                                        "STALE_HOURS",   "KAFKA_LINGER_MS",
                                        "REGISTRY_AUTH", "REGISTRY_CA_FILE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    return 0;
}

static void defaults_stand_for_what_is_not_set(void **state) {
    (void)state;
    struct settings s;
    assert_true(settings_read(&s, NULL));
    assert_string_equal(s.brokers, "localhost:9092");
    assert_string_equal(s.registry.url, "http://localhost:8081/apis/ccompat/v7");
    assert_string_equal(s.address, "127.0.0.1");
    assert_int_equal(s.partitions, 4);
    assert_int_equal(s.stale_hours, 72);
    assert_int_equal(s.slot, 0);
    assert_int_equal(s.port, 8080);
    settings_finish(&s);
}

static void the_environment_counts(void **state) {
    (void)state;
    struct settings s;
    setenv("KAFKA_BROKERS", "a:1,b:2", 1);
    setenv("REGISTRY_URL", "https://r", 1);
    setenv("REGISTRY_AUTH", "u:p", 1);
    setenv("REGISTRY_CA_FILE", "/dev/null", 1);
    setenv("DATA_DIR", "/d", 1);
    setenv("LISTEN", "0.0.0.0", 1);
    setenv("PARTITIONS", "12", 1);
    setenv("STALE_HOURS", "12", 1);
    setenv("SLOT", "1", 1);
    setenv("PORT", "65535", 1);
    setenv("KAFKA_LINGER_MS", "7", 1);
    assert_true(settings_read(&s, NULL));
    assert_string_equal(kafka_property_of(s.properties, "linger.ms"), "7");
    settings_finish(&s);
    assert_string_equal(s.brokers, "a:1,b:2");
    assert_string_equal(s.registry.url, "https://r");
    assert_string_equal(s.registry.auth, "u:p");
    assert_string_equal(s.registry.ca_file, "/dev/null");
    assert_string_equal(s.data_dir, "/d");
    assert_string_equal(s.address, "0.0.0.0");
    assert_int_equal(s.partitions, 12);
    assert_int_equal(s.stale_hours, 12);
    assert_int_equal(s.slot, 1);
    assert_int_equal(s.port, 65535);
}

/* Never ignored, never guessed: the setting and what it must be are named. */
static void what_is_malformed_is_refused(void **state) {
    static const struct {
        const char *name, *value, *says;
    } bad[] = {
        {"PARTITIONS", "", "PARTITIONS: \"\" is not an integer from 1 to 1000"},
        {"PARTITIONS", "0", "from 1 to 1000"},
        {"STALE_HOURS", "0", "from 1 to 8760"},
        {"PARTITIONS", "4x", "\"4x\""},
        {"PARTITIONS", "four", "\"four\""},
        {"PARTITIONS", "99999999999999999999", "PARTITIONS"},
        {"SLOT", "-1", "SLOT: \"-1\" is not an integer from 0 to 99"},
        {"PORT", "65536", "PORT: \"65536\" is not an integer from 0 to 65535"},
        {"KAFKA_LINGER_MS", "soon", "KAFKA_LINGER_MS: \"soon\""},
        {"REGISTRY_URL", "localhost:8081", "does not begin with http:// or https://"},
        {"REGISTRY_URL", "ftp://u:hunter2@r", "REGISTRY_URL: \"ftp://r\" does not begin"},
        {"REGISTRY_URL", "u:hunter2@r", "REGISTRY_URL: \"r\" does not begin"},
        {"REGISTRY_AUTH", "hunter2", "not user:password"},
        {"REGISTRY_CA_FILE", "/not/there", "REGISTRY_CA_FILE: \"/not/there\" cannot be read"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct settings s = {.slot = 77};
        struct err e = {0};
        forget_all(state);
        setenv(bad[i].name, bad[i].value, 1);
        assert_false(settings_read(&s, &e));
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_non_null(strstr(e.text, bad[i].says));
        assert_null(strstr(e.text, "hunter2"));
        assert_int_equal(s.slot, 77); /* untouched */
    }
}

static void slots_are_taken_in_order_and_left_at_the_end(void **state) {
    (void)state;
    char dir[] = "/tmp/settings_test.XXXXXX";
    assert_non_null(mkdtemp(dir));
    setenv("DATA_DIR", dir, 1);
    setenv("SLOT", "auto", 1);
    struct settings first, second;
    assert_true(settings_read(&first, NULL) && settings_read(&second, NULL));
    assert_int_equal(first.slot, -1);
    assert_true(settings_take_slot(&first, "shop", NULL));
    assert_int_equal(first.slot, 0);
    assert_true(settings_take_slot(&second, "shop", NULL));
    assert_int_equal(second.slot, 1);
    assert_true(settings_take_slot(&second, "shop", NULL)); /* once is enough */
    assert_int_equal(second.slot, 1);
    settings_finish(&first);
    settings_finish(&second);

    struct settings other = {.slot = -1, .data_dir = dir};
    assert_true(settings_take_slot(&other, "till", NULL));
    assert_int_equal(other.slot, 0);

    struct err e = {0};
    struct settings nowhere = {.slot = -1, .data_dir = "/dev/null"};
    assert_false(settings_take_slot(&nowhere, "shop", &e));
    assert_string_equal(e.text, "SLOT=auto: /dev/null/shop-0.slot: Not a directory");

    static const char *const files[] = {"shop-0", "shop-1", "till-0"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%s.slot", dir, files[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

static void the_log_has_a_level(void **state) {
    (void)state;
    struct settings s;
    struct err e = {0};
    assert_true(settings_read(&s, &e));
    assert_int_equal(s.log_level, LEVEL_INFO);
    settings_finish(&s);
    setenv("LOG_LEVEL", "debug", 1);
    assert_true(settings_read(&s, &e));
    assert_int_equal(s.log_level, LEVEL_DEBUG);
    settings_finish(&s);
    setenv("LOG_LEVEL", "loud", 1);
    assert_false(settings_read(&s, &e));
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_string_equal(e.text, "LOG_LEVEL: \"loud\" is not debug, info, warn or error");
    unsetenv("LOG_LEVEL");
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, forget_all, forget_all)
    const struct CMUnitTest tests[] = {
        TEST(defaults_stand_for_what_is_not_set),
        TEST(the_environment_counts),
        TEST(what_is_malformed_is_refused),
        TEST(the_log_has_a_level),
        TEST(slots_are_taken_in_order_and_left_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
