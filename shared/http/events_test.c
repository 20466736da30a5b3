#include "http/events.h"
#include "http/server.h"
#include "http/test_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PART = 32 * 1024, STREAMS_MAX = 3 };

struct fixture {
    struct http_server *server;
    atomic_int value;             /* what /values tells */
    atomic_int runs[2], finished; /* of /parts/{id}; handlers whose state was given back */
};

static const char wake_key[] = "value";

static void finish(void *state) {
    struct fixture **f = state;
    if (*f != NULL)
        atomic_fetch_add(&(*f)->finished, 1);
}

/* The value, each time that it is another; the end behind 99. */
static enum http_result get_values(struct http_exchange *x, void *context) {
    static const char owner;
    struct fixture *f = context;
    int64_t pause;
    if (!http_query_int64(x, "pause", 0, 1000, 0, &pause))
        return HTTP_DONE;
    struct told {
        struct fixture *f;
        int value, runs;
    } *told = http_state(x, &owner, sizeof *told, finish);
    struct buf *out = http_events(x);
    if (out == NULL)
        return HTTP_DONE;
    told->f = f;
    told->runs++;
    http_watch(x, slice_of(wake_key));
    int value = atomic_load(&f->value);
    if (value == told->value)
        return HTTP_WAIT;
    told->value = value;
    if (pause > 0) {
        buf_printf(out, "data: %d after %d\n\n", value, told->runs);
        http_events_pause(x, pause);
    } else {
        buf_printf(out, "data: %d\n\n", value);
    }
    return value == 99 ? HTTP_DONE : HTTP_WAIT;
}

/* Parts without end, each one letter: A, B, …. */
static enum http_result get_parts(struct http_exchange *x, void *context) {
    struct fixture *f = context;
    int64_t id;
    if (!http_path_int64(x, "id", 0, 1, &id))
        return HTTP_DONE;
    struct buf *out = http_events(x);
    if (out == NULL)
        return HTTP_DONE;
    memset(buf_reserve(out, PART), 'A' + atomic_fetch_add(&f->runs[id], 1) % 26, PART);
    out->size += PART;
    return HTTP_WAIT;
}

/* A stream that begins when there is a value. */
static enum http_result get_later(struct http_exchange *x, void *context) {
    struct fixture *f = context;
    http_watch(x, slice_of(wake_key));
    if (atomic_load(&f->value) == 0)
        return http_timed_out(x) ? http_reply_problem(x, 504, NULL, "no value") : HTTP_WAIT;
    struct buf *out = http_events(x);
    if (out != NULL)
        buf_printf(out, "data: there\n\n");
    return HTTP_DONE;
}

static enum http_result get_number(struct http_exchange *x, void *context) {
    struct fixture *f = context;
    return http_reply_json(x, 200, arena_printf(http_arena(x), "%d", atomic_load(&f->value)));
}

static const struct http_route routes[] = {{"GET", "/values", get_values},
                                           {"GET", "/parts/{id}", get_parts},
                                           {"GET", "/later", get_later},
                                           {"GET", "/number", get_number},
                                           {0}};

static int start_with(void **state, unsigned beat_ms) {
    struct fixture *f = calloc(1, sizeof *f);
    struct http_config config = {.max_streams = STREAMS_MAX, .beat_ms = beat_ms};
    f->server = http_server_create(&config);
    http_server_mount(f->server, routes, f);
    struct err err;
    if (!http_server_start(f->server, &err))
        return -1;
    *state = f;
    return 0;
}

static int start(void **state) {
    return start_with(state, 0);
}

static int start_beating(void **state) {
    return start_with(state, 10);
}

static int stop(void **state) {
    struct fixture *f = *state;
    http_server_destroy(f->server);
    free(f);
    return 0;
}

static void set(struct fixture *f, int value) {
    atomic_store(&f->value, value);
    http_wake(f->server, slice_of(wake_key));
}

static int follow(struct fixture *f, const char *path) {
    struct reply *head = calloc(1, sizeof *head);
    int fd = client_connect(f->server);
    client_print(fd, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    assert_true(client_read(fd, true, head));
    assert_int_equal(head->status, 200);
    assert_non_null(strcasestr(head->head, "\r\nContent-Type: text/event-stream\r\n"));
    assert_non_null(strcasestr(head->head, "\r\nCache-Control: no-store\r\n"));
    assert_non_null(strcasestr(head->head, "\r\nTransfer-Encoding: chunked\r\n"));
    free(head);
    return fd;
}

static char read_byte(int fd) {
    char c = 0;
    assert_int_equal(recv(fd, &c, 1, 0), 1);
    return c;
}

/* The size of the next chunk; 0: the stream has ended properly. */
static size_t read_chunk_size(int fd) {
    char line[16];
    size_t n = 0;
    while (n < sizeof line - 1 && (n < 2 || line[n - 2] != '\r' || line[n - 1] != '\n'))
        line[n++] = read_byte(fd);
    line[n] = 0;
    size_t size = strtoul(line, NULL, 16);
    if (size == 0) {
        assert_int_equal(read_byte(fd), '\r');
        assert_int_equal(read_byte(fd), '\n');
    }
    return size;
}

/* Reads as much of the stream as `text` has, over as many chunks as there are, and it must be that. */
static void assert_next(int fd, const char *text) {
    while (*text != 0) {
        size_t size = read_chunk_size(fd);
        assert_true(size > 0);
        for (; size > 0; size--, text++)
            assert_int_equal(read_byte(fd), *text);
        assert_int_equal(read_byte(fd), '\r');
        assert_int_equal(read_byte(fd), '\n');
    }
}

static void assert_end(int fd) {
    assert_int_equal(read_chunk_size(fd), 0);
}

static unsigned streams(struct fixture *f) {
    struct buf out = {0};
    unsigned n = 0;
    struct metrics all = {0};
    http_metrics(f->server, &all);
    metrics_write(&all, &out);
    metrics_free(&all);
    buf_append_byte(&out, 0);
    assert_int_equal(sscanf(strstr(out.data, "\ninsideout_http_streams "), "\ninsideout_http_streams %u", &n),
                     1);
    buf_free(&out);
    return n;
}

static void events_come_when_they_happen(void **state) {
    struct fixture *f = *state;
    int fd = follow(f, "/values");
    set(f, 1);
    assert_next(fd, "data: 1\n\n");
    assert_string_equal(ask_get(f->server, "/number")->body, "1");
    set(f, 2);
    assert_next(fd, "data: 2\n\n");
    assert_int_equal(streams(f), 1);
    close(fd);
}

static void a_handler_ends_its_stream(void **state) {
    struct fixture *f = *state;
    atomic_store(&f->value, 99);
    int fd = follow(f, "/values");
    assert_next(fd, "data: 99\n\n");
    assert_end(fd);
    client_print(fd, "GET /number HTTP/1.1\r\nHost: localhost\r\n\r\n"); /* the connection is whole */
    struct reply *r = calloc(1, sizeof *r);
    assert_true(client_read(fd, false, r));
    assert_string_equal(r->body, "99");
    free(r);
    close(fd);
    assert_int_equal(atomic_load(&f->finished), 1);
    assert_int_equal(streams(f), 0);
}

static void a_stream_may_begin_later(void **state) {
    struct fixture *f = *state;
    int fd = client_connect(f->server);
    client_print(fd, "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
    struct reply *r = calloc(1, sizeof *r);
    set(f, 1);
    assert_true(client_read(fd, true, r));
    assert_int_equal(r->status, 200);
    assert_next(fd, "data: there\n\n");
    assert_end(fd);
    free(r);
    close(fd);
}

static void head_has_no_stream(void **state) {
    struct fixture *f = *state;
    struct reply *r = ask(f->server, "HEAD /values HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_int_equal(r->status, 200);
    while (streams(f) > 0)
        usleep(200);
}

static void in_a_pause_only_the_newest_counts(void **state) {
    struct fixture *f = *state;
    set(f, 1);
    int fd = follow(f, "/values?pause=500");
    assert_next(fd, "data: 1 after 1\n\n");
    for (int i = 2; i <= 50; i++)
        set(f, i);
    assert_next(fd, "data: 50 after 2\n\n");
    close(fd);
}

/* The client that does not read costs one part and what fits into the sockets; nobody else waits for it. */
static void a_slow_client_is_not_written_ahead_of(void **state) {
    struct fixture *f = *state;
    int slow = client_connect(f->server), size = 65536;
    setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    client_print(slow, "GET /parts/0 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    int quick = follow(f, "/parts/1");
    char *buffer = malloc(PART);
    while (atomic_load(&f->runs[1]) < 1000)
        assert_true(recv(quick, buffer, PART, 0) > 0);
    int ahead = atomic_load(&f->runs[0]);
    assert_in_range(ahead, 1, 64); /* of 32 KiB: 2 MiB would fit into the largest of sockets */
    assert_int_equal(ask_get(f->server, "/number")->status, 200);

    struct reply *r = calloc(1, sizeof *r);
    assert_true(client_read(slow, true, r));
    for (int part = 0; part < 2 * ahead + 10;) { /* nothing is missing */
        static size_t have;
        size_t chunk = read_chunk_size(slow);
        while (chunk > 0) {
            size_t want = PART - have < chunk ? PART - have : chunk;
            ssize_t n = recv(slow, buffer, want, 0);
            assert_true(n > 0);
            for (ssize_t i = 0; i < n; i++)
                assert_int_equal(buffer[i], 'A' + part % 26);
            chunk -= (size_t)n;
            have = (have + (size_t)n) % PART;
            part += have == 0;
        }
        read_byte(slow), read_byte(slow);
    }
    free(r);
    free(buffer);
    close(slow);
    close(quick);
}

static void more_than_the_limit_is_refused(void **state) {
    struct fixture *f = *state;
    int fds[STREAMS_MAX];
    for (int i = 0; i < STREAMS_MAX; i++)
        fds[i] = follow(f, "/values");
    struct reply *r = ask_get(f->server, "/values");
    assert_int_equal(r->status, 503);
    assert_non_null(strcasestr(r->head, "\r\nRetry-After:"));
    close(fds[0]); /* seen at the next attempt to write to it, for want of events at the latest */
    while (streams(f) == STREAMS_MAX)
        usleep(200);
    assert_int_equal(atomic_load(&f->finished), 1);
    fds[0] = follow(f, "/values");
    for (int i = 0; i < STREAMS_MAX; i++)
        close(fds[i]);
}

/* Although there is nothing to tell it. */
static void the_one_who_leaves_is_noticed(void **state) {
    struct fixture *f = *state;
    close(follow(f, "/values"));
    for (int i = 0; atomic_load(&f->finished) == 0; i++) {
        assert_in_range(i, 0, 5000); /* a third of the time until it would be silent for too long */
        usleep(1000);
    }
    assert_int_equal(streams(f), 0);
}

static void a_stream_is_never_silent_for_long(void **state) {
    struct fixture *f = *state;
    int fd = follow(f, "/values");
    assert_next(fd, ":\n");
    assert_next(fd, ":\n");
    close(fd);
}

static void streams_end_with_the_server(void **state) {
    struct fixture *f = *state;
    set(f, 1);
    int idle = follow(f, "/values"), paused = follow(f, "/values?pause=1000");
    assert_next(idle, "data: 1\n\n");
    assert_next(paused, "data: 1 after 1\n\n");
    http_server_stop(f->server);
    assert_end(idle);
    assert_end(paused);
    assert_int_equal(atomic_load(&f->finished), 2);
    close(idle);
    close(paused);
}

int main(void) {
#define TEST(test) cmocka_unit_test_setup_teardown(test, start, stop)
#define BEATING(test) cmocka_unit_test_setup_teardown(test, start_beating, stop)
    const struct CMUnitTest tests[] = {
        TEST(events_come_when_they_happen),      TEST(a_handler_ends_its_stream),
        TEST(a_stream_may_begin_later),          TEST(head_has_no_stream),
        TEST(in_a_pause_only_the_newest_counts), TEST(a_slow_client_is_not_written_ahead_of),
        BEATING(more_than_the_limit_is_refused), BEATING(a_stream_is_never_silent_for_long),
        TEST(streams_end_with_the_server),       TEST(the_one_who_leaves_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
