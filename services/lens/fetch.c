#include "fetch.h"

#include "base/cleanup.h"
#include "kafka/wire.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>

enum { FETCH = 1, VERSION = 5, ANSWER_MS = 3000, ANSWER_MAX = 64 << 20, KEPT = 2 << 20 };

struct fetcher {
    struct kafka_wire *to;
    int32_t correlation;
    struct buf answer;
    struct slice rest;     /* of the answer: what fetcher_next() has not seen */
    struct slice topic;    /* whose partitions come next */
    int32_t topics, parts; /* left */
};

struct fetcher *fetcher_create(const char *host, uint16_t port, const struct kafka_property *properties) {
    struct fetcher *f = xcalloc(1, sizeof *f);
    f->to = kafka_wire_create(host, port, properties);
    return f;
}

void fetcher_destroy(struct fetcher *f) {
    if (f == NULL)
        return;
    kafka_wire_destroy(f->to);
    buf_free(&f->answer);
    free(f);
}

/* ---- the question ---- */

static void put_string(struct buf *b, const char *s) {
    buf_append_be(b, (int64_t)strlen(s), 2);
    buf_append(b, s, strlen(s));
}

static void patch(struct buf *b, size_t at, int32_t n) {
    for (int i = 0; i < 4; i++)
        b->data[at + (size_t)i] = (char)((uint32_t)n >> (24 - 8 * i));
}

static void put_wants(struct buf *b, const struct fetch_want *wants, size_t n, int part_bytes) {
    size_t topics_at = b->size, parts_at = 0;
    int32_t topics = 0, parts = 0;
    buf_append_be(b, 0, 4);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(wants[i].topic, wants[i - 1].topic) != 0) {
            put_string(b, wants[i].topic);
            parts_at = b->size;
            buf_append_be(b, 0, 4);
            parts = 0;
            topics++;
        }
        buf_append_be(b, wants[i].partition, 4);
        buf_append_be(b, wants[i].offset, 8);
        buf_append_be(b, -1, 8); /* the log's start: of followers only */
        buf_append_be(b, part_bytes, 4);
        patch(b, parts_at, ++parts);
    }
    patch(b, topics_at, topics);
}

static void put_request(struct fetcher *f, struct buf *b, const struct fetch_want *wants, size_t n,
                        const struct fetch_options *o) {
    buf_append_be(b, FETCH, 2);
    buf_append_be(b, VERSION, 2);
    buf_append_be(b, ++f->correlation, 4);
    put_string(b, "lens");
    buf_append_be(b, -1, 4); /* no replica */
    buf_append_be(b, o->wait_ms, 4);
    buf_append_be(b, o->min_bytes, 4);
    buf_append_be(b, o->max_bytes, 4);
    buf_append_be(b, o->committed, 1);
    put_wants(b, wants, n, o->part_bytes);
}

/* ---- the answer ---- */

static bool get(struct slice *s, int bytes, int64_t *n) {
    if (s->size < (size_t)bytes)
        return false;
    uint64_t u = (unsigned char)s->data[0] & 0x80 ? UINT64_MAX : 0;
    for (int i = 0; i < bytes; i++)
        u = u << 8 | (unsigned char)s->data[i];
    *s = (struct slice){s->data + bytes, s->size - (size_t)bytes};
    *n = (int64_t)u;
    return true;
}

static bool get_bytes(struct slice *s, int64_t size, struct slice *out) {
    if (size < 0)
        size = 0;
    if ((uint64_t)size > s->size)
        return false;
    *out = (struct slice){s->data, (size_t)size};
    *s = (struct slice){s->data + size, s->size - (size_t)size};
    return true;
}

static bool answer_begins(struct fetcher *f) {
    int64_t correlation, throttle, topics;
    f->rest = buf_slice(&f->answer);
    f->parts = 0;
    bool ok = get(&f->rest, 4, &correlation) && get(&f->rest, 4, &throttle) && get(&f->rest, 4, &topics) &&
              correlation == f->correlation;
    f->topics = ok ? (int32_t)topics : 0;
    return ok;
}

bool fetcher_ask(struct fetcher *f, const struct fetch_want *wants, size_t n, const struct fetch_options *o,
                 struct err *e) {
    _cleanup_(buf_free) struct buf request = {0};
    put_request(f, &request, wants, n, o);
    if (f->answer.capacity > KEPT)
        buf_free(&f->answer);
    if (!kafka_wire_ask(f->to, buf_slice(&request), &f->answer, ANSWER_MAX, ANSWER_MS, e))
        return false;
    return answer_begins(f) || err_set(e, ERR_RETRY, "Kafka is away: its answer is nonsense");
}

static bool take_part(struct fetcher *f, struct fetch_part *p) {
    int64_t partition, error, count, size;
    if (!get(&f->rest, 4, &partition) || !get(&f->rest, 2, &error) || !get(&f->rest, 8, &p->end) ||
        !get(&f->rest, 8, &p->stable) || !get(&f->rest, 8, &p->first) || !get(&f->rest, 4, &count) ||
        !get_bytes(&f->rest, count * 16, &p->aborted) || !get(&f->rest, 4, &size) ||
        !get_bytes(&f->rest, size, &p->batches))
        return false;
    p->topic = f->topic;
    p->partition = (int32_t)partition;
    p->error = (int)error;
    p->aborted_count = p->aborted.size / 16;
    return true;
}

bool fetcher_next(struct fetcher *f, struct fetch_part *part) {
    int64_t size, parts;
    while (f->parts == 0) {
        if (f->topics-- <= 0 || !get(&f->rest, 2, &size) || !get_bytes(&f->rest, size, &f->topic) ||
            !get(&f->rest, 4, &parts)) {
            f->topics = 0;
            return false;
        }
        f->parts = (int32_t)parts;
    }
    f->parts--;
    return take_part(f, part);
}

struct fetch_aborted fetch_aborted_at(const struct fetch_part *part, size_t i) {
    struct slice s = {part->aborted.data + 16 * i, 16};
    struct fetch_aborted a = {0};
    get(&s, 8, &a.producer);
    get(&s, 8, &a.first);
    return a;
}

const char *fetch_error_text(int code) {
    return rd_kafka_err2str((rd_kafka_resp_err_t)code);
}
