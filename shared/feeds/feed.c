#include "feeds/feed.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "feeds/run.h"
#include "feeds/vector.h"

#include <assert.h>
#include <stdlib.h>

enum {
    UNKNOWN_MS = 250,
    UNKNOWN_MAX_US = 2000000, /* a topic that is not there is waited for no longer, while others are */
};

struct stream_state {
    struct feed_part parts[FEEDS_MAX];
    size_t count;
    bool open, positioned;
    int64_t opened_us;
    struct buf told; /* the vector that the client had last */
};

static bool is_feed(const struct feed *f) {
    return f->table != NULL || f->topic != NULL;
}

static void close_stream(void *state) {
    struct stream_state *s = state;
    for (size_t k = 0; k < s->count; k++) {
        struct feed_part *p = &s->parts[k];
        feed_log_close(p);
        feed_table_close(p);
        free(p->vector);
    }
    buf_free(&s->told);
}

static void take_entry(void *context, struct slice topic, int32_t partition, int64_t offset) {
    struct feed_run *r = context;
    for (size_t k = 0; k < r->count; k++)
        if (slice_equal(slice_of(feed_topic(&r->feeds[k])->name), topic) &&
            partition < r->parts[k].partitions) {
            r->parts[k].vector[partition] = offset;
            r->parts[k].resumes = true;
        }
}

/* False: answered 400. */
static bool take_vector(struct feed_run *r) {
    struct slice text = http_header(r->x, "Last-Event-ID");
    const char *field = "Last-Event-ID";
    if (text.size == 0) {
        field = "lastEventId";
        if (!http_query_string(r->x, field, &text))
            return false;
    }
    if (vector_parse(text, take_entry, r))
        return true;
    http_reply_problem(r->x, 400, field,
                       "must be the id of an event of this stream: topic/partition:offset,…");
    return false;
}

/* False: answered, there is no stream. */
static bool open_stream(struct feed_run *r, struct stream_state *s) {
    for (; is_feed(&r->feeds[s->count]); s->count++) {
        assert(s->count < FEEDS_MAX);
        struct feed_part *p = &s->parts[s->count];
        p->partitions = feeds_partitions(r->instance, feed_topic(&r->feeds[s->count]));
        p->vector = xcalloc((size_t)p->partitions, sizeof *p->vector);
    }
    r->count = s->count;
    if (!take_vector(r) || (r->out = http_events(r->x)) == NULL)
        return false;
    for (size_t k = 0; k < s->count; k++) {
        struct feed_part *p = &s->parts[k];
        bool resumes = false; /* one topic of the vector may be new to the stream: from its beginning */
        for (size_t n = 0; n < s->count; n++)
            resumes = resumes || s->parts[n].resumes;
        if (r->feeds[k].table == NULL) {
            p->resumes = resumes;
            feed_log_open(r, p, &r->feeds[k], s);
        }
    }
    s->open = true;
    s->opened_us = clock_mono_us();
    return true;
}

static void tell_vector(struct feed_run *r, struct stream_state *s) {
    _cleanup_(buf_free) struct buf vector = {0};
    feed_vector(r, &vector);
    bool same = slice_equal(buf_slice(&vector), buf_slice(&s->told));
    buf_clear(&s->told);
    buf_append_slice(&s->told, buf_slice(&vector));
    if (s->positioned && same)
        return;
    if (!s->positioned)
        buf_printf(r->out, "event: position\nid: " SLICE_FMT "\ndata: {\"position\":\"" SLICE_FMT "\"}\n\n",
                   SLICE_ARG(buf_slice(&vector)), SLICE_ARG(buf_slice(&vector)));
    else
        buf_printf(r->out, ":\nid: " SLICE_FMT "\n\n", SLICE_ARG(buf_slice(&vector)));
}

/* Once it is known where the stream begins, that is its first event. */
static bool position(struct feed_run *r, struct stream_state *s) {
    if (s->positioned)
        return true;
    int32_t unknown = 0, all = 0;
    for (int pass = 0; pass < 2; pass++) {
        bool waited = clock_mono_us() - s->opened_us > UNKNOWN_MAX_US;
        bool some_are_there = pass == 1 && unknown < all && waited;
        if (pass == 1 && unknown == 0)
            break;
        unknown = all = 0;
        for (size_t k = 0; k < r->count; k++) {
            unknown += feed_log_unknown(&r->parts[k], some_are_there);
            all += r->parts[k].cursor_count;
        }
    }
    if (unknown > 0) {
        feed_pause(r, UNKNOWN_MS);
        return false;
    }
    tell_vector(r, s);
    s->positioned = true;
    return true;
}

enum http_result instance_feed(struct instance *i, struct http_exchange *x, const struct feed *feeds) {
    static const char owner;
    struct stream_state *s = http_state(x, &owner, sizeof *s, close_stream);
    struct feed_run r = {.instance = i, .x = x, .feeds = feeds, .parts = s->parts, .count = s->count};
    if (!s->open && !open_stream(&r, s))
        return HTTP_DONE;
    r.out = http_events(x);
    if (position(&r, s)) {
        for (size_t k = 0; k < r.count && feed_room(&r); k++) {
            if (feeds[k].table != NULL)
                feed_table_run(&r, &s->parts[k], &feeds[k]);
            else
                feed_log_run(&r, &s->parts[k], &feeds[k]);
        }
        if (r.out->size == 0 && http_events_beat(x))
            tell_vector(&r, s);
    }
    if (r.pause_ms > 0)
        http_events_pause(x, r.pause_ms);
    return HTTP_WAIT;
}
