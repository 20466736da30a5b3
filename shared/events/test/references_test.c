/* A schema that refers to others, from a registry that a test can be: it comes with all that it refers to. */
#include "base/cleanup.h"
#include "events/registry.h"
#include "http/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define REFERENCE(subject) "{\"name\":\"n\",\"subject\":\"" subject "\",\"version\":1}"

static int asked; /* for versions of subjects */

static enum http_result by_id(struct http_exchange *x, void *context) {
    struct slice id;
    (void)context;
    if (!http_path_id(x, "id", &id))
        return HTTP_DONE;
    switch (id.data[0]) {
    case '1':
        return http_reply_json(
            x, 200,
            SLICE("{\"schema\":\"\\\"top\\\"\",\"references\":[" REFERENCE("a") "," REFERENCE("b") "]}"));
    case '2':
        return http_reply_json(x, 200,
                               SLICE("{\"schema\":\"\\\"lost\\\"\",\"references\":[" REFERENCE("gone") "]}"));
    case '3':
        return http_reply_json(
            x, 200, SLICE("{\"schema\":\"\\\"round\\\"\",\"references\":[" REFERENCE("round") "]}"));
    default:
        return http_reply_json(x, 404, SLICE("{\"error_code\":40403,\"message\":\"no\"}"));
    }
}

static enum http_result by_subject(struct http_exchange *x, void *context) {
    struct slice subject;
    (void)context;
    asked++;
    if (!http_path_id(x, "subject", &subject))
        return HTTP_DONE;
    if (slice_equal(subject, SLICE("a")))
        return http_reply_json(x, 200,
                               SLICE("{\"schema\":\"\\\"a\\\"\",\"references\":[" REFERENCE("c") "]}"));
    if (slice_equal(subject, SLICE("b")))
        return http_reply_json(x, 200,
                               SLICE("{\"schema\":\"\\\"b\\\"\",\"references\":[" REFERENCE("c") "]}"));
    if (slice_equal(subject, SLICE("c")))
        return http_reply_json(x, 200, SLICE("{\"schema\":\"\\\"c\\\"\"}"));
    if (slice_equal(subject, SLICE("round")))
        return http_reply_json(x, 200,
                               SLICE("{\"schema\":\"\\\"r\\\"\",\"references\":[" REFERENCE("round") "]}"));
    return http_reply_json(x, 404, SLICE("{\"error_code\":40402,\"message\":\"no\"}"));
}

static void a_schema_comes_behind_what_it_refers_to(void **state) {
    static const struct http_route routes[] = {{"GET", "/schemas/ids/{id}", by_id},
                                               {"GET", "/subjects/{subject}/versions/{version}", by_subject},
                                               {0}};
    (void)state;
    struct http_server *server = http_server_create(&(struct http_config){0});
    struct err err = {0};
    http_server_mount(server, routes, NULL);
    assert_true(http_server_start(server, &err));
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d", http_server_port(server));
    struct registry *r = registry_http_create(&(struct registry_options){.url = url, .timeout_ms = 5000});
    _cleanup_(buf_free) struct buf text = {0};
    bool found = false;
    assert_true(r->schema_by_id(r, 1, &found, &text, &err));
    assert_true(found);
    buf_append_byte(&text, 0);
    assert_string_equal(text.data, "\"c\"\n\"a\"\n\"b\"\n\"top\"");
    assert_int_equal(asked, 3); /* each once */
    buf_clear(&text);
    assert_false(r->schema_by_id(r, 2, &found, &text, &err)); /* no word on the record that has this schema */
    assert_int_equal(err.kind, ERR_RETRY);
    assert_int_equal(text.size, 0);
    assert_true(r->schema_by_id(r, 3, &found, &text, &err)); /* ends, whatever is made of it */
    buf_clear(&text);
    assert_true(r->schema_by_id(r, 4, &found, &text, &err));
    assert_false(found);
    assert_int_equal(text.size, 0);
    registry_destroy(r);
    http_server_stop(server);
    http_server_destroy(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema_comes_behind_what_it_refers_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
