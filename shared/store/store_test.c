/* One conformance suite over all stores, and what only RocksDB has: reopening, crashes, the lock. */
#include "base/cleanup.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
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

/* In memory where there is such a place: a disk that has more to do takes a minute for what is synced. */
static void make_directory(char *dir, size_t size) {
    snprintf(dir, size, "%s/store_test.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(dir));
}

static void shell(const char *fmt, ...) {
    char command[600];
    va_list args;
    va_start(args, fmt);
    assert_in_range(vsnprintf(command, sizeof command, fmt, args), 1, sizeof command - 1);
    va_end(args);
    assert_int_equal(system(command), 0);
}

static void fail_mended(void *context, const char *why) {
    (void)context;
    fail_msg("%s", why);
}

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
        make_directory(f->dir, sizeof f->dir);
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
    assert_true(store_create_filtered(f->store, NULL, &f->store, NULL, NULL));
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
        shell("rm -rf %s", f->dir);
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

/* Reads of the second store are those of the first. */
static void assert_same_reads(struct fixture *both, int changes, uint32_t *seed) {
    for (int i = 0; i < changes; i++) {
        one_random_change(both, seed);
        if (draw(seed, 50) != 0)
            continue;
        struct arena *a = &both[0].arena;
        struct slice prefix = slice_of((const char *[]){"k", "k/", "k1", "x/", ""}[draw(seed, 5)]);
        struct slice from = draw(seed, 2) ? SLICE_NONE : random_key(a, seed);
        bool reverse = draw(seed, 2);
        int many = (int)draw(seed, 2000) + 1;
        assert_string_equal(list(&both[0], prefix, from, reverse, many),
                            list(&both[1], prefix, from, reverse, many));
        struct slice key = random_key(a, seed);
        struct slice one = get(&both[0], key), other = get(&both[1], key);
        assert_true(slice_equal(one, other) && (one.data == NULL) == (other.data == NULL));
    }
    for (int i = 0; i < 2; i++) {
        store_close(both[i].store);
        arena_free(&both[i].arena);
    }
}

/* Whatever is still in memory, whatever went down already, and whatever is known not to be there. */
static void buffered_and_filtered_is_as_without(void **state) {
    (void)state;
    uint32_t seed = 1;
    for (size_t limit = 100; limit < 1000000; limit *= 20) {
        struct store *filtered;
        assert_true(store_create_filtered(store_create_memory(), NULL, &filtered, NULL, NULL));
        struct fixture both[] = {{.store = store_create_memory()},
                                 {.store = store_create_buffered(filtered, limit)}};
        assert_same_reads(both, 20000, &seed);
    }
}

/* However its files came about. */
static void rocksdb_is_as_memory(void **state) {
    struct fixture *f = *state, both[] = {{.store = store_create_memory()}, {0}};
    uint32_t seed = 1;
    reopen(f, &(struct store_options){.write_buffer_bytes = 20000, .passing = SLICE("k/"), .merge_files = 4});
    both[1].store = f->store;
    f->store = NULL;
    assert_same_reads(both, 30000, &seed);
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
static void assert_absent_costs_nothing(struct asked *below, const char *path, bool damaged) {
    struct store *s;
    bool found_damaged;
    struct arena a = {0}, values = {0};
    struct slice value;
    assert_true(store_create_filtered(&below->store, path, &s, &found_damaged, NULL));
    assert_int_equal(found_damaged, damaged);
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

static void flip(const char *file, long at, int bit) {
    FILE *f = fopen(file, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    fputc(c ^ 1 << bit, f);
    fclose(f);
}

static void what_is_absent_costs_nothing(void **state) {
    char dir[64], path[80];
    (void)state;
    make_directory(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/keys", dir);
    struct asked below = {.store.ops = &asked_ops, .below = store_create_memory()};
    struct arena a = {0};
    for (int n = KNOWN / 2; n < KNOWN; n++) {
        struct store_change c = {numbered(&a, "there", n), SLICE("x")};
        assert_true(store_apply(below.below, &c, 1, NULL));
    }
    assert_absent_costs_nothing(&below, NULL, false);
    assert_absent_costs_nothing(&below, path, false);
    assert_absent_costs_nothing(&below, path, false);
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(truncate(path, file.st_size + 3), 0); /* half of a hash whose key was never written */
    assert_absent_costs_nothing(&below, path, false);
    assert_int_equal(truncate(path, file.st_size - 8), 0);
    assert_absent_costs_nothing(&below, path, true);
    flip(path, file.st_size / 2, 3);
    assert_absent_costs_nothing(&below, path, true);
    assert_absent_costs_nothing(&below, path, false);
    arena_free(&a);
    store_close(below.below);
    unlink(path);
    rmdir(dir);
}

enum { ROWS = 2000 };

/* As many rows as there are at a time, and takes away those before. */
static void replace_rows(struct store *s, int round) {
    struct arena a = {0};
    struct store_change changes[2 * ROWS];
    for (int i = 0; i < ROWS; i++) {
        changes[i] = (struct store_change){arena_printf(&a, "row/%d/%d", round, i), SLICE("x")};
        changes[ROWS + i] = (struct store_change){arena_printf(&a, "row/%d/%d", round - 1, i), SLICE_NONE};
    }
    assert_true(store_apply(s, changes, 2 * ROWS, NULL));
    arena_free(&a);
}

static long size_of(const char *path) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (long)st.st_size;
}

/* Many keys, of which few are there at a time. */
static void a_filter_is_as_large_as_what_is_there(void **state) {
    const long limit = 40 * ROWS * 8; /* bytes a hash */
    char dir[64], path[80];
    struct asked below = {.store.ops = &asked_ops, .below = store_create_memory()};
    struct arena a = {0};
    struct store *s;
    struct slice value;
    int round = 0, waited = 0;
    (void)state;
    make_directory(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/keys", dir);
    for (int start = 1; start <= 10; start++) { /* what may go is known over restarts */
        assert_true(store_create_filtered(&below.store, path, &s, NULL, NULL));
        while (round < 6 * start || (size_of(path) > limit && waited++ < 500)) /* it is being learned */
            replace_rows(s, round++);
        for (int i = 0; i < ROWS; i++) {
            assert_true(store_get(s, arena_printf(&a, "row/%d/%d", round - 1, i), &a, &value, NULL));
            assert_non_null(value.data);
        }
        store_close(s);
    }
    assert_true(size_of(path) <= limit);
    arena_free(&a);
    store_close(below.below);
    shell("rm -r %s", dir);
}

static void what_a_filter_takes_is_told(void **state) {
    enum { KEYS = 40000, SLASHES = 2 };
    struct fixture *f = *state;
    struct store_metrics m;
    struct arena a = {0};
    for (int i = 0; i < KEYS; i++) {
        APPLY(f, {arena_printf(&a, "row/%d/x", i), SLICE("x")});
        arena_reset(&a);
    }
    store_metrics(f->store, &m);
    assert_in_range(m.index_bytes, KEYS, 4 * SLASHES * KEYS);
    arena_free(&a);
}

static void a_filter_knows_what_was_written_without_it(void **state) {
    struct fixture *f = *state;
    for (int round = 0; round < 2; round++) {
        reopen(f, &(struct store_options){.knows_keys = true});
        APPLY(f, CHANGE("a", "1"));
        reopen(f, &(struct store_options){.knows_keys = round == 1});
        APPLY(f, CHANGE("b/c", "2"));
    }
    reopen(f, &(struct store_options){.knows_keys = true, .mended = fail_mended});
    assert_value(f, SLICE("a"), SLICE("1"));
    assert_value(f, SLICE("b/c"), SLICE("2"));
    assert_string_equal(list(f, SLICE("b/"), SLICE_NONE, false, 9), "b/c=2 ");
    APPLY(f, DELETE("a"), DELETE("b/c"));
    reopen(f, NULL);
    APPLY(f, CHANGE("d/e", "3"));
    reopen(f, &(struct store_options){.knows_keys = true});
    assert_value(f, SLICE("d/e"), SLICE("3"));
    assert_string_equal(list(f, SLICE("d/"), SLICE_NONE, false, 9), "d/e=3 ");
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

/* Puts a/i, b/i and last = i, and deletes c/i-1 as it puts c/i. */
static bool write_batch(struct store *store, uint32_t i, struct err *err) {
    _cleanup_(arena_free) struct arena arena = {0};
    struct slice number = {(const char *)&i, sizeof i};
    const struct store_change changes[] = {
        {arena_printf(&arena, "a/%08" PRIu32, i), number},
        {arena_printf(&arena, "c/%08" PRIu32, i - 1), SLICE_NONE},
        {arena_printf(&arena, "b/%08" PRIu32, i), number},
        {arena_printf(&arena, "c/%08" PRIu32, i), number},
        {SLICE("last"), number},
    };
    return store_apply(store, changes, 5, err);
}

/* One batch after the other, of which it says the number on standard output. Flushes after every so many. */
static int write_for_ever(const char *path, uint32_t flush_every) {
    struct store *store;
    struct err err;
    struct arena arena = {0};
    struct slice last;
    if (!store_open_rocksdb(path,
                            &(struct store_options){.write_buffer_bytes = 64 << 10, .passing = SLICE("c/")},
                            &store, &err) ||
        !store_get(store, SLICE("last"), &arena, &last, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (uint32_t i = last.data != NULL ? *(const uint32_t *)last.data + 1 : 1;; i++)
        if (!write_batch(store, i, &err) || (i % flush_every == 0 && !store_flush(store, &err)) ||
            write(STDOUT_FILENO, &i, sizeof i) != sizeof i) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
}

static pid_t writer_start(const char *path, uint32_t flush_every, int *output) {
    int fds[2];
    char every[16];
    snprintf(every, sizeof every, "%" PRIu32, flush_every);
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        execl("/proc/self/exe", "store_test", "--write", path, every, (char *)NULL);
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

/* All batches up to some one are there, and nothing of others; returns its number. */
static uint32_t assert_whole_batches(struct fixture *f) {
    uint32_t last = 0;
    struct slice stored = get(f, SLICE("last"));
    if (stored.data != NULL)
        memcpy(&last, stored.data, sizeof last);
    assert_sequence(f, "a/", 1, last);
    assert_sequence(f, "b/", 1, last);
    assert_sequence(f, "c/", last > 0 ? last : 1, last);
    return last;
}

/* A writer is killed after so many batches more, and the store has what it had flushed. */
static uint32_t kill_writer(struct fixture *f, uint32_t flush_every, uint32_t until) {
    store_close(f->store);
    f->store = NULL;
    int output;
    pid_t pid = writer_start(f->path, flush_every, &output);
    uint32_t said = writer_kill(pid, output, writer_wait(output, until));
    reopen(f, &(struct store_options){.mended = fail_mended});
    uint32_t last = assert_whole_batches(f);
    assert_in_range(last, said / flush_every * flush_every, said + 1); /* a tail may be lost */
    return last;
}

static void rocksdb_survives_kill(void **state) {
    uint32_t last = 0;
    for (uint32_t round = 0; round < 4; round++)
        last = kill_writer(*state, FLUSH_EVERY, last + 300 + 1300 * round);
}

static void rocksdb_survives_kill_in_a_flush(void **state) {
    uint32_t last = 0;
    for (uint32_t round = 0; round < 20; round++)
        last = kill_writer(*state, 1, last + 1 + round % 4);
}

/* A kill between RocksDB's link and its unlink: two names, one file. */
static void a_file_that_kept_its_first_name_is_not_written_to(void **state) {
    struct fixture *f = *state;
    struct err err = {0};
    assert_true(write_batch(f->store, 1, &err) && store_flush(f->store, &err));
    shell("ln %s/*.sst %s/incoming", f->path, f->path);
    for (uint32_t i = 2; i < 4; i++) {
        assert_true(write_batch(f->store, i, &err) && store_flush(f->store, &err));
        reopen(f, &(struct store_options){.mended = fail_mended});
        assert_int_equal(assert_whole_batches(f), i);
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
    pid_t pid = writer_start(f->path, FLUSH_EVERY, &output);
    int status;
    waitpid(pid, &status, 0);
    close(output);
    assert_int_equal(WEXITSTATUS(status), 1);

    store_close(f->store);
    f->store = NULL;
    pid = writer_start(f->path, FLUSH_EVERY, &output);
    uint32_t said = writer_wait(output, 1);
    assert_false(store_open_rocksdb(f->path, NULL, &second, &err));
    writer_kill(pid, output, said);
    assert_int_equal(err.kind, ERR_RETRY);
    char wanted[32];
    snprintf(wanted, sizeof wanted, "process %d has it", (int)pid);
    assert_non_null(strstr(err.text, wanted));
    assert_null(second);
}

/* ---- damage ---- */

static void count_mended(void *context, const char *why) {
    assert_non_null(strstr(why, "/some/where"));
    ++*(int *)context;
}

enum { BATCHES = 40 };

/* A store of several files, of some blocks each, with a filter of its keys. */
static void fill(const char *path) {
    struct store *store;
    struct err err = {0};
    if (!store_open_rocksdb(path, &(struct store_options){.knows_keys = true, .passing = SLICE("c/")}, &store,
                            &err))
        fail_msg("%s", err.text);
    for (uint32_t i = 1; i <= BATCHES; i++) {
        assert_true(write_batch(store, i, &err));
        assert_true(i % (BATCHES / 4) != 0 || store_flush(store, &err));
    }
    store_close(store);
}

static bool collect(void *ctx, struct slice key, struct slice value) {
    (void)value;
    buf_append_slice(ctx, key);
    buf_append_byte(ctx, ' ');
    return true;
}

/* Reads everything in both ways. False: it said that the store is damaged. */
static bool read_all(struct store *store, uint32_t *last) {
    struct err err = {0};
    struct buf keys = {0};
    struct arena a = {0};
    struct slice value;
    bool ok = store_scan(store, SLICE(""), SLICE_NONE, false, collect, &keys, &err) &&
              store_get(store, SLICE("last"), &a, &value, &err);
    *last = ok && value.data != NULL ? *(const uint32_t *)value.data : 0;
    for (uint32_t i = 1; ok && i <= *last; i++)
        for (const char *kind = "ab"; ok && *kind != 0; kind++) {
            struct slice key = arena_printf(&a, "%c/%08" PRIu32, *kind, i);
            assert_non_null(memmem(keys.data, keys.size, key.data, key.size));
            ok = store_get(store, key, &a, &value, &err);
            assert_true(!ok || (value.size == sizeof i && memcmp(value.data, &i, sizeof i) == 0));
        }
    if (ok)
        assert_int_equal(keys.size, *last == 0 ? 0 : *last * 22 + 16);
    else if (!store_damaged(store))
        fail_msg("%s", err.text);
    arena_free(&a);
    buf_free(&keys);
    return ok;
}

/* However it was damaged: the rows are right, as of some moment; or it is empty, and somebody was told. */
static void assert_right_or_anew(const char *path, const char *what) {
    int mended = 0;
    const struct store_options options = {.knows_keys = true, .mended = count_mended, .context = &mended};
    for (int round = 0; round < 3; round++) {
        struct err err = {0};
        struct store *store;
        uint32_t last;
        if (!store_open_rocksdb(path, &options, &store, &err))
            fail_msg("%s: %s", what, err.text);
        bool ok = read_all(store, &last);
        store_close(store);
        if (ok && last == 0 && mended == 0)
            fail_msg("%s: empty, and nobody was told", what);
        if (ok) {
            assert_in_range(mended, 0, 1);
            return;
        }
    }
    fail_msg("%s: still damaged", what);
}

struct victim {
    char dir[64], path[100], whole[100], file[400];
};

static void damage_begin(struct victim *v) {
    make_directory(v->dir, sizeof v->dir);
    snprintf(v->path, sizeof v->path, "%s/some/where", v->dir);
    snprintf(v->whole, sizeof v->whole, "%s/whole", v->dir);
    fill(v->path);
    shell("cp -r %s %s", v->path, v->whole);
}

/* The store as it was, but for its file `name`, of which it returns the size. */
static long damage_victim(struct victim *v, const char *name) {
    struct stat st;
    shell("rm -rf %s %s.damaged && cp -r %s %s", v->path, v->path, v->whole, v->path);
    snprintf(v->file, sizeof v->file, "%s/%s", v->path, name);
    assert_int_equal(stat(v->file, &st), 0);
    return (long)st.st_size;
}

static void damage_file(struct victim *v, const char *name) {
    char what[500];
    long size = damage_victim(v, name);
    uint32_t seed = 1;
    enum { FLIPS = 12 };
    for (long i = 0; size > 0 && i < FLIPS; i++) { /* of the whole, and of its end, where the footer is */
        damage_victim(v, name);
        long at =
            i % 3 == 2 && size > 56 ? size - 1 - (long)draw(&seed, 56) : (long)draw(&seed, (uint32_t)size);
        int bit = (int)draw(&seed, 8);
        flip(v->file, at, bit);
        snprintf(what, sizeof what, "%s, bit %d of byte %ld flipped", name, bit, at);
        assert_right_or_anew(v->path, what);
    }
    for (long part = 0; part < 3; part++) {
        damage_victim(v, name);
        assert_int_equal(truncate(v->file, size * part / 3), 0);
        snprintf(what, sizeof what, "%s, cut off at %ld", name, size * part / 3);
        assert_right_or_anew(v->path, what);
    }
    damage_victim(v, name);
    assert_int_equal(unlink(v->file), 0);
    snprintf(what, sizeof what, "%s, deleted", name);
    assert_right_or_anew(v->path, what);
}

static void no_damage_goes_unnoticed(void **state) {
    (void)state;
    struct victim v;
    damage_begin(&v);
    DIR *dir = opendir(v.whole);
    struct dirent *entry;
    int files = 0;
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "LOCK") != 0) {
            damage_file(&v, entry->d_name);
            files++;
        }
    closedir(dir);
    assert_in_range(files, 7, 20);
    shell("rm -rf %s", v.dir);
}

static void a_damaged_store_is_kept_once(void **state) {
    struct fixture *f = *state;
    int mended = 0;
    const struct store_options options = {.mended = count_mended, .context = &mended};
    char file[120];
    struct stat st;
    for (int i = 1; i < 4; i++) {
        struct err err = {0};
        assert_true(write_batch(f->store, (uint32_t)i, &err) && store_flush(f->store, &err));
        store_close(f->store);
        f->store = NULL;
        snprintf(file, sizeof file, "%s/CURRENT", f->path);
        assert_int_equal(truncate(file, 3), 0);
        reopen(f, &options);
        assert_int_equal(mended, i);
        assert_string_equal(list(f, SLICE(""), SLICE_NONE, false, 9), "");
        snprintf(file, sizeof file, "%s.damaged/CURRENT", f->path);
        assert_int_equal(stat(file, &st), 0);
        snprintf(file, sizeof file, "%s.damaged.damaged", f->path);
        assert_int_equal(stat(file, &st), -1);
        reopen(f, &options); /* once */
        assert_int_equal(mended, i);
    }
    assert_false(store_damaged(f->store));
}

/* In a process of its own; says on standard output what came of it. */
static int write_in_little_space(const char *path) {
    struct store *store;
    struct err err = {0};
    struct rlimit limit = {20 << 10, 20 << 10};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    if (!store_open_rocksdb(path, NULL, &store, &err))
        return 2;
    bool written = true;
    for (uint32_t i = 1; i < 2000; i++)
        written = written && write_batch(store, i, &err);
    int bad = !written ? 2
                       : store_flush(store, &err) || store_damaged(store) ||
                             strstr(err.text, strerror(EFBIG)) == NULL;
    store_close(store);
    return bad;
}

static int open_without_permission(const char *path) {
    struct store *store;
    struct err err = {0};
    if (geteuid() == 0 && setuid(65534) != 0)
        return 2;
    return store_open_rocksdb(path, &(struct store_options){.mended = fail_mended}, &store, &err) ||
           err.kind != ERR_FATAL || strstr(err.text, strerror(EACCES)) == NULL;
}

static void assert_child(const char *what, const char *path) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "store_test", what, path, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void what_is_around_a_store_is_no_damage(void **state) {
    struct fixture *f = *state;
    struct err err = {0};
    assert_true(write_batch(f->store, 1, &err));
    store_close(f->store);
    f->store = NULL;
    shell("chmod a+rx %s %s/some && chmod 0 %s/*.sst && chmod a+rwx %s && chmod a+rw %s/[!0]*", f->dir,
          f->dir, f->path, f->path, f->path);
    assert_child("--without-permission", f->path);
    shell("chmod -R u+rwX %s", f->dir);
    assert_child("--little-space", f->path);
    reopen(f, &(struct store_options){.mended = fail_mended});
    assert_int_equal(assert_whole_batches(f), 1);
    struct store *other = NULL;
    assert_false(store_open_rocksdb("/proc/nowhere/store", NULL, &other, &err));
    assert_int_equal(err.kind, ERR_FATAL);
    assert_non_null(strstr(err.text, "/proc/nowhere"));
}

/* ---- parts ---- */

static struct slice in_part_of(struct arena *a, const char *name, uint16_t number, const char *key) {
    struct buf b = {0};
    store_part(&b, name, number);
    buf_append(&b, key, strlen(key));
    struct slice copy = arena_copy(a, buf_slice(&b));
    buf_free(&b);
    return copy;
}

static struct slice in_part(struct fixture *f, const char *name, uint16_t number, const char *key) {
    return in_part_of(&f->arena, name, number, key);
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

struct slow_reader {
    struct fixture *f;
    struct slice prefix;
    sem_t entered, go_on;
    atomic_bool done;
};

static bool wait_in_scan(void *ctx, struct slice key, struct slice value) {
    struct slow_reader *r = ctx;
    (void)key, (void)value;
    sem_post(&r->entered);
    sem_wait(&r->go_on);
    return true;
}

static void *read_slowly(void *ctx) {
    struct slow_reader *r = ctx;
    return store_scan(r->f->store, r->prefix, SLICE_NONE, false, wait_in_scan, r, NULL) ? r : NULL;
}

static void *delete_part(void *ctx) {
    struct slow_reader *r = ctx;
    bool ok = store_delete_prefix(r->f->store, r->prefix, NULL);
    atomic_store(&r->done, true);
    return ok ? r : NULL;
}

/* Readers that come one after the other, so that there always is one, do not keep the writer waiting. */
static void a_part_that_is_deleted_is_gone_for_new_readers(void **state) {
    struct slow_reader r = {.f = *state};
    pthread_t reader, writer;
    void *result;
    int looks = 0;
    reopen_parts(r.f);
    struct slice key = in_part(r.f, "t", 7, "k");
    assert_true(store_apply(r.f->store, &(struct store_change){key, SLICE("1")}, 1, NULL));
    r.prefix = (struct slice){key.data, key.size - 1};
    sem_init(&r.entered, 0, 0);
    sem_init(&r.go_on, 0, 0);
    assert_int_equal(pthread_create(&reader, NULL, read_slowly, &r), 0);
    sem_wait(&r.entered);
    assert_int_equal(pthread_create(&writer, NULL, delete_part, &r), 0);
    while (keys_below(r.f, r.prefix) > 0 && ++looks < 1000000)
        sched_yield();
    assert_true(looks < 1000000);
    assert_null(value_at(r.f, key).data);
    assert_false(atomic_load(&r.done)); /* it waits for who was there first */
    sem_post(&r.go_on);
    assert_int_equal(pthread_join(reader, &result), 0);
    assert_non_null(result);
    assert_int_equal(pthread_join(writer, &result), 0);
    assert_non_null(result);
    assert_false(is_there(r.f, "t-7") || is_there(r.f, "t-7.gone"));
}

/* ---- keys that come and go ---- */

/* What RocksDB passed in this thread since the last call that was not there for the scan, or not any more. */
static uint64_t passed_by(void) {
    static rocksdb_perfcontext_t *context;
    if (context == NULL) {
        context = rocksdb_perfcontext_create();
        rocksdb_set_perf_level(rocksdb_enable_count);
    }
    uint64_t n = rocksdb_perfcontext_metric(context, rocksdb_internal_key_skipped_count) +
                 rocksdb_perfcontext_metric(context, rocksdb_internal_delete_skipped_count);
    rocksdb_perfcontext_reset(context);
    return n;
}

enum { COMING = 60000, OPEN = 100 };

/* An order of a list: it is in the open one for a while, and stays in the other. */
static void come_and_go(struct fixture *f, int first, int n) {
    struct arena a = {0};
    struct store_change *changes = xcalloc((size_t)n * 4, sizeof *changes);
    size_t count = 0;
    for (int i = first; i < first + n; i++) {
        changes[count++] = (struct store_change){
            in_part_of(&a, "t", 1, arena_printf(&a, "open/%08d%c", COMING - i, 0).data), SLICE("x")};
        if (i < OPEN)
            continue;
        changes[count++] = (struct store_change){
            in_part_of(&a, "t", 1, arena_printf(&a, "open/%08d%c", COMING - i + OPEN, 0).data), SLICE_NONE};
        changes[count++] = (struct store_change){
            in_part_of(&a, "t", 1, arena_printf(&a, "closed/%08d%c", COMING - i + OPEN, 0).data), SLICE("x")};
    }
    assert_true(store_apply(f->store, changes, count, NULL));
    free(changes);
    arena_free(&a);
}

static const struct store_options passing_part = {.write_buffer_bytes = 64 << 10, .passing = {"open/", 5}};

static void open_passing(struct fixture *f) {
    struct err err = {0};
    struct store *store;
    store_close(f->store);
    f->store = NULL;
    if (!store_open_parts(f->path, NULL, &passing_part, &store, &err))
        fail_msg("%s", err.text);
    f->store = store;
}

static void assert_open(struct fixture *f, int came) {
    int first = COMING - came + 1, n = 0;
    struct listing l = {.left = 1};
    char newest[32];
    snprintf(newest, sizeof newest, "open/%08d=x ", first);
    passed_by();
    assert_true(store_scan(f->store, in_part(f, "t", 1, "open/"), SLICE_NONE, false, list_one, &l, NULL));
    assert_in_range(passed_by(), 0, 10000); /* and not with each that there ever was */
    assert_true(slice_starts_with((struct slice){l.text.data + 5, l.text.size - 5}, slice_of(newest)));
    assert_true(store_scan(f->store, in_part(f, "t", 1, "open/"), SLICE_NONE, false, count_key, &n, NULL));
    assert_in_range(passed_by(), 0, 10000);
    assert_int_equal(n, OPEN);
    assert_int_equal(keys_below(f, in_part(f, "t", 1, "closed/")), came - OPEN);
    buf_free(&l.text);
}

static void a_list_of_what_passes_costs_what_is_there(void **state) {
    struct fixture *f = *state;
    open_passing(f);
    for (int came = 0; came < COMING; came += 100) {
        come_and_go(f, came, 100);
        if ((came + 100) % 10000 == 0)
            assert_open(f, came + 100);
        if ((came + 100) % 20000 == 0)
            open_passing(f);
    }
    assert_open(f, COMING);
}

#define ALL(test)                                                                                            \
    {"memory: " #test, test, setup_memory, teardown, NULL},                                                  \
        {"buffered: " #test, test, setup_buffered, teardown, NULL},                                          \
        {"filtered: " #test, test, setup_filtered, teardown, NULL}, {                                        \
        "rocksdb: " #test, test, setup_rocksdb, teardown, NULL                                               \
    }
#define ROCKSDB(test) cmocka_unit_test_setup_teardown(test, setup_rocksdb, teardown)

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "--write") == 0)
        return write_for_ever(argv[2], (uint32_t)atoi(argv[3]));
    if (argc == 3 && strcmp(argv[1], "--little-space") == 0)
        return write_in_little_space(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--without-permission") == 0)
        return open_without_permission(argv[2]);
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
        ROCKSDB(rocksdb_is_as_memory),
        cmocka_unit_test(what_is_absent_costs_nothing),
        cmocka_unit_test(a_filter_is_as_large_as_what_is_there),
        cmocka_unit_test_setup_teardown(what_a_filter_takes_is_told, setup_filtered, teardown),
        ROCKSDB(a_filter_knows_what_was_written_without_it),
        ROCKSDB(rocksdb_keeps_what_was_written),
        ROCKSDB(rocksdb_survives_kill),
        ROCKSDB(rocksdb_survives_kill_in_a_flush),
        ROCKSDB(a_file_that_kept_its_first_name_is_not_written_to),
        ROCKSDB(rocksdb_names_who_has_it_open),
        cmocka_unit_test(no_damage_goes_unnoticed),
        ROCKSDB(a_damaged_store_is_kept_once),
        ROCKSDB(what_is_around_a_store_is_no_damage),
        ROCKSDB(parts_go_with_their_files),
        ROCKSDB(a_deletion_that_a_crash_ended_is_ended),
        ROCKSDB(a_part_that_is_deleted_is_gone_for_new_readers),
        ROCKSDB(a_list_of_what_passes_costs_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
