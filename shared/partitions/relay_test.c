/* Calls to real servers in this process. */
#include "partitions/relay.h"

#include "base/buf.h"
#include "base/clock.h"
#include "http/server.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { SERVERS = 2 };

struct fixture {
    struct http_server *servers[SERVERS];
    struct relay *relay;
    char holders[SERVERS][RELAY_ADDRESS_SIZE]; /* who is named; "": nobody more */
    atomic_int answered, asked;
    atomic_bool unavailable[SERVERS];
};

static int number_of(struct fixture *f, const struct http_server *s) {
    return s == f->servers[1];
}

static struct http_server *of_exchange(struct fixture *f, struct http_exchange *x) {
    struct slice host = http_header(x, "Host");
    char port[8];
    snprintf(port, sizeof port, "%u", http_server_port(f->servers[1]));
    return memmem(host.data, host.size, port, strlen(port)) != NULL ? f->servers[1] : f->servers[0];
}

/* What was asked, by whom it was answered. */
static enum http_result echo(struct http_exchange *x, void *context) {
    struct fixture *f = context;
    int n = number_of(f, of_exchange(f, x));
    struct buf out = {0};
    atomic_fetch_add(&f->asked, 1);
    if (atomic_load(&f->unavailable[n]))
        return http_reply_problem(x, 503, NULL, "not here");
    struct slice partition = http_header(x, RELAY_PARTITION), target = http_target(x);
    buf_printf(&out, "%d %s " SLICE_FMT " " SLICE_FMT, n, http_method(x), SLICE_ARG(target),
               SLICE_ARG(partition));
    http_reply_header(x, "Location", "/v1/things/%d", n);
    enum http_result done = http_reply_text(x, 201, "text/plain", buf_slice(&out));
    buf_free(&out);
    return done;
}

/* Answers how long the request says to have waited, as soon as `go` is woken. */
static enum http_result wait_for_go(struct http_exchange *x, void *context) {
    struct fixture *f = context;
    http_watch(x, SLICE("go"));
    http_deadline(x, 30000);
    if (atomic_fetch_add(&f->asked, 1) == 0)
        return HTTP_WAIT;
    return http_reply_text(x, 200, "text/plain", http_header(x, RELAY_WAITED));
}

/* Waits up to 5 s, less what the request says to have waited. */
static enum http_result wait_for_nothing(struct http_exchange *x, void *context) {
    static const char owner;
    bool *counted = http_state(x, &owner, sizeof *counted, NULL);
    struct slice waited = http_header(x, RELAY_WAITED);
    (void)context;
    http_deadline(x, 5000);
    if (!*counted)
        http_waited(x, atoi(waited.data));
    *counted = true;
    return HTTP_WAIT;
}

static const struct http_route routes[] = {{"GET", "/v1/things/{id}", echo},
                                           {"POST", "/v1/things", echo},
                                           {"GET", "/v1/wait", wait_for_go},
                                           {"GET", "/v1/nothing", wait_for_nothing},
                                           {0}};

static size_t holders(void *context, int32_t partition, char (*addresses)[RELAY_ADDRESS_SIZE]) {
    struct fixture *f = context;
    size_t n = 0;
    assert_int_equal(partition, 7);
    for (; n < SERVERS && f->holders[n][0] != 0; n++)
        memcpy(addresses[n], f->holders[n], sizeof f->holders[n]);
    return n;
}

static void on_answer(void *context, const struct call *call) {
    struct relay_answer a;
    assert_true(call_answer(call, &a));
    atomic_fetch_add(&((struct fixture *)context)->answered, 1);
}

static int setup(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    struct err e = {0};
    for (int i = 0; i < SERVERS; i++) {
        f->servers[i] = http_server_create(&(struct http_config){0});
        http_server_mount(f->servers[i], routes, f);
        assert_true(http_server_start(f->servers[i], &e));
        snprintf(f->holders[i], sizeof f->holders[i], "127.0.0.1:%u", http_server_port(f->servers[i]));
    }
    f->relay = relay_create(&(struct relay_options){f, holders, on_answer});
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    relay_destroy(f->relay);
    for (int i = 0; i < SERVERS; i++)
        http_server_destroy(f->servers[i]);
    free(f);
    return 0;
}

static struct call *call(struct fixture *f, const char *method, const char *target, int64_t left_ms) {
    return relay_call(f->relay, &(struct relay_request){.partition = 7,
                                                        .method = method,
                                                        .target = slice_of(target),
                                                        .body = SLICE("{\"a\":1}"),
                                                        .waited_ms = 5000,
                                                        .left_ms = left_ms});
}

static struct relay_answer await(const struct call *c) {
    struct relay_answer a;
    for (int n = 0; !call_answer(c, &a); n++) {
        assert_in_range(n, 0, 5000);
        poll(NULL, 0, 2);
    }
    return a;
}

static void assert_answer(struct fixture *f, const char *method, const char *target, unsigned status,
                          const char *body) {
    struct call *c = call(f, method, target, 8000);
    struct relay_answer a = await(c);
    assert_int_equal(a.status, status);
    assert_true(slice_equal(a.body, slice_of(body)));
    call_release(c);
}

static void nobody_listens_to(struct fixture *f, int n) {
    http_server_stop(f->servers[n]);
}

static void the_first_holder_answers(void **state) {
    struct fixture *f = *state;
    assert_answer(f, "GET", "/v1/things/a?timeout=5&b=%20+%2B", 201,
                  "0 GET /v1/things/a?timeout=5&b=%20+%2B 7");
    struct call *c = call(f, "POST", "/v1/things", 8000);
    struct relay_answer a = await(c);
    assert_true(slice_equal(a.body, SLICE("0 POST /v1/things 7")));
    assert_true(slice_equal(a.location, SLICE("/v1/things/0")));
    assert_true(slice_equal(a.type, SLICE("text/plain")));
    call_release(c);
    assert_int_equal(atomic_load(&f->answered), 2);
    assert_int_equal(atomic_load(&f->asked), 2);
}

static void the_next_one_answers_for_who_is_dead(void **state) {
    struct fixture *f = *state;
    nobody_listens_to(f, 0);
    assert_answer(f, "GET", "/v1/things/a", 201, "1 GET /v1/things/a 7");
    assert_answer(f, "POST", "/v1/things", 201, "1 POST /v1/things 7");
}

static void the_next_one_answers_for_who_has_it_no_more(void **state) {
    struct fixture *f = *state;
    atomic_store(&f->unavailable[0], true);
    assert_answer(f, "GET", "/v1/things/a", 201, "1 GET /v1/things/a 7");
}

static void who_comes_back_is_asked_again(void **state) {
    struct fixture *f = *state;
    atomic_store(&f->unavailable[0], true);
    atomic_store(&f->unavailable[1], true);
    struct call *c = call(f, "GET", "/v1/things/a", 8000);
    while (atomic_load(&f->asked) < 3) /* both were asked, and one of them again */
        poll(NULL, 0, 2);
    atomic_store(&f->unavailable[1], false);
    assert_true(slice_equal(await(c).body, SLICE("1 GET /v1/things/a 7")));
    call_release(c);
}

static void nobody_answers(void **state) {
    struct fixture *f = *state;
    f->holders[0][0] = 0;
    struct call *c = call(f, "GET", "/v1/things/a", 50);
    assert_int_equal(await(c).status, 0);
    call_release(c);
    snprintf(f->holders[0], sizeof f->holders[0], "127.0.0.1:%u", http_server_port(f->servers[0]));
    atomic_store(&f->unavailable[0], true);
    atomic_store(&f->unavailable[1], true);
    c = call(f, "GET", "/v1/things/a", 50);
    struct relay_answer a = await(c);
    assert_int_equal(a.status, 503);
    assert_non_null(memmem(a.body.data, a.body.size, "not here", 8));
    call_release(c);
}

static void a_long_poll_waits_there(void **state) {
    struct fixture *f = *state;
    struct relay_answer a;
    struct call *c = call(f, "GET", "/v1/wait", 30000);
    while (atomic_load(&f->asked) == 0)
        poll(NULL, 0, 2);
    assert_false(call_answer(c, &a));
    http_wake(f->servers[0], SLICE("go"));
    a = await(c);
    assert_int_equal(a.status, 200);
    assert_in_range(atoi(a.body.data), 5000, 60000);
    call_release(c);
}

static void what_has_waited_here_does_not_wait_there(void **state) {
    struct fixture *f = *state;
    int64_t begin_us = clock_mono_us();
    struct call *c = call(f, "GET", "/v1/nothing", 30000);
    assert_int_equal(await(c).status, 504);
    assert_true(clock_mono_us() - begin_us < 4000000); /* not another 5 s */
    call_release(c);
}

/* Nobody's call is given up for another's. */
static void several_keys_are_asked_about_in_turn(void **state) {
    enum { KEYS = 3 };
    struct fixture *f = *state;
    struct calls all = {0};
    int known[KEYS] = {0};
    for (int n = 0; known[0] + known[1] + known[2] < KEYS; n++) {
        char key[2] = {(char)('a' + n % KEYS)}, target[32], body[64];
        struct relay_answer a;
        assert_in_range(n, 0, 10000);
        snprintf(target, sizeof target, "/v1/things/%s", key);
        snprintf(body, sizeof body, "0 GET %s 7", target);
        if (known[n % KEYS] == 0 &&
            calls_answer(&all, f->relay, slice_of(key),
                         &(struct relay_request){
                             .partition = 7, .method = "GET", .target = slice_of(target), .left_ms = 8000},
                         &a)) {
            assert_true(slice_equal(a.body, slice_of(body)));
            known[n % KEYS] = 1;
        }
        poll(NULL, 0, 1);
    }
    assert_int_equal(atomic_load(&f->asked), KEYS);
    calls_release(&all);
}

static void who_does_not_wait_any_more_lets_go(void **state) {
    struct fixture *f = *state;
    struct call *c = call(f, "GET", "/v1/wait", 30000);
    while (atomic_load(&f->asked) == 0)
        poll(NULL, 0, 2);
    call_release(c);
    http_wake(f->servers[0], SLICE("go")); /* it has nobody to answer, and nothing is left behind */
    assert_answer(f, "GET", "/v1/things/a", 201, "0 GET /v1/things/a 7");
    call_release(call(f, "GET", "/v1/wait", 30000)); /* before it was asked */
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_first_holder_answers),
        TEST(the_next_one_answers_for_who_is_dead),
        TEST(the_next_one_answers_for_who_has_it_no_more),
        TEST(who_comes_back_is_asked_again),
        TEST(nobody_answers),
        TEST(a_long_poll_waits_there),
        TEST(what_has_waited_here_does_not_wait_there),
        TEST(several_keys_are_asked_about_in_turn),
        TEST(who_does_not_wait_any_more_lets_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
