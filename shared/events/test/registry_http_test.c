/* Against a real registry at REGISTRY_URL (with REGISTRY_AUTH and REGISTRY_CA_FILE, if it wants them);
 * without one, only what needs none. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "events/registry.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SCHEMA(fields) "{\"type\":\"record\",\"name\":\"T\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":\"" type "\"}"

static struct registry *at(const char *url) {
    return registry_http_create(&(struct registry_options){.url = url,
                                                           .auth = getenv("REGISTRY_AUTH"),
                                                           .ca_file = getenv("REGISTRY_CA_FILE"),
                                                           .timeout_ms = 5000});
}

static struct registry *registry(void) {
    const char *url = getenv("REGISTRY_URL");
    if (url == NULL)
        skip();
    return at(url);
}

static void schemas_get_ids_and_come_back(void **state) {
    (void)state;
    struct registry *r = registry();
    _cleanup_(buf_free) struct buf subject = {0}, schema = {0}, unknown = {0};
    buf_printf(&subject, "registry-test/%lld-value%c", (long long)clock_wall_ms(), 0); /* to be escaped */
    struct err err = {0};
    bool found = false;
    int32_t id = 0, again = 0;
    if (!r->set_compatibility(r, subject.data, "BACKWARD", &found, &err) ||
        !r->add(r, subject.data, SCHEMA(FIELD("a", "string")), &id, &err) ||
        !r->set_compatibility(r, subject.data, "BACKWARD", &found, &err) ||
        !r->add(r, subject.data, SCHEMA(FIELD("a", "string")), &again, &err))
        fail_msg("%s", err.text);
    assert_true(found);
    assert_int_equal(id, again);
    assert_true(r->schema_by_id(r, id, &found, &schema, &err));
    assert_true(found);
    assert_memory_equal(schema.data, "{\"type\":\"record\"", 16);

    assert_false(r->add(r, subject.data, SCHEMA(FIELD("b", "int")), &id, &err));
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_non_null(strstr(err.text, "409"));
    assert_int_equal(id, again);
    assert_false(r->add(r, subject.data, "{\"type\":\"nonsense\"}", &id, &err));
    assert_int_equal(err.kind, ERR_CONFIG);

    assert_true(r->schema_by_id(r, 2147483647, &found, &unknown, &err));
    assert_false(found);
    assert_int_equal(unknown.size, 0);
    registry_destroy(r);
}

/* As others register, who write schemas that refer to others: we never do. */
static int32_t register_by_curl(const char *subject, const char *body) {
    _cleanup_(buf_free) struct buf command = {0};
    int32_t id = 0;
    buf_printf(
        &command,
        "curl -sf ${REGISTRY_AUTH:+-u \"$REGISTRY_AUTH\"} ${REGISTRY_CA_FILE:+--cacert $REGISTRY_CA_FILE} "
        "-H 'Content-Type: application/json' -d '%s' \"$REGISTRY_URL/subjects/%s/versions\"%c",
        body, subject, 0);
    FILE *answer = popen(command.data, "r");
    assert_non_null(answer);
    assert_int_equal(fscanf(answer, "{\"id\":%" SCNd32, &id), 1);
    pclose(answer);
    return id;
}

static void what_a_schema_refers_to_comes_with_it(void **state) {
    (void)state;
    struct registry *r = registry();
    _cleanup_(buf_free) struct buf inner = {0}, outer = {0}, schema = {0};
    struct err err = {0};
    bool found = false;
    long long now = clock_wall_ms();
    buf_printf(&inner, "inner-%lld%c", now, 0);
    register_by_curl(inner.data,
                     "{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"Inner\\\",\\\"fields\\\":"
                     "[{\\\"name\\\":\\\"a\\\",\\\"type\\\":\\\"string\\\"}]}\"}");
    buf_printf(&outer, "outer-%lld%c", now, 0);
    _cleanup_(buf_free) struct buf body = {0};
    buf_printf(&body,
               "{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"Outer\\\",\\\"fields\\\":"
               "[{\\\"name\\\":\\\"i\\\",\\\"type\\\":\\\"Inner\\\"}]}\","
               "\"references\":[{\"name\":\"Inner\",\"subject\":\"%s\",\"version\":1}]}%c",
               inner.data, 0);
    int32_t id = register_by_curl(outer.data, body.data);
    if (!r->schema_by_id(r, id, &found, &schema, &err))
        fail_msg("%s", err.text);
    assert_true(found);
    buf_append_byte(&schema, 0);
    const char *first = strstr(schema.data, "\"name\":\"Inner\""),
               *then = strstr(schema.data, "\"name\":\"Outer\"");
    assert_non_null(first);
    assert_non_null(then);
    assert_true(first < then);
    registry_destroy(r);
}

static void a_wrong_address_is_no_answer(void **state) {
    (void)state;
    registry_destroy(registry());
    _cleanup_(buf_free) struct buf url = {0}, schema = {0};
    buf_printf(&url, "%s/elsewhere/%c", getenv("REGISTRY_URL"), 0);
    struct registry *r = at(url.data);
    struct err err = {0};
    bool found = true;
    assert_false(r->schema_by_id(r, 1, &found, &schema, &err));
    assert_int_equal(err.kind, ERR_RETRY);
    registry_destroy(r);
}

static void nobody_there_is_a_reason_to_wait(void **state) {
    (void)state;
    struct registry *r = at("http://127.0.0.1:1/");
    _cleanup_(buf_free) struct buf schema = {0};
    struct err err = {0};
    bool found;
    int32_t id;
    assert_false(r->schema_by_id(r, 1, &found, &schema, &err));
    assert_int_equal(err.kind, ERR_RETRY);
    assert_false(r->add(r, "s", SCHEMA(FIELD("a", "int")), &id, &err));
    assert_int_equal(err.kind, ERR_RETRY);
    assert_non_null(strstr(err.text, "http://127.0.0.1:1/subjects/s/versions"));
    registry_destroy(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schemas_get_ids_and_come_back),
        cmocka_unit_test(what_a_schema_refers_to_comes_with_it),
        cmocka_unit_test(a_wrong_address_is_no_answer),
        cmocka_unit_test(nobody_there_is_a_reason_to_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
