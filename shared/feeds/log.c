#include "feeds/run.h"

#include "base/clock.h"
#include "base/json.h"
#include "log/partitions.h"

#include <stdlib.h>

enum { LATER_MS = 50, LATER_MAX_US = 2000000 };

static void watch(void *context, struct slice name) {
    http_watch(context, name);
}

void feed_log_open(struct feed_run *r, struct feed_part *p, const struct feed *f, const void *owner) {
    bool keyed = f->key.data != NULL;
    p->tail = feeds_tail(r->instance->feeds);
    p->cursor_count = keyed ? 1 : p->partitions;
    p->cursors = xcalloc((size_t)p->cursor_count, sizeof *p->cursors);
    p->later = xcalloc((size_t)p->cursor_count, sizeof *p->later);
    for (int32_t k = 0; k < p->cursor_count; k++) {
        struct tail_cursor *c = &p->cursors[k];
        int32_t partition = keyed ? partition_of(f->key, p->partitions) : k;
        *c = (struct tail_cursor){.topic = f->topic,
                                  .partition = partition,
                                  .offset = p->resumes ? p->vector[partition] : TAIL_NOW,
                                  .owner = owner};
        if (keyed) { /* the handler's own lives for one run */
            char *copy = xmalloc(f->key.size + 1);
            memcpy(copy, f->key.data, f->key.size);
            c->key = (struct slice){copy, f->key.size};
        }
        tail_names(c, watch, r->x);
        tail_open(p->tail, c);
    }
}

void feed_log_close(struct feed_part *p) {
    for (int32_t k = 0; k < p->cursor_count; k++) {
        tail_close(p->tail, &p->cursors[k]);
        free((char *)(uintptr_t)p->cursors[k].key.data);
    }
    free(p->cursors);
    free(p->later);
}

static bool visit_none(void *context, const struct tail_record *record) {
    (void)context, (void)record;
    return false;
}

int32_t feed_log_unknown(struct feed_part *p, bool from_first) {
    int32_t unknown = 0;
    for (int32_t k = 0; k < p->cursor_count; k++) {
        struct tail_cursor *c = &p->cursors[k];
        if (c->offset < 0)
            tail_read(p->tail, c, visit_none, NULL);
        if (c->offset < 0 && from_first)
            c->offset = 0;
        unknown += c->offset < 0;
        p->vector[c->partition] = c->offset < 0 ? 0 : c->offset;
    }
    return unknown;
}

struct visit {
    struct feed_run *run;
    struct feed_part *part;
    const struct feed *feed;
    struct feed_later *later; /* of this cursor */
};

/* Not known yet whether it is wanted: later, but not for ever. */
static enum feed_verdict later(struct visit *v, const struct tail_record *r) {
    int64_t now = clock_mono_us();
    if (v->later->since_us == 0 || v->later->offset != r->offset)
        *v->later = (struct feed_later){r->offset, now};
    return now - v->later->since_us < LATER_MAX_US ? FEED_LATER : FEED_SKIP;
}

static bool visit(void *context, const struct tail_record *r) {
    struct visit *v = context;
    struct buf *out = v->run->out;
    if (!feed_room(v->run))
        return false;
    enum feed_verdict verdict = FEED_SEND;
    if (v->feed->select != NULL) {
        struct feed_record record = {r->topic, r->partition, r->offset, r->timestamp, r->key, r->value};
        verdict = v->feed->select(v->feed->context, &record);
    }
    if (verdict == FEED_LATER && (verdict = later(v, r)) == FEED_LATER) {
        feed_pause(v->run, LATER_MS);
        return false;
    }
    v->part->vector[r->partition] = r->offset + 1;
    if (verdict != FEED_SEND)
        return true;
    struct slice json = tail_json(v->part->tail, r);
    buf_printf(out, "event: %s\nid: ", r->topic->name);
    feed_vector(v->run, out);
    buf_append_slice(out, SLICE("\ndata: "));
    buf_append_slice(out, json);
    buf_append_slice(out, SLICE("\n\n"));
    return true;
}

/* "event: gap": these were deleted before the client had them. */
static void tell_gap(struct feed_run *r, const struct tail_cursor *c, int64_t from) {
    struct json j = {.out = r->out};
    buf_append_slice(r->out, SLICE("event: gap\ndata: "));
    json_begin_object(&j);
    json_key(&j, "topic"), json_put_string(&j, slice_of(c->topic->name));
    json_key(&j, "partition"), json_put_int(&j, c->partition);
    json_key(&j, "from"), json_put_int(&j, from);
    json_key(&j, "to"), json_put_int(&j, c->offset);
    json_end_object(&j);
    buf_append_slice(r->out, SLICE("\n\n"));
}

void feed_log_run(struct feed_run *r, struct feed_part *p, const struct feed *f) {
    for (int32_t k = 0; k < p->cursor_count && feed_room(r); k++) {
        struct tail_cursor *c = &p->cursors[k];
        struct visit v = {r, p, f, &p->later[k]};
        int64_t from = c->offset;
        enum tail_state state = tail_read(p->tail, c, visit, &v);
        if (state == TAIL_AHEAD) /* Kafka was made anew since, or has lost its last records */
            feed_reset(r, f->topic->name);
        if (state == TAIL_DELETED)
            tell_gap(r, c, from);
        if (state == TAIL_AHEAD || state == TAIL_DELETED)
            tail_read(p->tail, c, visit, &v);
        if (c->offset >= 0)
            p->vector[c->partition] = c->offset;
    }
}
