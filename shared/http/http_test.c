#include "http/body.h"
#include "http/server.h"
#include "http/test_client.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static enum http_result get_order(struct http_exchange *x, void *context) {
    (void)context;
    struct slice id;
    if (!http_path_id(x, "id", &id))
        return HTTP_DONE;
    http_reply_header(x, "X-Id", SLICE_FMT, SLICE_ARG(id));
    return http_reply_json(x, 200, id);
}

static enum http_result list_orders(struct http_exchange *x, void *context) {
    (void)context;
    struct slice customer, text;
    int64_t limit;
    if (!http_query_id(x, "customerId", &customer) || !http_query_int64(x, "limit", 1, 100, 20, &limit) ||
        !http_query_string(x, "text", &text))
        return HTTP_DONE;
    struct slice all =
        arena_printf(http_arena(x), "%.*s|%ld|%.*s", SLICE_ARG(customer), (long)limit, SLICE_ARG(text));
    return http_reply_text(x, 200, "text/plain", all);
}

static enum http_result post_order(struct http_exchange *x, void *context) {
    (void)context;
    struct slice id = SLICE("none"), customer, name = SLICE("none");
    int32_t quantity;
    int64_t price;
    if ((http_body_has(x, "id") && !http_body_id(x, "id", &id)) ||
        !http_body_id(x, "customerId", &customer) || !http_body_int32(x, "quantity", &quantity) ||
        !http_body_int64(x, "priceCents", &price) ||
        (http_body_has(x, "name") && !http_body_string(x, "name", 8, &name)))
        return HTTP_DONE;
    struct slice all = arena_printf(http_arena(x), "%.*s|%.*s|%d|%ld|%.*s", SLICE_ARG(id),
                                    SLICE_ARG(customer), quantity, (long)price, SLICE_ARG(name));
    return http_reply_text(x, 201, "text/plain", all);
}

static enum http_result post_rating(struct http_exchange *x, void *context) {
    (void)context;
    int32_t tenths;
    double lat;
    bool seen = false;
    if (!http_body_tenths(x, "rating", 0, 100, &tenths) || !http_body_double(x, "at.lat", -90, 90, &lat) ||
        (http_body_has(x, "seen") && !http_body_bool(x, "seen", &seen)))
        return HTTP_DONE;
    return http_reply_json(x, 202, arena_printf(http_arena(x), "%d %g%s", tenths, lat, seen ? " seen" : ""));
}

static enum http_result forget_to_answer(struct http_exchange *x, void *context) {
    (void)x, (void)context;
    return HTTP_DONE;
}

static enum http_result unavailable(struct http_exchange *x, void *context) {
    return http_reply_problem(x, 503, NULL, "no \"%s\"", (const char *)context);
}

static enum http_result trace(struct http_exchange *x, void *context) {
    (void)context;
    struct slice t = http_traceparent(x);
    return http_reply_text(x, 200, "text/plain", t.data == NULL ? SLICE("none") : t);
}

static enum http_result target(struct http_exchange *x, void *context) {
    (void)context;
    return http_reply_text(x, 200, "text/plain", http_target(x));
}

static enum http_result keep(struct http_exchange *x, void *context) {
    struct slice key;
    (void)context;
    return http_path_key(x, "key", &key) ? http_reply_kept(x, "text/plain", key, 60) : HTTP_DONE;
}

static const struct http_route routes[] = {
    {"GET", "/kept/{key}", keep},
    {"GET", "/v1/orders", list_orders},
    {"GET", "/target/{id}", target},
    {"POST", "/v1/orders", post_order},
    {"GET", "/v1/orders/{id}", get_order},
    {"PUT", "/v1/orders/{id}", post_order},
    {"POST", "/v1/ratings", post_rating},
    {"GET", "/forget", forget_to_answer},
    {"DELETE", "/v1/orders/{id}", forget_to_answer},
    {"GET", "/trace", trace},
    {0},
};
static const struct http_route health_routes[] = {{"GET", "/readyz", unavailable}, {0}};

static int start(void **state) {
    static const char *const hosts[] = {"shop.internal", NULL};
    struct http_config config = {.idle_timeout_s = 1, .hosts = hosts};
    struct http_server *s = http_server_create(&config);
    http_server_mount(s, routes, NULL);
    http_server_mount(s, health_routes, "broker");
    struct err err;
    if (!http_server_start(s, &err))
        return -1;
    *state = s;
    return 0;
}

static int stop(void **state) {
    http_server_destroy(*state);
    return 0;
}

static void expect(const struct reply *r, unsigned status, const char *in_body) {
    if (r->status != status || strstr(r->body, in_body) == NULL)
        fail_msg("expected %u with %s, got %s%s", status, in_body, r->head, r->body);
}

static void expect_field(const struct reply *r, const char *field) {
    char member[100];
    snprintf(member, sizeof member, "\"field\":\"%s\"}", field);
    expect(r, 400, member);
    assert_non_null(strstr(r->head, "application/problem+json"));
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

static void a_path_can_be_listened_at(void **state) {
    (void)state;
    char dir[] = "/tmp/http-XXXXXX";
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct reply r;
    struct stat file;
    struct err e;
    assert_non_null(mkdtemp(dir));
    snprintf(at.sun_path, sizeof at.sun_path, "%s/socket", dir);
    for (int round = 0; round < 2; round++) { /* the second finds what was left, as after a kill */
        struct http_server *s = http_server_create(&(struct http_config){.path = at.sun_path});
        http_server_mount(s, routes, NULL);
        assert_true(http_server_start(s, &e));
        assert_int_equal(stat(at.sun_path, &file), 0);
        assert_int_equal(file.st_mode & 0777, 0660);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
        client_print(fd, GET("/v1/orders/o-1"));
        assert_true(client_read(fd, false, &r));
        expect(&r, 200, "o-1");
        client_print(fd, "GET /v1/orders/o-1 HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        assert_true(client_read(fd, false, &r));
        assert_int_equal(r.status, 421);
        close(fd);
        http_server_destroy(s);
        assert_int_equal(stat(at.sun_path, &file), -1);
        if (round == 0)
            close(creat(at.sun_path, 0600));
    }
    struct http_server *s = http_server_create(&(struct http_config){.path = "/no/such/directory/socket"});
    assert_false(http_server_start(s, &e));
    assert_int_equal(e.kind, ERR_CONFIG);
    http_server_destroy(s);
    unlink(at.sun_path);
    rmdir(dir);
}

/* Ids go into logs and files, and a card number may not: wherever an id is taken. */
static void no_id_has_a_card_number(void **state) {
    expect_field(ask_get(*state, "/v1/orders/4111-1111-1111-1111"), "id");
    expect_field(ask_get(*state, "/v1/orders?customerId=4111111111111111"), "customerId");
    struct reply *r =
        ask_json(*state, "POST", "/v1/orders", "{\"customerId\":\"order.4111_1111-1111:1111\"}");
    expect_field(r, "customerId");
    assert_null(strstr(r->body, "1111"));
}

static void routes_and_parameters(void **state) {
    expect(ask_get(*state, "/v1/orders/o-1"), 200, "o-1");
    expect(ask_get(*state, "/v1/%6frders/a%3Ab"), 200, "a:b");
    expect(ask_get(*state, "/v1/orders/o-1?x=%00"), 200, "o-1"); /* nobody asks for x */
    expect(ask_get(*state, "/readyz"), 503, "no \\\"broker\\\"");
    expect(ask_get(*state, "/v1/orders/"), 404, "\"status\":404");
    expect(ask_get(*state, "/v1/orders/a/b"), 404, "Not Found");
    expect(ask_get(*state, "/v1/orders/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"), 404, "");
    expect(ask_get(*state, "/"), 404, "");
    expect_field(ask_get(*state, "/v1/orders/a%20b"), "id");
    expect_field(ask_get(*state, "/v1/orders/a%2fb"), "id");
    expect_field(ask_get(*state, "/v1/orders/."), "id");
    expect_field(ask_get(*state, "/v1/orders/%2e%2E"), "id");
    expect_field(ask_get(*state, "/kept/.."), "key");
    for (size_t size = 128; size <= 129; size++) {
        struct reply *r =
            ask(*state, "GET /v1/orders/%0*d HTTP/1.1\r\nHost: localhost\r\n\r\n", (int)size, 7);
        assert_int_equal(r->status, size == 128 ? 200 : 400);
    }
}

static void headers_of_answers(void **state) {
    struct reply *r = ask_get(*state, "/v1/orders/o-1");
    assert_non_null(strstr(r->head, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(r->head, "Cache-Control: no-store\r\n"));
    assert_non_null(strstr(r->head, "X-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(r->head, "X-Id: o-1\r\n"));
    r = ask_get(*state, "/readyz");
    assert_non_null(strstr(r->head, "Retry-After: 1\r\n"));
    r = ask_get(*state, "/forget");
    expect(r, 500, "no answer");
}

static void invalid_paths(void **state) {
    expect(ask_get(*state, "/v1/orders/a%00b"), 400, "path");
    expect(ask_get(*state, "/v1/orders/a%ff"), 400, "path");
    expect(ask_get(*state, "/v1/orders/a%4"), 400, "path");
    expect(ask_get(*state, "/v1/orders/a%zz"), 400, "path");
}

static void methods(void **state) {
    struct reply *r = ask(*state, "HEAD /v1/orders/o-1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(r->status, 200);
    assert_non_null(strstr(r->head, "Content-Length: 3\r\n"));
    r = ask_json(*state, "PATCH", "/v1/orders/o-1", "{}");
    expect(r, 405, "\"status\":405");
    assert_non_null(strstr(r->head, "Allow: GET, HEAD, PUT, DELETE\r\n"));
    expect(ask(*state, "BREW /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"), 405, "GET, HEAD");
    expect(ask_json(*state, "POST", "/nowhere", "{}"), 404, "");
}

static void queries(void **state) {
    expect(ask_get(*state, "/v1/orders"), 200, "|20|");
    expect(ask_get(*state, "/v1/orders?customerId=c-1&limit=100&text=a%20b+c%C3%A9&other=1"), 200,
           "c-1|100|a b c\xc3\xa9");
    expect_field(ask_get(*state, "/v1/orders?limit=0"), "limit");
    expect_field(ask_get(*state, "/v1/orders?limit=101"), "limit");
    expect_field(ask_get(*state, "/v1/orders?limit="), "limit");
    expect_field(ask_get(*state, "/v1/orders?limit=1e1"), "limit");
    expect_field(ask_get(*state, "/v1/orders?limit=+1"), "limit");
    expect_field(ask_get(*state, "/v1/orders?limit=99999999999999999999"), "limit");
    expect_field(ask_get(*state, "/v1/orders?customerId="), "customerId");
    expect_field(ask_get(*state, "/v1/orders?customerId=a%2Fb"), "customerId");
    expect_field(ask_get(*state, "/v1/orders?text=%00"), "text");
    expect_field(ask_get(*state, "/v1/orders?text=%ff"), "text");
}

static void bodies(void **state) {
    expect(
        ask_json(
            *state, "POST", "/v1/orders",
            "{\"customerId\":\"c\",\"quantity\":-2147483648,\"priceCents\":9223372036854775807,\"x\":[1]}"),
        201, "none|c|-2147483648|9223372036854775807|none");
    expect(ask_json(*state, "PUT", "/v1/orders/1",
                    " {\"id\":\"o\",\"customerId\":\"c\",\"quantity\":1,\"priceCents\":0,\"name\":"
                    "\"caf\xc3\xa9\"}\n"),
           201, "o|c|1|0|caf\xc3\xa9");
    expect(ask_json(*state, "POST", "/v1/orders",
                    "{\"id\":null,\"customerId\":\"c\",\"quantity\":1,\"priceCents\":0}"),
           201, "none|c");
    expect(ask_json(*state, "POST", "/v1/ratings", "{\"rating\":7.3,\"at\":{\"lat\":-90}}"), 202, "73 -90");
    expect(ask_json(*state, "POST", "/v1/ratings", "{\"rating\":10,\"at\":{\"lat\":1.5}}"), 202, "100 1.5");
    expect(ask_json(*state, "POST", "/v1/ratings", "{\"rating\":1,\"at\":{\"lat\":2},\"seen\":true}"), 202,
           "10 2 seen");
    expect(ask_json(*state, "POST", "/v1/ratings", "{\"rating\":1,\"at\":{\"lat\":2},\"seen\":false}"), 202,
           "10 2");
    expect_field(ask_json(*state, "POST", "/v1/ratings", "{\"rating\":1,\"at\":{\"lat\":2},\"seen\":1}"),
                 "seen");
}

static void fields_that_do_not_fit(void **state) {
    static const struct {
        const char *body, *field;
    } orders[] = {
        {"{}", "customerId"},
        {"{\"customerId\":7}", "customerId"},
        {"{\"customerId\":\"\"}", "customerId"},
        {"{\"customerId\":\"a b\"}", "customerId"},
        {"{\"customerId\":\"..\"}", "customerId"},
        {"{\"customerId\":null}", "customerId"},
        {"{\"customerId\":\"c\"}", "quantity"},
        {"{\"customerId\":\"c\",\"quantity\":\"1\"}", "quantity"},
        {"{\"customerId\":\"c\",\"quantity\":2.5}", "quantity"},
        {"{\"customerId\":\"c\",\"quantity\":1e3}", "quantity"},
        {"{\"customerId\":\"c\",\"quantity\":2147483648}", "quantity"},
        {"{\"customerId\":\"c\",\"quantity\":true}", "quantity"},
        {"{\"customerId\":\"c\",\"quantity\":1,\"priceCents\":9223372036854775808}", "priceCents"},
        {"{\"customerId\":\"c\",\"quantity\" : 99999999999999999999 , \"priceCents\":1}", "quantity"},
        {"{\"customerId\":\"c\",\"quantity\":NaN}", "quantity"},
        {"{\"customerId\":\"c\",\"quantity\":-Infinity}", "quantity"},
        {"{\"customerId\":\"c\",\"quantity\":1e999}", "quantity"},
        {"{\"customerId\":\"c\",\"quantity\":1,\"quantity\":1}", "quantity"},
        {"{\"customerId\": \"c\\u0000\",\"quantity\":1}", "customerId"},
        {"{\"customerId\": \"c\xff\",\"quantity\":1}", "customerId"},
        {"{\"name\":\"a \\\" b\",\"customerId\":\"\\ud800\"}", "customerId"},
        {"{\"quantity\":1,\"customerId\":\"c", "customerId"},
        {"{\"id\":\"\",\"customerId\":\"c\",\"quantity\":1,\"priceCents\":1}", "id"},
        {"{\"customerId\":\"c\",\"quantity\":1,\"priceCents\":1,\"name\":\"123456789\"}", "name"},
    };
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++)
        expect_field(ask_json(*state, "POST", "/v1/orders", orders[i].body), orders[i].field);
    expect_field(ask_json(*state, "POST", "/v1/ratings", "{\"rating\":7.35}"), "rating");
    expect_field(ask_json(*state, "POST", "/v1/ratings", "{\"rating\":10.1}"), "rating");
    expect_field(ask_json(*state, "POST", "/v1/ratings", "{\"rating\":-0.1}"), "rating");
    expect_field(ask_json(*state, "POST", "/v1/ratings", "{\"rating\":\"7\"}"), "rating");
    expect_field(ask_json(*state, "POST", "/v1/ratings", "{\"rating\":1,\"at\":7}"), "at.lat");
    expect_field(ask_json(*state, "POST", "/v1/ratings", "{\"rating\":1,\"at\":{\"lat\":90.1}}"), "at.lat");
}

static void malformed_json(void **state) {
    static const char *const bodies_[] = {
        "{",          "[]",
        "1",          "null",
        "{} {}",      "{\"a\":\"\xff\"}",
        "{'a':1}",    "{\"a\":\"\\u0000\"}",
        "{\"a\":01}", "\xef\xbb\xbf{}",
        "{\"a\":1,}", "{\"a\" 1}",
    };
    for (size_t i = 0; i < sizeof bodies_ / sizeof bodies_[0]; i++)
        expect(ask_json(*state, "POST", "/v1/orders", bodies_[i]), 400, "\"status\":400");
    expect(ask_json(*state, "POST", "/v1/orders", NULL), 400, "customerId");

    char deep[10001] = "";
    memset(deep, '[', sizeof deep - 1);
    memcpy(deep, "{\"a\":", 5);
    expect(ask_json(*state, "POST", "/v1/orders", deep), 400, "depth");
}

static void media_types(void **state) {
    static const struct {
        const char *header;
        unsigned status;
    } types[] = {
        {"", 415},
        {"Content-Type: text/plain\r\n", 415},
        {"Content-Type: application/jsonp\r\n", 415},
        {"Content-Type: application/x-www-form-urlencoded\r\n", 415},
        {"Content-Type: application/json; charset=utf-8\r\n", 400}, /* the body is at fault, not the type */
        {"Content-Type: Application/JSON\r\n", 400},
        {"Content-Type: application/json\r\nContent-Encoding: identity\r\n", 400},
        {"Content-Type: application/json\r\nContent-Encoding: gzip\r\n", 415},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct reply *r =
            ask(*state, "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: 2\r\n\r\n{}",
                types[i].header);
        assert_int_equal(r->status, types[i].status);
    }
}

/* Sends a body of `size` bytes, in one piece or in chunks of 1000. */
static unsigned post_size(struct http_server *s, size_t size, bool chunked, bool *closed) {
    char *body = malloc(size);
    memset(body, ' ', size);
    static struct reply r;
    int fd = client_connect(s);
    client_print(fd, "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
    if (chunked) {
        client_print(fd, "Transfer-Encoding: chunked\r\n\r\n");
        for (size_t sent = 0; sent < size; sent += 1000) {
            client_print(fd, "3e8\r\n%1000s\r\n", "");
        }
        client_print(fd, "0\r\n\r\n");
    } else {
        client_print(fd, "Content-Length: %zu\r\n\r\n", size);
        client_send(fd, body, size);
    }
    free(body);
    unsigned status = client_read(fd, false, &r) ? r.status : 0;
    client_print(fd, GET("/v1/orders/again"));
    *closed = !client_read(fd, false, &r) || r.status != 200;
    close(fd);
    return status;
}

static void sizes_of_bodies(void **state) {
    bool closed;
    assert_int_equal(post_size(*state, 65536, false, &closed), 400); /* read, but not JSON */
    assert_false(closed);
    assert_int_equal(post_size(*state, 65537, false, &closed), 413);
    assert_false(closed);
    assert_int_equal(post_size(*state, 70 * 1024, false, &closed), 413);
    assert_int_equal(post_size(*state, 65000, true, &closed), 400);
    assert_false(closed);
    assert_int_equal(post_size(*state, 70000, true, &closed), 413);
    assert_false(closed);
    post_size(*state, 4 << 20, true, &closed);
    assert_true(closed);

    /* Announced only: answered at once, without the body. */
    struct reply *r =
        ask(*state, "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    "Content-Length: 100000000000\r\n\r\n");
    expect(r, 413, "65536");
    r = ask(*state, "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    "Content-Length: 70000\r\nExpect: 100-continue\r\n\r\n");
    expect(r, 413, "65536");
}

static void ambiguous_framing(void **state) {
    static const char *const requests[] = {
        "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
        "chunked\r\n\r\n"
        "0\r\n\r\n",
        "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length : 2\r\n\r\n{}",
        "POST /v1/orders HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /v1/orders HTTP/1.1\r\n\r\n",
        "GET /v1/orders HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "DELETE /v1/orders/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "GET /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
        "PATCH /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
    };
    static struct reply r;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        int fd = client_connect(*state);
        client_print(fd, "%s%s", requests[i], GET("/v1/orders/smuggled"));
        bool answered = client_read(fd, false, &r);
        if (!answered || r.status != 400 || !client_closed(fd))
            fail_msg("answered %d with %s to %s", answered, r.head, requests[i]);
        close(fd);
    }
    expect(ask(*state, "GET /v1/orders HTTP/1.0\r\n\r\n"), 200, "");
}

static void a_foreign_host_is_refused(void **state) {
    static const struct {
        const char *host;
        unsigned status;
    } cases[] = {
        {"localhost", 200},
        {"LOCALHOST:8100", 200},
        {"127.0.0.1", 200},
        {"127.0.0.1:1", 200},
        {"[::1]:8100", 200},
        {"shop.internal:80", 200},
        {"evil.test", 421},
        {"evil.test:8100", 421},
        {"localhost.evil.test", 421},
        {"192.0.2.1", 421},
        {"", 421},
        {"localhost@evil.test", 421},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reply *r = ask(*state, "GET /v1/orders HTTP/1.1\r\nHost: %s\r\n\r\n", cases[i].host);
        if (r->status != cases[i].status)
            fail_msg("%s: %s", cases[i].host, r->head);
        assert_true(r->status == 200 || strstr(r->head, "application/problem+json") != NULL);
    }
    expect(ask(*state, "GET /v1/orders HTTP/1.0\r\n\r\n"), 200, ""); /* no browser */
}

static void what_may_be_kept(void **state) {
    struct reply *r = ask_get(*state, "/kept/a%2fb%20%C3%A9");
    char tag[40];
    expect(r, 200, "a/b \xc3\xa9");
    assert_non_null(strstr(r->head, "Cache-Control: max-age=60\r\n"));
    assert_null(strstr(r->head, "no-store"));
    assert_int_equal(sscanf(strstr(r->head, "ETag: "), "ETag: %39s", tag), 1);
    r = ask(*state, "GET /kept/a%%2fb%%20%%C3%%A9 HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: W/%s\r\n\r\n",
            tag);
    expect(r, 304, "");
    assert_int_equal(r->body_size, 0);
    assert_non_null(strstr(r->head, tag));
    r = ask(*state, "GET /kept/b HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: %s\r\n\r\n", tag);
    expect(r, 200, "b");
}

static void a_target_stays_as_it_came(void **state) {
    expect(ask_get(*state, "/target/a%3ab?x=a+b%2Bc&y&z=&x=%20"), 200, "/target/a%3ab?x=a+b%2Bc&y&z=&x=%20");
    expect(ask_get(*state, "/v1/orders?text=a b"), 400, "space");
    expect(ask_get(*state, "/v1/orders?text=a\x01"
                           "b"),
           400, "space");
}

static void long_header_is_refused(void **state) {
    int fd = client_connect(*state);
    char *line = malloc(100000);
    memset(line, 'x', 100000);
    client_print(fd, "GET /v1/orders HTTP/1.1\r\nHost: localhost\r\nX: ");
    client_send(fd, line, 100000);
    client_print(fd, "\r\n\r\n");
    static struct reply r;
    if (client_read(fd, false, &r)) {
        assert_in_range(r.status, 400, 499);
    }
    close(fd);
    free(line);
    expect(ask_get(*state, "/v1/orders/o-1"), 200, "o-1");
}

static void pieces_and_pipelines(void **state) {
    static struct reply r;
    const char text[] = "POST /v1/ratings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        "Content-Length: 31\r\n\r\n{\"rating\":7.5,\"at\":{\"lat\":0.5}}" GET("/v1/orders/a");
    int fd = client_connect(*state);
    for (size_t i = 0; i < sizeof text - 1; i++)
        client_send(fd, text + i, 1);
    client_print(fd, GET("/v1/orders/b") GET("/nowhere") GET("/v1/orders/c"));
    static const unsigned statuses[] = {202, 200, 200, 404, 200};
    for (size_t i = 0; i < 5; i++) {
        assert_true(client_read(fd, false, &r));
        assert_int_equal(r.status, statuses[i]);
    }
    close(fd);
}

static void half_requests_time_out(void **state) {
    int head = client_connect(*state), body = client_connect(*state), nothing = client_connect(*state);
    client_print(head, "GET /v1/orders HTTP/1.1\r\nHo");
    client_print(body, "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                       "Content-Length: 20\r\n\r\n{");
    assert_true(client_closed(head));
    assert_true(client_closed(body));
    assert_true(client_closed(nothing));
    close(head), close(body), close(nothing);
}

static void trace_context(void **state) {
#define TRACE "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    static const struct {
        const char *value;
        bool valid;
    } cases[] = {
        {"00-" TRACE, true},
        {"cc-" TRACE, true},
        {"cc-" TRACE "-more", true},
        {"00-" TRACE "-more", false},
        {"ff-" TRACE, false},
        {"00" TRACE, false},
        {"", false},
        {"cc-" TRACE "more", false},
        {"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
        {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reply *r =
            ask(*state, "GET /trace HTTP/1.1\r\nHost: localhost\r\ntraceparent: %s\r\n\r\n", cases[i].value);
        expect(r, 200, cases[i].valid ? cases[i].value : "none");
    }
    expect(ask_get(*state, "/trace"), 200, "none");
}

static void metrics(void **state) {
    ask_get(*state, "/v1/orders/o-1");
    ask_get(*state, "/v1/orders/o-2");
    ask_get(*state, "/v1/orders/%20");
    ask_get(*state, "/invented-by-a-client");
    struct buf out = {0};
    struct metrics all = {0};
    http_metrics(*state, &all);
    metrics_write(&all, &out);
    metrics_free(&all);
    buf_append_byte(&out, 0);
    assert_non_null(
        strstr(out.data, "http_requests_total{method=\"GET\",route=\"/v1/orders/{id}\",status=\"200\"} 2\n"));
    assert_non_null(
        strstr(out.data, "http_requests_total{method=\"GET\",route=\"/v1/orders/{id}\",status=\"400\"} 1\n"));
    assert_non_null(
        strstr(out.data, "http_requests_total{method=\"other\",route=\"other\",status=\"404\"} 1\n"));
    assert_non_null(strstr(
        out.data, "http_request_duration_seconds_count{method=\"GET\",route=\"/v1/orders/{id}\"} 3\n"));
    assert_non_null(strstr(
        out.data,
        "http_request_duration_seconds_bucket{method=\"GET\",route=\"/v1/orders/{id}\",le=\"+Inf\"} 3\n"));
    assert_null(strstr(out.data, "invented"));
    buf_free(&out);
}

static void taken_port_is_named(void **state) {
    struct http_config config = {.port = http_server_port(*state)};
    struct http_server *s = http_server_create(&config);
    struct err err = {0};
    assert_false(http_server_start(s, &err));
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_non_null(strstr(err.text, "in use"));
    http_server_destroy(s);
    config = (struct http_config){.address = "example"};
    s = http_server_create(&config);
    assert_false(http_server_start(s, &err));
    assert_int_equal(err.kind, ERR_CONFIG);
    http_server_destroy(s);
    http_server_destroy(NULL);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SERVER(routes_and_parameters),
        cmocka_unit_test(a_path_can_be_listened_at),
        WITH_SERVER(no_id_has_a_card_number),
        WITH_SERVER(headers_of_answers),
        WITH_SERVER(invalid_paths),
        WITH_SERVER(methods),
        WITH_SERVER(queries),
        WITH_SERVER(bodies),
        WITH_SERVER(fields_that_do_not_fit),
        WITH_SERVER(malformed_json),
        WITH_SERVER(media_types),
        WITH_SERVER(sizes_of_bodies),
        WITH_SERVER(ambiguous_framing),
        WITH_SERVER(a_foreign_host_is_refused),
        WITH_SERVER(a_target_stays_as_it_came),
        WITH_SERVER(what_may_be_kept),
        WITH_SERVER(long_header_is_refused),
        WITH_SERVER(pieces_and_pipelines),
        WITH_SERVER(half_requests_time_out),
        WITH_SERVER(trace_context),
        WITH_SERVER(metrics),
        WITH_SERVER(taken_port_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
