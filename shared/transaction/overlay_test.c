#include "transaction/overlay.h"

#include "testing/bank.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct slice got(struct overlay *o, const char *key) {
    struct slice value = SLICE("untouched");
    assert_true(overlay_get(o, slice_of(key), &value, NULL));
    return value;
}

static size_t put(struct overlay *o, const char *key, struct slice value) {
    return overlay_put(o, slice_of(key), value, NULL, NULL);
}

static struct store *store_with(const char *key, const char *value) {
    struct store *store = store_create_memory();
    assert_true(store_apply(store, &(struct store_change){slice_of(key), slice_of(value)}, 1, NULL));
    return store;
}

static void reads_see_puts_and_the_store_does_not(void **state) {
    (void)state;
    struct overlay o = {.store = store_with("a", "old")};
    struct arena arena = {0};
    struct slice stored;
    assert_slice(got(&o, "a"), "old");
    assert_null(got(&o, "b").data);
    put(&o, "a", SLICE("new"));
    put(&o, "b", SLICE("")); /* empty is a value, none is a deletion */
    assert_slice(got(&o, "a"), "new");
    assert_non_null(got(&o, "b").data);
    put(&o, "a", SLICE_NONE);
    assert_null(got(&o, "a").data);
    assert_true(store_get(o.store, SLICE("a"), &arena, &stored, NULL));
    assert_slice(stored, "old");

    overlay_clear(&o);
    assert_slice(got(&o, "a"), "old");
    assert_null(got(&o, "b").data);
    arena_free(&arena);
    store_close(o.store);
    overlay_free(&o);
}

static void keys_are_copied(void **state) {
    (void)state;
    struct overlay o = {.store = store_create_memory()};
    char key[] = "key";
    put(&o, key, SLICE("value"));
    key[0] = 'x';
    assert_slice(got(&o, "key"), "value");
    assert_null(got(&o, "xey").data);
    store_close(o.store);
    overlay_free(&o);
}

static void undo_goes_back_step_by_step(void **state) {
    (void)state;
    struct overlay o = {.store = store_with("a", "stored")};
    struct slice before[3];
    bool was_live[3];
    size_t index = overlay_put(&o, SLICE("a"), SLICE("1"), &before[0], &was_live[0]);
    assert_int_equal(overlay_put(&o, SLICE("a"), SLICE_NONE, &before[1], &was_live[1]), index);
    assert_int_equal(overlay_put(&o, SLICE("a"), SLICE("3"), &before[2], &was_live[2]), index);
    assert_slice(got(&o, "a"), "3");
    overlay_undo(&o, index, before[2], was_live[2]);
    assert_null(got(&o, "a").data);
    overlay_undo(&o, index, before[1], was_live[1]);
    assert_slice(got(&o, "a"), "1");
    overlay_undo(&o, index, before[0], was_live[0]);
    assert_slice(got(&o, "a"), "stored");

    /* What was taken back is not applied, and can be put again. */
    put(&o, "b", SLICE("b"));
    assert_true(overlay_apply(&o, NULL));
    assert_slice(got(&o, "a"), "stored");
    assert_slice(got(&o, "b"), "b");
    store_close(o.store);
    overlay_free(&o);
}

static void apply_moves_all_into_the_store(void **state) {
    (void)state;
    struct overlay o = {.store = store_with("gone", "x")};
    put(&o, "gone", SLICE_NONE);
    put(&o, "a", SLICE("1"));
    put(&o, "a", SLICE("2"));
    assert_true(overlay_apply(&o, NULL));
    assert_int_equal(o.count, 0);
    assert_slice(got(&o, "a"), "2"); /* of the store now */
    assert_null(got(&o, "gone").data);
    assert_true(overlay_apply(&o, NULL)); /* nothing to do */
    store_close(o.store);
    overlay_free(&o);
}

/* The hash table grows several times, and is used again after a clear. */
static void holds_many_keys(void **state) {
    (void)state;
    struct overlay o = {.store = store_create_memory()};
    enum { MANY = 5000 };
    for (int round = 0; round < 2; round++) {
        char key[40];
        for (int i = 0; i < MANY; i++) {
            snprintf(key, sizeof key, "a key that is longer than a word/%d", i);
            put(&o, key, arena_printf(&o.arena, "%d/%d", round, i));
        }
        assert_int_equal(o.count, MANY);
        for (int i = 0; i < MANY; i += 7) {
            char expected[20];
            snprintf(key, sizeof key, "a key that is longer than a word/%d", i);
            snprintf(expected, sizeof expected, "%d/%d", round, i);
            assert_slice(got(&o, key), expected);
        }
        overlay_clear(&o);
        assert_null(got(&o, key).data);
    }
    store_close(o.store);
    overlay_free(&o);
}

struct text {
    char data[200];
    size_t size, stop_at;
};

static bool append(void *context, struct slice key, struct slice value) {
    struct text *t = context;
    t->size += (size_t)snprintf(t->data + t->size, sizeof t->data - t->size, "%s" SLICE_FMT "=" SLICE_FMT,
                                t->size > 0 ? " " : "", SLICE_ARG(key), SLICE_ARG(value));
    return --t->stop_at > 0;
}

static void assert_scan(struct overlay *o, const char *prefix, struct slice from, size_t limit,
                        const char *expected) {
    struct text t = {.stop_at = limit};
    assert_true(overlay_scan(o, slice_of(prefix), from, append, &t, NULL));
    assert_string_equal(t.data, expected);
}

static void a_scan_sees_both(void **state) {
    (void)state;
    struct overlay o = {.store = store_create_memory()};
    const struct store_change stored[] = {{SLICE("a1"), SLICE("s")},
                                          {SLICE("a3"), SLICE("s")},
                                          {SLICE("a5"), SLICE("s")},
                                          {SLICE("b1"), SLICE("s")}};
    assert_true(store_apply(o.store, stored, 4, NULL));
    assert_scan(&o, "a", SLICE_NONE, 9, "a1=s a3=s a5=s");
    put(&o, "a4", SLICE("o"));
    put(&o, "a0", SLICE("o"));
    put(&o, "a9", SLICE("o"));
    put(&o, "b0", SLICE("o"));
    put(&o, "a3", SLICE("o"));
    put(&o, "a5", SLICE_NONE);
    assert_scan(&o, "a", SLICE_NONE, 9, "a0=o a1=s a3=o a4=o a9=o");
    assert_scan(&o, "a", SLICE("a3"), 9, "a3=o a4=o a9=o");
    assert_scan(&o, "a", SLICE("a31"), 9, "a4=o a9=o");
    assert_scan(&o, "a", SLICE("A"), 9, "a0=o a1=s a3=o a4=o a9=o");
    assert_scan(&o, "a", SLICE("b"), 9, "");
    assert_scan(&o, "", SLICE_NONE, 9, "a0=o a1=s a3=o a4=o a9=o b0=o b1=s");
    for (size_t limit = 1; limit <= 5; limit++) { /* stops where it is told to, in either of them */
        static const char *const first[] = {"a0=o", "a0=o a1=s", "a0=o a1=s a3=o", "a0=o a1=s a3=o a4=o",
                                            "a0=o a1=s a3=o a4=o a9=o"};
        assert_scan(&o, "a", SLICE_NONE, limit, first[limit - 1]);
    }
    struct slice before;
    bool was_live;
    size_t index = overlay_put(&o, SLICE("a1"), SLICE_NONE, &before, &was_live);
    put(&o, "a2", SLICE("o")); /* new since the last scan */
    assert_scan(&o, "a", SLICE_NONE, 9, "a0=o a2=o a3=o a4=o a9=o");
    overlay_undo(&o, index, before, was_live);
    assert_scan(&o, "a", SLICE_NONE, 9, "a0=o a1=s a2=o a3=o a4=o a9=o");
    overlay_clear(&o);
    assert_scan(&o, "a", SLICE_NONE, 9, "a1=s a3=s a5=s");
    store_close(o.store);
    overlay_free(&o);
}

/* Against the plain thing: all applied to another store, which is then scanned. */
static void a_scan_is_as_after_an_apply(void **state) {
    (void)state;
    uint32_t random = 7;
    for (int round = 0; round < 200; round++) {
        struct overlay o = {.store = store_create_memory()}, plain = {.store = store_create_memory()};
        for (int i = 0; i < 60; i++) {
            random = random * 1664525 + 1013904223;
            char key[] = {(char)('a' + (random >> 24) % 3), (char)('a' + (random >> 16) % 9), 0};
            struct slice value = random >> 30 == 0 ? SLICE_NONE : slice_of(i % 2 == 0 ? "0" : "1");
            put(&plain, key, value);
            put(&o, key, value);
            if (i == 25)
                assert_true(overlay_apply(&o, NULL));
            struct text a = {.stop_at = 99}, b = {.stop_at = 99};
            if (i % 3 == 0) {
                assert_true(overlay_scan(&o, SLICE("b"), slice_of(key), append, &a, NULL));
                assert_true(overlay_apply(&plain, NULL));
                assert_true(store_scan(plain.store, SLICE("b"), slice_of(key), false, append, &b, NULL));
                assert_string_equal(a.data, b.data);
            }
        }
        store_close(o.store);
        store_close(plain.store);
        overlay_free(&o);
        overlay_free(&plain);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_see_puts_and_the_store_does_not),
        cmocka_unit_test(keys_are_copied),
        cmocka_unit_test(undo_goes_back_step_by_step),
        cmocka_unit_test(apply_moves_all_into_the_store),
        cmocka_unit_test(holds_many_keys),
        cmocka_unit_test(a_scan_sees_both),
        cmocka_unit_test(a_scan_is_as_after_an_apply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
