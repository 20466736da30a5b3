#include "feeds/run.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "log/partitions.h"
#include "stream/stream.h"

#include <stdlib.h>

enum {
    BATCH_MS = 100,  /* between two batches of a stream, … */
    ROWS_PER_MS = 2, /* … and more after a large one: a browser has to draw them */
    BATCH_MAX_MS = 1000,
    SCAN_ROWS = 1000,   /* a run looks at, so that others get their turn */
    CACHE_MAX = 4 << 20 /* bytes of rows that all streams share */
};

/* ---- the events of rows ---- */

static void end_data(struct feed_run *r) {
    buf_append_slice(r->out, SLICE("\n\n"));
}

/* A vector is told with the last event of a batch; that one's place is remembered. */
static void begin_event(struct feed_run *r, const char *event, const char *suffix) {
    r->has_block = true;
    r->block = r->out->size;
    buf_printf(r->out, "event: %s%s\ndata: ", event, suffix);
}

static void put_deleted(struct feed_run *r, const struct feed *f, struct slice key) {
    begin_event(r, f->event, "-deleted");
    struct json j = {.out = r->out};
    json_begin_object(&j);
    json_key(&j, "key"), json_put_string(&j, key);
    json_end_object(&j);
    end_data(r);
}

static void put_json(const struct feed *f, const struct event *row, struct buf *out) {
    if (f->json != NULL)
        f->json(row, out);
    else
        event_json(row->topic->value, row->value, out);
}

static void put_row(struct feed_run *r, const struct feed *f, const struct event *row, struct slice json) {
    begin_event(r, f->event, "");
    if (json.data != NULL)
        buf_append_slice(r->out, json);
    else
        put_json(f, row, r->out);
    end_data(r);
}

/* Everything up to now was sent: the last event says so, or a line of its own. */
static void put_vector(struct feed_run *r) {
    _cleanup_(buf_free) struct buf id = {0};
    buf_append_slice(&id, SLICE("id: "));
    feed_vector(r, &id);
    buf_append_byte(&id, '\n');
    if (!r->has_block) {
        buf_append_slice(r->out, buf_slice(&id));
        buf_append_byte(r->out, '\n');
        return;
    }
    buf_reserve(r->out, id.size);
    char *at = r->out->data + r->block;
    memmove(at + id.size, at, r->out->size - r->block);
    memcpy(at, id.data, id.size);
    r->out->size += id.size;
    r->has_block = false;
}

/* ---- which rows a client has ---- */

static uint64_t hash_of(struct slice key) {
    uint64_t h = slice_hash(key);
    return h < 2 ? 2 : h; /* 0 and 1 are an empty slot and one that was emptied */
}

static uint64_t *shown_slot(const struct feed_part *p, uint64_t hash) {
    size_t i = hash & (p->shown_capacity - 1);
    while (p->shown[i] != 0 && p->shown[i] != hash)
        i = (i + 1) & (p->shown_capacity - 1);
    return &p->shown[i];
}

static void shown_add(struct feed_part *p, struct slice key) {
    if (4 * (p->shown_count + 1) > 3 * p->shown_capacity) {
        uint64_t *old = p->shown;
        size_t capacity = p->shown_capacity, left = 0;
        for (size_t i = 0; i < capacity; i++)
            left += old[i] > 1;
        for (p->shown_capacity = 64; p->shown_capacity < 4 * (left + 1);)
            p->shown_capacity *= 2;
        p->shown = xcalloc(p->shown_capacity, sizeof *p->shown);
        p->shown_count = 0;
        for (size_t i = 0; i < capacity; i++)
            if (old[i] > 1) {
                *shown_slot(p, old[i]) = old[i];
                p->shown_count++;
            }
        free(old);
    }
    uint64_t hash = hash_of(key), *slot = shown_slot(p, hash);
    p->shown_count += *slot == 0;
    *slot = hash;
}

/* Whether it was there. */
static bool shown_take(struct feed_part *p, struct slice key) {
    uint64_t *slot = p->shown_capacity == 0 ? NULL : shown_slot(p, hash_of(key));
    if (slot == NULL || *slot == 0)
        return false;
    *slot = 1;
    return true;
}

static void shown_clear(struct feed_part *p) {
    free(p->shown);
    p->shown = NULL;
    p->shown_count = p->shown_capacity = 0;
}

static void show(struct feed_run *r, struct feed_part *p, const struct feed *f, const struct event *row,
                 struct slice json) {
    bool wanted = row->value != NULL && (f->wants == NULL || f->wants(f->context, row));
    if (wanted) {
        if (f->wants != NULL)
            shown_add(p, row->key);
        put_row(r, f, row, json);
    } else if (f->wants == NULL || shown_take(p, row->key)) {
        put_deleted(r, f, row->key);
    }
    p->batch_rows++;
}

/* ---- a feed of one row ---- */

static void run_row(struct feed_run *r, struct feed_part *p, const struct feed *f, struct stream *s) {
    struct event row;
    struct err e;
    int32_t partition = partition_of(f->key, p->partitions);
    if (!stream_row(s, f->table, f->key, http_arena(r->x), &row, &e)) {
        feed_pause(r, BATCH_MAX_MS);
        return;
    }
    bool first = p->phase == TABLE_BEGINS;
    int64_t positions[p->partitions];
    if (first && p->resumes && stream_positions(s, f->table, positions, p->partitions, &e) &&
        p->vector[partition] > positions[partition]) {
        p->resumes = false; /* Kafka was made anew since */
        p->vector[partition] = 0;
    }
    p->phase = TABLE_LIVE;
    if (first && !p->resumes)
        feed_reset(r, f->event);
    if (row.value != NULL && row.offset >= p->vector[partition]) {
        p->vector[partition] = row.offset + 1;
        put_row(r, f, &row, SLICE_NONE);
    } else if (row.value == NULL && (p->row_shown || (first && p->resumes))) {
        put_deleted(r, f, f->key);
    }
    p->row_shown = row.value != NULL;
    if (r->has_block) {
        put_vector(r);
        feed_pause(r, BATCH_MS);
    }
}

/* ---- all rows ---- */

struct scan {
    struct feed_run *run;
    struct feed_part *part;
    const struct feed *feed;
    size_t looked_at;
    bool stopped;
};

static bool scan_row(void *context, const struct event *row) {
    struct scan *s = context;
    struct feed_part *p = s->part;
    if (!feed_room(s->run) || s->looked_at == SCAN_ROWS) {
        s->stopped = true;
        return false;
    }
    s->looked_at++;
    buf_clear(&p->scan_from);
    buf_append_slice(&p->scan_from, row->key);
    buf_append_byte(&p->scan_from, 0); /* the least key behind it */
    if (!p->deltas || row->partition >= p->partitions || row->offset >= p->vector[row->partition])
        show(s->run, p, s->feed, row, SLICE_NONE);
    return true;
}

static void through(struct feed_run *r, struct feed_part *p) {
    memcpy(p->vector, p->next, (size_t)p->partitions * sizeof *p->vector);
    p->number = p->next_number;
    p->phase = TABLE_LIVE;
    put_vector(r);
    int64_t ms = (int64_t)p->batch_rows / ROWS_PER_MS;
    feed_pause(r, ms < BATCH_MS ? BATCH_MS : ms > BATCH_MAX_MS ? BATCH_MAX_MS : ms);
    p->batch_rows = 0;
}

static void run_scan(struct feed_run *r, struct feed_part *p, const struct feed *f, struct stream *s) {
    struct scan scan = {r, p, f, 0, false};
    struct err e;
    struct slice from = p->scan_from.size > 0 ? buf_slice(&p->scan_from) : SLICE_NONE;
    if (!stream_scan_rows(s, f->table, from, scan_row, &scan, &e))
        feed_pause(r, BATCH_MAX_MS);
    else if (!scan.stopped)
        through(r, p);
    else if (r->out->size == 0)
        buf_append_slice(r->out, SLICE(":\n")); /* so that it goes on at once */
}

/* ---- the rows that change ---- */

/* The row of a change and its JSON, made once for all streams. */
static bool cached_row(struct table_shared *s, struct stream *stream, struct change *c, const struct feed *f,
                       struct err *e) {
    if (s->cache_size > CACHE_MAX) {
        arena_free(&s->cache);
        s->cache_size = 0;
        s->generation++;
    }
    if (c->cached != s->generation) {
        if (!stream_row(stream, s->table, c->key, &s->cache, &c->row, e))
            return false;
        c->cached = s->generation;
        c->renderer = NULL;
        s->cache_size += 2 * s->table->topic->value->size + 512; /* about */
    }
    const void *renderer = f->json != NULL ? (const void *)(uintptr_t)f->json : s;
    if (c->row.value != NULL && c->renderer != renderer) {
        _cleanup_(buf_free) struct buf json = {0};
        put_json(f, &c->row, &json);
        c->text = arena_copy(&s->cache, buf_slice(&json));
        c->renderer = renderer;
        s->cache_size += json.size;
    }
    return true;
}

/* What has changed since this stream looked last: each key once, however often. */
static void collect(struct feed_part *p, uint64_t newest) {
    struct changes *c = p->shared->changes;
    size_t room = 0;
    arena_reset(&p->batch_keys);
    p->batch_count = p->batch_at = 0;
    for (struct change *x = changes_since(c, p->number); x != NULL; x = x->newer) {
        if (x->offset < p->vector[x->partition])
            continue;
        if (p->batch_count == room)
            p->batch = xrealloc(p->batch, (room = 2 * room + 64) * sizeof *p->batch);
        p->batch[p->batch_count++] = arena_copy(&p->batch_keys, x->key);
    }
    memcpy(p->next, changes_positions(c), (size_t)p->partitions * sizeof *p->next);
    p->next_number = newest;
    if (p->batch_count == 0) { /* it has them all */
        memcpy(p->vector, p->next, (size_t)p->partitions * sizeof *p->next);
        p->number = newest;
    }
}

static void forget_batch(struct feed_part *p) {
    free(p->batch);
    p->batch = NULL;
    p->batch_count = p->batch_at = 0;
    arena_free(&p->batch_keys);
}

static void run_batch(struct feed_run *r, struct feed_part *p, const struct feed *f, struct stream *s) {
    struct err e;
    for (; p->batch_at < p->batch_count && feed_room(r); p->batch_at++) {
        struct change *c = changes_find(p->shared->changes, p->batch[p->batch_at]);
        if (c == NULL)
            continue; /* forgotten meanwhile, which changes_known_since() tells */
        if (!cached_row(p->shared, s, c, f, &e)) {
            feed_pause(r, BATCH_MAX_MS);
            return;
        }
        show(r, p, f, &c->row, c->text);
    }
    if (p->batch_at < p->batch_count)
        return;
    forget_batch(p);
    through(r, p);
}

/* ---- where a stream begins ---- */

static bool beyond(const struct feed_part *p, const int64_t *positions) {
    for (int32_t k = 0; k < p->partitions; k++)
        if (p->vector[k] > positions[k])
            return true;
    return false;
}

static void begin_scan(struct feed_run *r, struct feed_part *p, const struct feed *f, bool deltas,
                       uint64_t newest) {
    forget_batch(p);
    memcpy(p->next, changes_positions(p->shared->changes), (size_t)p->partitions * sizeof *p->next);
    p->next_number = newest;
    p->deltas = deltas;
    p->phase = TABLE_SCANS;
    buf_clear(&p->scan_from);
    if (deltas)
        return;
    memset(p->vector, 0, (size_t)p->partitions * sizeof *p->vector);
    shown_clear(p);
    feed_reset(r, f->event);
}

/* False: the table cannot be asked now. */
static bool begin(struct feed_run *r, struct feed_part *p, const struct feed *f, struct stream *s) {
    struct changes *c = p->shared->changes;
    struct err e;
    if (!changes_begin(c)) {
        int64_t positions[p->partitions];
        if (!stream_positions(s, f->table, positions, p->partitions, &e))
            return false;
        changes_start(c, positions);
    }
    uint64_t newest = changes_take(c);
    bool known = p->resumes && f->wants == NULL && !beyond(p, changes_positions(c));
    if (known && changes_known_from(c, p->vector)) {
        p->number = changes_floor(c);
        p->phase = TABLE_LIVE;
        collect(p, newest);
    } else {
        begin_scan(r, p, f, known && !f->table->topic->tombstones, newest);
    }
    p->resumes = false;
    return true;
}

static void run_rows(struct feed_run *r, struct feed_part *p, const struct feed *f, struct stream *s) {
    struct shared_name name;
    http_watch(r->x, shared_changed(p->shared, &name));
    uint64_t newest = changes_take(p->shared->changes);
    if (p->phase == TABLE_LIVE && !changes_known_since(p->shared->changes, p->number))
        p->phase = TABLE_BEGINS; /* it was too slow: all rows again */
    if (p->phase == TABLE_BEGINS && !begin(r, p, f, s)) {
        feed_pause(r, BATCH_MAX_MS);
        return;
    }
    if (p->phase == TABLE_SCANS) {
        run_scan(r, p, f, s);
        return;
    }
    if (p->batch_count == 0 && newest > p->number)
        collect(p, newest);
    if (p->batch_count > 0)
        run_batch(r, p, f, s);
}

/* The table is read anew, so the client begins anew, with what is true when it is read. */
static void begin_anew(struct feed_run *r, struct feed_part *p, const struct feed *f, unsigned resets) {
    p->resets = resets;
    p->phase = TABLE_BEGINS;
    p->resumes = false;
    p->row_shown = false;
    memset(p->vector, 0, (size_t)p->partitions * sizeof *p->vector);
    instance_not_fresh(r->instance, r->x, f->table);
}

void feed_table_run(struct feed_run *r, struct feed_part *p, const struct feed *f) {
    struct stream *s = instance_stream(r->instance, f->table);
    if (p->shared == NULL) {
        p->shared = feeds_table(r->instance->feeds, f->table);
        p->next = xcalloc((size_t)p->partitions, sizeof *p->next);
        p->resets = atomic_load(&p->shared->resets);
    }
    unsigned resets = atomic_load(&p->shared->resets);
    if (resets != p->resets)
        begin_anew(r, p, f, resets);
    if (s == NULL) {
        feed_pause(r, BATCH_MS);
        return;
    }
    if (f->key.data != NULL) {
        struct shared_name name;
        instance_watch(r->instance, r->x, f->table, f->key);
        http_watch(r->x, shared_reread(p->shared, &name));
    }
    if (p->phase == TABLE_BEGINS && !instance_fresh(r->instance, r->x, f->table))
        return; /* woken when it is */
    r->has_block = false;
    if (f->key.data != NULL)
        run_row(r, p, f, s);
    else
        run_rows(r, p, f, s);
}

void feed_table_close(struct feed_part *p) {
    forget_batch(p);
    buf_free(&p->scan_from);
    shown_clear(p);
    free(p->next);
}
