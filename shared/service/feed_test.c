/* Streams of a table and of a log: both in memory and driven by the test, and a real HTTP server in front. */
#include "feeds/feed.h"

#include "base/clock.h"
#include "feeds/feeds.h"
#include "http/test_client.h"
#include "service/service.h"
#include "service/worker.h"
#include "tail/tail.h"
#include "testing/bank.h"
#include "testing/memory_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct bank *bank;
    struct memory_log *log, *followed;
    struct tail *tail; /* NULL: of no log */
    struct worker worker;
    struct instance instance;
};

static enum http_result get_owners(struct http_exchange *x, void *context) {
    struct slice key;
    if (!http_query_id(x, "key", &key))
        return HTTP_DONE;
    return instance_feed(context, x,
                         (const struct feed[]){{.table = &bank_owners, .event = "owner", .key = key}, {0}});
}

static bool lives_in_rome(void *context, const struct event *row) {
    (void)context;
    return slice_equal(((const struct owner *)row->value)->city, SLICE("Rome"));
}

static void only_name(const struct event *row, struct buf *out) {
    buf_printf(out, "\"" SLICE_FMT "\"", SLICE_ARG(((const struct owner *)row->value)->name));
}

static enum http_result get_romans(struct http_exchange *x, void *context) {
    return instance_feed(
        context, x,
        (const struct feed[]){
            {.table = &bank_owners, .event = "roman", .wants = lives_in_rome, .json = only_name}, {0}});
}

/* It is never known of whom these are. */
static enum feed_verdict unless_undecided(void *context, const struct feed_record *r) {
    (void)context;
    return slice_equal(r->key, SLICE("undecided")) ? FEED_LATER : FEED_SEND;
}

static enum http_result get_deposits(struct http_exchange *x, void *context) {
    return instance_feed(context, x,
                         (const struct feed[]){{.topic = &topic_deposits, .select = unless_undecided}, {0}});
}

static const struct http_route routes[] = {
    {"GET", "/owners", get_owners}, {"GET", "/romans", get_romans}, {"GET", "/deposits", get_deposits}, {0}};

static const struct service service = {.name = "bank",
                                       .topologies = (const struct topology *const[]){&bank_topology, NULL}};

static int setup(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    struct err e = {0};
    f->bank = bank_create();
    f->log = memory_log_create(1);
    f->instance = (struct instance){.name = "bank",
                                    .service = &service,
                                    .settings = {.partitions = 1},
                                    .schemas = f->bank->schemas,
                                    .workers = &f->worker,
                                    .worker_count = 1};
    f->worker.instance = &f->instance;
    f->worker.topology = &bank_topology;
    f->worker.store = f->bank->store;
    f->worker.log = &f->log->log;
    f->worker.name = "bank";
    status_init(&f->worker.status, "starting");
    f->instance.feeds = feeds_create(&f->instance);
    f->instance.http = http_server_create(&(struct http_config){0});
    http_server_mount(f->instance.http, routes, &f->instance);
    if (!http_server_start(f->instance.http, &e))
        fail_msg("%s", e.text);
    struct stream_options options = worker_stream_options(&f->worker);
    atomic_store(&f->worker.stream, stream_create(&options));
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    http_server_stop(f->instance.http);
    feeds_destroy(f->instance.feeds);
    http_server_destroy(f->instance.http);
    stream_destroy(atomic_load(&f->worker.stream));
    status_finish(&f->worker.status);
    memory_log_destroy(f->log);
    if (f->followed != NULL)
        memory_log_destroy(f->followed);
    bank_destroy(f->bank);
    free(f);
    return 0;
}

static void rounds(struct fixture *f, int n) {
    struct err e = {0};
    while (n-- > 0) {
        assert_true(stream_step(atomic_load(&f->worker.stream), 10, &e));
        assert_true(f->tail == NULL || tail_step(f->tail, 10, &e));
    }
}

static void owner(struct fixture *f, const char *account, const char *name, const char *city) {
    memory_log_append(f->log, &topic_owners, -1, slice_of(account),
                      name == NULL ? SLICE_NONE : bank_owner(f->bank, name, city));
}

/* A client, and what has come so far, without the framing of chunks. */
struct client {
    struct fixture *fixture;
    int fd;
    char raw[65536], text[65536];
    size_t size;
};

static struct client *follow(struct fixture *f, const char *path, const char *last_event_id) {
    struct client *c = xcalloc(1, sizeof *c);
    c->fixture = f;
    c->fd = client_connect(f->instance.http);
    client_print(c->fd, "GET %s HTTP/1.1\r\nHost: localhost\r\n", path);
    if (last_event_id != NULL)
        client_print(c->fd, "Last-Event-ID: %s\r\n", last_event_id);
    client_print(c->fd, "\r\n");
    return c;
}

static void leave(struct client *c) {
    close(c->fd);
    free(c);
}

static void unchunk(struct client *c) {
    c->raw[c->size] = 0;
    c->text[0] = 0;
    const char *at = strstr(c->raw, "\r\n\r\n");
    for (at = at == NULL ? c->raw + c->size : at + 4; at < c->raw + c->size;) {
        char *data;
        size_t n = strtoul(at, &data, 16), rest = (size_t)(c->raw + c->size - data);
        if (rest < 2 || n > rest - 2)
            return;
        strncat(c->text, data + 2, n);
        at = data + 2 + n + 2;
    }
}

/* Lets the stream go on until `end` has come. */
static void await(struct client *c, const char *end) {
    int64_t since_us = clock_mono_us();
    while (strstr(c->text, end) == NULL) {
        rounds(c->fixture, 1);
        ssize_t n = recv(c->fd, c->raw + c->size, sizeof c->raw - 1 - c->size, MSG_DONTWAIT);
        assert_true(n != 0);
        assert_true(clock_mono_us() - since_us < 20000000);
        c->size += n > 0 ? (size_t)n : 0;
        unchunk(c);
        if (n < 0)
            usleep(1000);
    }
}

/* Then everything must be as expected. Forgets it. */
static void expect(struct client *c, const char *end, const char *expected) {
    await(c, end);
    assert_string_equal(c->text, expected);
    size_t head = (size_t)(strstr(c->raw, "\r\n\r\n") + 4 - c->raw);
    c->size = head;
    c->text[0] = 0;
}

#define POSITION(at) "event: position\nid: owners/0:" at "\ndata: {\"position\":\"owners/0:" at "\"}\n\n"
#define RESET(event) "event: reset\ndata: {\"event\":\"" event "\"}\n\n"
#define OWNER(name) "event: owner\ndata: {\"name\":\"" name "\",\"city\":\"Rome\"}\n\n"
#define OWNER_AT(at, name)                                                                                   \
    "id: owners/0:" at "\nevent: owner\ndata: {\"name\":\"" name "\",\"city\":\"Rome\"}\n\n"
#define GONE_AT(at, key) "id: owners/0:" at "\nevent: owner-deleted\ndata: {\"key\":\"" key "\"}\n\n"

static void all_rows_and_then_what_changes(void **state) {
    struct fixture *f = *state;
    owner(f, "a", "Ann", "Rome");
    owner(f, "b", "Bob", "Rome");
    struct client *c = follow(f, "/owners", NULL);
    expect(c, "Bob\",\"city\":\"Rome\"}\n\n", POSITION("0") RESET("owner") OWNER("Ann") OWNER_AT("2", "Bob"));
    owner(f, "a", "Anna", "Rome");
    expect(c, "Anna\",\"city\":\"Rome\"}\n\n", OWNER_AT("3", "Anna"));
    owner(f, "b", NULL, NULL);
    expect(c, "-deleted\ndata: {\"key\":\"b\"}\n\n", GONE_AT("4", "b"));
    leave(c);
}

static void only_the_newest_value(void **state) {
    struct fixture *f = *state;
    owner(f, "a", "Ann", "Rome");
    struct client *c = follow(f, "/owners", NULL);
    expect(c, "Ann\",\"city\":\"Rome\"}\n\n", POSITION("0") RESET("owner") OWNER_AT("1", "Ann"));
    for (int i = 0; i < 100; i++)
        owner(f, "a", i == 99 ? "Last" : "Other", "Rome");
    rounds(f, 3);
    expect(c, "Last\",\"city\":\"Rome\"}\n\n", OWNER_AT("101", "Last"));
    leave(c);
}

static void comes_back_to_what_has_changed(void **state) {
    struct fixture *f = *state;
    owner(f, "a", "Ann", "Rome");
    owner(f, "b", "Bob", "Rome");
    struct client *c = follow(f, "/owners", NULL);
    expect(c, "Bob\",\"city\":\"Rome\"}\n\n", POSITION("0") RESET("owner") OWNER("Ann") OWNER_AT("2", "Bob"));
    leave(c);
    owner(f, "c", "Cid", "Rome");
    owner(f, "a", NULL, NULL);
    rounds(f, 3);
    c = follow(f, "/owners", "owners/0:2");
    expect(c, "\"key\":\"a\"}\n\n", POSITION("2") OWNER("Cid") GONE_AT("4", "a"));
    leave(c);
    c = follow(f, "/owners?lastEventId=owners%2F0:4", NULL);
    owner(f, "d", "Dan", "Rome");
    expect(c, "Dan\",\"city\":\"Rome\"}\n\n", POSITION("4") OWNER_AT("5", "Dan"));
    leave(c);
}

/* Another instance, which cannot know what was deleted before it was asked first. */
static void comes_back_elsewhere(void **state) {
    struct fixture *f = *state;
    owner(f, "a", "Ann", "Rome");
    owner(f, "b", "Bob", "Rome");
    owner(f, "a", NULL, NULL);
    rounds(f, 3);
    struct client *c = follow(f, "/owners", "owners/0:2");
    expect(c, "Bob\",\"city\":\"Rome\"}\n\n", POSITION("2") RESET("owner") OWNER_AT("3", "Bob"));
    leave(c);
}

static void comes_back_from_another_log(void **state) {
    struct fixture *f = *state;
    owner(f, "a", "Ann", "Rome");
    rounds(f, 3);
    struct client *c = follow(f, "/owners", "owners/0:70,owners/9:1,strange/0:5");
    expect(c, "Ann\",\"city\":\"Rome\"}\n\n", POSITION("70") RESET("owner") OWNER_AT("1", "Ann"));
    leave(c);
}

static void rows_come_and_go_by_what_is_wanted(void **state) {
    struct fixture *f = *state;
    owner(f, "a", "Ann", "Rome");
    owner(f, "b", "Bob", "Oslo");
    struct client *c = follow(f, "/romans", NULL);
    expect(c, "Ann\"\n\n", POSITION("0") RESET("roman") "id: owners/0:2\nevent: roman\ndata: \"Ann\"\n\n");
    owner(f, "b", "Bob", "Paris"); /* no event, but the vector moves */
    expect(c, "id: owners/0:3\n\n", "id: owners/0:3\n\n");
    owner(f, "b", "Bob", "Rome");
    expect(c, "Bob\"\n\n", "id: owners/0:4\nevent: roman\ndata: \"Bob\"\n\n");
    owner(f, "a", "Ann", "Oslo");
    expect(c, "\"a\"}\n\n", "id: owners/0:5\nevent: roman-deleted\ndata: {\"key\":\"a\"}\n\n");
    leave(c);
}

static void one_row(void **state) {
    struct fixture *f = *state;
    owner(f, "a", "Ann", "Rome");
    owner(f, "b", "Bob", "Rome");
    struct client *c = follow(f, "/owners?key=b", NULL);
    expect(c, "Bob\",\"city\":\"Rome\"}\n\n", POSITION("0") RESET("owner") OWNER_AT("2", "Bob"));
    owner(f, "a", "Anna", "Rome");
    owner(f, "b", "Bobby", "Rome");
    expect(c, "Bobby\",\"city\":\"Rome\"}\n\n", OWNER_AT("4", "Bobby"));
    owner(f, "b", NULL, NULL);
    expect(c, "\"b\"}\n\n", GONE_AT("4", "b"));
    leave(c);
    c = follow(f, "/owners?key=a", "owners/0:2");
    expect(c, "Anna\",\"city\":\"Rome\"}\n\n", POSITION("2") OWNER_AT("3", "Anna"));
    leave(c);
}

/* A log that has lost its last records: whoever watches is told to forget what he has. */
static void a_table_that_is_read_anew(void **state) {
    struct fixture *f = *state;
    owner(f, "a", "Ann", "Rome");
    owner(f, "b", "Bob", "Rome");
    owner(f, "b", "Bobby", "Rome");
    struct client *all = follow(f, "/owners", NULL), *one = follow(f, "/owners?key=b", NULL);
    expect(all, "Bobby\",\"city\":\"Rome\"}\n\n",
           POSITION("0") RESET("owner") OWNER("Ann") OWNER_AT("3", "Bobby"));
    expect(one, "Bobby\",\"city\":\"Rome\"}\n\n", POSITION("0") RESET("owner") OWNER_AT("3", "Bobby"));
    memory_log_cut(f->log, &topic_owners, 0, 2);
    expect(all, "Bob\",\"city\":\"Rome\"}\n\n", RESET("owner") OWNER("Ann") OWNER_AT("2", "Bob"));
    expect(one, "Bob\",\"city\":\"Rome\"}\n\n", RESET("owner") OWNER_AT("2", "Bob"));
    owner(f, "b", "Bo", "Rome");
    expect(all, "Bo\",\"city\":\"Rome\"}\n\n", OWNER_AT("3", "Bo"));
    expect(one, "Bo\",\"city\":\"Rome\"}\n\n", OWNER_AT("3", "Bo"));
    leave(all);
    leave(one);
}

/* More rows than a run writes or looks at; each of them, in the order of their keys. */
static void many_rows(void **state) {
    struct fixture *f = *state;
    enum { ROWS = 5000 };
    char key[16];
    for (int i = 0; i < ROWS; i++) {
        snprintf(key, sizeof key, "k%05d", i);
        owner(f, key, key, "Rome");
    }
    rounds(f, 10);
    struct client *c = follow(f, "/owners", NULL);
    struct buf all = {0};
    while (all.size < 20 || memcmp(all.data + all.size - 6, "\"}\n\n\r\n", 6) != 0 ||
           memmem(all.data, all.size, "k04999", 6) == NULL) {
        rounds(f, 1);
        ssize_t n = recv(c->fd, buf_reserve(&all, 65536), 65536, MSG_DONTWAIT);
        all.size += n > 0 ? (size_t)n : 0;
    }
    const char *at = all.data;
    for (int i = 0; i < ROWS; i++) {
        snprintf(key, sizeof key, "k%05d", i);
        const char *next = memmem(at, (size_t)(all.data + all.size - at), key, 6);
        if (next == NULL) /* cut by a chunk's frame: the rows around it tell */
            continue;
        assert_true(next >= at);
        at = next;
    }
    buf_free(&all);
    leave(c);
}

/* Each waits for its own two seconds, and holds up nobody else's. */
static void undecided_records_of_two_partitions_are_skipped(void **state) {
    struct fixture *f = *state;
    f->followed = memory_log_create(2);
    f->instance.settings.partitions = 2;
    f->instance.topic_count = LOG_TOPICS_MAX;
    f->tail = feeds_follow(f->instance.feeds, &f->followed->log);
    for (int32_t p = 0; p < 2; p++)
        for (int n = 0; n < 3 + p; n++)
            memory_log_append(f->followed, &topic_deposits, p,
                              n == 1 + p ? SLICE("undecided") : SLICE("decided"),
                              bank_deposit(f->bank, n, ""));
    struct client *c = follow(f, "/deposits", "deposits/0:0,deposits/1:0");
    await(c, "\"partition\":0,\"offset\":2");
    await(c, "\"partition\":1,\"offset\":3");
    assert_null(strstr(c->text, "undecided"));
    leave(c);
}

static void what_is_no_vector_is_refused(void **state) {
    struct fixture *f = *state;
    struct reply *r =
        ask(f->instance.http, "GET /owners HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 17\r\n\r\n");
    assert_int_equal(r->status, 400);
    assert_non_null(strstr(r->body, "\"field\":\"Last-Event-ID\""));
    r = ask_get(f->instance.http, "/owners?lastEventId=owners/0:-1");
    assert_int_equal(r->status, 400);
    assert_non_null(strstr(r->body, "\"field\":\"lastEventId\""));
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_rows_and_then_what_changes),
        TEST(only_the_newest_value),
        TEST(comes_back_to_what_has_changed),
        TEST(a_table_that_is_read_anew),
        TEST(comes_back_elsewhere),
        TEST(comes_back_from_another_log),
        TEST(rows_come_and_go_by_what_is_wanted),
        TEST(one_row),
        TEST(many_rows),
        TEST(undecided_records_of_two_partitions_are_skipped),
        TEST(what_is_no_vector_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
