/* What happens without memory. The policy is in buf.h: the process ends, in order (abort), at once. So in a
 * process of its own each time, the first allocation fails, then the second, and so on, of ours and of the
 * libraries': the work is done as if nothing had been, or refused, or the process has ended by abort();
 * nothing crashes, hangs, or comes to another result, nor leaves one behind.
 */
#include "events/schemas.h"
#include "feeds/feed.h"
#include "feeds/feeds.h"
#include "http/body.h"
#include "http/server.h"
#include "service/service.h"
#include "service/worker.h"
#include "store/directory.h"
#include "store/store.h"

#include "http/test_client.h"
#include "testing/bank.h"
#include "testing/memory_log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- an allocator that fails once ---- */

void *__libc_malloc(size_t size);               /* NOLINT(bugprone-reserved-identifier): glibc's */
void *__libc_calloc(size_t count, size_t size); /* NOLINT(bugprone-reserved-identifier) */
void *__libc_realloc(void *old, size_t size);   /* NOLINT(bugprone-reserved-identifier) */

static atomic_long until_failure; /* 1: the next one; 0 and below: none */
static long failing;              /* the one that fails, counted from when the work begins */

static void begin(void) {
    atomic_store(&until_failure, failing);
}

static bool fails(void) {
    if (atomic_load(&until_failure) <= 0 || atomic_fetch_sub(&until_failure, 1) != 1)
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size) {
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
    return fails() ? NULL : __libc_realloc(old, size);
}

/* ---- work ---- */

enum { RIGHT = 100, REFUSED, WRONG, ALLOCATIONS_MAX = 20000 };

/* A record by a schema of another version, from the registry into a struct and into JSON. */
static int read_a_record(void) {
    begin();
    static const char schema[] =
        "{\"type\":\"record\",\"name\":\"T\",\"fields\":[{\"name\":\"note\",\"type\":[\"null\",\"string\"]},"
        "{\"name\":\"to\",\"type\":{\"type\":\"record\",\"name\":\"U\",\"fields\":[{\"name\":\"a\",\"type\":"
        "\"int\"}]}},"
        "{\"name\":\"amount\",\"type\":\"int\"},{\"name\":\"more\",\"type\":{\"type\":\"array\",\"items\":"
        "\"U\"}}]}";
    static const char body[] = "\0\0\0\0\1\2\4no\6\x54\2\x02\0";
    struct registry *registry = registry_memory_create();
    struct schemas *schemas = schemas_create(registry);
    struct arena arena = {0};
    struct buf json = {0};
    struct slice payload = {body, sizeof body - 1};
    struct deposit d;
    struct err e;
    int32_t id;
    int result = REFUSED;
    if (registry->add(registry, "t", schema, &id, &e) &&
        schemas_decode(schemas, &deposit_type, payload, &arena, &d, &e) &&
        schemas_json(schemas, payload, &json, &e)) {
        struct slice expected =
            SLICE("{\"note\":\"no\",\"to\":{\"a\":3},\"amount\":42,\"more\":[{\"a\":1}]}");
        result = d.amount == 42 && slice_equal(d.note, SLICE("no")) && slice_equal(buf_slice(&json), expected)
                     ? RIGHT
                     : WRONG;
    }
    buf_free(&json);
    arena_free(&arena);
    schemas_destroy(schemas);
    registry_destroy(registry);
    return result;
}

static enum http_result handle(struct http_exchange *x, void *context) {
    struct slice id, text;
    int64_t n;
    (void)context;
    if (!http_path_id(x, "id", &id) || !http_body_string(x, "a.b", 10, &text) || !http_body_int64(x, "n", &n))
        return HTTP_DONE;
    http_reply_header(x, "Location", "/things/" SLICE_FMT, SLICE_ARG(id));
    return http_reply_json(
        x, 201,
        arena_printf(http_arena(x), "{\"n\":%lld,\"b\":\"" SLICE_FMT "\"}", (long long)n, SLICE_ARG(text)));
}

/* A request to a server of this process. */
static int answer_a_request(void) {
    begin();
    static const struct http_route routes[] = {{"POST", "/things/{id}", handle}, {0}};
    static struct reply r;
    struct err e;
    int result = REFUSED;
    struct http_server *s = http_server_create(&(struct http_config){0});
    http_server_mount(s, routes, NULL);
    if (http_server_start(s, &e)) {
        static const char request[] =
            "POST /things/t-1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            "Content-Length: 27\r\nConnection: close\r\n\r\n{\"n\":7,\"a\":{\"b\":\"x\\u00fc\"}}";
        int fd = client_connect(s);
        client_send(fd, request, sizeof request - 1);
        if (client_read(fd, false, &r))
            result = r.status == 201 ? strcmp(r.body, "{\"n\":7,\"b\":\"x\xc3\xbc\"}") == 0 ? RIGHT : WRONG
                     : r.status == 500 || r.status == 503 ? REFUSED
                                                          : WRONG;
        close(fd);
    }
    http_server_destroy(s);
    return result;
}

/* A batch into the store that services have; and whether it is there as a whole, or not at all. */
static char store_path[] = "/tmp/memory_test.XXXXXX";

static bool has(struct store *s, const char *key, bool *there) {
    struct arena arena = {0};
    struct slice value;
    struct err e;
    bool ok = store_get(s, slice_of(key), &arena, &value, &e);
    *there = ok && value.data != NULL;
    arena_free(&arena);
    return ok;
}

static int read_a_store(void) {
    struct store *s;
    struct err e;
    bool first = false, second = false;
    if (!store_open_rocksdb(store_path, NULL, &s, &e))
        return WRONG;
    bool ok = has(s, "a", &first) && has(s, "b", &second);
    store_close(s);
    return !ok || first != second ? WRONG : first ? RIGHT : REFUSED;
}

static int write_a_store(void) {
    static const struct store_options options = {.knows_keys = true};
    const struct store_change changes[] = {{SLICE("a"), SLICE("1")}, {SLICE("b"), SLICE("2")}};
    struct store *s;
    struct err e;
    if (!directory_delete(store_path, &e))
        return WRONG;
    begin();
    if (!store_open_rocksdb(store_path, &options, &s, &e))
        return REFUSED;
    s = store_create_buffered(s, 1 << 20);
    bool ok = store_apply(s, changes, 2, &e) && store_flush(s, &e);
    store_close(s);
    return ok ? read_a_store() : REFUSED;
}

/* Deposits in the log, and what follows from them; by another stream, too, where one gave up. */
static bool run_stream(struct bank *b, struct memory_log *l) {
    struct err e;
    bool ok = true;
    struct stream *s = stream_create(&(struct stream_options){
        .topology = &bank_topology, .schemas = b->schemas, .store = b->store, .log = &l->log});
    memory_log_assign(l, 1);
    for (int i = 0; i < 12 && ok; i++)
        ok = stream_step(s, 10, &e);
    stream_destroy(s);
    return ok;
}

static int handle_deposits(void) {
    struct bank *b = bank_create();
    struct memory_log *l = memory_log_create(1);
    memory_log_append(l, &topic_owners, -1, SLICE("a"), bank_owner(b, "Ann", "Rome"));
    memory_log_append(l, &topic_deposits, -1, SLICE("a"), bank_deposit(b, 5, ""));
    memory_log_append(l, &topic_deposits, -1, SLICE("a"), bank_deposit(b, 6, ""));
    begin();
    bool done = run_stream(b, l);
    const struct memory_partition *p = &l->parts[topic_receipts.number][0];
    for (int again = 0; !done && again < 3; again++) {
        memory_log_revoke(l, 0, true);
        done = run_stream(b, l);
    }
    int receipts = 0;
    int64_t last = 0;
    for (size_t k = 0; k < p->count; k++) {
        if (p->entries[k].state != ENTRY_COMMITTED)
            continue;
        receipts++;
        last = ((const struct receipt *)bank_value(b, &topic_receipts, p->entries[k].value))->amount;
    }
    memory_log_destroy(l);
    bank_destroy(b);
    return done && receipts == 2 && last == 11 ? RIGHT : WRONG;
}

/* A row to who follows a table. */
static enum http_result get_owners(struct http_exchange *x, void *context) {
    return instance_feed(context, x, (const struct feed[]){{.table = &bank_owners, .event = "owner"}, {0}});
}

static const struct service service = {.name = "bank",
                                       .topologies = (const struct topology *const[]){&bank_topology, NULL}};

static int follow_a_table(void) {
    static const struct http_route routes[] = {{"GET", "/owners", get_owners}, {0}};
    static const char request[] = "GET /owners HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct bank *b = bank_create();
    struct memory_log *l = memory_log_create(1);
    struct worker worker = {.topology = &bank_topology, .name = "bank", .store = b->store, .log = &l->log};
    struct instance i = {.name = "bank",
                         .service = &service,
                         .settings = {.partitions = 1},
                         .schemas = b->schemas,
                         .workers = &worker,
                         .worker_count = 1};
    char text[8192];
    size_t size = 0;
    bool ok;
    struct err e;
    memory_log_append(l, &topic_owners, -1, SLICE("a"), bank_owner(b, "Ann", "Rome"));
    begin();
    worker.instance = &i;
    status_init(&worker.status, "starting");
    i.feeds = feeds_create(&i);
    i.http = http_server_create(&(struct http_config){0});
    http_server_mount(i.http, routes, &i);
    struct stream_options options = worker_stream_options(&worker);
    atomic_store(&worker.stream, stream_create(&options));
    ok = http_server_start(i.http, &e);
    int fd = ok ? client_connect(i.http) : -1;
    if (ok)
        client_send(fd, request, sizeof request - 1);
    for (int n = 0; ok && n < 5000 && (size == 0 || strstr(text, "owner\ndata: {\"name\":\"Ann\"") == NULL);
         n++) {
        ok = stream_step(atomic_load(&worker.stream), 1, &e);
        ssize_t got = recv(fd, text + size, sizeof text - 1 - size, MSG_DONTWAIT);
        ok = ok && got != 0; /* let go of */
        size += got > 0 ? (size_t)got : 0;
        text[size] = 0;
        if (got < 0)
            usleep(1000);
    }
    return !ok                                   ? REFUSED
           : strstr(text, "\"Ann\"") != NULL     ? RIGHT
           : strstr(text, "HTTP/1.1 50") == text ? REFUSED
                                                 : WRONG;
}

/* ---- each allocation ---- */

/* In a child: the n-th fails, unless there are fewer; *failed whether it did. */
static int outcome(int (*work)(void), long n, bool *failed) {
    int pipe_fds[2], status;
    char did = 0;
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL);
        signal(SIGSEGV, SIG_DFL);
        alarm(60);
        failing = n;
        int result = work();
        did = atomic_load(&until_failure) <= 0;
        atomic_store(&until_failure, 0);
        _exit(write(pipe_fds[1], &did, 1) == 1 ? result : 99);
    }
    close(pipe_fds[1]);
    bool told = read(pipe_fds[0], &did, 1) == 1;
    close(pipe_fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *failed = !told || did;
    /* RocksDB's cache does not look at what malloc() gave it: that is an end, too. */
    if (WIFSIGNALED(status) &&
        (WTERMSIG(status) == SIGABRT || (work == write_a_store && WTERMSIG(status) == SIGSEGV)))
        return REFUSED;
    if (!WIFEXITED(status))
        fail_msg("without allocation %ld: signal %d", n, WTERMSIG(status));
    return WEXITSTATUS(status);
}

/* Or each `step`th, where there are many; then `after` is asked what is left. */
static void without_each(int (*work)(void), long step, int (*after)(void)) {
    bool failed = true, none;
    long n = 1 - step;
    int refused = 0;
    while (failed && (n += step) < ALLOCATIONS_MAX) {
        int result = outcome(work, n, &failed);
        if (result != RIGHT && result != REFUSED)
            fail_msg("without allocation %ld: result %d", n, result);
        refused += result == REFUSED;
        if (after != NULL && (result = outcome(after, 0, &none)) != RIGHT && result != REFUSED)
            fail_msg("after there was no allocation %ld: result %d", n, result);
    }
    print_message("%ld allocations, %d times refused\n", n - 1, refused);
    assert_false(failed);
    assert_true(refused > 0);
    assert_int_equal(outcome(work, ALLOCATIONS_MAX, &failed), RIGHT);
}

static void a_record_is_read_or_not(void **state) {
    (void)state;
    without_each(read_a_record, 1, NULL);
}

static void a_request_is_answered_or_not(void **state) {
    (void)state;
    without_each(answer_a_request, 1, NULL);
}

static void a_store_is_written_or_not(void **state) {
    (void)state;
    assert_non_null(mkdtemp(store_path));
    without_each(write_a_store, 211, read_a_store);
    assert_true(directory_delete(store_path, NULL));
}

static void deposits_count_once_or_not(void **state) {
    (void)state;
    without_each(handle_deposits, 1, NULL);
}

static void a_row_is_told_or_not(void **state) {
    (void)state;
    without_each(follow_a_table, 1, NULL);
}

int main(void) {

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_read_or_not),   cmocka_unit_test(a_request_is_answered_or_not),
        cmocka_unit_test(a_store_is_written_or_not), cmocka_unit_test(deposits_count_once_or_not),
        cmocka_unit_test(a_row_is_told_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
