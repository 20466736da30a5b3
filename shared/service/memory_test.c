/* What happens without memory. The policy is in buf.h: the process ends, in order (abort), at once. So in a
 * process of its own each time, the first allocation fails, then the second, and so on, of ours and of the
 * libraries': the work is done as if nothing had been, or refused, or the process has ended by abort();
 * nothing crashes, hangs, or comes to another result.
 */
#include "events/schemas.h"
#include "http/body.h"
#include "http/server.h"

#include "http/test_client.h"
#include "schemas/schemas.gen.h"

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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- an allocator that fails once ---- */

void *__libc_malloc(size_t size);               /* NOLINT(bugprone-reserved-identifier): glibc's */
void *__libc_calloc(size_t count, size_t size); /* NOLINT(bugprone-reserved-identifier) */
void *__libc_realloc(void *old, size_t size);   /* NOLINT(bugprone-reserved-identifier) */

static atomic_long until_failure; /* 1: the next one; 0 and below: none */

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
        alarm(60);
        atomic_store(&until_failure, n);
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
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
        return REFUSED;
    if (!WIFEXITED(status))
        fail_msg("without allocation %ld: signal %d", n, WTERMSIG(status));
    return WEXITSTATUS(status);
}

static void without_each(int (*work)(void)) {
    bool failed = true;
    long n = 0;
    int refused = 0;
    while (failed && ++n < ALLOCATIONS_MAX) {
        int result = outcome(work, n, &failed);
        if (result != RIGHT && result != REFUSED)
            fail_msg("without allocation %ld: result %d", n, result);
        refused += result == REFUSED;
    }
    print_message("%ld allocations, %d times refused\n", n - 1, refused);
    assert_false(failed);
    assert_true(refused > 0);
    assert_int_equal(outcome(work, ALLOCATIONS_MAX, &failed), RIGHT);
}

static void a_record_is_read_or_not(void **state) {
    (void)state;
    without_each(read_a_record);
}

static void a_request_is_answered_or_not(void **state) {
    (void)state;
    without_each(answer_a_request);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_read_or_not),
        cmocka_unit_test(a_request_is_answered_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
