/* Whatever the specification of Avro allows in a schema is understood: each with a body, and what it says. */
#include "base/cleanup.h"
#include "events/plan.h"
#include "events/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define BODY(text) {text, sizeof text - 1}

struct example {
    const char *what, *schema;
    struct slice body;
    const char *json; /* begins with '!': why it is refused */
};

static void check(const struct example *x, size_t count) {
    for (; count-- > 0; x++) {
        struct plan *plan = plan_create(slice_of(x->schema), NULL);
        _cleanup_(buf_free) struct buf json = {0};
        struct err err = {0};
        bool ok = plan_json(plan, x->body, 0, &json, &err);
        buf_append_byte(&json, 0);
        if (ok != (x->json[0] != '!'))
            fail_msg("%s: %s", x->what, ok ? json.data : err.text);
        if (ok && strcmp(json.data, x->json) != 0)
            fail_msg("%s: %s", x->what, json.data);
        if (!ok && strstr(err.text, x->json + 1) == NULL)
            fail_msg("%s: %s", x->what, err.text);
        plan_destroy(plan);
    }
}

static const struct example primitives[] = {
    {"null", "\"null\"", BODY(""), "null"},
    {"boolean", "\"boolean\"", BODY("\1"), "true"},
    {"int", "\"int\"", BODY("\x80\1"), "64"},
    {"long", "\"long\"", BODY("\1"), "-1"},
    {"float", "\"float\"", BODY("\0\0\xc0\x3f"), "1.5"},
    {"double", "\"double\"", BODY("\0\0\0\0\0\0\xf8\x3f"), "1.5"},
    {"bytes", "\"bytes\"", BODY("\4\0a"), "\"\\u0000a\""},
    {"string", "\"string\"", BODY("\6foo"), "\"foo\""},
    {"as an object", "{\"type\": \"string\"}", BODY("\6foo"), "\"foo\""},
    {"as an object in an object", "{\"type\": {\"type\": \"string\", \"x\": [1, {}]}}", BODY("\6foo"),
     "\"foo\""},
};

static const struct example complex_types[] = {
    {"a list of longs, of the specification",
     "{\"type\": \"record\", \"name\": \"LongList\", \"aliases\": [\"LinkedLongs\"], \"fields\": ["
     "{\"name\": \"value\", \"type\": \"long\"}, {\"name\": \"next\", \"type\": [\"null\", \"LongList\"]}]}",
     BODY("\2\2\4\0"), "{\"value\":1,\"next\":{\"value\":2,\"next\":null}}"},
    {"a suit, of the specification",
     "{\"type\": \"enum\", \"name\": \"Suit\", \"symbols\": [\"SPADES\", \"HEARTS\"], \"default\": "
     "\"HEARTS\"}",
     BODY("\2"), "\"HEARTS\""},
    {"an array with a default", "{\"type\": \"array\", \"items\": \"string\", \"default\": []}",
     BODY("\2\2a\0"), "[\"a\"]"},
    {"a map with a default", "{\"type\": \"map\", \"values\": \"long\", \"default\": {}}", BODY("\2\2a\2\0"),
     "{\"a\":1}"},
    {"md5, of the specification", "{\"type\": \"fixed\", \"size\": 2, \"name\": \"md5\"}", BODY("ab"),
     "\"ab\""},
    {"a union at the top", "[\"null\", \"string\", {\"type\": \"array\", \"items\": \"int\"}]",
     BODY("\4\2\2\0"), "[1]"},
    {"a record without fields", "{\"type\": \"record\", \"name\": \"Nothing\", \"fields\": []}", BODY(""),
     "{}"},
    {"one in a union",
     "{\"type\": \"record\", \"name\": \"R\", \"fields\": [{\"name\": \"a\", \"type\": [\"null\", {\"type\": "
     "\"record\", \"name\": \"Nothing\", \"fields\": []}]}, {\"name\": \"b\", \"type\": \"Nothing\"}]}",
     BODY("\2"), "{\"a\":{},\"b\":{}}"},
    {"an error",
     "{\"type\": \"error\", \"name\": \"Curse\", \"fields\": [{\"name\": \"message\", \"type\": "
     "\"string\"}]}",
     BODY("\2x"), "{\"message\":\"x\"}"},
    {"a record that is in itself by an array and a map",
     "{\"type\": \"record\", \"name\": \"Tree\", \"fields\": [{\"name\": \"all\", \"type\": {\"type\": "
     "\"array\", "
     "\"items\": \"Tree\"}}, {\"name\": \"named\", \"type\": {\"type\": \"map\", \"values\": \"Tree\"}}]}",
     BODY("\2\0\0\0\0"), "{\"all\":[{\"all\":[],\"named\":{}}],\"named\":{}}"},
};

static const struct example names[] = {
    {"a namespace, and the same name in two",
     "{\"type\": \"record\", \"name\": \"Example\", \"namespace\": \"a\", \"fields\": ["
     "{\"name\": \"x\", \"type\": {\"type\": \"enum\", \"name\": \"Kind\", \"symbols\": [\"X\"]}},"
     "{\"name\": \"y\", \"type\": {\"type\": \"enum\", \"name\": \"Kind\", \"namespace\": \"b\", "
     "\"symbols\": "
     "[\"Y\"]}},"
     "{\"name\": \"both\", \"type\": [\"Kind\", \"b.Kind\"]}]}",
     BODY("\0\0\2\0"), "{\"x\":\"X\",\"y\":\"Y\",\"both\":\"Y\"}"},
    {"a full name is stronger than the namespace beside it",
     "{\"type\": \"record\", \"name\": \"a.R\", \"namespace\": \"b\", \"fields\": ["
     "{\"name\": \"x\", \"type\": {\"type\": \"fixed\", \"name\": \"F\", \"size\": 1}},"
     "{\"name\": \"y\", \"type\": \"a.F\"}]}",
     BODY("xy"), "{\"x\":\"x\",\"y\":\"y\"}"},
    {"the namespace is that of the record around it",
     "{\"type\": \"record\", \"name\": \"R\", \"namespace\": \"a\", \"fields\": ["
     "{\"name\": \"in\", \"type\": {\"type\": \"record\", \"name\": \"b.S\", \"fields\": ["
     "{\"name\": \"f\", \"type\": {\"type\": \"fixed\", \"name\": \"F\", \"size\": 1}}]}},"
     "{\"name\": \"out\", \"type\": \"b.F\"}, {\"name\": \"self\", \"type\": [\"null\", \"R\"]}]}",
     BODY("xy\0"), "{\"in\":{\"f\":\"x\"},\"out\":\"y\",\"self\":null}"},
    {"no namespace within one",
     "{\"type\": \"record\", \"name\": \"R\", \"namespace\": \"a\", \"fields\": ["
     "{\"name\": \"f\", \"type\": {\"type\": \"fixed\", \"name\": \"F\", \"namespace\": \"\", \"size\": 1}},"
     "{\"name\": \"g\", \"type\": \"F\"}]}",
     BODY("xy"), "{\"f\":\"x\",\"g\":\"y\"}"},
    {"types called as kinds of types are",
     "{\"type\": \"record\", \"name\": \"record\", \"fields\": [{\"name\": \"a\", \"type\": {\"type\": "
     "\"fixed\", "
     "\"name\": \"map\", \"size\": 1}}, {\"name\": \"b\", \"type\": \"map\"}, {\"name\": \"type\", \"type\": "
     "[\"null\", \"record\"]}]}",
     BODY("xy\0"), "{\"a\":\"x\",\"b\":\"y\",\"type\":null}"},
    {"a type in full the second time",
     "[{\"type\": \"fixed\", \"name\": \"F\", \"size\": 1}, {\"type\": \"fixed\", "
     "\"name\": \"F\", \"size\": 1}]",
     BODY("\0x"), "!two types F"},
    {"a type that is nowhere", "[\"null\", \"a.Missing\"]", BODY("\0"), "!no type a.Missing"},
    {"no type at all", "{\"name\": \"x\"}", BODY(""), "!the writer's schema is no Avro schema"},
    {"no JSON", "{\"type\": ", BODY(""), "!no JSON"},
    {"nothing", "", BODY(""), "!no JSON"},
};

#define WITH(field)                                                                                          \
    "{\"type\": \"record\", \"name\": \"R\", \"doc\": \"\\u0000\", \"fields\": [{\"name\": \"f\", \"doc\": " \
    "\"d\", "                                                                                                \
    "\"order\": \"ignore\", \"aliases\": [\"g\"], " field "}]}"

/* Defaults are for readers that lack what the writer has, hence nothing to us; and they may be anything. */
static const struct example attributes[] = {
    {"numeric(10,2) not null default 0, as Debezium writes it",
     WITH("\"type\": {\"type\": \"bytes\", \"scale\": 2, \"precision\": 10, \"connect.version\": 1, "
          "\"connect.parameters\": {\"scale\": \"2\"}, \"connect.default\": \"\\u0000\", \"connect.name\": "
          "\"org.apache.kafka.connect.data.Decimal\", \"logicalType\": \"decimal\"}, \"default\": "
          "\"\\u0000\""),
     BODY("\2\1"), "{\"f\":\"\\u0001\"}"},
    {"a default of an optional", WITH("\"type\": [\"null\", \"string\"], \"default\": null"), BODY("\0"),
     "{\"f\":null}"},
    {"a default of a later branch", WITH("\"type\": [\"null\", \"string\"], \"default\": \"x\""), BODY("\0"),
     "{\"f\":null}"},
    {"of an enum",
     WITH("\"type\": {\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\", \"B\"]}, \"default\": "
          "\"B\""),
     BODY("\0"), "{\"f\":\"A\"}"},
    {"of a fixed",
     WITH("\"type\": {\"type\": \"fixed\", \"name\": \"F\", \"size\": 2}, \"default\": \"\\u00ff\\u0000\""),
     BODY("ab"), "{\"f\":\"ab\"}"},
    {"of a record",
     WITH("\"type\": {\"type\": \"record\", \"name\": \"S\", \"fields\": [{\"name\": \"i\", \"type\": "
          "\"int\"}]}, "
          "\"default\": {\"i\": 1}"),
     BODY("\2"), "{\"f\":{\"i\":1}}"},
    {"of an array and a map",
     WITH("\"type\": {\"type\": \"map\", \"values\": {\"type\": \"array\", \"items\": "
          "\"long\"}}, \"default\": {\"a\": [1]}"),
     BODY("\0"), "{\"f\":{}}"},
    {"of a double, as an integer", WITH("\"type\": \"double\", \"default\": 0"), BODY("\0\0\0\0\0\0\0\0"),
     "{\"f\":0}"},
    {"of another type", WITH("\"type\": \"int\", \"default\": \"x\""), BODY("\2"), "{\"f\":1}"},
    {"a date", WITH("\"type\": {\"type\": \"int\", \"logicalType\": \"date\"}"), BODY("\2"), "{\"f\":1}"},
    {"a uuid", WITH("\"type\": {\"type\": \"string\", \"logicalType\": \"uuid\"}"), BODY("\2u"),
     "{\"f\":\"u\"}"},
    {"a time", WITH("\"type\": [\"null\", {\"type\": \"long\", \"logicalType\": \"timestamp-micros\"}]"),
     BODY("\2\2"), "{\"f\":1}"},
    {"a duration",
     WITH("\"type\": {\"type\": \"fixed\", \"size\": 12, \"name\": \"d\", \"logicalType\": \"duration\"}"),
     BODY("0123456789ab"), "{\"f\":\"0123456789ab\"}"},
    {"a decimal that is fixed, with an invalid scale",
     WITH("\"type\": {\"type\": \"fixed\", \"size\": 1, \"name\": \"d\", \"logicalType\": \"decimal\", "
          "\"precision\": "
          "1, \"scale\": 9}"),
     BODY("0"), "{\"f\":\"0\"}"},
    {"an unknown logical type", WITH("\"type\": {\"type\": \"long\", \"logicalType\": 7}"), BODY("\2"),
     "{\"f\":1}"},
};

/* Several texts: the types that one refers to, and it. */
static const struct example references[] = {
    {"one type of another text",
     "{\"type\": \"record\", \"name\": \"b.Item\", \"fields\": [{\"name\": \"n\", \"type\": \"int\"}]}\n"
     "{\"type\": \"record\", \"name\": \"Order\", \"namespace\": \"a\", \"fields\": ["
     "{\"name\": \"one\", \"type\": \"b.Item\"}, {\"name\": \"two\", \"type\": \"b.Item\"}]}",
     BODY("\2\4"), "{\"one\":{\"n\":1},\"two\":{\"n\":2}}"},
    {"a type inside another text's, needed before it",
     "{\"type\": \"record\", \"name\": \"b.Out\", \"fields\": [{\"name\": \"in\", \"type\": {\"type\": "
     "\"fixed\", "
     "\"name\": \"In\", \"size\": 1}}]} "
     "{\"type\": \"record\", \"name\": \"R\", \"fields\": [{\"name\": \"x\", \"type\": \"b.In\"}, {\"name\": "
     "\"y\", "
     "\"type\": \"b.Out\"}]}",
     BODY("xy"), "{\"x\":\"x\",\"y\":{\"in\":\"y\"}}"},
    {"a text that refers to another one that refers to itself",
     "{\"type\": \"record\", \"name\": \"b.List\", \"fields\": [{\"name\": \"next\", \"type\": [\"null\", "
     "\"List\"]}]}"
     "{\"type\": \"record\", \"name\": \"c.Holder\", \"fields\": [{\"name\": \"list\", \"type\": "
     "\"b.List\"}]}"
     "[\"null\", \"c.Holder\"]",
     BODY("\2\2\0"), "{\"list\":{\"next\":{\"next\":null}}}"},
    {"what nobody needs", "{\"type\": \"fixed\", \"name\": \"F\", \"size\": 1}\n\"int\"\n", BODY("\2"), "1"},
};

#define CHECK(examples) check(examples, sizeof examples / sizeof *examples)

static void what_the_specification_has(void **state) {
    (void)state;
    CHECK(primitives);
    CHECK(complex_types);
    CHECK(names);
    CHECK(attributes);
    CHECK(references);
}

static void append(struct buf *out, const char *text, int times) {
    while (times-- > 0)
        buf_append_slice(out, slice_of(text));
}

/* Nested as deep as bodies may be, and deeper: then where nothing is so deep it can be read all the same. */
static void deep_schemas(void **state) {
    (void)state;
    _cleanup_(buf_free) struct buf schema = {0}, body = {0}, json = {0}, deep = {0};
    append(&schema, "{\"type\": \"array\", \"items\": ", EVENT_DEPTH_MAX);
    append(&schema, "\"int\"", 1);
    append(&schema, "}", EVENT_DEPTH_MAX);
    append(&body, "\2", EVENT_DEPTH_MAX + 1);
    for (int i = 0; i < EVENT_DEPTH_MAX; i++)
        buf_append_byte(&body, 0);
    struct plan *plan = plan_create(buf_slice(&schema), NULL);
    assert_true(plan_json(plan, buf_slice(&body), 0, &json, NULL));
    plan_destroy(plan);

    struct err err;
    append(&deep, "[\"int\", ", 1);
    append(&deep, "{\"type\": \"array\", \"items\": ", 450);
    append(&deep, "\"int\"", 1);
    append(&deep, "}", 450);
    append(&deep, "]", 1);
    plan = plan_create(buf_slice(&deep), NULL);
    assert_true(plan_json(plan, (struct slice){"\0\2", 2}, 0, &json, &err));
    assert_false(plan_json(plan, (struct slice){"\2\2\2", 3}, 0, &json, &err));
    plan_destroy(plan);

    buf_clear(&deep);
    append(&deep, "{\"type\":", 1000); /* no schema, and no reason to end the process */
    append(&deep, "\"int\"", 1);
    append(&deep, "}", 1000);
    plan = plan_create(buf_slice(&deep), NULL);
    assert_false(plan_json(plan, (struct slice){"\2", 1}, 0, &json, &err));
    assert_non_null(strstr(err.text, "nested deeper"));
    plan_destroy(plan);
}

static void blanks_and_order_make_no_difference(void **state) {
    (void)state;
    uint64_t f = schema_fingerprint(SLICE("{\"type\":\"fixed\",\"name\":\"F\",\"size\":1}\"int\""));
    assert_true(f ==
                schema_fingerprint(SLICE("{ \"name\":\"F\", \"size\":1, \"type\":\"fixed\" }\n\"int\"\n")));
    assert_false(f == schema_fingerprint(SLICE("{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}\"int\"")));
    assert_false(f == schema_fingerprint(SLICE("{\"type\":\"fixed\",\"name\":\"F\",\"size\":1}")));
    assert_true(schema_fingerprint(SLICE("no JSON")) == schema_fingerprint(SLICE("no JSON")));
    assert_false(schema_fingerprint(SLICE("no JSON")) == schema_fingerprint(SLICE("nor this")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_specification_has),
        cmocka_unit_test(deep_schemas),
        cmocka_unit_test(blanks_and_order_make_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
