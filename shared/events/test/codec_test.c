#include "any_event.h"
#include "base/cleanup.h"
#include "events/plan.h"
#include "schemas/schemas.gen.h"

#include <avro.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct event_type *const types[] = {&everything_type, &defaults_type, &inner_type};
enum { TYPES = sizeof types / sizeof *types };

static struct plan *own_plan(const struct event_type *type) {
    return plan_create(slice_of(type->schema), type);
}

static void encode(const struct event_type *type, const void *value, struct buf *out) {
    struct err err;
    if (!event_encode(type, value, out, &err))
        fail_msg("%s", err.text);
}

static void what_is_encoded_is_decoded(void **state) {
    (void)state;
    struct random r = {42};
    for (int i = 0; i < 3 * 500; i++) {
        const struct event_type *type = types[i % TYPES];
        struct arena arena = {0};
        struct buf body = {0}, again = {0};
        struct plan *plan = own_plan(type);
        const void *value = any_event(&r, type, &arena);
        void *out = arena_alloc(&arena, type->size);
        struct err err = {0};
        encode(type, value, &body);
        if (!plan_decode(plan, buf_slice(&body), 0, &arena, out, &err))
            fail_msg("%s", err.text);
        assert_true(any_event_equal(type, value, out));
        encode(type, out, &again);
        assert_true(slice_equal(buf_slice(&body), buf_slice(&again)));
        plan_destroy(plan);
        buf_free(&body);
        buf_free(&again);
        arena_free(&arena);
    }
}

/* Our bytes through avro-c and back: it reads what we write, and writes what we read. */
static void avro_c_agrees(void **state) {
    (void)state;
    struct random r = {43};
    for (int i = 0; i < 3 * 200; i++) {
        const struct event_type *type = types[i % TYPES];
        struct arena arena = {0};
        struct buf body = {0};
        encode(type, any_event(&r, type, &arena), &body);

        avro_schema_t schema;
        avro_value_t value;
        assert_int_equal(avro_schema_from_json_length(type->schema, strlen(type->schema), &schema), 0);
        avro_value_iface_t *class = avro_generic_class_from_schema(schema);
        assert_int_equal(avro_generic_value_new(class, &value), 0);
        avro_reader_t reader = avro_reader_memory(body.data, (int64_t)body.size);
        assert_int_equal(avro_value_read(reader, &value), 0);

        char *theirs = xmalloc(body.size);
        avro_writer_t writer = avro_writer_memory(theirs, (int64_t)body.size);
        assert_int_equal(avro_value_write(writer, &value), 0);
        assert_int_equal(avro_writer_tell(writer), body.size);
        assert_memory_equal(theirs, body.data, body.size);

        avro_writer_free(writer);
        avro_reader_free(reader);
        avro_value_decref(&value);
        avro_value_iface_decref(class);
        avro_schema_decref(schema);
        free(theirs);
        buf_free(&body);
        arena_free(&arena);
    }
}

static void json_of_struct_and_of_bytes_agree(void **state) {
    (void)state;
    struct random r = {44};
    for (int i = 0; i < 3 * 200; i++) {
        const struct event_type *type = types[i % TYPES];
        struct arena arena = {0};
        struct buf body = {0}, of_struct = {0}, of_bytes = {0};
        struct plan *plan = plan_create(slice_of(type->schema), NULL);
        const void *value = any_event(&r, type, &arena);
        encode(type, value, &body);
        event_json(type, value, &of_struct);
        assert_true(plan_json(plan, buf_slice(&body), 0, &of_bytes, NULL));
        buf_append_byte(&of_struct, 0);
        buf_append_byte(&of_bytes, 0);
        assert_string_equal(of_struct.data, of_bytes.data);
        plan_destroy(plan);
        buf_free(&body);
        buf_free(&of_struct);
        buf_free(&of_bytes);
        arena_free(&arena);
    }
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    struct random r = {45};
    struct arena arena = {0};
    struct buf body = {0};
    struct plan *plan = own_plan(&everything_type),
                *json = plan_create(slice_of(everything_type.schema), NULL);
    encode(&everything_type, any_event(&r, &everything_type, &arena), &body);
    for (size_t size = 0; size < body.size; size++) {
        char *exact = xmalloc(size); /* so that a sanitizer sees a byte too far */
        memcpy(exact, body.data, size);
        struct everything out = {.small_number = 7};
        struct buf text = {0};
        struct err err = {0};
        assert_false(plan_decode(plan, (struct slice){exact, size}, 0, &arena, &out, &err));
        assert_int_equal(err.kind, ERR_POISON);
        assert_int_equal(out.small_number, 7);
        assert_false(plan_json(json, (struct slice){exact, size}, 0, &text, &err));
        assert_int_equal(text.size, 0);
        buf_free(&text);
        free(exact);
    }
    plan_destroy(plan);
    plan_destroy(json);
    buf_free(&body);
    arena_free(&arena);
}

/* Whatever the bytes: refused, or a value like any other. */
static void random_bytes_do_no_harm(void **state) {
    (void)state;
    struct random r = {46};
    struct arena arena = {0}, scratch = {0};
    struct buf body = {0}, text = {0}, again = {0};
    struct plan *plan = own_plan(&everything_type),
                *json = plan_create(slice_of(everything_type.schema), NULL);
    int taken = 0;
    for (int i = 0; i < 30000; i++) {
        if (i % 100 == 0) {
            arena_reset(&arena);
            buf_clear(&body);
            encode(&everything_type, any_event(&r, &everything_type, &arena), &body);
        }
        size_t size = body.size - (random_next(&r) % 8 == 0 ? random_next(&r) % body.size : 0);
        char *bytes = memcpy(xmalloc(size), body.data, size);
        for (uint64_t flips = 1 + random_next(&r) % 4; flips > 0; flips--)
            bytes[random_next(&r) % size] = (char)random_next(&r);
        struct everything out;
        struct err err = {0};
        buf_clear(&text);
        arena_reset(&scratch);
        bool ok = plan_decode(plan, (struct slice){bytes, size}, 0, &scratch, &out, &err);
        assert_int_equal(ok, plan_json(json, (struct slice){bytes, size}, 0, &text, NULL));
        if (ok) {
            buf_clear(&again);
            encode(&everything_type, &out, &again);
            taken++;
        } else {
            assert_int_equal(err.kind, ERR_POISON);
        }
        free(bytes);
    }
    assert_in_range(taken, 300, 29700);
    plan_destroy(plan);
    plan_destroy(json);
    buf_free(&body);
    buf_free(&text);
    buf_free(&again);
    arena_free(&arena);
    arena_free(&scratch);
}

/* --- Other writers' schemas --- */

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"Theirs\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define TEXT RECORD(FIELD("text", "\"string\""))
#define TAGS RECORD(FIELD("tags", "{\"type\":\"array\",\"items\":\"string\"}"))
#define BYTES(...) {"" __VA_ARGS__, sizeof(__VA_ARGS__) - 1}

struct written {
    const char *what;
    const struct event_type *reader;
    const char *schema;
    struct slice body;
    const char *expected; /* JSON of what is read; or, after a "!", what the error has in it */
};

static void check(const struct written *w) {
    struct arena arena = {0};
    struct buf json = {0};
    struct err err = {0};
    struct plan *plan = plan_create(slice_of(w->schema), w->reader);
    char *exact = memcpy(xmalloc(w->body.size), w->body.data, w->body.size);
    void *out = arena_alloc(&arena, w->reader->size);
    if (plan_decode(plan, (struct slice){exact, w->body.size}, 0, &arena, out, &err)) {
        event_json(w->reader, out, &json);
        buf_append_byte(&json, 0);
        if (strcmp(json.data, w->expected) != 0)
            fail_msg("%s:\n     got %s\nexpected %s", w->what, json.data, w->expected);
    } else if (w->expected[0] != '!' || strstr(err.text, w->expected + 1) == NULL) {
        fail_msg("%s: got error %s\nexpected %s", w->what, err.text, w->expected);
    } else {
        assert_int_equal(err.kind, ERR_POISON);
    }
    free(exact);
    plan_destroy(plan);
    buf_free(&json);
    arena_free(&arena);
}

#define INNER(text, number, tags) "{\"text\":" text ",\"number\":" number ",\"tags\":" tags "}"

static void schemas_evolve(void **state) {
    (void)state;
    static const struct written cases[] = {
        {"all removed", &inner_type, RECORD(FIELD("other", "\"int\"")), BYTES("\x02"),
         INNER("\"inner\"", "null", "[]")},
        {"no fields", &inner_type, RECORD(""), BYTES(""), INNER("\"inner\"", "null", "[]")},
        {"reordered", &inner_type, RECORD(FIELD("number", "\"int\"") "," FIELD("text", "\"string\"")),
         BYTES("\x0e\x02x"), INNER("\"x\"", "7", "[]")},
        {"bytes as string", &inner_type, RECORD(FIELD("text", "\"bytes\"")), BYTES("\x02x"),
         INNER("\"x\"", "null", "[]")},
        {"bytes that are no string", &inner_type, RECORD(FIELD("text", "\"bytes\"")), BYTES("\x02\xff"),
         "!text: byte 0: a string that is not UTF-8"},
        {"union the other way round", &inner_type, RECORD(FIELD("number", "[\"int\",\"null\"]")),
         BYTES("\x00\x0e"), INNER("\"inner\"", "7", "[]")},
        {"null of a union", &inner_type, RECORD(FIELD("number", "[\"int\",\"null\"]")), BYTES("\x02"),
         INNER("\"inner\"", "null", "[]")},
        {"a union where we have none", &inner_type, RECORD(FIELD("text", "[\"null\",\"string\"]")),
         BYTES("\x02\x02x"), INNER("\"x\"", "null", "[]")},
        {"its null", &inner_type, RECORD(FIELD("text", "[\"null\",\"string\"]")), BYTES("\x00"),
         "!text: byte 1: the reader's type cannot take null"},
        {"always null", &inner_type, RECORD(FIELD("number", "\"null\"")), BYTES(""),
         INNER("\"inner\"", "null", "[]")},
        {"another type", &inner_type, RECORD(FIELD("text", "\"int\"")), BYTES("\x02"),
         "!text: byte 0: the reader's type cannot take int"},
        {"long as int", &inner_type, RECORD(FIELD("number", "\"long\"")), BYTES("\x02"),
         "!number: byte 0: the reader's type cannot take long"},
        {"removed are passed over", &inner_type,
         RECORD(FIELD("a", "{\"type\":\"map\",\"values\":\"long\"}") "," FIELD(
             "b",
             "{\"type\":"
             "\"fixed\","
             "\"name\":"
             "\"F\","
             "\"size\":"
             "3}") "," FIELD("c",
                             "\"float\"") "," FIELD("d",
                                                    "[\"null\",{\"type\":\"array\",\"items\":\"F\"}"
                                                    "]") "," FIELD("e",
                                                                   "{\"type\":\"enum\",\"name\":"
                                                                   "\"E\",\"symbols\":[\"X\",\"Y\"]"
                                                                   "}") "," FIELD("f",
                                                                                  "\"double\"") "," FIELD("g",
                                                                                                          "\""
                                                                                                          "bo"
                                                                                                          "ol"
                                                                                                          "ea"
                                                                                                          "n"
                                                                                                          "\"") "," FIELD("text",
                                                                                                                          "\"string\"")),
         BYTES("\x02\x02k\x04\x00"
               "abc"
               "\x00\x00\x80\x3f"
               "\x02\x01\x06xyz\x00"
               "\x02"
               "\x00\x00\x00\x00\x00\x00\x00\x00"
               "\x01"
               "\x04ok"),
         INNER("\"ok\"", "null", "[]")},
        {"an array in several blocks", &inner_type, TAGS,
         BYTES("\x02\x02"
               "a"
               "\x03\x08\x02"
               "b\x02"
               "c"
               "\x00"),
         INNER("\"inner\"", "null", "[\"a\",\"b\",\"c\"]")},
        {"a schema that is none", &inner_type, "{\"type\":\"nonsense\"}", BYTES("\x00"), "!no Avro schema"},
        {"no JSON", &inner_type, "]", BYTES("\x00"), "!no Avro schema"},
        {"no record", &inner_type, "\"string\"", BYTES("\x00"), "!cannot take string"},
        {"a union around the record", &inner_type, "[\"null\"," TEXT "]", BYTES("\x02\x02x"),
         INNER("\"x\"", "null", "[]")},
        {"lacks what has no default", &everything_type, TEXT, BYTES("\x02x"), "!no default for raw"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(&cases[i]);
}

#define DEFAULTS(small, number, real, shade, maybe_number, maybe_real)                                       \
    "{\"text\":\"a \\\"quoted\\\" ü?\?/\",\"raw\":\"\\u0001ÿ1\",\"smallNumber\":" small                      \
    ",\"number\":" number ",\"real\":" real ",\"flag\":true,\"shade\":\"" shade "\",\"inner\":" INNER(       \
        "\"other\"", "null", "[]") ",\"maybeText\":null,\"maybeSmall\":null,\"maybeNumber\":" maybe_number   \
                                   ",\"maybeReal\":" maybe_real                                              \
                                   ",\"maybeFlag\":null,\"strings\":[],\"inners\":[]}"
#define SHADE(symbols) "{\"type\":\"enum\",\"name\":\"S\",\"symbols\":[" symbols "]}"

static void defaults_and_promotions(void **state) {
    (void)state;
    static const struct written cases[] = {
        {"defaults", &defaults_type, RECORD(""), BYTES(""),
         DEFAULTS("-7", "\"-9223372036854775808\"", "0.1", "DARK", "null", "null")},
        {"int to long and double", &defaults_type,
         RECORD(FIELD("number", "\"int\"") "," FIELD("real", "\"int\"") "," FIELD("maybeNumber", "\"int\"")),
         BYTES("\x03\x05\x07"), DEFAULTS("-7", "-2", "-3", "DARK", "-4", "null")},
        {"long and float to double", &defaults_type,
         RECORD(FIELD("real", "\"long\"") "," FIELD("maybeReal", "[\"null\",\"float\",\"long\"]")),
         BYTES("\x06\x02\x00\x00\x00\x3f"),
         DEFAULTS("-7", "\"-9223372036854775808\"", "3", "DARK", "null", "0.5")},
        {"symbols in another order", &defaults_type, RECORD(FIELD("shade", SHADE("\"LIGHT\",\"DARK\""))),
         BYTES("\x00"), DEFAULTS("-7", "\"-9223372036854775808\"", "0.1", "LIGHT", "null", "null")},
        {"a new symbol, with the enum's default", &defaults_type,
         RECORD(FIELD("shade", SHADE("\"BLINDING\""))), BYTES("\x00"),
         DEFAULTS("-7", "\"-9223372036854775808\"", "0.1", "UNKNOWN", "null", "null")},
        {"no such symbol", &defaults_type, RECORD(FIELD("shade", SHADE("\"DARK\""))), BYTES("\x02"),
         "!shade: byte 0: symbol 1 of 1"},
        {"an int too large", &defaults_type, RECORD(FIELD("number", "\"int\"")),
         BYTES("\xff\xff\xff\xff\x1f"), "!number: byte 0: -4294967296 is no int"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(&cases[i]);
}

static void hostile_bytes_are_refused(void **state) {
    (void)state;
    static const struct written cases[] = {
        {"1.3 GB in five bytes", &inner_type, TEXT, BYTES("\xfe\xff\xff\xff\x0f"),
         "!text: byte 5: truncated"},
        {"a negative length", &inner_type, TEXT, BYTES("\x01"), "!a length of -1"},
        {"the most negative", &inner_type, TEXT, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
         "!a length of -9223372036854775808"},
        {"a number without end", &inner_type, TEXT, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
         "!more than 64 bits"},
        {"a tenth byte of 2", &inner_type, TEXT, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
         "!more than 64 bits"},
        {"not UTF-8", &inner_type, TEXT, BYTES("\x04\xc0\x80"), "!not UTF-8"},
        {"too many items", &inner_type, TAGS, BYTES("\xfe\xff\xff\xff\x0f"),
         "!tags: byte 0: a block of 2147483647 items in 0 bytes"},
        {"a block of INT64_MIN", &inner_type, TAGS, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"),
         "!a block of -9223372036854775808 items"},
        {"a block longer than the rest", &inner_type, TAGS, BYTES("\x01\x7e\x00\x00"),
         "!a block of 63 bytes in the 2"},
        {"a block of negative bytes", &inner_type, TAGS, BYTES("\x01\x01\x00\x00"), "!a block of -1 bytes"},
        {"a block that lies", &inner_type, TAGS, BYTES("\x01\x04\x00\x00"), "!not as long as it says"},
        {"an array without end", &inner_type, TAGS, BYTES("\x02\x00"), "!truncated"},
        {"a branch too far", &inner_type, RECORD(FIELD("number", "[\"null\",\"int\"]")), BYTES("\x04\x00"),
         "!branch 2 of 2"},
        {"a branch below", &inner_type, RECORD(FIELD("number", "[\"null\",\"int\"]")), BYTES("\x01\x00"),
         "!branch -1 of 2"},
        {"a boolean of 2", &inner_type, RECORD(FIELD("x", "\"boolean\"")), BYTES("\x02"), "!a boolean of 2"},
        {"one byte more", &inner_type, RECORD(FIELD("x", "\"boolean\"")), BYTES("\x01\x01"),
         "!byte 1: 1 bytes too many"},
        {"nothing", &inner_type, RECORD(FIELD("x", "\"boolean\"")), BYTES(""), "!byte 0: truncated"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(&cases[i]);
}

static void items_of_no_bytes_are_bounded(void **state) {
    (void)state;
    struct buf body = {0};
    while (body.size < 100000)
        buf_append_slice(&body, SLICE("\xfe\xff\x03")); /* 32767 nulls, again and again */
    struct written w = {"nulls", &inner_type, RECORD(FIELD("x", "{\"type\":\"array\",\"items\":\"null\"}")),
                        buf_slice(&body), "!a block of 32767 items"};
    check(&w);
    buf_free(&body);
}

/* A schema of a kilobyte, in which each record has the one before it twice, is of 2^40 records with no bytes
 * at all. */
static void records_of_no_bytes_are_bounded(void **state) {
    (void)state;
    struct buf type = {0}, schema = {0}, text = {0};
    struct err err = {0};
    buf_printf(&type, "{\"type\":\"record\",\"name\":\"R0\",\"fields\":[]}");
    for (int i = 1; i <= 40; i++) {
        struct buf next = {0};
        buf_printf(&next,
                   "{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[{\"name\":\"a\",\"type\":" SLICE_FMT
                   "},{\"name\":\"b\",\"type\":\"R%d\"}]}",
                   i, SLICE_ARG(buf_slice(&type)), i - 1);
        buf_free(&type);
        type = next;
    }
    struct plan *plan = plan_create(buf_slice(&type), NULL);
    assert_false(plan_json(plan, SLICE(""), 0, &text, &err));
    assert_non_null(strstr(err.text, "more fields than 0 bytes may have"));
    assert_int_equal(text.size, 0);
    plan_destroy(plan);
    buf_printf(&schema,
               "{\"type\":\"record\",\"name\":\"Theirs\",\"fields\":[{\"name\":\"x\",\"type\":" SLICE_FMT
               "}]}%c",
               SLICE_ARG(buf_slice(&type)), 0);
    check(&(struct written){"twice", &inner_type, schema.data, SLICE(""),
                            "!more fields than 0 bytes may have"});
    buf_free(&text);
    buf_free(&type);
    buf_free(&schema);
}

static void names_of_fields_do_not_fill_the_memory(void **state) {
    (void)state;
    struct buf name = {0}, schema = {0}, body = {0}, text = {0};
    struct err err = {0};
    memset(buf_reserve(&name, 100000), 'n', 100000);
    name.size = 100000;
    buf_printf(
        &schema,
        "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"" SLICE_FMT
        "\",\"type\":\"boolean\"}]}}",
        SLICE_ARG(buf_slice(&name)));
    buf_append_slice(&body, SLICE("\xd0\x0f")); /* 1000 of them */
    for (int i = 0; i < 1000; i++)
        buf_append_byte(&body, 1);
    buf_append_byte(&body, 0);
    struct plan *plan = plan_create(buf_slice(&schema), NULL);
    assert_false(plan_json(plan, buf_slice(&body), 0, &text, &err));
    assert_non_null(strstr(err.text, "bytes of JSON"));
    assert_true(text.capacity <= 64 << 20);
    plan_destroy(plan);
    buf_free(&name);
    buf_free(&schema);
    buf_free(&body);
    buf_free(&text);
}

static void depth_is_bounded(void **state) {
    (void)state;
    struct buf body = {0};
    for (int i = 0; i < 100000; i++)
        buf_append_byte(&body, 2);
    buf_append_byte(&body, 0);
    struct written list = {"a list", &inner_type, RECORD(FIELD("next", "[\"null\",\"Theirs\"]")),
                           buf_slice(&body), "!deeper than 64"};
    check(&list);
    list.body = SLICE("\x02\x02\x02\x00");
    list.expected = INNER("\"inner\"", "null", "[]");
    check(&list);
    struct written tree = {"a tree", &inner_type,
                           RECORD(FIELD("all", "{\"type\":\"array\",\"items\":\"Theirs\"}")),
                           buf_slice(&body), "!deeper than 64"};
    check(&tree);
    struct plan *json = plan_create(slice_of(list.schema), NULL);
    struct buf text = {0};
    assert_false(plan_json(json, buf_slice(&body), 0, &text, NULL));
    assert_true(plan_json(json, list.body, 0, &text, NULL));
    buf_append_byte(&text, 0);
    assert_string_equal(text.data, "{\"next\":{\"next\":{\"next\":{\"next\":null}}}}");
    plan_destroy(json);
    buf_free(&text);
    buf_free(&body);
}

static void large_values_are_refused(void **state) {
    (void)state;
    struct arena arena = {0};
    struct buf body = {0};
    struct err err = {0};
    struct inner inner = {
        .text = {memset(arena_alloc(&arena, EVENT_SIZE_MAX), 'x', EVENT_SIZE_MAX), EVENT_SIZE_MAX}};
    buf_append_byte(&body, 'k');
    assert_false(event_encode(&inner_type, &inner, &body, &err));
    assert_int_equal(err.kind, ERR_POISON);
    assert_int_equal(body.size, 1);
    inner.text.size -= 5;
    encode(&inner_type, &inner, &body);
    assert_int_equal(body.size, 1 + EVENT_SIZE_MAX);
    struct plan *plan = own_plan(&inner_type);
    assert_true(plan_decode(plan, buf_slice(&body), 1, &arena, &inner, &err));
    assert_false(plan_decode(plan, buf_slice(&body), 0, &arena, &inner, &err));
    assert_int_equal(inner.text.size, EVENT_SIZE_MAX - 5);
    plan_destroy(plan);
    buf_free(&body);
    arena_free(&arena);
}

static void what_no_one_could_read_is_not_written(void **state) {
    (void)state;
    struct buf body = {0};
    struct err err = {0};
    struct inner inner = {.text = SLICE("\xff")};
    assert_false(event_encode(&inner_type, &inner, &body, &err));
    assert_string_equal(err.text, "Inner.text: not UTF-8");
    struct defaults defaults = {.shade = (enum shade)3};
    assert_false(event_encode(&defaults_type, &defaults, &body, &err));
    assert_string_equal(err.text, "Defaults.shade: Shade has no symbol 3");
    assert_int_equal(body.size, 0);
    event_json(&inner_type, &inner, &body);
    buf_append_byte(&body, 0);
    assert_string_equal(body.data, INNER("\"\xef\xbf\xbd\"", "null", "[]"));
    buf_free(&body);
}

static void enums_have_names(void **state) {
    (void)state;
    int value = -1;
    assert_true(event_enum_find(&colour_enum, SLICE("BLUE"), &value));
    assert_int_equal(value, COLOUR_BLUE);
    assert_false(event_enum_find(&colour_enum, SLICE("BLU"), &value));
    assert_string_equal(event_enum_name(&colour_enum, COLOUR_GREEN), "GREEN");
    assert_string_equal(event_enum_name(&colour_enum, 3), "?");
}

static void catalogue_is_a_table(void **state) {
    (void)state;
    assert_int_equal(topics_count, 2);
    assert_ptr_equal(topic_find(topics, topics_count, SLICE("every.default")), &topic_every_default);
    assert_null(topic_find(topics, topics_count, SLICE("every")));
    const struct topic *t = &topic_everything, *d = &topic_every_default;
    assert_int_equal(t->retention_ms, 7 * 86400 * 1000LL);
    assert_int_equal(d->retention_ms, -1);
    assert_int_equal(d->partitions, 1);
    assert_int_equal(d->number, 1);
    assert_true(d->compacted && d->tombstones && d->internal);
    assert_false(t->compacted || t->tombstones || t->internal);
    assert_string_equal(t->dead_letters, "viewer");
    assert_null(d->dead_letters);
    assert_true(topic_names(d->writers, "viewer"));
    assert_false(topic_names(d->readers, "viewer"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(avro_c_agrees),
        cmocka_unit_test(json_of_struct_and_of_bytes_agree),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(random_bytes_do_no_harm),
        cmocka_unit_test(schemas_evolve),
        cmocka_unit_test(defaults_and_promotions),
        cmocka_unit_test(hostile_bytes_are_refused),
        cmocka_unit_test(items_of_no_bytes_are_bounded),
        cmocka_unit_test(records_of_no_bytes_are_bounded),
        cmocka_unit_test(names_of_fields_do_not_fill_the_memory),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(large_values_are_refused),
        cmocka_unit_test(what_no_one_could_read_is_not_written),
        cmocka_unit_test(enums_have_names),
        cmocka_unit_test(catalogue_is_a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
