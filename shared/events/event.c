#include "events/event.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/utf8.h"
#include "events/plan.h"

const char *event_enum_name(const struct event_enum *symbols, int value) {
    return value >= 0 && value < symbols->count ? symbols->symbols[value] : "?";
}

bool event_enum_find(const struct event_enum *symbols, struct slice symbol, int *value) {
    for (int i = 0; i < symbols->count; i++) {
        if (slice_equal(slice_of(symbols->symbols[i]), symbol)) {
            *value = i;
            return true;
        }
    }
    return false;
}

bool event_is_null(const struct event_field *f, const void *member) {
    if (f->kind == EVENT_STRING || f->kind == EVENT_BYTES)
        return ((const struct slice *)member)->data == NULL;
    return !*(const bool *)member; /* `present` comes first in every optional */
}

size_t event_optional_value(enum event_kind kind) {
    switch (kind) {
    case EVENT_INT:
        return offsetof(struct optional_int, value);
    case EVENT_LONG:
        return offsetof(struct optional_long, value);
    case EVENT_DOUBLE:
        return offsetof(struct optional_double, value);
    case EVENT_BOOLEAN:
        return offsetof(struct optional_boolean, value);
    default: /* slices have no `present` */
        return 0;
    }
}

/* --- Encoding --- */

static inline void put_long(struct buf *out, int64_t value) {
    uint64_t n = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    uint8_t *p = (uint8_t *)buf_reserve(out, 10);
    size_t size = 0;
    for (; n >= 0x80; n >>= 7)
        p[size++] = (uint8_t)(n | 0x80);
    p[size++] = (uint8_t)n;
    out->size += size;
}

static void put_slice(struct buf *out, struct slice s) {
    put_long(out, (int64_t)s.size);
    buf_append_slice(out, s);
}

static bool put_string(struct buf *out, struct slice s, struct err *err) {
    if (!utf8_valid(s))
        return err_set(err, ERR_POISON, "not UTF-8");
    put_slice(out, s);
    return true;
}

static void put_double(struct buf *out, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint8_t *p = (uint8_t *)buf_reserve(out, sizeof bits);
    for (size_t i = 0; i < sizeof bits; i++)
        p[i] = (uint8_t)(bits >> 8 * i);
    out->size += sizeof bits;
}

static bool put_strings(struct buf *out, const struct slices *strings, struct err *err) {
    if (strings->count > 0)
        put_long(out, (int64_t)strings->count);
    for (size_t i = 0; i < strings->count; i++) {
        if (!put_string(out, strings->items[i], err))
            return false;
    }
    put_long(out, 0);
    return true;
}

static bool put_record(struct buf *out, const struct event_type *type, const char *value, struct err *err);

static bool put_records(struct buf *out, const struct event_type *type, const struct event_array *records,
                        struct err *err) {
    if (records->count > 0)
        put_long(out, (int64_t)records->count);
    for (size_t i = 0; i < records->count; i++) {
        if (!put_record(out, type, records->items + i * type->size, err))
            return false;
    }
    put_long(out, 0);
    return true;
}

static bool put_field(struct buf *out, const struct event_field *f, const char *member, struct err *err) {
    if (f->nullable) {
        bool null = event_is_null(f, member);
        put_long(out, null ? 0 : 1);
        if (null)
            return true;
        member += event_optional_value(f->kind);
    }
    const void *value = member;
    switch (f->kind) {
    case EVENT_STRING:
        return put_string(out, *(const struct slice *)value, err);
    case EVENT_BYTES:
        put_slice(out, *(const struct slice *)value);
        return true;
    case EVENT_INT:
        put_long(out, *(const int32_t *)value);
        return true;
    case EVENT_LONG:
        put_long(out, *(const int64_t *)value);
        return true;
    case EVENT_DOUBLE:
        put_double(out, *(const double *)value);
        return true;
    case EVENT_BOOLEAN:
        buf_append_byte(out, *(const bool *)value ? 1 : 0);
        return true;
    case EVENT_ENUM: {
        int symbol = *(const int *)value;
        if (symbol < 0 || symbol >= f->symbols->count)
            return err_set(err, ERR_POISON, "%s has no symbol %d", f->symbols->name, symbol);
        put_long(out, symbol);
        return true;
    }
    case EVENT_RECORD:
        return put_record(out, f->type, value, err);
    case EVENT_STRINGS:
        return put_strings(out, value, err);
    case EVENT_RECORDS:
        return put_records(out, f->type, value, err);
    }
    __builtin_unreachable();
}

static bool put_record(struct buf *out, const struct event_type *type, const char *value, struct err *err) {
    for (const struct event_field *f = type->fields; f < type->fields + type->field_count; f++) {
        if (!put_field(out, f, value + f->offset, err))
            return err_prefix(err, "%s.%s", type->name, f->name);
    }
    return true;
}

bool event_encode(const struct event_type *type, const void *value, struct buf *out, struct err *err) {
    size_t start = out->size;
    if (!put_record(out, type, value, err)) {
        out->size = start;
        return false;
    }
    size_t size = out->size - start;
    if (size > EVENT_SIZE_MAX) {
        out->size = start;
        return err_set(err, ERR_POISON, "%s of %zu bytes, more than %d", type->name, size, EVENT_SIZE_MAX);
    }
    return true;
}

/* --- JSON --- */

void event_json_bytes(struct json *j, struct slice bytes) {
    _cleanup_(buf_free) struct buf text = {0};
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t c = (uint8_t)bytes.data[i];
        if (c >= 0x80)
            buf_append_byte(&text, 0xc0 | c >> 6);
        buf_append_byte(&text, c < 0x80 ? c : (uint8_t)(0x80 | (c & 0x3f)));
    }
    json_put_string(j, buf_slice(&text));
}

static void json_record(struct json *j, const struct event_type *type, const char *value);

static void json_field(struct json *j, const struct event_field *f, const char *member) {
    if (f->nullable) {
        if (event_is_null(f, member)) {
            json_put_null(j);
            return;
        }
        member += event_optional_value(f->kind);
    }
    const void *value = member;
    switch (f->kind) {
    case EVENT_STRING:
        json_put_string(j, *(const struct slice *)value);
        break;
    case EVENT_BYTES:
        event_json_bytes(j, *(const struct slice *)value);
        break;
    case EVENT_INT:
        json_put_int(j, *(const int32_t *)value);
        break;
    case EVENT_LONG:
        json_put_int(j, *(const int64_t *)value);
        break;
    case EVENT_DOUBLE:
        json_put_double(j, *(const double *)value);
        break;
    case EVENT_BOOLEAN:
        json_put_bool(j, *(const bool *)value);
        break;
    case EVENT_ENUM:
        json_put_string(j, slice_of(event_enum_name(f->symbols, *(const int *)value)));
        break;
    case EVENT_RECORD:
        json_record(j, f->type, value);
        break;
    case EVENT_STRINGS: {
        const struct slices *strings = value;
        json_begin_array(j);
        for (size_t i = 0; i < strings->count; i++)
            json_put_string(j, strings->items[i]);
        json_end_array(j);
        break;
    }
    case EVENT_RECORDS: {
        const struct event_array *records = value;
        json_begin_array(j);
        for (size_t i = 0; i < records->count; i++)
            json_record(j, f->type, records->items + i * f->type->size);
        json_end_array(j);
        break;
    }
    }
}

static void json_record(struct json *j, const struct event_type *type, const char *value) {
    json_begin_object(j);
    for (const struct event_field *f = type->fields; f < type->fields + type->field_count; f++) {
        json_key(j, f->name);
        json_field(j, f, value + f->offset);
    }
    json_end_object(j);
}

void event_json(const struct event_type *type, const void *value, struct buf *out) {
    struct json j = {.out = out};
    json_record(&j, type, value);
}
