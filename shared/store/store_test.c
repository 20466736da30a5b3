/* One conformance suite over all stores, and what only RocksDB has: reopening, crashes, the lock. */
#include "base/cleanup.h"
#include "store/store.h"

#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    bool rocksdb;
    char dir[64], path[80];
    struct store *store;
    struct arena arena;
};

static void reopen(struct fixture *f, const struct store_options *options) {
    struct err err = {0};
    struct store *store;
    store_close(f->store);
    if (!store_open_rocksdb(f->path, options, &store, &err))
        fail_msg("%s", err.text);
    f->store = store;
}

static int setup(void **state, bool rocksdb) {
    struct fixture *f = xcalloc(1, sizeof *f);
    f->rocksdb = rocksdb;
    if (rocksdb) {
        strcpy(f->dir, "/tmp/store_test.XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        snprintf(f->path, sizeof f->path, "%s/some/where", f->dir);
        reopen(f, NULL);
    } else {
        f->store = store_create_memory();
    }
    *state = f;
    return 0;
}

static int setup_memory(void **state) {
    return setup(state, false);
}

static int setup_buffered(void **state) {
    setup(state, false);
    struct fixture *f = *state;
    f->store = store_create_buffered(f->store, 200);
    return 0;
}

static int setup_filtered(void **state) {
    setup(state, false);
    struct fixture *f = *state;
    assert_true(store_create_filtered(f->store, NULL, &f->store, NULL));
    return 0;
}

static int setup_rocksdb(void **state) {
    return setup(state, true);
}

static int teardown(void **state) {
    struct fixture *f = *state;
    store_close(f->store);
    arena_free(&f->arena);
    if (f->rocksdb) {
        char command[100];
        snprintf(command, sizeof command, "rm -rf %s", f->dir);
        assert_int_equal(system(command), 0);
    }
    free(f);
    return 0;
}

#define CHANGE(k, v) ((struct store_change){SLICE(k), SLICE(v)})
#define DELETE(k) ((struct store_change){SLICE(k), SLICE_NONE})
#define APPLY(f, ...)                                                                                        \
    do {                                                                                                     \
        const struct store_change changes_[] = {__VA_ARGS__};                                                \
        struct err err_ = {0};                                                                               \
        if (!store_apply((f)->store, changes_, sizeof changes_ / sizeof *changes_, &err_))                   \
            fail_msg("%s", err_.text);                                                                       \
    } while (0)

static struct slice get(struct fixture *f, struct slice key) {
    struct slice value = SLICE("untouched");
    struct err err = {0};
    if (!store_get(f->store, key, &f->arena, &value, &err))
        fail_msg("%s", err.text);
    return value;
}

static void assert_value(struct fixture *f, struct slice key, struct slice wanted) {
    struct slice value = get(f, key);
    assert_non_null(value.data);
    assert_int_equal(value.size, wanted.size);
    assert_memory_equal(value.data, wanted.data, wanted.size);
}

struct listing {
    struct buf text; /* key=value, … */
    int left;
};

static bool list_one(void *ctx, struct slice key, struct slice value) {
    struct listing *l = ctx;
    buf_append_slice(&l->text, key);
    buf_append_byte(&l->text, '=');
    buf_append_slice(&l->text, value);
    buf_append_byte(&l->text, ' ');
    return --l->left > 0;
}

/* What a scan shows; lives in the arena. */
static const char *list(struct fixture *f, struct slice prefix, struct slice from, bool reverse, int limit) {
    struct listing l = {.left = limit};
    struct err err = {0};
    if (!store_scan(f->store, prefix, from, reverse, list_one, &l, &err))
        fail_msg("%s", err.text);
    buf_append_byte(&l.text, 0);
    const char *text = arena_copy(&f->arena, buf_slice(&l.text)).data;
    buf_free(&l.text);
    return text;
}

static void gets_overwrites_deletes(void **state) {
    struct fixture *f = *state;
    assert_null(get(f, SLICE("a")).data);
    APPLY(f, CHANGE("a", "1"), CHANGE("b", ""), CHANGE("a", "2"), CHANGE("c", "3"), DELETE("c"));
    assert_value(f, SLICE("a"), SLICE("2"));
    assert_value(f, SLICE("b"), SLICE(""));
    assert_null(get(f, SLICE("c")).data);
    APPLY(f, DELETE("a"), DELETE("never was"), DELETE("b"), CHANGE("b", "again"));
    assert_null(get(f, SLICE("a")).data);
    assert_value(f, SLICE("b"), SLICE("again"));
    APPLY(f, CHANGE("a\0b", "nul"), CHANGE("a\0", "nul at the end"));
    assert_null(get(f, SLICE("a")).data);
    assert_value(f, SLICE("a\0"), SLICE("nul at the end"));
    assert_true(store_apply(f->store, NULL, 0, NULL));
}

static void values_outlive_the_next_change(void **state) {
    struct fixture *f = *state;
    APPLY(f, CHANGE("a", "before"));
    struct slice value = get(f, SLICE("a"));
    APPLY(f, DELETE("a"));
    assert_memory_equal(value.data, "before", 6);
}

static void scans_both_directions(void **state) {
    struct fixture *f = *state;
    APPLY(f, CHANGE("b1", "1"), CHANGE("b3", "3"), CHANGE("a", "0"), CHANGE("b2", "2"), CHANGE("c", "9"),
          CHANGE("b", "-"));
    struct slice none = SLICE_NONE, b = SLICE("b");
    assert_string_equal(list(f, none, none, false, 9), "a=0 b=- b1=1 b2=2 b3=3 c=9 ");
    assert_string_equal(list(f, none, none, true, 9), "c=9 b3=3 b2=2 b1=1 b=- a=0 ");
    assert_string_equal(list(f, b, none, false, 9), "b=- b1=1 b2=2 b3=3 ");
    assert_string_equal(list(f, b, none, true, 9), "b3=3 b2=2 b1=1 b=- ");
    assert_string_equal(list(f, b, none, true, 2), "b3=3 b2=2 ");
    assert_string_equal(list(f, b, SLICE("b2"), false, 9), "b2=2 b3=3 ");
    assert_string_equal(list(f, b, SLICE("b2"), true, 9), "b2=2 b1=1 b=- ");
    assert_string_equal(list(f, b, SLICE("b11"), false, 1), "b2=2 ");
    assert_string_equal(list(f, b, SLICE("b11"), true, 1), "b1=1 ");
    /* A start outside the prefix: everything, or nothing. */
    assert_string_equal(list(f, b, SLICE("a"), false, 9), "b=- b1=1 b2=2 b3=3 ");
    assert_string_equal(list(f, b, SLICE("a"), true, 9), "");
    assert_string_equal(list(f, b, SLICE("c"), false, 9), "");
    assert_string_equal(list(f, b, SLICE("c"), true, 9), "b3=3 b2=2 b1=1 b=- ");
    assert_string_equal(list(f, SLICE("bb"), none, false, 9), "");
    assert_string_equal(list(f, SLICE("bb"), none, true, 9), "");
}

static void scans_keys_of_extreme_bytes(void **state) {
    struct fixture *f = *state;
    APPLY(f, CHANGE("\xff", "a"), CHANGE("\xff\xff", "b"), CHANGE("\xff\xff\xff", "c"),
          CHANGE("\xfe\xff", "d"), CHANGE("\xfe\xff\x01", "e"), CHANGE("\0", "f"), CHANGE("\0\0", "g"),
          CHANGE("\x7f\xff", "h"), CHANGE("\x80", "i"));
    struct slice none = SLICE_NONE;
    assert_string_equal(list(f, SLICE("\xff\xff"), none, false, 9), "\xff\xff=b \xff\xff\xff=c ");
    assert_string_equal(list(f, SLICE("\xff\xff"), none, true, 9), "\xff\xff\xff=c \xff\xff=b ");
    assert_string_equal(list(f, SLICE("\xfe\xff"), none, true, 9), "\xfe\xff\x01=e \xfe\xff=d ");
    assert_string_equal(list(f, SLICE("\xfe"), none, false, 1), "\xfe\xff=d ");
    assert_string_equal(list(f, SLICE("\x7f"), none, true, 9), "\x7f\xff=h ");
    struct listing l = {.left = 9};
    assert_true(store_scan(f->store, SLICE("\0"), none, true, list_one, &l, NULL));
    assert_int_equal(l.text.size, 9);
    assert_memory_equal(l.text.data, "\0\0=g \0=f ", 9);
    buf_free(&l.text);
}

static void deletes_prefixes(void **state) {
    struct fixture *f = *state;
    APPLY(f, CHANGE("a", "1"), CHANGE("b", "2"), CHANGE("b\xff", "3"), CHANGE("c", "4"),
          CHANGE("\xff\xff", "5"));
    assert_true(store_delete_prefix(f->store, SLICE("b"), NULL));
    assert_true(store_delete_prefix(f->store, SLICE("nothing"), NULL));
    assert_string_equal(list(f, SLICE_NONE, SLICE_NONE, false, 9), "a=1 c=4 \xff\xff=5 ");
    assert_true(store_delete_prefix(f->store, SLICE("\xff"), NULL));
    assert_string_equal(list(f, SLICE_NONE, SLICE_NONE, false, 9), "a=1 c=4 ");
    APPLY(f, CHANGE("b", "again"));
    assert_value(f, SLICE("b"), SLICE("again"));
    assert_true(store_delete_prefix(f->store, SLICE_NONE, NULL));
    assert_true(store_delete_prefix(f->store, SLICE_NONE, NULL));
    assert_string_equal(list(f, SLICE_NONE, SLICE_NONE, true, 9), "");
}

static bool write_while_visiting(void *ctx, struct slice key, struct slice value) {
    struct fixture *f = ctx;
    assert_memory_equal(value.data, "old", 3);
    const struct store_change changes[] = {{key, SLICE("new")}, {SLICE("c"), SLICE("new")}, DELETE("b")};
    return store_apply(f->store, changes, 3, NULL);
}

static void scans_see_one_moment(void **state) {
    struct fixture *f = *state;
    APPLY(f, CHANGE("a", "old"), CHANGE("b", "old"));
    assert_true(store_scan(f->store, SLICE_NONE, SLICE_NONE, false, write_while_visiting, f, NULL));
    assert_string_equal(list(f, SLICE_NONE, SLICE_NONE, false, 9), "a=new c=new ");
}

struct reader {
    struct fixture *f;
    atomic_bool done;
    int seen, torn;
};

static bool sum_up(void *ctx, struct slice key, struct slice value) {
    (void)key;
    *(int *)ctx += atoi(value.data);
    return true;
}

/* Of two amounts that always come to 100. */
static void *read_sums(void *arg) {
    struct reader *r = arg;
    while (!atomic_load(&r->done)) {
        int sum = 0;
        if (!store_scan(r->f->store, SLICE("amount"), SLICE_NONE, false, sum_up, &sum, NULL))
            break;
        r->seen++;
        r->torn += sum != 100;
    }
    return NULL;
}

static void readers_see_whole_batches(void **state) {
    struct reader r = {.f = *state};
    APPLY(r.f, CHANGE("amount-1", "100"), CHANGE("amount-2", "000"));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_sums, &r), 0);
    for (int i = 0; i < 2000; i++) {
        char one[8], two[8];
        snprintf(one, sizeof one, "%03d", i % 101);
        snprintf(two, sizeof two, "%03d", 100 - i % 101);
        APPLY(r.f, {SLICE("amount-1"), {one, 4}}, {SLICE("amount-2"), {two, 4}});
    }
    atomic_store(&r.done, true);
    pthread_join(thread, NULL);
    assert_int_equal(r.torn, 0);
}

static void metrics_count(void **state) {
    struct fixture *f = *state;
    struct store_metrics m;
    APPLY(f, CHANGE("a", "1"), CHANGE("b", "2"), CHANGE("c", "3"));
    store_metrics(f->store, &m);
    assert_int_equal(m.keys, 3);
    assert_true(m.memory_bytes > 0);
}

static uint32_t draw(uint32_t *seed, uint32_t n) {
    *seed = *seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)*seed * n >> 32);
}

static const char *random_text(struct arena *a, uint32_t *seed) {
    return arena_printf(a, "%.*u", (int)draw(seed, 4), draw(seed, 1000)).data;
}

static struct slice random_key(struct arena *a, uint32_t *seed) {
    return slice_of(arena_printf(a, draw(seed, 2) ? "k/%s" : "k%s", random_text(a, seed)).data);
}

static void one_random_change(struct fixture *both, uint32_t *seed) {
    struct arena *a = &both[0].arena;
    struct slice key = random_key(a, seed);
    struct slice value = slice_of(random_text(a, seed));
    uint32_t what = draw(seed, 2000);
    struct store_change change = {key, what % 4 == 0 ? SLICE_NONE : value};
    for (int i = 0; i < 2; i++) {
        assert_true(store_apply(both[i].store, &change, 1, NULL));
        if (what == 0)
            assert_true(store_delete_prefix(both[i].store, SLICE("k00"), NULL));
        if (what == 1)
            assert_true(store_flush(both[i].store, NULL));
    }
}

/* Whatever is still in memory, whatever went down already, and whatever is known not to be there: reads are
 * those of a plain store. */
static void buffered_and_filtered_is_as_without(void **state) {
    (void)state;
    uint32_t seed = 1;
    for (size_t limit = 100; limit < 1000000; limit *= 20) {
        struct store *filtered;
        assert_true(store_create_filtered(store_create_memory(), NULL, &filtered, NULL));
        struct fixture both[] = {{.store = store_create_memory()},
                                 {.store = store_create_buffered(filtered, limit)}};
        for (int i = 0; i < 20000; i++) {
            one_random_change(both, &seed);
            if (draw(&seed, 50) != 0)
                continue;
            struct arena *a = &both[0].arena;
            struct slice prefix = slice_of((const char *[]){"k", "k/", "k1", "x/", ""}[draw(&seed, 5)]);
            struct slice from = draw(&seed, 2) ? SLICE_NONE : random_key(a, &seed);
            bool reverse = draw(&seed, 2);
            int many = (int)draw(&seed, 2000) + 1;
            assert_string_equal(list(&both[0], prefix, from, reverse, many),
                                list(&both[1], prefix, from, reverse, many));
            struct slice key = random_key(a, &seed);
            struct slice one = get(&both[0], key), other = get(&both[1], key);
            assert_true(slice_equal(one, other) && (one.data == NULL) == (other.data == NULL));
        }
        for (int i = 0; i < 2; i++) {
            store_close(both[i].store);
            arena_free(&both[i].arena);
        }
    }
}

/* A store in memory that counts how often it is asked. */
struct asked {
    struct store store;
    struct store *below;
    size_t gets, scans;
};

static bool asked_get(struct store *s, struct slice key, struct arena *a, struct slice *value,
                      struct err *e) {
    struct asked *asked = (struct asked *)s;
    asked->gets++;
    return store_get(asked->below, key, a, value, e);
}

static bool asked_scan(struct store *s, struct slice prefix, struct slice from, bool reverse,
                       store_visit *visit, void *ctx, struct err *e) {
    struct asked *asked = (struct asked *)s;
    asked->scans++;
    return store_scan(asked->below, prefix, from, reverse, visit, ctx, e);
}

static bool asked_apply(struct store *s, const struct store_change *changes, size_t count, struct err *e) {
    return store_apply(((struct asked *)s)->below, changes, count, e);
}

static void asked_close(struct store *s) {
    (void)s; /* the test does */
}

static const struct store_ops asked_ops = {
    .get = asked_get, .scan = asked_scan, .apply = asked_apply, .close = asked_close};

enum { KNOWN = 20000 };

static struct slice numbered(struct arena *a, const char *what, int n) {
    arena_reset(a);
    return arena_printf(a, "%s-%d/sub", what, n);
}

/* Over a store that has the second half of what there will be. */
static void assert_absent_costs_nothing(struct asked *below, const char *path) {
    struct store *s;
    struct arena a = {0}, values = {0};
    struct slice value;
    assert_true(store_create_filtered(&below->store, path, &s, NULL));
    for (int n = 0; n < KNOWN / 2; n++) {
        struct store_change c = {numbered(&a, "there", n), SLICE("x")};
        assert_true(store_apply(s, &c, 1, NULL));
    }
    below->gets = below->scans = 0;
    for (int n = 0; n < KNOWN; n++) {
        struct slice key = numbered(&a, "absent", n), prefix = {key.data, key.size - 3};
        assert_true(store_get(s, key, &values, &value, NULL) && value.data == NULL);
        assert_true(store_scan(s, prefix, SLICE_NONE, false, NULL, NULL, NULL));
    }
    assert_in_range(below->gets, 0, KNOWN / 20);
    assert_in_range(below->scans, 0, KNOWN / 20);
    for (int n = 0; n < KNOWN; n++) {
        assert_true(store_get(s, numbered(&a, "there", n), &values, &value, NULL));
        assert_non_null(value.data);
        arena_reset(&values);
    }
    arena_free(&a);
    arena_free(&values);
    store_close(s);
}

static void what_is_absent_costs_nothing(void **state) {
    char dir[] = "/tmp/store_test.XXXXXX", path[64];
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/keys", dir);
    struct asked below = {.store.ops = &asked_ops, .below = store_create_memory()};
    struct arena a = {0};
    for (int n = KNOWN / 2; n < KNOWN; n++) {
        struct store_change c = {numbered(&a, "there", n), SLICE("x")};
        assert_true(store_apply(below.below, &c, 1, NULL));
    }
    assert_absent_costs_nothing(&below, NULL);
    assert_absent_costs_nothing(&below, path);
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(truncate(path, file.st_size - 3),
                     0); /* a crash: half a hash, of a key that is written again */
    assert_absent_costs_nothing(&below, path);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_size % 8, 0);
    arena_free(&a);
    store_close(below.below);
    unlink(path);
    rmdir(dir);
}

static void rocksdb_keeps_what_was_written(void **state) {
    struct fixture *f = *state;
    APPLY(f, CHANGE("a", "1"), CHANGE("b", ""));
    reopen(f, NULL);
    assert_value(f, SLICE("a"), SLICE("1"));
    assert_value(f, SLICE("b"), SLICE(""));
    reopen(f, &(struct store_options){.write_buffer_bytes = 64 << 10, .block_cache_bytes = 64 << 10});
    char value[1000];
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 1000; i++) { /* enough for several files */
        char key[16];
        snprintf(key, sizeof key, "key-%04d", i);
        APPLY(f, {slice_of(key), {value, sizeof value}});
    }
    assert_true(store_delete_prefix(f->store, SLICE("key-02"), NULL));
    reopen(f, NULL);
    assert_int_equal(get(f, SLICE("key-0100")).size, sizeof value);
    assert_int_equal(get(f, SLICE("key-0999")).size, sizeof value);
    assert_null(get(f, SLICE("key-0200")).data);
    struct store_metrics m;
    store_metrics(f->store, &m);
    assert_true(m.bytes > 0);
}

/* ---- in a process of its own: what the kernel and RocksDB's threads know is not shared by a fork ---- */

enum { FLUSH_EVERY = 200 };

/* Batch i puts a/i, b/i and last = i, and deletes c/i-1 as it puts c/i; then says i on standard output. Now
 * and then it flushes. */
static int write_for_ever(const char *path) {
    struct store *store;
    struct err err;
    struct arena arena = {0};
    struct slice last;
    if (!store_open_rocksdb(path, &(struct store_options){.write_buffer_bytes = 64 << 10}, &store, &err) ||
        !store_get(store, SLICE("last"), &arena, &last, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (uint32_t i = last.data != NULL ? *(const uint32_t *)last.data + 1 : 1;; i++) {
        arena_reset(&arena);
        struct slice number = {(const char *)&i, sizeof i};
        const struct store_change changes[] = {
            {arena_printf(&arena, "a/%08" PRIu32, i), number},
            {arena_printf(&arena, "c/%08" PRIu32, i - 1), SLICE_NONE},
            {arena_printf(&arena, "b/%08" PRIu32, i), number},
            {arena_printf(&arena, "c/%08" PRIu32, i), number},
            {SLICE("last"), number},
        };
        if (!store_apply(store, changes, 5, &err) || (i % FLUSH_EVERY == 0 && !store_flush(store, &err)) ||
            write(STDOUT_FILENO, &i, sizeof i) != sizeof i)
            return 1;
    }
}

static pid_t writer_start(const char *path, int *output) {
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        execl("/proc/self/exe", "store_test", "--write", path, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    *output = fds[0];
    return pid;
}

/* Reads until batch `at_least` is reported. */
static uint32_t writer_wait(int output, uint32_t at_least) {
    uint32_t i = 0;
    while (i < at_least && read(output, &i, sizeof i) == sizeof i)
        ;
    assert_true(i >= at_least);
    return i;
}

/* Kills it and reads what it had still said. */
static uint32_t writer_kill(pid_t pid, int output, uint32_t said) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    while (read(output, &said, sizeof said) == sizeof said)
        ;
    close(output);
    return said;
}

struct sequence {
    const char *prefix;
    uint32_t next;
};

static bool expect_next(void *ctx, struct slice key, struct slice value) {
    struct sequence *s = ctx;
    char wanted[16];
    snprintf(wanted, sizeof wanted, "%s%08" PRIu32, s->prefix, s->next);
    assert_true(slice_equal(key, slice_of(wanted)));
    assert_memory_equal(value.data, &s->next, sizeof s->next);
    s->next++;
    return true;
}

static void assert_sequence(struct fixture *f, const char *prefix, uint32_t first, uint32_t last) {
    struct sequence s = {prefix, first};
    assert_true(store_scan(f->store, slice_of(prefix), SLICE_NONE, false, expect_next, &s, NULL));
    assert_int_equal(s.next, last + 1);
}

static void rocksdb_survives_kill(void **state) {
    struct fixture *f = *state;
    uint32_t last = 0;
    for (int round = 0; round < 4; round++) {
        store_close(f->store);
        f->store = NULL;
        int output;
        pid_t pid = writer_start(f->path, &output);
        uint32_t said = writer_kill(pid, output, writer_wait(output, last + 300 + 1300 * (uint32_t)round));
        reopen(f, NULL);
        memcpy(&last, get(f, SLICE("last")).data, sizeof last);
        assert_in_range(last, said / FLUSH_EVERY * FLUSH_EVERY, said + 1); /* a tail may be lost */
        assert_sequence(f, "a/", 1, last);
        assert_sequence(f, "b/", 1, last);
        assert_sequence(f, "c/", last, last);
    }
}

static void rocksdb_names_who_has_it_open(void **state) {
    struct fixture *f = *state;
    struct store *second = NULL;
    struct err err = {0};
    assert_false(store_open_rocksdb(f->path, NULL, &second, &err));
    assert_int_equal(err.kind, ERR_RETRY);
    assert_non_null(strstr(err.text, "in this process"));
    assert_non_null(strstr(err.text, f->path));
    /* Asking must not have given up the lock. */
    int output;
    pid_t pid = writer_start(f->path, &output);
    int status;
    waitpid(pid, &status, 0);
    close(output);
    assert_int_equal(WEXITSTATUS(status), 1);

    store_close(f->store);
    f->store = NULL;
    pid = writer_start(f->path, &output);
    uint32_t said = writer_wait(output, 1);
    assert_false(store_open_rocksdb(f->path, NULL, &second, &err));
    writer_kill(pid, output, said);
    assert_int_equal(err.kind, ERR_RETRY);
    char wanted[32];
    snprintf(wanted, sizeof wanted, "process %d has it", (int)pid);
    assert_non_null(strstr(err.text, wanted));
    assert_null(second);
}

static void rocksdb_refuses_damage(void **state) {
    struct fixture *f = *state;
    APPLY(f, CHANGE("a", "1"));
    store_close(f->store);
    f->store = NULL;
    char current[100];
    snprintf(current, sizeof current, "%s/CURRENT", f->path);
    FILE *file = fopen(current, "w");
    assert_non_null(file);
    fputs("not a manifest", file);
    fclose(file);
    struct err err = {0};
    assert_false(store_open_rocksdb(f->path, NULL, &f->store, &err));
    assert_int_equal(err.kind, ERR_FATAL);
    assert_non_null(strstr(err.text, f->path));
    assert_null(f->store);
    assert_false(store_open_rocksdb("/proc/nowhere/store", NULL, &f->store, &err));
    assert_int_equal(err.kind, ERR_FATAL);
    assert_non_null(strstr(err.text, "/proc/nowhere"));
}

/* ---- parts ---- */

static struct slice in_part(struct fixture *f, const char *name, uint16_t number, const char *key) {
    struct buf b = {0};
    store_part(&b, name, number);
    buf_append(&b, key, strlen(key));
    struct slice copy = arena_copy(&f->arena, buf_slice(&b));
    buf_free(&b);
    return copy;
}

static void reopen_parts(struct fixture *f) {
    struct err err = {0};
    struct store *store;
    store_close(f->store);
    f->store = NULL;
    if (!store_open_parts(f->path, NULL, NULL, &store, &err))
        fail_msg("%s", err.text);
    f->store = store;
}

static bool is_there(struct fixture *f, const char *below) {
    char path[160];
    snprintf(path, sizeof path, "%s.parts/%s", f->path, below);
    return access(path, F_OK) == 0;
}

static bool count_key(void *ctx, struct slice key, struct slice value) {
    (void)key, (void)value;
    ++*(int *)ctx;
    return true;
}

static int keys_below(struct fixture *f, struct slice prefix) {
    int n = 0;
    assert_true(store_scan(f->store, prefix, SLICE_NONE, false, count_key, &n, NULL));
    return n;
}

static struct slice value_at(struct fixture *f, struct slice key) {
    struct slice value;
    assert_true(store_get(f->store, key, &f->arena, &value, NULL));
    return value;
}

static void parts_go_with_their_files(void **state) {
    struct fixture *f = *state;
    reopen_parts(f);
    struct slice one = in_part(f, "a-b", 1, "k"), two = in_part(f, "a-b", 300, "k"), rest = SLICE("k");
    assert_null(value_at(f, one).data);
    assert_false(is_there(f, "a-b-1"));
    const struct store_change changes[] = {
        {one, SLICE("1")}, {rest, SLICE("0")}, {two, SLICE("2")}, {in_part(f, "a-b", 1, "l"), SLICE("3")}};
    assert_true(store_apply(f->store, changes, 4, NULL));
    for (int round = 0; round < 2; round++) { /* and once more after opening it anew */
        assert_true(slice_equal(value_at(f, one), SLICE("1")));
        assert_true(slice_equal(value_at(f, two), SLICE("2")));
        assert_true(slice_equal(value_at(f, rest), SLICE("0")));
        assert_int_equal(keys_below(f, in_part(f, "a-b", 1, "")), 2);
        assert_int_equal(keys_below(f, in_part(f, "a-b", 300, "")), 1);
        assert_int_equal(keys_below(f, SLICE("k")), 1);
        assert_true(is_there(f, "a-b-1") && is_there(f, "a-b-300"));
        reopen_parts(f);
    }
    assert_true(store_delete_prefix(f->store, in_part(f, "a-b", 1, ""), NULL));
    assert_false(is_there(f, "a-b-1") || is_there(f, "a-b-1.gone"));
    assert_null(value_at(f, one).data);
    assert_true(slice_equal(value_at(f, two), SLICE("2")));
    assert_true(store_apply(f->store, changes, 1, NULL)); /* and again */
    assert_int_equal(keys_below(f, in_part(f, "a-b", 1, "")), 1);
    assert_true(store_delete_prefix(f->store, SLICE(""), NULL));
    assert_false(is_there(f, "a-b-1") || is_there(f, "a-b-300"));
    assert_null(value_at(f, rest).data);
}

static void a_deletion_that_a_crash_ended_is_ended(void **state) {
    struct fixture *f = *state;
    char from[160], to[170];
    reopen_parts(f);
    assert_true(store_apply(f->store, &(struct store_change){in_part(f, "t", 7, "k"), SLICE("1")}, 1, NULL));
    store_close(f->store);
    f->store = NULL;
    snprintf(from, sizeof from, "%s.parts/t-7", f->path);
    snprintf(to, sizeof to, "%s.gone", from);
    assert_int_equal(rename(from, to), 0);
    reopen_parts(f);
    assert_false(is_there(f, "t-7.gone"));
    assert_null(value_at(f, in_part(f, "t", 7, "k")).data);
}

#define ALL(test)                                                                                            \
    {"memory: " #test, test, setup_memory, teardown, NULL},                                                  \
        {"buffered: " #test, test, setup_buffered, teardown, NULL},                                          \
        {"filtered: " #test, test, setup_filtered, teardown, NULL}, {                                        \
        "rocksdb: " #test, test, setup_rocksdb, teardown, NULL                                               \
    }
#define ROCKSDB(test) cmocka_unit_test_setup_teardown(test, setup_rocksdb, teardown)

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--write") == 0)
        return write_for_ever(argv[2]);
    const struct CMUnitTest tests[] = {
        ALL(gets_overwrites_deletes),
        ALL(values_outlive_the_next_change),
        ALL(scans_both_directions),
        ALL(scans_keys_of_extreme_bytes),
        ALL(deletes_prefixes),
        ALL(scans_see_one_moment),
        ALL(readers_see_whole_batches),
        ALL(metrics_count),
        cmocka_unit_test(buffered_and_filtered_is_as_without),
        cmocka_unit_test(what_is_absent_costs_nothing),
        ROCKSDB(rocksdb_keeps_what_was_written),
        ROCKSDB(rocksdb_survives_kill),
        ROCKSDB(rocksdb_names_who_has_it_open),
        ROCKSDB(rocksdb_refuses_damage),
        ROCKSDB(parts_go_with_their_files),
        ROCKSDB(a_deletion_that_a_crash_ended_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
