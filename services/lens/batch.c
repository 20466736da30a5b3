/* Record batches, version 2 (Kafka's only one since 0.11). */
#include "fetch.h"

#include "base/buf.h"

enum { HEAD = 61, BEFORE_LENGTH = 12, MAGIC = 2 };
enum { COMPRESSION = 7, APPEND_TIME = 8, TRANSACTIONAL = 16, CONTROL = 32 };

/* What a hostile batch says does not fit wraps. */
static int64_t plus(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

bool batch_next(struct slice *bytes, struct batch *b) {
    if (bytes->size < HEAD)
        return false;
    const char *p = bytes->data;
    int32_t length = (int32_t)be_get(p + 8, 4), delta = (int32_t)be_get(p + 23, 4);
    if (length < HEAD - BEFORE_LENGTH || (size_t)length + BEFORE_LENGTH > bytes->size || p[16] != MAGIC ||
        delta < 0)
        return false;
    unsigned attributes = (unsigned)be_get(p + 21, 2);
    *b = (struct batch){
        .first = (int64_t)be_get(p, 8),
        .last = plus((int64_t)be_get(p, 8), delta),
        .base_time = (int64_t)be_get(p + 27, 8),
        .max_time = (int64_t)be_get(p + 35, 8),
        .producer = (int64_t)be_get(p + 43, 8),
        .epoch = (int16_t)be_get(p + 51, 2),
        .count = (int32_t)be_get(p + 57, 4),
        .transactional = (attributes & TRANSACTIONAL) != 0,
        .control = (attributes & CONTROL) != 0,
        .append_time = (attributes & APPEND_TIME) != 0,
        .compressed = (attributes & COMPRESSION) != 0,
        .records = {p + HEAD, (size_t)length + BEFORE_LENGTH - HEAD},
    };
    size_t whole = (size_t)length + BEFORE_LENGTH;
    *bytes = (struct slice){p + whole, bytes->size - whole};
    return true;
}

static bool varint(struct slice *s, int64_t *n) {
    uint64_t u = 0;
    for (int shift = 0; shift < 64 && s->size > 0; shift += 7) {
        unsigned char c = (unsigned char)*s->data;
        *s = (struct slice){s->data + 1, s->size - 1};
        u |= (uint64_t)(c & 0x7f) << shift;
        if ((c & 0x80) == 0) {
            *n = (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
            return true;
        }
    }
    return false;
}

static bool take(struct slice *s, int64_t size, struct slice *out) {
    if (size < -1 || (size > 0 && (uint64_t)size > s->size))
        return false;
    *out = size < 0 ? SLICE_NONE : (struct slice){s->data, (size_t)size};
    if (size > 0)
        *s = (struct slice){s->data + size, s->size - (size_t)size};
    return true;
}

bool batch_record_next(const struct batch *b, struct slice *rest, struct batch_record *r) {
    int64_t length, time, offset, size, headers;
    struct slice body, record = {0};
    if (!varint(rest, &length) || length < 1 || !take(rest, length, &body))
        return false;
    struct batch_record out = {.size = body.size};
    if (!take(&body, 1, &record) || !varint(&body, &time) || !varint(&body, &offset) ||
        !varint(&body, &size) || !take(&body, size, &out.key) || !varint(&body, &size) ||
        !take(&body, size, &out.value) || !varint(&body, &headers) || headers < 0 ||
        (uint64_t)headers > body.size)
        return false;
    out.offset = plus(b->first, offset);
    out.timestamp = b->append_time ? b->max_time : plus(b->base_time, time);
    out.headers = body;
    out.header_count = (size_t)headers;
    *r = out;
    return true;
}

bool batch_header_next(struct slice *rest, struct batch_header *h) {
    int64_t size;
    struct batch_header out;
    struct slice s = *rest;
    if (s.size == 0 || !varint(&s, &size) || size < 0 || !take(&s, size, &out.name) || !varint(&s, &size) ||
        !take(&s, size, &out.value))
        return false;
    *h = out;
    *rest = s;
    return true;
}

bool batch_commits(const struct batch *b) {
    struct slice rest = b->records;
    struct batch_record r;
    return batch_record_next(b, &rest, &r) && r.key.size >= 4 && be_get(r.key.data + 2, 2) == 1;
}
