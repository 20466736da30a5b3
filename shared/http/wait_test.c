#include "base/clock.h"
#include "http/server.h"
#include "http/test_client.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* What the handlers look at: versions of 64 rows, and what has become of the exchanges. */
struct fixture {
    struct http_server *server;
    atomic_int rows[64];
    atomic_int runs, states, answered;
    atomic_bool held; /* by /hold */
};

struct progress {
    struct fixture *fixture;
    int runs;
};

static void forget_progress(void *state) {
    struct progress *p = state;
    if (p->fixture != NULL)
        atomic_fetch_sub(&p->fixture->states, 1);
}

/* GET /rows/{row}?above=N waits until the row is above N. */
static enum http_result get_row(struct http_exchange *x, void *context) {
    struct fixture *f = context;
    int64_t row, above, timeout;
    if (!http_path_int64(x, "row", 0, 63, &row) || !http_query_int64(x, "above", -1, INT32_MAX, 0, &above) ||
        !http_query_int64(x, "timeout", 0, 60000, 20000, &timeout))
        return HTTP_DONE;
    atomic_fetch_add(&f->runs, 1);
    struct progress *p = http_state(x, f, sizeof *p, forget_progress);
    if (p->runs++ == 0) {
        p->fixture = f;
        atomic_fetch_add(&f->states, 1);
    }
    http_watch(x, arena_printf(http_arena(x), "row/%d", (int)row));
    http_deadline(x, timeout);
    int now = atomic_load(&f->rows[row]);
    if (now <= above && http_timed_out(x))
        return http_reply_problem(x, 504, NULL, "after %d runs", p->runs);
    if (now <= above)
        return HTTP_WAIT;
    atomic_fetch_add(&f->answered, 1);
    return http_reply_json(x, 200, arena_printf(http_arena(x), "%d", now));
}

static enum http_result wait_for_ever(struct http_exchange *x, void *context) {
    (void)context;
    http_deadline(x, 1);
    return HTTP_WAIT;
}

/* Keeps the server's thread, so that much has come when it looks again. */
static enum http_result hold(struct http_exchange *x, void *context) {
    struct fixture *f = context;
    for (atomic_store(&f->held, true); atomic_load(&f->held);)
        usleep(100);
    return http_reply_empty(x, 204);
}

/* What was asked elsewhere before, where it has waited for `Waited` ms already. */
static enum http_result passed_on(struct http_exchange *x, void *context) {
    static const char owner;
    (void)context;
    int *runs = http_state(x, &owner, sizeof *runs, NULL);
    http_deadline(x, 20000);
    if ((*runs)++ == 0)
        http_waited(x, atoi(http_header(x, "Waited").data));
    return HTTP_WAIT;
}

static const struct http_route routes[] = {{"GET", "/rows/{row}", get_row},
                                           {"GET", "/never", wait_for_ever},
                                           {"GET", "/hold", hold},
                                           {"GET", "/passed", passed_on},
                                           {0}};

enum { WAITING_MAX = 2000 };

static int start(void **state) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < 8192 ? files.rlim_max : 8192;
    setrlimit(RLIMIT_NOFILE, &files);
    struct fixture *f = calloc(1, sizeof *f);
    struct http_config config = {.max_connections = 4096, .max_waiting = WAITING_MAX, .idle_timeout_s = 60};
    f->server = http_server_create(&config);
    http_server_mount(f->server, routes, f);
    struct err err;
    if (!http_server_start(f->server, &err))
        return -1;
    *state = f;
    return 0;
}

static int stop(void **state) {
    struct fixture *f = *state;
    http_server_destroy(f->server);
    bool forgotten = atomic_load(&f->states) == 0;
    free(f);
    return forgotten ? 0 : -1;
}

static void row_set(struct fixture *f, int row, int value) {
    atomic_store(&f->rows[row], value);
    char key[16];
    snprintf(key, sizeof key, "row/%d", row);
    http_wake(f->server, slice_of(key));
}

static unsigned waiting(struct fixture *f) {
    struct buf out = {0};
    struct metrics all = {0};
    http_metrics(f->server, &all);
    metrics_write(&all, &out);
    metrics_free(&all);
    buf_append_byte(&out, 0);
    unsigned n = 0;
    assert_int_equal(sscanf(strstr(out.data, "\ninsideout_http_requests_waiting "),
                            "\ninsideout_http_requests_waiting %u", &n),
                     1);
    buf_free(&out);
    return n;
}

static void await_waiting(struct fixture *f, unsigned n) {
    while (waiting(f) != n)
        usleep(200);
}

static int ask_row(struct fixture *f, int row, int above, int timeout) {
    int fd = client_connect(f->server);
    client_print(fd, "GET /rows/%d?above=%d&timeout=%d HTTP/1.1\r\nHost: localhost\r\n\r\n", row, above,
                 timeout);
    return fd;
}

static struct reply answer;

static void wakes_only_watchers(void **state) {
    struct fixture *f = *state;
    int fd = ask_row(f, 1, 0, 20000), other = ask_row(f, 2, 0, 20000);
    await_waiting(f, 2);
    assert_int_equal(atomic_load(&f->runs), 2);
    row_set(f, 3, 1);
    row_set(f, 1, 7);
    assert_true(client_read(fd, false, &answer));
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "7");
    assert_int_equal(atomic_load(&f->runs), 3);
    assert_int_equal(waiting(f), 1);
    /* The connection serves on. */
    client_print(fd, "GET /rows/1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_true(client_read(fd, false, &answer));
    assert_string_equal(answer.body, "7");
    row_set(f, 2, 1);
    assert_true(client_read(other, false, &answer));
    close(fd), close(other);
}

static void a_wake_that_changes_nothing_sleeps_again(void **state) {
    struct fixture *f = *state;
    int fd = ask_row(f, 1, 5, 20000);
    for (int i = 1; i <= 6; i++) {
        await_waiting(f, 1);
        row_set(f, 1, i);
    }
    assert_true(client_read(fd, false, &answer));
    assert_string_equal(answer.body, "6");
    close(fd);
}

static void deadlines(void **state) {
    struct fixture *f = *state;
    int64_t begin_us = clock_mono_us();
    int late = ask_row(f, 1, 0, 60), soon = ask_row(f, 1, 0, 20), at_once = ask_row(f, 1, 0, 0);
    assert_true(client_read(at_once, false, &answer));
    assert_int_equal(answer.status, 504);
    assert_true(client_read(soon, false, &answer));
    assert_int_equal(answer.status, 504);
    assert_non_null(strstr(answer.body, "after 2 runs"));
    assert_in_range(clock_mono_us() - begin_us, 20000, 2000000);
    assert_true(client_read(late, false, &answer));
    assert_int_equal(answer.status, 504);
    assert_in_range(clock_mono_us() - begin_us, 60000, 2000000);
    close(late), close(soon), close(at_once);
    struct reply *r = ask_get(f->server, "/never");
    assert_int_equal(r->status, 504);
}

static void thousands_wait(struct fixture *f, int rows) {
    enum { CLIENTS = WAITING_MAX };
    static int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = ask_row(f, i % rows, 0, 20000);
    await_waiting(f, CLIENTS);
    for (int i = 0; i < rows; i++)
        row_set(f, i, 1);
    for (int i = 0; i < CLIENTS; i++) {
        assert_true(client_read(clients[i], false, &answer));
        assert_int_equal(answer.status, 200);
        close(clients[i]);
    }
    assert_int_equal(atomic_load(&f->answered), CLIENTS);
}

static void thousands_wait_on_one_key(void **state) {
    thousands_wait(*state, 1);
}

static void thousands_wait_on_many_keys(void **state) {
    thousands_wait(*state, 64);
}

/* Its handler does not run again, not at its deadline either. */
static void the_one_who_leaves_is_forgotten(void **state) {
    struct fixture *f = *state;
    int fd = ask_row(f, 1, 0, 20000), stays = ask_row(f, 1, 0, 20000), half = ask_row(f, 1, 0, 20000);
    await_waiting(f, 3);
    close(fd);
    shutdown(half, SHUT_WR);
    await_waiting(f, 1);
    assert_int_equal(atomic_load(&f->runs), 3);
    assert_true(client_closed(half));
    row_set(f, 1, 1);
    assert_true(client_read(stays, false, &answer));
    assert_string_equal(answer.body, "1");
    close(stays), close(half);
}

static void more_than_the_limit_do_not_wait(void **state) {
    struct fixture *f = *state;
    static int clients[WAITING_MAX];
    for (int i = 0; i < WAITING_MAX; i++)
        clients[i] = ask_row(f, 1, 0, 60000);
    await_waiting(f, WAITING_MAX);
    struct reply *r = ask_get(f->server, "/rows/1?timeout=60000");
    assert_int_equal(r->status, 503);
    assert_non_null(strstr(r->head, "Retry-After: 1\r\n"));
    r = ask_get(f->server, "/rows/1?above=-1");
    assert_int_equal(r->status, 200); /* who need not wait is answered */
    for (int i = 0; i < WAITING_MAX; i++)
        close(clients[i]);
    await_waiting(f, 0);
    assert_int_equal(ask_get(f->server, "/rows/1?timeout=0")->status, 504);
}

/* More than there can be connections. */
static void aborted_requests_keep_nobody_waiting(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 4500; i++) {
        int fd = ask_row(f, 1, 0, 60000);
        close(fd);
    }
    assert_int_equal(ask_get(f->server, "/rows/1?above=-1")->status, 200);
}

/* All of them have sent their request when the server looks. */
static void busy_connections_are_answered(struct fixture *f, int count) {
    static int clients[1000];
    int holder = client_connect(f->server);
    for (int i = 0; i < count; i++) {
        clients[i] = client_connect(f->server);
        client_print(clients[i], "GET /rows/1?above=-1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_true(client_read(clients[i], false, &answer));
    }
    for (int round = 0; round < 3; round++) {
        client_print(holder, "GET /hold HTTP/1.1\r\nHost: localhost\r\n\r\n");
        while (!atomic_load(&f->held))
            usleep(100);
        for (int i = 0; i < count; i++)
            client_print(clients[i], "GET /rows/1?above=-1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
        atomic_store(&f->held, false);
        assert_true(client_read(holder, false, &answer));
        for (int i = 0; i < count; i++) {
            assert_true(client_read(clients[i], false, &answer));
            assert_int_equal(answer.status, 200);
        }
    }
    for (int i = 0; i < count; i++)
        close(clients[i]);
    close(holder);
}

static void all_of_256_busy_connections_are_answered(void **state) {
    busy_connections_are_answered(*state, 256);
}

static void all_of_1000_busy_connections_are_answered(void **state) {
    busy_connections_are_answered(*state, 1000);
}

static void what_was_waited_elsewhere_counts(void **state) {
    struct fixture *f = *state;
    int64_t begin_us = clock_mono_us();
    struct reply *r = ask(f->server, "GET /passed HTTP/1.1\r\nHost: localhost\r\nWaited: 30000\r\n\r\n");
    assert_int_equal(r->status, 504);
    r = ask(f->server, "GET /passed HTTP/1.1\r\nHost: localhost\r\nWaited: 19900\r\n\r\n");
    assert_int_equal(r->status, 504);
    assert_in_range(clock_mono_us() - begin_us, 100000, 10000000);
}

static void stop_answers_those_who_wait(void **state) {
    struct fixture *f = *state;
    enum { CLIENTS = 100 };
    int clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = ask_row(f, i % 64, 0, 20000);
    int half = client_connect(f->server);
    client_print(half, "GET /rows/1 HT");
    await_waiting(f, CLIENTS);
    int64_t begin_us = clock_mono_us();
    http_server_stop(f->server);
    assert_true(clock_mono_us() - begin_us < 1500000);
    for (int i = 0; i < CLIENTS; i++) {
        assert_true(client_read(clients[i], false, &answer));
        assert_int_equal(answer.status, 503);
        assert_non_null(strstr(answer.head, "Retry-After: 1\r\n"));
        assert_true(client_closed(clients[i]));
        close(clients[i]);
    }
    assert_true(client_closed(half));
    close(half);
    row_set(f, 1, 1); /* nobody there any more */
    http_server_stop(f->server);
}

/* Each step of a row is awaited over HTTP while others change the rows: a wake lost between a handler's look
 * and its sleep would leave a request to its deadline, and so to a 504. */
enum { STEPS = 300, CHASERS = 4 };

struct chaser {
    struct fixture *f;
    int row;
    bool ok;
};

static void *chase(void *context) {
    struct chaser *c = context;
    static _Thread_local struct reply r;
    int fd = client_connect(c->f->server);
    c->ok = true;
    for (int seen = 0; seen < STEPS && c->ok;) {
        client_print(fd, "GET /rows/%d?above=%d HTTP/1.1\r\nHost: localhost\r\n\r\n", c->row, seen);
        c->ok = client_read(fd, false, &r) && r.status == 200;
        seen = atoi(r.body);
    }
    close(fd);
    return NULL;
}

static void *step(void *context) {
    struct chaser *c = context;
    for (int i = 1; i <= STEPS; i++) {
        row_set(c->f, c->row, i);
        for (int noise = 0; noise < 20; noise++)
            http_wake(c->f->server, noise % 2 ? SLICE("row/0") : SLICE("nobody"));
        if (i % 4 == 0)
            sched_yield();
    }
    return NULL;
}

static void no_wake_is_lost(void **state) {
    pthread_t chasers[CHASERS], steppers[CHASERS];
    struct chaser all[CHASERS];
    for (int i = 0; i < CHASERS; i++) {
        all[i] = (struct chaser){.f = *state, .row = i};
        pthread_create(&chasers[i], NULL, chase, &all[i]);
        pthread_create(&steppers[i], NULL, step, &all[i]);
    }
    for (int i = 0; i < CHASERS; i++) {
        pthread_join(steppers[i], NULL);
        pthread_join(chasers[i], NULL);
        assert_true(all[i].ok);
    }
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SERVER(wakes_only_watchers),
        WITH_SERVER(a_wake_that_changes_nothing_sleeps_again),
        WITH_SERVER(deadlines),
        WITH_SERVER(thousands_wait_on_one_key),
        WITH_SERVER(thousands_wait_on_many_keys),
        WITH_SERVER(all_of_256_busy_connections_are_answered),
        WITH_SERVER(all_of_1000_busy_connections_are_answered),
        WITH_SERVER(the_one_who_leaves_is_forgotten),
        WITH_SERVER(more_than_the_limit_do_not_wait),
        WITH_SERVER(aborted_requests_keep_nobody_waiting),
        WITH_SERVER(what_was_waited_elsewhere_counts),
        WITH_SERVER(stop_answers_those_who_wait),
        WITH_SERVER(no_wake_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
