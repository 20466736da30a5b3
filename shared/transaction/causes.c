/* What a record has in its headers: its trace, and what it follows from. */
#include "transaction/internal.h"

#include "base/cleanup.h"

/* A number that depends on the input and on who handles it, for trace ids: the same at each replay. */
static uint64_t trace_number(const struct cause *in, const char *salt) {
    uint64_t h =
        0xcbf29ce484222325 ^ (uint64_t)in->offset * 0x9e3779b97f4a7c15 ^ (uint64_t)in->partition << 48;
    for (const char *p = in->topic->name; *p != 0; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3;
    for (const char *p = salt; *p != 0; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3;
    h ^= h >> 31;
    h *= 0xbf58476d1ce4e5b9;
    return h ^ h >> 27;
}

/* Is each of them one of 0-9a-f? Without a branch for each: every record has such a text. */
static bool all_hex(const char *text, size_t size) {
    unsigned bad = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned digit = (unsigned char)text[i] - '0', letter = (unsigned char)text[i] - 'a';
        bad |= (digit > 9) & (letter > 5);
    }
    return bad == 0;
}

/* The trace id in a valid traceparent; NULL: it is none. */
static const char *trace_of(struct slice t) {
    if (t.size != 55 || !slice_starts_with(t, SLICE("00-")) || t.data[35] != '-' || t.data[52] != '-')
        return NULL;
    bool valid = all_hex(t.data + 3, 32) && all_hex(t.data + 36, 16) && all_hex(t.data + 53, 2);
    return valid ? t.data + 3 : NULL;
}

static bool is_sampled(struct slice valid) {
    return hex_digit(valid.data[54]) & 1;
}

/* The trace that an input has (NULL: one of its own). */
static void append_trace(const struct cause *in, const char *trace, struct buf *out) {
    if (trace != NULL) {
        buf_append(out, trace, TRACE_ID);
    } else {
        buf_append_hex(out, trace_number(in, "a") | 1);
        buf_append_hex(out, trace_number(in, "b"));
    }
}

/* Of what a topology makes of an input. */
static void append_span(const struct topology *t, const struct cause *in, struct buf *out) {
    buf_append_hex(out, trace_number(in, t->name) | 1);
}

void txn_append_traceparent(struct txn *txn, const struct cause *in, const char *trace, bool sampled,
                            struct buf *out) {
    buf_append_slice(out, SLICE("00-"));
    append_trace(in, trace, out);
    buf_append_byte(out, '-');
    append_span(txn->topology, in, out);
    buf_append_slice(out, sampled ? SLICE("-01") : SLICE("-00"));
}

void txn_take_trace(struct txn *txn, const struct cause *in, struct slice traceparent) {
    txn->trace = trace_of(traceparent);
    if (txn->observer == NULL) {
        txn->sampled = txn->trace == NULL || is_sampled(traceparent);
        return;
    }
    buf_clear(&txn->header);
    append_trace(in, txn->trace, &txn->header);
    txn->sampled = txn->observer->samples(txn->observer->context,
                                          txn->trace != NULL ? traceparent : SLICE_NONE, txn->header.data);
}

void txn_append_cause(struct buf *out, const struct cause *in) {
    buf_append_slice(out, slice_of(in->topic->name));
    buf_append_byte(out, '/');
    buf_append_int(out, in->partition);
    buf_append_byte(out, '/');
    buf_append_int(out, in->offset);
}

static bool digits(struct slice text, int64_t *number) {
    *number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || i == 18)
            return false;
        *number = *number * 10 + text.data[i] - '0';
    }
    return text.size > 0;
}

bool txn_wrote(const struct topology *t, struct slice traceparent, struct slice caused_by) {
    const char *end = caused_by.data + caused_by.size, *at = end, *part[2];
    char name[250];
    if (trace_of(traceparent) == NULL || caused_by.data == NULL)
        return false;
    for (int i = 0; i < 2; i++) { /* topic/partition/offset: the slashes, from behind */
        while (at > caused_by.data && *--at != '/')
            ;
        if (at == caused_by.data)
            return false;
        part[i] = at;
    }
    while (at > caused_by.data && at[-1] != ',')
        at--;
    int64_t partition, offset;
    size_t size = (size_t)(part[1] - at);
    if (size >= sizeof name ||
        !digits((struct slice){part[1] + 1, (size_t)(part[0] - part[1] - 1)}, &partition) ||
        !digits((struct slice){part[0] + 1, (size_t)(end - part[0] - 1)}, &offset))
        return false;
    memcpy(name, at, size);
    name[size] = 0;
    _cleanup_(buf_free) struct buf span = {0};
    append_span(t, &(struct cause){&(struct topic){.name = name}, (int32_t)partition, offset}, &span);
    return span.size == 16 && memcmp(traceparent.data + 36, span.data, 16) == 0;
}

const struct log_header *txn_headers(struct txn *txn) {
    if (txn->out_headers != NULL)
        return txn->out_headers;
    struct arena *a = &txn->overlay.arena;
    const struct cause cause = {txn->in->topic, txn->in->partition, txn->in->offset};
    txn->out_headers = arena_alloc(a, 3 * sizeof *txn->out_headers);
    buf_clear(&txn->header);
    txn_append_traceparent(txn, &cause, txn->trace, txn->sampled, &txn->header);
    txn->out_headers[0] = (struct log_header){"traceparent", arena_copy(a, buf_slice(&txn->header))};
    buf_clear(&txn->header);
    txn_append_cause(&txn->header, &cause);
    txn->out_headers[1] = (struct log_header){"caused-by", arena_copy(a, buf_slice(&txn->header))};
    txn->out_header_count = 2;
    if (txn->state.data != NULL)
        txn->out_headers[txn->out_header_count++] =
            (struct log_header){"tracestate", arena_copy(a, txn->state)};
    return txn->out_headers;
}

const struct cause *txn_cause_at(const struct change *c, size_t k) {
    return c->causes == 1 ? &c->only : &c->ring[k % CAUSES];
}

void txn_add_cause(struct change *c, struct txn *txn) {
    struct cause now = {txn->in->topic, txn->in->partition, txn->in->offset};
    c->timestamp = c->view->retention_ms > 0 ? txn->now : txn->in->timestamp; /* the row's stamp */
    c->sampled = txn->sampled;
    c->state = txn->state.data == NULL ? SLICE_NONE : arena_copy(&txn->overlay.arena, txn->state);
    c->has_trace = txn->trace != NULL; /* what is put again and again is written once: no text until then */
    if (txn->trace != NULL)
        memcpy(c->trace, txn->trace, TRACE_ID);
    if (c->causes > 0) {
        const struct cause *last = txn_cause_at(c, c->causes - 1);
        if (last->topic == now.topic && last->partition == now.partition && last->offset == now.offset)
            return;
    }
    if (c->causes == 1) {
        c->ring = arena_alloc(&txn->overlay.arena, CAUSES * sizeof *c->ring);
        c->ring[0] = c->only;
    }
    if (c->causes == 0)
        c->only = now;
    else
        c->ring[c->causes % CAUSES] = now;
    c->causes++;
}

void txn_observe(struct txn *txn, const struct observer *o) {
    txn->observer = o;
}

void txn_tracestate(struct txn *txn, struct slice state) {
    txn->state = state.size <= STATE_MAX ? state : SLICE_NONE;
}

bool txn_span(struct txn *txn, const struct log_record *r, struct slice traceparent, char out[SPAN_TEXT]) {
    const struct cause cause = {r->topic, r->partition, r->offset};
    txn_take_trace(txn, &cause, traceparent);
    if (!txn->sampled)
        return false;
    buf_clear(&txn->header);
    txn_append_traceparent(txn, &cause, txn->trace, true, &txn->header);
    memcpy(out, txn->header.data, SPAN_TEXT - 1);
    out[SPAN_TEXT - 1] = 0;
    return true;
}

bool txn_followed(const struct txn *txn) {
    return txn->out_headers != NULL || txn->undo_count > 0;
}

size_t txn_links(const struct txn *txn, const struct slice **links) {
    *links = txn->link_texts;
    return txn->link_count;
}
