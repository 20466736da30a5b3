/* A store whose process is killed between any two of the calls with which it changes its files, RocksDB's own
 * included: what these functions are called by is in the same process, so they stand before the C library's.
 */
#include "base/cleanup.h"
#include "store/store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static atomic_int calls_left; /* 0: the process is not cut off */

static void count_call(void) {
    if (atomic_load(&calls_left) > 0 && atomic_fetch_sub(&calls_left, 1) == 1)
        kill(getpid(), SIGKILL);
}

int link(const char *from, const char *to) {
    count_call();
    return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path) {
    count_call();
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int rename(const char *from, const char *to) {
    count_call();
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int rmdir(const char *path) {
    count_call();
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

ssize_t write(int fd, const void *data, size_t size) {
    count_call();
    return syscall(SYS_write, fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    count_call();
    return syscall(SYS_pwrite64, fd, data, size, at);
}

int ftruncate(int fd, off_t size) {
    count_call();
    return (int)syscall(SYS_ftruncate, fd, size);
}

int fdatasync(int fd) {
    count_call();
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd) {
    count_call();
    return (int)syscall(SYS_fsync, fd);
}

/* Some of them make a file, or empty it. */
int open(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    if ((flags & (O_CREAT | O_TRUNC)) != 0)
        count_call();
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* ---- in processes of their own, which end without a word where all is well ---- */

enum { ROUNDS = 3, GOES = 3 }; /* batches; the one before which the second part is deleted */

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, err.text);                    \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

static void nothing_is_damaged(void *context, const char *what) {
    (void)context;
    fprintf(stderr, "%s\n", what);
    _exit(1);
}

static struct store *open_store(const char *path) {
    const struct store_options options = {
        .knows_keys = true, .passing = SLICE("open/"), .mended = nothing_is_damaged};
    struct store *store;
    struct err err = {0};
    CHECK(store_open_parts(path, &options, &options, &store, &err));
    return store;
}

/* The keys of the rest, or of one of two parts. */
static struct slice key_in(struct arena *a, int where, const char *kind, uint32_t i) {
    struct buf b = {0};
    if (where > 0)
        store_part(&b, "part", (uint16_t)where);
    if (i == 0)
        buf_printf(&b, "%s", kind);
    else
        buf_printf(&b, "%s/%08" PRIu32, kind, i);
    struct slice key = arena_copy(a, buf_slice(&b));
    buf_free(&b);
    return key;
}

static void write_round(struct store *store, uint32_t i, int parts) {
    struct arena a = {0};
    struct err err = {0};
    struct store_change changes[12];
    size_t n = 0;
    struct slice number = {(const char *)&i, sizeof i};
    for (int where = 0; where <= parts; where++) {
        changes[n++] = (struct store_change){key_in(&a, where, "row", i), number};
        changes[n++] = (struct store_change){key_in(&a, where, "open", i), number};
        changes[n++] = (struct store_change){key_in(&a, where, "last", 0), number};
        if (i > 1)
            changes[n++] = (struct store_change){key_in(&a, where, "open", i - 1), SLICE_NONE};
    }
    CHECK(store_apply(store, changes, n, &err) && store_flush(store, &err));
    arena_free(&a);
}

/* Says in `said` how far it is: rounds, and deletions. */
static void write_all_rounds(const char *path, uint32_t *said) {
    struct arena a = {0};
    struct err err = {0};
    struct store *store = open_store(path);
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        if (i == GOES) {
            CHECK(store_delete_prefix(store, key_in(&a, 2, "", 0), &err));
            said[1] = 1;
        }
        write_round(store, i, i < GOES ? 2 : 1);
        said[0] = i;
    }
    store_close(store);
}

struct seen {
    uint32_t rows, open, last;
};

static bool see(void *context, struct slice key, struct slice value) {
    struct seen *s = context;
    const char *slash = memrchr(key.data, '/', key.size);
    bool is_last = key.size >= 4 && memcmp(key.data + key.size - 4, "last", 4) == 0;
    if (is_last)
        memcpy(&s->last, value.data, sizeof s->last);
    else if (slash != NULL && slash[-1] == 'w')
        s->rows++;
    else
        s->open++;
    return true;
}

/* All of some rounds, and nothing of others; returns how many. */
static uint32_t check_whole(struct store *store, int where) {
    struct arena a = {0};
    struct err err = {0};
    struct seen s = {0};
    CHECK(store_scan(store, key_in(&a, where, "", 0), SLICE_NONE, false, see, &s, &err));
    CHECK(s.rows == s.last && s.open == (s.last > 0));
    for (uint32_t i = 1; i <= s.last; i++) {
        struct slice row, open;
        CHECK(store_get(store, key_in(&a, where, "row", i), &a, &row, &err));
        CHECK(store_get(store, key_in(&a, where, "open", i), &a, &open, &err));
        CHECK(row.size == sizeof i && memcmp(row.data, &i, sizeof i) == 0);
        CHECK((open.data != NULL) == (i == s.last));
    }
    arena_free(&a);
    return s.last;
}

/* What was flushed is there; and it is a store that can be written to as before. */
static void check_and_go_on(const char *path, const uint32_t *said) {
    struct err err = {0};
    struct store *store = open_store(path);
    uint32_t done = ROUNDS + 1;
    for (int where = 0; where <= 1; where++) {
        uint32_t last = check_whole(store, where);
        CHECK(last >= said[0] && last <= said[0] + 1);
        done = last < done ? last : done;
    }
    uint32_t other = check_whole(store, 2);
    CHECK(said[1] == 0 || other == 0);
    CHECK(said[1] == 1 || other >= said[0] || (said[0] == GOES - 1 && other == 0));
    for (int round = 0; round < 2; round++)
        write_round(store, ++done, 1);
    CHECK(check_whole(store, 0) == done && check_whole(store, 1) == done);
    store_close(store);
    store = open_store(path);
    CHECK(check_whole(store, 0) == done && check_whole(store, 1) == done);
    store_close(store);
}

/* ---- the test ---- */

static int wait_for(pid_t pid) {
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void remove_all(const char *dir) {
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

/* False: it came to its end before. */
static bool cut_off_at(const char *dir, int call) {
    static uint32_t *said; /* by the process that is cut off */
    char path[80];
    if (said == NULL)
        said = mmap(NULL, sizeof *said * 2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(said, MAP_FAILED);
    said[0] = said[1] = 0;
    snprintf(path, sizeof path, "%s/%d", dir, call);
    pid_t pid = fork();
    if (pid == 0) {
        atomic_store(&calls_left, call);
        write_all_rounds(path, said);
        _exit(0);
    }
    int status = wait_for(pid);
    assert_true(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    pid = fork();
    if (pid == 0) {
        check_and_go_on(path, said);
        _exit(0);
    }
    if (wait_for(pid) != 0)
        fail_msg("cut off at call %d, after round %" PRIu32, call, said[0]);
    remove_all(path);
    return status != 0;
}

static void what_is_cut_off_anywhere_is_a_whole_store(void **state) {
    char dir[64];
    int call = 1;
    (void)state;
    snprintf(dir, sizeof dir, "%s/store_crash_test.XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(dir));
    while (cut_off_at(dir, call) && call < 2000)
        call++;
    print_message("%d calls\n", call);
    assert_in_range(call, 200, 1999); /* none of them is missed by these functions */
    remove_all(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_cut_off_anywhere_is_a_whole_store)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
