#include "service/feed_internal.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "kafka/kafka.h"
#include "service/logger.h"
#include "service/vector.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

enum {
    UNKNOWN_MS = 250,
    UNKNOWN_MAX_US = 2000000, /* a topic that is not there is waited for no longer, while others are */
};

struct feeds {
    struct instance *instance;
    struct table_shared **tables;
    size_t table_count;
    struct log *log;
    struct tail *tail; /* NULL: nobody has followed a log yet */
    pthread_t thread;
    bool running;
};

/* ---- what all streams share ---- */

struct feeds *feeds_create(struct instance *i) {
    struct feeds *f = xcalloc(1, sizeof *f);
    f->instance = i;
    for (size_t k = 0; k < i->worker_count; k++) {
        const struct topology *topology = i->workers[k].topology;
        for (const struct table *const *t = topology == NULL ? NULL : topology->tables;
             t != NULL && *t != NULL; t++) {
            f->tables = xrealloc(f->tables, (f->table_count + 1) * sizeof(struct table_shared *));
            f->tables[f->table_count++] = table_shared_create(i, *t);
        }
    }
    return f;
}

struct table_shared *feeds_table(struct feeds *f, const struct table *t) {
    for (size_t k = 0; k < f->table_count; k++)
        if (table_shared_table(f->tables[k]) == t)
            return f->tables[k];
    return NULL;
}

void feeds_note(struct feeds *f, const struct table *t, struct slice key, int32_t partition, int64_t offset) {
    struct table_shared *s = feeds_table(f, t);
    if (s != NULL)
        changes_note(table_shared_changes(s), key, partition, offset);
}

void feeds_reset(struct feeds *f, const struct table *t) {
    struct table_shared *s = feeds_table(f, t);
    if (s != NULL)
        table_shared_reset(s);
}

static void on_tail(void *context, struct slice name) {
    struct feeds *f = context;
    http_wake(f->instance->http, name);
}

static void on_notice(void *context, const char *text) {
    (void)context;
    logger_write(LEVEL_WARN, "streams of events: %s", text);
}

void feeds_metrics(struct feeds *f, struct metrics *m) {
    if (f != NULL && f->tail != NULL)
        tail_metrics(f->tail, m);
}

static void *tail_main(void *context) {
    struct feeds *f = context;
    struct err e;
    prctl(PR_SET_NAME, "feeds");
    if (!tail_run(f->tail, &e))
        logger_write(LEVEL_ERROR, "streams of events: %s", e.text);
    return NULL;
}

struct tail *feeds_follow(struct feeds *f, struct log *log) {
    struct instance *i = f->instance;
    f->tail = tail_create(&(struct tail_options){.log = log,
                                                 .schemas = i->schemas,
                                                 .topic_count = i->topic_count,
                                                 .wake = on_tail,
                                                 .notice = on_notice,
                                                 .context = f});
    return f->tail;
}

struct tail *feeds_tail(struct feeds *f) {
    if (f->tail != NULL)
        return f->tail;
    struct instance *i = f->instance;
    struct err e;
    char identity[256];
    snprintf(identity, sizeof identity, "%s-%d-feeds", i->service->name, i->settings.slot);
    struct kafka_options kafka = {.brokers = i->settings.brokers,
                                  .properties = i->settings.properties,
                                  .identity = identity,
                                  .topic_count = i->topic_count};
    if (!kafka_create(&kafka, &f->log, &e))
        abort(); /* an eventfd: this process is at its end */
    feeds_follow(f, f->log);
    if (pthread_create(&f->thread, NULL, tail_main, f) != 0)
        abort();
    f->running = true;
    return f->tail;
}

void feeds_destroy(struct feeds *f) {
    if (f == NULL)
        return;
    if (f->running) {
        tail_stop(f->tail);
        pthread_join(f->thread, NULL);
        log_destroy(f->log);
    }
    tail_destroy(f->tail);
    for (size_t k = 0; k < f->table_count; k++)
        table_shared_destroy(f->tables[k]);
    free(f->tables);
    free(f);
}

/* ---- one stream ---- */

struct stream_state {
    struct feed_part parts[FEEDS_MAX];
    size_t count;
    bool open, positioned;
    int64_t opened_us;
    struct buf told; /* the vector that the client had last */
};

static const struct topic *topic_of(const struct feed *f) {
    return f->table != NULL ? f->table->topic : f->topic;
}

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

void feed_vector(const struct feed_run *r, struct buf *out) {
    size_t start = out->size;
    for (size_t k = 0; k < r->count; k++) {
        const struct feed_part *part = &r->parts[k];
        const char *topic = topic_of(&r->feeds[k])->name;
        for (int32_t c = 0; c < part->cursor_count; c++) {
            int32_t p = part->cursors[c].partition;
            vector_put(out, start, topic, p, part->vector[p]);
        }
        for (int32_t p = 0; part->cursor_count == 0 && p < part->partitions; p++)
            if (part->vector[p] > 0)
                vector_put(out, start, topic, p, part->vector[p]);
    }
    if (out->size == start && r->count > 0) /* an empty id would be none */
        vector_put(out, start, topic_of(&r->feeds[0])->name, 0, 0);
}

void feed_reset(struct feed_run *r, const char *event) {
    struct json j = {.out = r->out};
    buf_append_slice(r->out, SLICE("event: reset\ndata: "));
    json_begin_object(&j);
    json_key(&j, "event"), json_put_string(&j, slice_of(event));
    json_end_object(&j);
    buf_append_slice(r->out, SLICE("\n\n"));
    r->has_block = false;
}

static void take_entry(void *context, struct slice topic, int32_t partition, int64_t offset) {
    struct feed_run *r = context;
    for (size_t k = 0; k < r->count; k++)
        if (slice_equal(slice_of(topic_of(&r->feeds[k])->name), topic) &&
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

static int32_t partitions_of(const struct instance *i, const struct topic *t) {
    return t->partitions > 0 ? t->partitions : i->settings.partitions > 0 ? i->settings.partitions : 1;
}

/* False: answered, there is no stream. */
static bool open_stream(struct feed_run *r, struct stream_state *s) {
    for (; is_feed(&r->feeds[s->count]); s->count++) {
        assert(s->count < FEEDS_MAX);
        struct feed_part *p = &s->parts[s->count];
        p->partitions = partitions_of(r->instance, topic_of(&r->feeds[s->count]));
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
