#include "record.h"

#include "base/cleanup.h"
#include "base/utf8.h"

#include <stdio.h>

static void put_hex(struct json *j, struct slice s) {
    static const char digit[] = "0123456789abcdef";
    _cleanup_(buf_free) struct buf hex = {0};
    char *to = buf_reserve(&hex, 2 * s.size + 1);
    for (size_t i = 0; i < s.size; i++) {
        to[2 * i] = digit[(unsigned char)s.data[i] >> 4];
        to[2 * i + 1] = digit[(unsigned char)s.data[i] & 15];
    }
    hex.size = 2 * s.size;
    json_put_string(j, buf_slice(&hex));
}

/* Text as a string, anything else as {"hex": …}. */
static void put_text(struct json *j, struct slice s) {
    if (s.data == NULL) {
        json_put_null(j);
    } else if (utf8_valid(s)) {
        json_put_string(j, s);
    } else {
        json_begin_object(j);
        json_key(j, "hex"), put_hex(j, s);
        json_end_object(j);
    }
}

static void put_key(struct json *j, struct slice key) {
    bool text = key.data != NULL && utf8_valid(key);
    json_key(j, "key");
    if (text)
        json_put_string(j, key);
    else
        json_put_null(j);
    if (key.data != NULL && !text)
        json_key(j, "keyHex"), put_hex(j, key);
}

/* Also a name that is no text becomes one. A name that comes again has all its values, in an array. */
static void put_headers(struct json *j, const struct batch_record *r) {
    struct slice rest = r->headers, behind;
    struct batch_header h, other;
    size_t n = 0;
    json_key(j, "headers"), json_begin_object(j);
    while (n++ < r->header_count && batch_header_next(&rest, &h)) {
        bool seen = false, again = false;
        struct slice all = r->headers;
        while (all.size > rest.size && batch_header_next(&all, &other) && all.size > rest.size)
            seen = seen || slice_equal(other.name, h.name);
        for (behind = rest; batch_header_next(&behind, &other);)
            again = again || slice_equal(other.name, h.name);
        if (seen)
            continue;
        char name[256];
        snprintf(name, sizeof name, SLICE_FMT, SLICE_ARG(h.name));
        json_key(j, name);
        if (again)
            json_begin_array(j);
        put_text(j, h.value);
        for (behind = rest; again && batch_header_next(&behind, &other);)
            if (slice_equal(other.name, h.name))
                put_text(j, other.value);
        if (again)
            json_end_array(j);
    }
    json_end_object(j);
}

struct slice record_header(const struct batch_record *r, const char *name) {
    struct slice rest = r->headers;
    struct batch_header h;
    for (size_t n = 0; n < r->header_count && batch_header_next(&rest, &h); n++)
        if (slice_equal(h.name, slice_of(name)))
            return h.value;
    return SLICE_NONE;
}

bool record_value(struct shower *s, struct slice value, struct buf *out, struct err *e) {
    if (s->registry_away)
        return err_set(e, ERR_RETRY, "the schema registry is away");
    if (schemas_json(s->schemas, value, out, e))
        return true;
    s->registry_away = e->kind == ERR_RETRY;
    return false;
}

static void put_value(struct shower *s, struct json *j, struct slice value) {
    _cleanup_(buf_free) struct buf decoded = {0};
    struct err e;
    bool large = value.size > RECORD_LARGE && !s->full;
    const unsigned char *p = (const unsigned char *)value.data;
    if (value.size >= 5 && p[0] == 0)
        json_key(j, "schema"), json_put_int(j, (int64_t)p[1] << 24 | p[2] << 16 | p[3] << 8 | p[4]);
    json_key(j, "value");
    if (value.data == NULL || large) {
        json_put_null(j);
        if (large)
            json_key(j, "large"), json_put_bool(j, true);
        return;
    }
    if (record_value(s, value, &decoded, &e)) {
        json_put_raw(j, buf_slice(&decoded));
        return;
    }
    json_put_null(j);
    json_key(j, "error"), json_put_string(j, slice_of(e.text));
    json_key(j, "hex"), put_hex(j, value);
}

static void put_record(struct shower *s, const struct batch_record *r, struct json *j) {
    put_key(j, r->key);
    put_value(s, j, r->value);
    if (r->value.data == NULL)
        json_key(j, "tombstone"), json_put_bool(j, true);
    put_headers(j, r);
    json_key(j, "size"), json_put_int(j, (int64_t)r->size);
}

void record_json(struct shower *s, const char *topic, int32_t partition, const struct tape_entry *entry,
                 struct slice more, struct json *j) {
    json_begin_object(j);
    json_key(j, "topic"), json_put_string(j, slice_of(topic));
    json_key(j, "partition"), json_put_int(j, partition);
    json_key(j, "offset"), json_put_int(j, entry->offset);
    json_key(j, "kind"), json_put_string(j, slice_of(tape_kind_name(entry->kind)));
    if (entry->kind != TAPE_COMPACTED)
        json_key(j, "timestamp"), json_put_int(j, entry->timestamp);
    if (entry->kind == TAPE_MARKER)
        json_key(j, "marker"), json_put_string(j, entry->commits ? SLICE("commit") : SLICE("abort"));
    if (entry->transactional) {
        json_key(j, "producer"), json_begin_object(j);
        json_key(j, "id"), json_put_int(j, entry->producer);
        json_key(j, "epoch"), json_put_int(j, entry->epoch);
        json_end_object(j);
    }
    if (entry->kind != TAPE_MARKER && entry->kind != TAPE_COMPACTED)
        put_record(s, &entry->record, j);
    buf_append_slice(j->out, more);
    json_end_object(j);
}
