#include "trace/encode.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/utf8.h"

#define SCOPE "insideout"
/* Of the semantic conventions that the names of attributes follow. */
#define SCHEMA "https://opentelemetry.io/schemas/1.44.0"

enum { STATUS_ERROR = 2 };

/* ---- protobuf ---- */

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static void put_varint(struct buf *out, uint64_t n) {
    for (; n > 0x7f; n >>= 7)
        buf_append_byte(out, (uint8_t)(n | 0x80));
    buf_append_byte(out, (uint8_t)n);
}

static void put_tag(struct buf *out, int field, enum wire wire) {
    put_varint(out, (uint64_t)field << 3 | wire);
}

static void put_number(struct buf *out, int field, uint64_t n) {
    put_tag(out, field, WIRE_VARINT);
    put_varint(out, n);
}

static void put_fixed(struct buf *out, int field, uint64_t n, int bytes) {
    put_tag(out, field, bytes == 8 ? WIRE_FIXED64 : WIRE_FIXED32);
    for (int i = 0; i < bytes; i++)
        buf_append_byte(out, (uint8_t)(n >> 8 * i));
}

static void put_bytes(struct buf *out, int field, struct slice s) {
    put_tag(out, field, WIRE_BYTES);
    put_varint(out, s.size);
    buf_append_slice(out, s);
}

static void put_text(struct buf *out, int field, struct slice s) {
    if (utf8_valid(s)) {
        put_bytes(out, field, s);
        return;
    }
    _cleanup_(buf_free) struct buf clean = {0};
    for (size_t i = 0; i < s.size;) {
        size_t n = utf8_char((struct slice){s.data + i, s.size - i});
        buf_append(&clean, n > 0 ? s.data + i : "\xef\xbf\xbd", n > 0 ? n : 3);
        i += n > 0 ? n : 1;
    }
    put_bytes(out, field, buf_slice(&clean));
}

static void put_id(struct buf *out, int field, const char *hex, size_t digits) {
    put_tag(out, field, WIRE_BYTES);
    put_varint(out, digits / 2);
    for (size_t i = 0; i < digits; i += 2)
        buf_append_byte(out, (uint8_t)((unsigned)hex_digit(hex[i]) << 4 | (unsigned)hex_digit(hex[i + 1])));
}

static void put_attribute(struct buf *out, int field, const struct span_attribute *a) {
    _cleanup_(buf_free) struct buf value = {0}, pair = {0};
    if (a->text.data != NULL)
        put_text(&value, 1, a->text);
    else if (a->is_flag)
        put_number(&value, 2, a->number != 0);
    else
        put_number(&value, 3, (uint64_t)a->number);
    put_text(&pair, 1, slice_of(a->name));
    put_bytes(&pair, 2, buf_slice(&value));
    put_bytes(out, field, buf_slice(&pair));
}

static void protobuf_span(struct buf *out, const struct span *s, bool first) {
    _cleanup_(buf_free) struct buf m = {0}, part = {0};
    (void)first;
    put_id(&m, 1, s->context.trace_id, TRACE_ID);
    put_id(&m, 2, s->context.span_id, SPAN_ID);
    if (s->state.data != NULL)
        put_text(&m, 3, s->state);
    if (s->parent != NULL)
        put_id(&m, 4, s->parent, SPAN_ID);
    put_text(&m, 5, s->name);
    put_number(&m, 6, s->kind);
    put_fixed(&m, 7, (uint64_t)s->start_ns, 8);
    put_fixed(&m, 8, (uint64_t)s->end_ns, 8);
    for (size_t i = 0; i < s->attribute_count; i++)
        put_attribute(&m, 9, &s->attributes[i]);
    for (size_t i = 0; i < s->link_count; i++) {
        buf_clear(&part);
        put_id(&part, 1, s->links[i].trace_id, TRACE_ID);
        put_id(&part, 2, s->links[i].span_id, SPAN_ID);
        put_fixed(&part, 6, s->links[i].sampled, 4);
        put_bytes(&m, 13, buf_slice(&part));
    }
    if (s->error.data != NULL) {
        buf_clear(&part);
        if (s->error.size > 0)
            put_text(&part, 2, s->error);
        put_number(&part, 3, STATUS_ERROR);
        put_bytes(&m, 15, buf_slice(&part));
    }
    put_fixed(&m, 16, s->context.sampled, 4);
    put_bytes(out, 2, buf_slice(&m));
}

static void protobuf_request(struct buf *out, const struct span_attribute *resource, size_t n,
                             const char *version, struct slice spans) {
    _cleanup_(buf_free) struct buf part = {0}, scope_spans = {0}, all = {0};
    put_text(&part, 1, SLICE(SCOPE));
    put_text(&part, 2, slice_of(version));
    put_bytes(&scope_spans, 1, buf_slice(&part));
    buf_append_slice(&scope_spans, spans);
    put_text(&scope_spans, 3, SLICE(SCHEMA));
    buf_clear(&part);
    for (size_t i = 0; i < n; i++)
        put_attribute(&part, 1, &resource[i]);
    put_bytes(&all, 1, buf_slice(&part));
    put_bytes(&all, 2, buf_slice(&scope_spans));
    put_text(&all, 3, SLICE(SCHEMA));
    put_bytes(out, 1, buf_slice(&all));
}

const struct encoding encoding_protobuf = {"application/x-protobuf", protobuf_span, protobuf_request};

/* ---- JSON: as protobuf has it, but for ids, which are hex; 64-bit numbers are strings ---- */

static void json_number(struct json *j, int64_t n) {
    char text[24];
    struct buf digits = {.data = text, .capacity = sizeof text};
    buf_append_int(&digits, n);
    json_put_string(j, buf_slice(&digits));
}

static void json_attributes(struct json *j, const struct span_attribute *a, size_t n) {
    json_key(j, "attributes"), json_begin_array(j);
    for (size_t i = 0; i < n; i++) {
        json_begin_object(j);
        json_key(j, "key"), json_put_string(j, slice_of(a[i].name));
        json_key(j, "value"), json_begin_object(j);
        if (a[i].text.data != NULL)
            json_key(j, "stringValue"), json_put_string(j, a[i].text);
        else if (a[i].is_flag)
            json_key(j, "boolValue"), json_put_bool(j, a[i].number != 0);
        else
            json_key(j, "intValue"), json_number(j, a[i].number);
        json_end_object(j);
        json_end_object(j);
    }
    json_end_array(j);
}

static void json_ids(struct json *j, const struct trace_context *c) {
    json_key(j, "traceId"), json_put_string(j, (struct slice){c->trace_id, TRACE_ID});
    json_key(j, "spanId"), json_put_string(j, (struct slice){c->span_id, SPAN_ID});
    json_key(j, "flags"), json_put_int(j, c->sampled);
}

static void json_span(struct buf *out, const struct span *s, bool first) {
    struct json j = {.out = out, .comma = !first};
    json_begin_object(&j);
    json_ids(&j, &s->context);
    if (s->state.data != NULL)
        json_key(&j, "traceState"), json_put_string(&j, s->state);
    if (s->parent != NULL)
        json_key(&j, "parentSpanId"), json_put_string(&j, (struct slice){s->parent, SPAN_ID});
    json_key(&j, "name"), json_put_string(&j, s->name);
    json_key(&j, "kind"), json_put_int(&j, s->kind);
    json_key(&j, "startTimeUnixNano"), json_number(&j, s->start_ns);
    json_key(&j, "endTimeUnixNano"), json_number(&j, s->end_ns);
    json_attributes(&j, s->attributes, s->attribute_count);
    if (s->link_count > 0) {
        json_key(&j, "links"), json_begin_array(&j);
        for (size_t i = 0; i < s->link_count; i++) {
            json_begin_object(&j);
            json_ids(&j, &s->links[i]);
            json_end_object(&j);
        }
        json_end_array(&j);
    }
    if (s->error.data != NULL) {
        json_key(&j, "status"), json_begin_object(&j);
        json_key(&j, "message"), json_put_string(&j, s->error);
        json_key(&j, "code"), json_put_int(&j, STATUS_ERROR);
        json_end_object(&j);
    }
    json_end_object(&j);
}

static void json_request(struct buf *out, const struct span_attribute *resource, size_t n,
                         const char *version, struct slice spans) {
    struct json j = {.out = out};
    json_begin_object(&j);
    json_key(&j, "resourceSpans"), json_begin_array(&j), json_begin_object(&j);
    json_key(&j, "resource"), json_begin_object(&j);
    json_attributes(&j, resource, n);
    json_end_object(&j);
    json_key(&j, "scopeSpans"), json_begin_array(&j), json_begin_object(&j);
    json_key(&j, "scope"), json_begin_object(&j);
    json_key(&j, "name"), json_put_string(&j, SLICE(SCOPE));
    json_key(&j, "version"), json_put_string(&j, slice_of(version));
    json_end_object(&j);
    json_key(&j, "spans"), json_begin_array(&j);
    json_put_raw(&j, spans);
    json_end_array(&j);
    json_key(&j, "schemaUrl"), json_put_string(&j, SLICE(SCHEMA));
    json_end_object(&j), json_end_array(&j);
    json_key(&j, "schemaUrl"), json_put_string(&j, SLICE(SCHEMA));
    json_end_object(&j), json_end_array(&j);
    json_end_object(&j);
}

const struct encoding encoding_json = {"application/json", json_span, json_request};
