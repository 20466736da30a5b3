#include "base/cleanup.h"
#include "events/schemas.h"
#include "schemas/schemas.gen.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A registry in memory that counts its calls and fails on demand. */
static struct moody {
    struct registry base;
    struct registry *inner;
    int calls;
    enum err_kind mood;
} moody;

static bool moody_ok(struct err *err) {
    moody.calls++;
    return moody.mood == ERR_NONE || err_set(err, moody.mood, "in its own words");
}

static bool moody_add(struct registry *r, const char *subject, const char *schema, int32_t *id,
                      struct err *err) {
    (void)r;
    return moody_ok(err) && moody.inner->add(moody.inner, subject, schema, id, err);
}

static bool moody_schema_by_id(struct registry *r, int32_t id, bool *found, struct buf *schema,
                               struct err *err) {
    (void)r;
    return moody_ok(err) && moody.inner->schema_by_id(moody.inner, id, found, schema, err);
}

static bool moody_set_compatibility(struct registry *r, const char *subject, const char *level, bool *found,
                                    struct err *err) {
    (void)r;
    assert_string_equal(level, "BACKWARD");
    return moody.inner->set_compatibility(moody.inner, subject, level, found, err);
}

static int64_t now_us;

static int64_t now(void) {
    return now_us;
}

static struct schemas *process(void) {
    struct schemas *s = schemas_create(&moody.base);
    schemas_set_clock(s, now);
    return s;
}

static int setup(void **state) {
    moody = (struct moody){{moody_add, moody_schema_by_id, moody_set_compatibility, NULL},
                           registry_memory_create(),
                           0,
                           ERR_NONE};
    *state = process();
    now_us = 1000 * 1000 * 1000;
    return 0;
}

static int teardown(void **state) {
    schemas_destroy(*state);
    registry_destroy(moody.inner);
    return 0;
}

static const struct defaults sample = {.text = {"text", 4}, .number = 7, .inner = {.text = {"", 0}}};

static void encode_sample(struct schemas *s, struct buf *out) {
    struct err err = {0};
    if (!schemas_register(s, &topic_every_default, &err) ||
        !schemas_encode(s, &topic_every_default, &sample, out, &err))
        fail_msg("%s", err.text);
}

static void wire_format_goes_round(void **state) {
    struct schemas *s = *state;
    _cleanup_(buf_free) struct buf payload = {0};
    _cleanup_(arena_free) struct arena arena = {0};
    encode_sample(s, &payload);
    assert_memory_equal(payload.data, "\0\0\0\0\1\10text", 10);
    struct defaults out;
    struct err err;
    assert_true(schemas_decode(s, &defaults_type, buf_slice(&payload), &arena, &out, &err));
    assert_int_equal(out.number, 7);
    assert_ptr_equal(out.text.data, payload.data + 6); /* not copied */
    _cleanup_(buf_free) struct buf json = {0};
    assert_true(schemas_json(s, buf_slice(&payload), &json, &err));
    assert_memory_equal(json.data, "{\"text\":\"text\",", 15);
}

static void what_is_known_needs_no_registry(void **state) {
    struct schemas *s = *state;
    _cleanup_(buf_free) struct buf payload = {0};
    _cleanup_(arena_free) struct arena arena = {0};
    struct defaults out;
    encode_sample(s, &payload);
    assert_true(schemas_decode(s, &defaults_type, buf_slice(&payload), &arena, &out, NULL));
    int calls = moody.calls;
    moody.mood = ERR_RETRY;
    encode_sample(s, &payload);
    payload.size /= 2;
    assert_true(schemas_decode(s, &defaults_type, buf_slice(&payload), &arena, &out, NULL));
    _cleanup_(buf_free) struct buf json = {0};
    assert_true(schemas_json(s, buf_slice(&payload), &json, NULL)); /* another use of the same schema */
    assert_int_equal(moody.calls, calls);
}

static void a_registry_that_is_away_is_no_poison(void **state) {
    struct schemas *s = *state;
    _cleanup_(buf_free) struct buf payload = {0};
    _cleanup_(arena_free) struct arena arena = {0};
    struct defaults out;
    struct err err = {0};
    moody.mood = ERR_RETRY;
    assert_false(schemas_register(s, &topic_every_default, &err));
    assert_int_equal(err.kind, ERR_RETRY);
    moody.mood = ERR_NONE;
    encode_sample(s, &payload);
    moody.mood = ERR_RETRY;
    struct schemas *another = process();
    assert_false(schemas_decode(another, &defaults_type, buf_slice(&payload), &arena, &out, &err));
    assert_int_equal(err.kind, ERR_RETRY);
    moody.mood = ERR_NONE;
    assert_true(schemas_decode(another, &defaults_type, buf_slice(&payload), &arena, &out, &err));
    schemas_destroy(another);
}

static void what_a_process_writes_it_can_read(void **state) {
    struct schemas *s = *state;
    _cleanup_(buf_free) struct buf payload = {0}, json = {0};
    _cleanup_(arena_free) struct arena arena = {0};
    struct defaults out;
    encode_sample(s, &payload);
    moody.mood = ERR_RETRY;
    assert_true(schemas_decode(s, &defaults_type, buf_slice(&payload), &arena, &out, NULL));
    assert_int_equal(out.number, 7);
    assert_true(schemas_json(s, buf_slice(&payload), &json, NULL));
}

static void bad_payloads_are_poison(void **state) {
    struct schemas *s = *state;
    _cleanup_(arena_free) struct arena arena = {0};
    _cleanup_(buf_free) struct buf json = {0};
    static const struct {
        struct slice payload;
        const char *text;
    } cases[] = {
        {{"", 0}, "0 bytes, too short for a schema id"},
        {{"\0\0\0\0", 4}, "4 bytes, too short for a schema id"},
        {{"\1\0\0\0\1", 5}, "byte 0: magic byte 1, not 0"},
        {{"\0\0\0\0\7", 5}, "the registry has no schema 7"},
        {{"\0\377\377\377\377", 5}, "the registry has no schema -1"},
        {{"\0\0\0\0\1", 5}, "text: byte 5: truncated in a number"},
    };
    assert_true(schemas_register(s, &topic_every_default, NULL));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        struct defaults out;
        assert_false(schemas_decode(s, &defaults_type, cases[i].payload, &arena, &out, &err));
        assert_string_equal(err.text, cases[i].text);
        assert_int_equal(err.kind, ERR_POISON);
        assert_false(schemas_json(s, cases[i].payload, &json, &err));
        assert_int_equal(err.kind, ERR_POISON);
        assert_int_equal(json.size, 0);
    }
}

static void a_refused_schema_says_so(void **state) {
    struct schemas *s = *state;
    _cleanup_(buf_free) struct buf payload = {0};
    struct err err = {0};
    moody.mood = ERR_CONFIG;
    assert_false(schemas_register(s, &topic_every_default, &err));
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_string_equal(err.text, "schema of every.default-value: in its own words");
    assert_false(schemas_encode(s, &topic_every_default, &sample, &payload, &err));
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_int_equal(payload.size, 0);
}

static void what_cannot_be_encoded_leaves_nothing(void **state) {
    struct schemas *s = *state;
    _cleanup_(buf_free) struct buf payload = {0};
    struct err err = {0};
    struct defaults bad = sample;
    bad.text = SLICE("\xff");
    assert_true(schemas_register(s, &topic_every_default, &err));
    assert_false(schemas_encode(s, &topic_every_default, &bad, &payload, &err));
    assert_int_equal(payload.size, 0);
    assert_int_equal(err.kind, ERR_POISON);
}

static struct shared {
    struct schemas *s;
    struct slice payload;
    atomic_int failures;
} shared;

static void *decode_often(void *unused) {
    (void)unused;
    struct arena arena = {0};
    for (int i = 0; i < 2000; i++) {
        struct defaults out;
        struct buf json = {0};
        if (!schemas_decode(shared.s, &defaults_type, shared.payload, &arena, &out, NULL) ||
            out.number != 7 || !schemas_json(shared.s, shared.payload, &json, NULL))
            shared.failures++;
        buf_free(&json);
        arena_reset(&arena);
    }
    arena_free(&arena);
    return NULL;
}

static void threads_share(void **state) {
    _cleanup_(buf_free) struct buf payload = {0};
    encode_sample(*state, &payload);
    shared = (struct shared){*state, buf_slice(&payload), 0};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, decode_often, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(shared.failures, 0);
}

static const struct topic topic_other = {.name = "other", .value = &inner_type, .number = 1};

/* It is lost and begins anew: another schema comes first, so that the ids are others. */
static struct registry *lose_registry(void) {
    struct registry *before = moody.inner;
    int32_t id;
    now_us += 2 * 1000 * 1000;
    moody.inner = registry_memory_create();
    assert_true(moody.inner->add(moody.inner, "other-value", "\"int\"", &id, NULL));
    return before;
}

static void bring_back(struct registry *before) {
    registry_destroy(moody.inner);
    moody.inner = before;
    now_us += 2 * 1000 * 1000;
}

static void what_is_not_there_is_not_asked_for_each_time(void **state) {
    struct schemas *s = *state;
    _cleanup_(arena_free) struct arena arena = {0};
    struct defaults out;
    struct err err = {0};
    moody.calls = 0;
    for (int i = 0; i < 1000; i++) {
        assert_false(schemas_decode(s, &defaults_type, SLICE("\0\0\0\0\7"), &arena, &out, &err));
        assert_int_equal(err.kind, ERR_POISON);
        now_us += 1000;
    }
    assert_int_equal(moody.calls, 1);
    now_us += 20 * 1000 * 1000; /* it may be there by now */
    assert_false(schemas_decode(s, &defaults_type, SLICE("\0\0\0\0\7"), &arena, &out, &err));
    assert_int_equal(moody.calls, 2);
}

/* The next process remembers. */
static void a_registry_is_known_by_what_it_said(void **state) {
    struct schema_known known[8];
    struct err err = {0};
    _cleanup_(buf_free) struct buf payload = {0};
    assert_int_equal(schemas_known_count(*state), 0);
    assert_true(schemas_register(*state, &topic_every_default, &err));
    assert_int_equal(schemas_known_count(*state), 1);
    assert_int_equal(schemas_known(*state, known, 8), 1);

    struct schemas *next = process();
    assert_true(schemas_recognise(next, known, 1, &err));
    schemas_destroy(next);

    struct registry *before = lose_registry();
    next = process();
    assert_true(schemas_register(next, &topic_every_default, &err));
    assert_false(schemas_recognise(next, known, 1, &err));
    assert_int_equal(err.kind, ERR_RETRY);
    assert_non_null(strstr(err.text, "the registry is not the one of before: schema 1 is another one there"));
    assert_false(schemas_encode(next, &topic_every_default, &sample, &payload, &err));
    assert_int_equal(err.kind, ERR_RETRY);
    moody.mood = ERR_RETRY;
    assert_false(schemas_recognise(next, known, 1, &err));
    assert_string_equal(err.text, "in its own words");
    moody.mood = ERR_NONE;
    bring_back(before);
    assert_false(schemas_recognise(next, known, 1, &err));
    assert_int_equal(err.kind, ERR_FATAL); /* what it has registered is the other's */
    schemas_destroy(next);
    next = process();
    assert_true(schemas_recognise(next, known, 1, &err));
    schemas_destroy(next);
}

/* While the process runs, too: neither a new id nor that there is none is believed of another registry. */
static void nothing_is_learned_from_another_registry(void **state) {
    struct schemas *s = *state;
    _cleanup_(arena_free) struct arena arena = {0};
    struct defaults out;
    struct err err = {0};
    int32_t id;
    assert_true(schemas_register(s, &topic_every_default, &err));
    struct registry *before = lose_registry();
    assert_true(moody.inner->add(moody.inner, "x", defaults_type.schema, &id, NULL));
    assert_int_equal(id, 2);
    assert_false(schemas_decode(s, &defaults_type, SLICE("\0\0\0\0\2\0\0"), &arena, &out, &err));
    assert_int_equal(err.kind, ERR_RETRY);
    assert_false(schemas_decode(s, &defaults_type, SLICE("\0\0\0\0\7\0\0"), &arena, &out, &err));
    assert_int_equal(err.kind, ERR_RETRY);
    assert_false(schemas_register(s, &topic_other, &err));
    assert_int_equal(err.kind, ERR_RETRY);
    bring_back(before);
    assert_false(schemas_decode(s, &defaults_type, SLICE("\0\0\0\0\7\0\0"), &arena, &out, &err));
    assert_int_equal(err.kind, ERR_POISON);
    assert_true(schemas_register(s, &topic_other, &err));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(wire_format_goes_round),
        TEST(what_is_known_needs_no_registry),
        TEST(a_registry_that_is_away_is_no_poison),
        TEST(what_a_process_writes_it_can_read),
        TEST(bad_payloads_are_poison),
        TEST(a_refused_schema_says_so),
        TEST(what_cannot_be_encoded_leaves_nothing),
        TEST(what_is_not_there_is_not_asked_for_each_time),
        TEST(a_registry_is_known_by_what_it_said),
        TEST(nothing_is_learned_from_another_registry),
        TEST(threads_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
