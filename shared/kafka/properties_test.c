#include "kafka/properties.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct err err_of(const char *entry) {
    char *const environment[] = {"PATH=/bin", (char *)(uintptr_t)entry, NULL};
    struct kafka_property *p = NULL;
    struct err e = {0};
    if (kafka_properties_read(environment, &p, &e)) {
        kafka_properties_free(p);
        fail_msg("%s is taken", entry);
    }
    assert_null(p);
    assert_int_equal(e.kind, ERR_CONFIG);
    return e;
}

static void assert_refused(const char *entry, const char *text) {
    struct err e = err_of(entry);
    if (strstr(e.text, text) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", entry, e.text, text);
}

static void a_setting_is_a_property(void **state) {
    (void)state;
    char *const environment[] = {"KAFKA_SECURITY_PROTOCOL=sasl_ssl",
                                 "HOME=/",
                                 "KAFKA_SASL_MECHANISM=SCRAM-SHA-512",
                                 "KAFKA_SASL_USERNAME=orders",
                                 "KAFKA_SASL_PASSWORD=a=b",
                                 "KAFKA_LINGER_MS=3",
                                 NULL};
    struct kafka_property *p;
    struct err e;
    if (!kafka_properties_read(environment, &p, &e))
        fail_msg("%s", e.text);
    assert_string_equal(kafka_property_of(p, "security.protocol"), "sasl_ssl");
    assert_string_equal(kafka_property_of(p, "sasl.mechanism"), "SCRAM-SHA-512");
    assert_string_equal(kafka_property_of(p, "sasl.password"), "a=b");
    assert_string_equal(kafka_property_of(p, "linger.ms"), "3");
    assert_null(kafka_property_of(p, "home"));
    assert_true(kafka_properties_check(p, &e));
    kafka_properties_free(p);
}

/* What a node of Kafka, its scripts, Kubernetes or Docker put there is not meant for a client. */
static void what_others_put_there_is_passed_over(void **state) {
    (void)state;
    char *const environment[] = {"KAFKA_BROKERS=a:1",
                                 "KAFKA_PORT=9092",
                                 "KAFKA_PORT_2=9094",
                                 "KAFKA_CONTROLLER_PORT=9093",
                                 "KAFKA_HEAP=1g",
                                 "KAFKA_HEAP_OPTS=-Xmx1g",
                                 "KAFKA_OPTS=-D",
                                 "KAFKA_MEMORY=1g",
                                 "KAFKA_HOST=kafka",
                                 "KAFKA_SERVICE_HOST=10.0.0.1",
                                 "KAFKA_PORT_9092_TCP_ADDR=10.0.0.1",
                                 "KAFKA",
                                 "KAFKA_",
                                 NULL};
    struct kafka_property *p;
    assert_true(kafka_properties_read(environment, &p, NULL));
    assert_null(p[0].name);
    assert_null(kafka_property_of(p, "port"));
    kafka_properties_free(p);
}

static void what_is_the_runtimes_is_refused_with_the_reason(void **state) {
    (void)state;
    static const char *const owned[] = {"BOOTSTRAP_SERVERS",     "GROUP_ID",
                                        "GROUP_INSTANCE_ID",     "GROUP_PROTOCOL",
                                        "TRANSACTIONAL_ID",      "ENABLE_IDEMPOTENCE",
                                        "ISOLATION_LEVEL",       "ENABLE_AUTO_COMMIT",
                                        "AUTO_OFFSET_RESET",     "ACKS",
                                        "PARTITIONER",           "PARTITION_ASSIGNMENT_STRATEGY",
                                        "ENABLE_PARTITION_EOF",  "DEBUG",
                                        "TRANSACTION_TIMEOUT_MS"};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        char entry[80];
        snprintf(entry, sizeof entry, "KAFKA_%s=1", owned[i]);
        assert_refused(entry, "cannot be set: ");
    }
    assert_refused("KAFKA_GROUP_ID=mine",
                   "KAFKA_GROUP_ID: the property group.id cannot be set: a topology's");
}

static void what_is_wrong_is_named(void **state) {
    (void)state;
    assert_refused("KAFKA_SASL_USER=x", "KAFKA_SASL_USER: librdkafka has no property sasl.user");
    assert_refused("KAFKA_SECURITY_PROTOCOL=tls",
                   "KAFKA_SECURITY_PROTOCOL: \"tls\": it takes plaintext, ssl, sasl_plaintext or sasl_ssl");
    assert_refused("KAFKA_SASL_MECHANISM=SCRAM SHA", "PLAIN, SCRAM-SHA-256");
    assert_refused("KAFKA_LINGER_MS=soon", "KAFKA_LINGER_MS: \"soon\": it takes a number, 0..900000");
    assert_refused("KAFKA_LINGER_MS=-5", "it takes a number, 0..900000");
    assert_refused("KAFKA_FETCH_MIN_BYTES=", "KAFKA_FETCH_MIN_BYTES: \"\": it takes a number, ");
    assert_refused("KAFKA_ENABLE_SSL_CERTIFICATE_VERIFICATION=maybe", "true or false");
    assert_refused("KAFKA_SECURITY_PROTOCOL=sasl_ssl", "do not go together");
    char *const file[] = {"KAFKA_SSL_CA_LOCATION=/not/there", "KAFKA_SECURITY_PROTOCOL=ssl", NULL};
    struct kafka_property *p;
    struct err e;
    assert_false(kafka_properties_read(file, &p, &e));
    assert_non_null(strstr(e.text, "ssl.ca.location"));
}

static void a_secret_is_not_shown(void **state) {
    (void)state;
    static const char *const secrets[] = {"KAFKA_SASL_JAAS_CONFIG=hunter2",
                                          "KAFKA_SSL_KEYSTORE_PASSWORDS=hunter2"};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        assert_null(strstr(err_of(secrets[i]).text, "hunter2"));
    char *const key[] = {"KAFKA_SSL_KEY_PEM=hunter2", "KAFKA_SECURITY_PROTOCOL=ssl", NULL};
    struct kafka_property *p;
    struct err e;
    assert_false(kafka_properties_read(key, &p, &e));
    assert_null(strstr(e.text, "hunter2"));
}

static void properties_are_checked_by_name(void **state) {
    (void)state;
    static const struct kafka_property owned[] = {{"group.id", "x"}, {0}}, fine[] = {{"client.id", "x"}, {0}};
    struct err e;
    assert_true(kafka_properties_check(NULL, &e));
    assert_true(kafka_properties_check(fine, &e));
    assert_false(kafka_properties_check(owned, &e));
    assert_non_null(strstr(e.text, "group.id: "));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_setting_is_a_property),
        cmocka_unit_test(what_others_put_there_is_passed_over),
        cmocka_unit_test(what_is_the_runtimes_is_refused_with_the_reason),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(a_secret_is_not_shown),
        cmocka_unit_test(properties_are_checked_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
