/* What routes see of a running service: a stream over a log in memory, driven by the test, and a real HTTP
 * server in front of its tables. */
#include "instance/inside.h"

#include "base/json.h"
#include "instance/page.h"
#include "service/health.h"
#include "service/service.h"
#include "service/worker.h"

#include "http/test_client.h"
#include "testing/bank.h"
#include "testing/memory_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct bank *bank;
    struct memory_log *log;
    struct worker worker;
    struct instance instance;
};

/* GET /owners/{id}[?timeout=ms]: waits for the owner to appear. */
static enum http_result get_owner(struct http_exchange *x, void *context) {
    struct instance *i = context;
    struct slice id;
    struct event row;
    int64_t timeout;
    if (!http_path_id(x, "id", &id) || !http_query_int64(x, "timeout", 0, 60000, 0, &timeout))
        return HTTP_DONE;
    http_deadline(x, timeout);
    instance_watch(i, x, &bank_owners, id);
    if (!instance_row(i, x, &bank_owners, id, &row))
        return HTTP_DONE;
    if (row.value == NULL)
        return http_timed_out(x) ? http_reply_problem(x, 404, NULL, "no such owner") : HTTP_WAIT;
    return http_reply_text(x, 200, "text/plain", ((const struct owner *)row.value)->name);
}

/* GET /found/{id}[?timeout=ms]: as services do it. */
static enum http_result get_found(struct http_exchange *x, void *context) {
    struct slice id;
    struct event row;
    enum http_result result = HTTP_DONE;
    if (!http_path_id(x, "id", &id) || !instance_find(context, x, &bank_owners, id, "owner", &row, &result))
        return result;
    return http_reply_text(x, 200, "text/plain", ((const struct owner *)row.value)->name);
}

static bool append_key(void *context, struct slice index_key, struct slice key) {
    (void)key;
    buf_printf(context, SLICE_FMT " ", SLICE_ARG(index_key));
    return true;
}

static bool append_name(void *context, const struct event *row) {
    buf_printf(context, SLICE_FMT " ", SLICE_ARG(((const struct owner *)row->value)->name));
    return true;
}

/* GET /fresh: the index keys and the names, once everything is there that was in the log before. */
static enum http_result get_fresh(struct http_exchange *x, void *context) {
    struct instance *i = context;
    struct buf out = {0};
    if (!instance_fresh(i, x, &bank_owners))
        return HTTP_WAIT;
    if (instance_scan(i, x, &bank_owners, SLICE(""), SLICE_NONE, append_key, &out) &&
        instance_scan_rows(i, x, &bank_owners, SLICE_NONE, append_name, &out))
        http_reply_text(x, 200, "text/plain", buf_slice(&out));
    buf_free(&out);
    return HTTP_DONE;
}

static void put_name(void *context, const struct event *row) {
    json_put_string(context, ((const struct owner *)row->value)->name);
}

/* GET /page: two names at a time. GET /all: as many as there are. */
static enum http_result get_page(struct http_exchange *x, struct instance *i, int64_t fallback) {
    struct page page;
    struct buf out = {0};
    struct json j = {.out = &out};
    if (!page_query(x, fallback, 5, &page))
        return HTTP_DONE;
    json_begin_object(&j);
    json_key(&j, "names"), json_begin_array(&j);
    if (page_rows(i, x, &bank_owners, &page, put_name, &j)) {
        json_end_array(&j);
        page_put_next(&page, "/page", SLICE_NONE, &j);
        json_end_object(&j);
        http_reply_json(x, 200, buf_slice(&out));
    }
    buf_free(&out);
    return HTTP_DONE;
}

static enum http_result get_two(struct http_exchange *x, void *context) {
    return get_page(x, context, 2);
}

static enum http_result get_all(struct http_exchange *x, void *context) {
    return get_page(x, context, 0);
}

static const struct http_route routes[] = {
    {"GET", "/owners/{id}", get_owner}, {"GET", "/found/{id}", get_found}, {"GET", "/fresh", get_fresh},
    {"GET", "/page", get_two},          {"GET", "/all", get_all},          {0}};

static const struct service service = {.name = "bank",
                                       .topologies = (const struct topology *const[]){&bank_topology, NULL}};

static int setup(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    struct err e = {0};
    f->bank = bank_create();
    f->log = memory_log_create(1);
    f->instance = (struct instance){.name = "bank",
                                    .service = &service,
                                    .schemas = f->bank->schemas,
                                    .workers = &f->worker,
                                    .worker_count = 1};
    f->worker.instance = &f->instance;
    f->worker.topology = &bank_topology;
    f->worker.store = f->bank->store;
    f->worker.log = &f->log->log;
    f->worker.name = bank_topology.name;
    status_init(&f->worker.status, "waiting for the store");
    f->instance.http = http_server_create(&(struct http_config){0});
    http_server_mount(f->instance.http, health_routes, &f->instance);
    http_server_mount(f->instance.http, routes, &f->instance);
    if (!http_server_start(f->instance.http, &e))
        fail_msg("%s", e.text);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    http_server_destroy(f->instance.http);
    stream_destroy(atomic_load(&f->worker.stream));
    status_finish(&f->worker.status);
    memory_log_destroy(f->log);
    bank_destroy(f->bank);
    free(f);
    return 0;
}

static void start_stream(struct fixture *f) {
    struct stream_options options = worker_stream_options(&f->worker);
    atomic_store(&f->worker.stream, stream_create(&options));
}

static void rounds(struct fixture *f, int n) {
    struct err e = {0};
    while (n-- > 0)
        assert_true(stream_step(atomic_load(&f->worker.stream), 10, &e));
}

static void owner(struct fixture *f, const char *account, const char *name) {
    memory_log_append(f->log, &topic_owners, -1, slice_of(account), bank_owner(f->bank, name, "Rome"));
}

static void assert_answer(struct fixture *f, const char *path, unsigned status, const char *body) {
    struct reply *r = ask_get(f->instance.http, path);
    assert_int_equal(r->status, status);
    if (strstr(r->body, body) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", path, r->body, body);
}

/* Until so many requests wait for an event. */
static void await_waiting(struct fixture *f, const char *count) {
    struct buf out = {0};
    do {
        buf_clear(&out);
        struct metrics all = {0};
        http_metrics(f->instance.http, &all);
        metrics_write(&all, &out);
        metrics_free(&all);
        buf_append_byte(&out, 0);
    } while (strstr(out.data, count) == NULL);
    buf_free(&out);
}

static void ready_when_the_streams_are(void **state) {
    struct fixture *f = *state;
    assert_answer(f, "/livez", 200, "live");
    assert_answer(f, "/readyz", 503, "bank: waiting for the store");
    start_stream(f);
    rounds(f, 3);
    assert_answer(f, "/readyz", 503, "bank: joining the group bank");
    memory_log_assign(f->log, 1);
    rounds(f, 5);
    assert_answer(f, "/readyz", 200, "ready");
    memory_log_fail(f->log, CALL_POLL, ERR_RETRY, 1, false);
    rounds(f, 1);
    assert_answer(f, "/readyz", 503, "waiting for Kafka: poll fails");
}

static void metrics_are_of_streams_http_and_the_process(void **state) {
    struct fixture *f = *state;
    assert_answer(f, "/metrics", 200, "process_resident_memory_bytes ");
    start_stream(f);
    rounds(f, 1);
    assert_answer(f, "/metrics", 200, "\ninsideout_transactions_committed_total{topology=\"bank\"} 0\n");
    assert_answer(f, "/metrics", 200, "http_requests_total{");
}

static void no_answer_before_there_is_a_view(void **state) {
    struct fixture *f = *state;
    assert_answer(f, "/owners/a", 503, "bank: waiting for the store");
    start_stream(f);
    rounds(f, 1);
    assert_answer(f, "/owners/a", 404, "no such owner");
    owner(f, "a", "Ann");
    rounds(f, 2);
    assert_answer(f, "/owners/a", 200, "Ann");
}

static void a_request_wakes_when_its_row_changes(void **state) {
    struct fixture *f = *state;
    struct reply *r = xcalloc(1, sizeof *r);
    start_stream(f);
    rounds(f, 1);
    int fd = client_connect(f->instance.http);
    client_print(fd, "GET /owners/a?timeout=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await_waiting(f, "http_requests_waiting 1\n");
    owner(f, "b", "Bob");
    rounds(f, 1);
    owner(f, "a", "Ann");
    rounds(f, 1);
    assert_true(client_read(fd, false, r));
    assert_int_equal(r->status, 200);
    assert_string_equal(r->body, "Ann");
    close(fd);
    free(r);
}

/* A client reads what was in the log before it asked, at whichever instance. */
static void a_request_waits_for_what_was_before_it(void **state) {
    struct fixture *f = *state;
    struct reply *r = xcalloc(1, sizeof *r);
    start_stream(f);
    rounds(f, 3);
    owner(f, "a", "Ann");
    owner(f, "b", "Bob");
    int fd = client_connect(f->instance.http);
    client_print(fd, "GET /fresh HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await_waiting(f, "http_requests_waiting 1\n");
    rounds(f, 3);
    assert_true(client_read(fd, false, r));
    assert_string_equal(r->body, "Rome/a Rome/b Ann Bob ");
    close(fd);
    free(r);
}

/* Asks while the stream stands still, and lets it go on. */
static void find(struct fixture *f, const char *target, unsigned status, const char *body) {
    struct reply *r = xcalloc(1, sizeof *r);
    int fd = client_connect(f->instance.http);
    client_print(fd, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", target);
    await_waiting(f, "http_requests_waiting 1\n");
    rounds(f, 3);
    assert_true(client_read(fd, false, r));
    assert_int_equal(r->status, status);
    if (strstr(r->body, body) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", target, r->body, body);
    close(fd);
    free(r);
}

/* A row that is there already, too: who read a later one elsewhere never reads this one here. */
static void what_is_found_is_what_the_log_has(void **state) {
    struct fixture *f = *state;
    start_stream(f);
    rounds(f, 3);
    find(f, "/found/a", 404, "no owner of this id");
    find(f, "/found/a?timeout=0", 504, "the owner did not appear in time");
    owner(f, "a", "Ann");
    rounds(f, 3);
    find(f, "/found/a", 200, "Ann");
    owner(f, "a", "Eve");
    find(f, "/found/a", 200, "Eve");
    owner(f, "a", "Zoe");
    find(f, "/found/a?timeout=60000", 200, "Zoe");
    owner(f, "a", "Ida");
    find(f, "/found/a?timeout=0", 200, "Ida");
}

/* A key that is no id is a cursor like any other. */
static void pages_follow_each_other(void **state) {
    struct fixture *f = *state;
    start_stream(f);
    rounds(f, 3);
    assert_answer(f, "/page", 200, "{\"names\":[],\"next\":null}");
    owner(f, "b&\xc3\xbc", "Bob");
    owner(f, "c", "Cid");
    owner(f, "a", "Ann");
    owner(f, "ba", "Bea");
    rounds(f, 3);
    assert_answer(
        f, "/page", 200,
        "{\"names\":[\"Ann\",\"Bob\"],\"next\":\"/page?limit=2&after=b%26%C3%BC\",\"after\":\"b&\xc3\xbc\"}");
    assert_answer(f, "/page?limit=2&after=b%26%C3%BC", 200, "{\"names\":[\"Bea\",\"Cid\"],\"next\":null}");
    assert_answer(f, "/page?after=az", 200, "[\"Bob\",\"Bea\"]");
    assert_answer(f, "/page?after=zz", 200, "{\"names\":[],\"next\":null}");
    assert_answer(f, "/all", 200, "{\"names\":[\"Ann\",\"Bob\",\"Bea\",\"Cid\"],\"next\":null}");
    assert_answer(f, "/all?limit=3", 200, "/page?limit=3&after=ba");
    assert_answer(f, "/all?after=b", 200, "[\"Bob\",\"Bea\",\"Cid\"]");
    assert_answer(f, "/page?limit=0", 400, "limit");
    assert_answer(f, "/page?limit=6", 400, "limit");
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(ready_when_the_streams_are),
        TEST(metrics_are_of_streams_http_and_the_process),
        TEST(no_answer_before_there_is_a_view),
        TEST(a_request_wakes_when_its_row_changes),
        TEST(a_request_waits_for_what_was_before_it),
        TEST(what_is_found_is_what_the_log_has),
        TEST(pages_follow_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
