/* What other threads ask of a stream: its rows, its state, its figures. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "log/partitions.h"
#include "stream/runtime.h"
#include "transaction/keys.h"
#include "transaction/table.h"

#include <stdio.h>

/* A call to Kafka that takes as long as this waits for a broker that is away. */
enum { SLOW_CALL_MS = 2000 };

static bool call_is_slow(const struct stream *s) {
    int64_t deadline = atomic_load(&s->deadline);
    return deadline != 0 && clock_mono_us() > deadline - (CALL_DEADLINE_MS - SLOW_CALL_MS) * (int64_t)1000;
}

bool stream_ready(const struct stream *s) {
    return atomic_load(&s->ready) && !call_is_slow(s);
}

bool stream_status(struct stream *s, char *text, size_t size) {
    if (!call_is_slow(s))
        return status_read(&s->status, text, size);
    snprintf(text, size, "waiting for Kafka: it does not answer");
    return true;
}

int64_t stream_deadline(const struct stream *s) {
    return atomic_load(&s->deadline);
}

struct stream_progress stream_progress(const struct stream *s) {
    struct stream_progress progress = {.left = atomic_load(&s->left)};
    for (size_t i = 0, n = topology_topics(s->topology); i < n; i++)
        progress.records += counter_get(&s->counts[i].restored) + counter_get(&s->counts[i].hydrated);
    return progress;
}

bool stream_place(const struct stream *s, size_t i, struct stream_place *place) {
    const struct places *all = atomic_load(&s->places);
    if (all == NULL || i >= all->count)
        return false;
    const struct place *at = &all->place[i];
    *place = (struct stream_place){i < all->inputs   ? "input"
                                   : i < all->tables ? "table"
                                                     : "view",
                                   at->topic->name, at->partition,
                                   atomic_load_explicit(&at->position, memory_order_relaxed)};
    return true;
}

uint64_t stream_refresh(struct stream *s) {
    uint64_t ticket = atomic_fetch_add(&s->refresh_wanted, 1) + 1;
    s->o.log->ops->wake(s->o.log);
    return ticket;
}

bool stream_fresh(const struct stream *s, uint64_t ticket) {
    return atomic_load(&s->refresh_done) >= ticket;
}

/* What cannot be read here, in any build: no row of it is in this store, or rows are in order in parts only.
 */
static bool readable(struct stream *s, const struct table *t, bool whole, bool index, struct err *e) {
    if (t->view != NULL ? !topology_has_view(s->topology, t->view) : !topology_has_table(s->topology, t))
        return err_set(e, ERR_CONFIG, "topology %s does not declare the table %s", s->topology->name,
                       t->name);
    if (whole && t->view != NULL)
        return err_set(e, ERR_CONFIG, "table %s is a view, its order is within a partition", t->name);
    return !index || t->index != NULL || err_set(e, ERR_CONFIG, "table %s has no index", t->name);
}

/* ---- views that are served ---- */

void stream_hold(struct stream *s, const struct partitions *wanted) {
    pthread_mutex_lock(&s->lock);
    bool changed = !partitions_equal(&s->hold_wanted, wanted);
    s->hold_wanted = *wanted;
    pthread_mutex_unlock(&s->lock);
    if (changed) {
        atomic_store(&s->hold_changed, true);
        s->o.log->ops->wake(s->o.log);
    }
}

void stream_held(struct stream *s, struct partitions *wanted, struct partitions *held) {
    pthread_mutex_lock(&s->lock);
    *wanted = s->hold_wanted;
    *held = s->held;
    pthread_mutex_unlock(&s->lock);
}

/* Whoever waits says so first and looks again then, so nobody waits for what has come meanwhile. The owner is
 * woken once for what is waited for: it may be that it has to look. */
uint64_t stream_behind(struct stream *s, const struct table *t, int32_t p, int64_t end) {
    struct partitions wanted, held;
    size_t view = view_index(s, t->view);
    const struct places *all = atomic_load(&s->places);
    stream_held(s, &wanted, &held);
    if (all == NULL) {
        atomic_store(&s->expected, true);
        all = atomic_load(&s->places);
    }
    if (all == NULL)
        return 1;
    if (!partitions_has(&held, p))
        return 0;
    const _Atomic int64_t *place = &all->place[all->tables + (size_t)p * s->view_count + view].position;
    if (atomic_load(place) >= end)
        return 0;
    atomic_store(&s->expected, true);
    if (atomic_exchange(&s->tasks[p].wanted[view], end) != end)
        s->o.log->ops->wake(s->o.log);
    int64_t left = end - atomic_load(place);
    return left > 0 ? (uint64_t)left : 0;
}

void stream_wake(struct stream *s) {
    s->o.log->ops->wake(s->o.log);
}

void stream_tasks(struct stream *s, struct partitions *tasks) {
    pthread_mutex_lock(&s->lock);
    *tasks = s->assigned;
    pthread_mutex_unlock(&s->lock);
}

/* Where a key is in a view; -1: it is a table's, or nobody knows yet. */
static int32_t partition_in(struct stream *s, const struct table *t, struct slice key) {
    int32_t count = t->view == NULL ? 0 : atomic_load(&s->divided_into);
    return count == 0 ? -1 : partition_of(key, count);
}

bool stream_row(struct stream *s, const struct table *t, struct slice key, struct arena *a, struct event *row,
                struct err *e) {
    _cleanup_(buf_free) struct buf store_key = {0};
    struct slice stored;
    TRY(readable(s, t, false, false, e));
    store_key_row(&store_key, t, partition_in(s, t, key), key);
    TRY(store_get(s->o.store, buf_slice(&store_key), a, &stored, e));
    if (stored.data == NULL) {
        *row = (struct event){.topic = t->topic, .partition = -1, .offset = -1, .key = key};
        return true;
    }
    return table_row(t, s->o.schemas, key, stored, a, row, e);
}

bool stream_positions(struct stream *s, const struct table *t, int64_t *offsets, int32_t n, struct err *e) {
    _cleanup_(buf_free) struct buf key = {0};
    int64_t found[n];
    TRY(readable(s, t, false, false, e));
    for (int32_t p = 0; p < n; p++) {
        store_key_table_position(&key, t, p);
        TRY(position_load(s, &key, &found[p], e));
        found[p] = found[p] < 0 ? 0 : found[p];
    }
    memcpy(offsets, found, sizeof found);
    return true;
}

struct scan {
    struct stream *s;
    const struct table *table;
    size_t prefix; /* bytes before the index key, or the row's key */
    bool (*each)(void *context, struct slice index_key, struct slice key);
    bool (*each_row)(void *context, const struct event *row);
    void *context;
    struct arena row; /* of one row after the other */
    struct err *e;
    bool ok;
};

static bool scan_index(void *context, struct slice key, struct slice value) {
    struct scan *scan = context;
    return scan->each(scan->context, (struct slice){key.data + scan->prefix, key.size - scan->prefix},
                      table_index_row(key, value));
}

bool stream_scan_partition(struct stream *s, const struct table *t, int32_t partition, struct slice prefix,
                           struct slice from, bool (*each)(void *, struct slice, struct slice), void *context,
                           struct err *e) {
    _cleanup_(buf_free) struct buf first = {0}, start_key = {0};
    TRY(readable(s, t, false, true, e));
    store_key_index(&first, t, partition, SLICE(""));
    struct scan scan = {.prefix = first.size, .each = each, .context = context};
    buf_append_slice(&first, prefix);
    if (from.data != NULL)
        store_key_index(&start_key, t, partition, from);
    return store_scan(s->o.store, buf_slice(&first), from.data == NULL ? SLICE_NONE : buf_slice(&start_key),
                      false, scan_index, &scan, e);
}

bool stream_scan(struct stream *s, const struct table *t, struct slice prefix, struct slice from,
                 bool (*each)(void *, struct slice, struct slice), void *context, struct err *e) {
    TRY(readable(s, t, true, true, e));
    return stream_scan_partition(s, t, -1, prefix, from, each, context, e);
}

static bool scan_row(void *context, struct slice key, struct slice value) {
    struct scan *scan = context;
    struct event row;
    arena_reset(&scan->row);
    struct slice record_key = {key.data + scan->prefix, key.size - scan->prefix};
    scan->ok = table_row(scan->table, scan->s->o.schemas, record_key, value, &scan->row, &row, scan->e);
    return scan->ok && scan->each_row(scan->context, &row);
}

bool stream_scan_rows(struct stream *s, const struct table *t, struct slice from,
                      bool (*each)(void *, const struct event *), void *context, struct err *e) {
    _cleanup_(buf_free) struct buf prefix = {0}, start_key = {0};
    TRY(readable(s, t, true, false, e));
    store_key_row(&prefix, t, -1, SLICE(""));
    struct scan scan = {
        .s = s, .table = t, .prefix = prefix.size, .each_row = each, .context = context, .e = e, .ok = true};
    if (from.data != NULL)
        store_key_row(&start_key, t, -1, from);
    bool ok = store_scan(s->o.store, buf_slice(&prefix),
                         from.data == NULL ? SLICE_NONE : buf_slice(&start_key), false, scan_row, &scan, e);
    arena_free(&scan.row);
    return ok && scan.ok;
}

void stream_passing(const struct table *t, struct buf *out) {
    _cleanup_(buf_free) struct buf key = {0}, part = {0};
    if (t->passing == NULL)
        return;
    store_key_index(&key, t, 0, slice_of(t->passing));
    store_key_part(&part, t, 0);
    buf_append(out, key.data + part.size, key.size - part.size);
}
