#include "rows.h"

#include "log/partitions.h"
#include "store/store.h"
#include "stream/stream.h"
#include "transaction/keys.h"
#include "transaction/overlay.h"
#include "transaction/retention.h"
#include "transaction/table.h"
#include "transaction/transaction.h"

#include <endian.h>
#include <stdlib.h>

struct meeting {
    const struct rows *rows;
    struct world *world;
    const char *what;
    size_t prefix;
    const struct view *view;   /* NULL: a table, */
    const struct table *table; /* this one */
    int met;
    struct slice sought; /* in an index: the row whose entry is looked for */
    int64_t stamp;
    bool found;
};

static int find(const struct rows *rows, struct slice key) {
    int i = 0;
    while (i < rows->count && !slice_equal(rows->keys[i], key))
        i++;
    return i;
}

struct folding {
    struct rows *rows;
    struct world *world;
    struct arena arena;
};

/* A record that cannot be decoded, or lies where its key does not belong, changes nothing; the key of a
 * changelog may have a part of its own behind a slash. */
static bool counts(struct folding *f, const struct log_record *r) {
    struct err e = {0};
    arena_reset(&f->arena);
    const char *slash = r->key.data == NULL ? NULL : memchr(r->key.data, '/', r->key.size);
    struct slice key = {r->key.data, slash == NULL ? r->key.size : (size_t)(slash - r->key.data)};
    bool well = key.data != NULL && partition_of(key, world_plan(f->world)->partitions) == r->partition &&
                (r->value.data == NULL ||
                 schemas_decode(world_schemas(f->world), r->topic->value, r->value, &f->arena,
                                arena_alloc(&f->arena, r->topic->value->size), &e));
    f->rows->unknown = f->rows->unknown || e.kind == ERR_RETRY;
    return well;
}

static void fold(void *context, const struct log_record *r, const struct log_header *headers, size_t n) {
    (void)headers, (void)n;
    struct folding *f = context;
    struct rows *rows = f->rows;
    bool cut = world_cuts(f->world, r->topic, r->partition) > 0;
    if ((world_compacted(r) && !cut) || !counts(f, r))
        return;
    int i = find(rows, r->key);
    if (i == MAX_ROWS)
        abort();
    rows->count += i == rows->count;
    rows->keys[i] = r->key;
    rows->values[i] = r->value;
    rows->times[i] = r->timestamp;
    rows->gone[i] = world_deleted(r) || world_compacted(r); /* what took its place is lost by now */
}

void rows_fold(struct rows *rows, struct world *w, const struct topic *t, int32_t partition) {
    struct folding f = {.rows = rows, .world = w};
    world_scan(w, t, partition, fold, &f);
    arena_free(&f.arena);
}

static bool meet(void *context, struct slice key, struct slice value) {
    struct meeting *m = context;
    struct slice record_key = {key.data + m->prefix, key.size - m->prefix};
    int i = find(m->rows, record_key);
    if (i < m->rows->count && m->rows->gone[i])
        return true;
    if (i == m->rows->count || m->rows->values[i].data == NULL)
        world_violation(m->world, "%s: the store has " SLICE_FMT ", the log has not", m->what,
                        SLICE_ARG(record_key));
    else if (!slice_equal(m->rows->values[i],
                          m->view == NULL ? table_row_payload(m->table, value) : row_payload(m->view, value)))
        world_violation(m->world, "%s: " SLICE_FMT " in the store is not what the log says", m->what,
                        SLICE_ARG(record_key));
    else if (m->view != NULL && m->view->retention_ms > 0 && row_stamp(value) != m->rows->times[i])
        world_violation(m->world, "%s: " SLICE_FMT " is of %lld, the log says %lld", m->what,
                        SLICE_ARG(record_key), (long long)row_stamp(value), (long long)m->rows->times[i]);
    m->met++;
    return true;
}

static bool meet_entry(void *context, struct slice key, struct slice value) {
    struct meeting *m = context;
    uint64_t stamp;
    (void)value;
    memcpy(&stamp, key.data + m->prefix, sizeof stamp);
    struct slice record_key = {key.data + m->prefix + sizeof stamp, key.size - m->prefix - sizeof stamp};
    m->found = slice_equal(record_key, m->sought) && (int64_t)be64toh(stamp) <= m->stamp;
    return !m->found;
}

/* Each row is in the index by stamp, not behind its own. */
static void check_index(struct meeting *m, struct store *store, const struct buf *prefix) {
    struct err e = {0};
    m->prefix = prefix->size;
    for (int i = 0; i < m->rows->count; i++) {
        if (m->rows->values[i].data == NULL || m->rows->gone[i])
            continue;
        m->sought = m->rows->keys[i];
        m->stamp = m->rows->times[i];
        if (!store_scan(store, buf_slice(prefix), SLICE_NONE, false, meet_entry, m, &e))
            abort();
        if (!m->found)
            world_violation(m->world, "%s: " SLICE_FMT " would never expire", m->what, SLICE_ARG(m->sought));
    }
}

static void check(struct meeting *m, struct store *store, const struct buf *prefix) {
    struct err e = {0};
    int live = 0;
    m->prefix = prefix->size;
    for (int i = 0; i < m->rows->count; i++)
        live += m->rows->values[i].data != NULL && !m->rows->gone[i];
    if (!store_scan(store, buf_slice(prefix), SLICE_NONE, false, meet, m, &e))
        abort();
    if (m->met < live)
        world_violation(m->world, "%s: the store lacks a row", m->what);
}

struct entries {
    struct world *world;
    const struct view *view;
    struct overlay expected; /* the index of the rows that there are */
    int32_t partition;
    size_t prefix, count;
};

static bool index_row(void *context, struct slice key, struct slice value) {
    struct entries *n = context;
    struct err e = {0};
    struct slice record_key = {key.data + n->prefix, key.size - n->prefix};
    if (!table_reindex(n->view->served, &n->expected, world_schemas(n->world), n->partition,
                       arena_copy(&n->expected.arena, record_key), SLICE_NONE, value, &e))
        world_violation(n->world, "%s: " SLICE_FMT " cannot be read: %s", n->view->name,
                        SLICE_ARG(record_key), e.text);
    return true;
}

static bool meet_index(void *context, struct slice key, struct slice value) {
    struct entries *n = context;
    struct slice expected;
    if (!overlay_find(&n->expected, key, &expected) || !slice_equal(expected, value))
        world_violation(n->world, "%s: its index has an entry of no row", n->view->name);
    n->count++;
    return true;
}

/* A partition of a view, as this store serves it: rows, and the index that they have. */
static void check_served(const struct rows *rows, struct world *w, const struct view *v, int32_t partition,
                         struct store *store) {
    struct buf prefix = {0};
    struct err e = {0};
    store_key_view(&prefix, v, partition, SLICE(""));
    check(&(struct meeting){.rows = rows, .world = w, .what = v->served->name, .view = v}, store, &prefix);
    if (v->served->index != NULL && !world_violated(w)) {
        struct entries n = {.world = w, .view = v, .partition = partition, .prefix = prefix.size};
        if (!store_scan(store, buf_slice(&prefix), SLICE_NONE, false, index_row, &n, &e))
            abort();
        store_key_index(&prefix, v->served, partition, SLICE(""));
        if (!store_scan(store, buf_slice(&prefix), SLICE_NONE, false, meet_index, &n, &e))
            abort();
        if (n.count < n.expected.count)
            world_violation(w, "%s: its index lacks an entry", v->name);
        overlay_free(&n.expected);
    }
    buf_free(&prefix);
}

void rows_check_view(const struct rows *rows, struct world *w, const struct topology *t, const struct view *v,
                     int32_t partition) {
    struct buf prefix = {0};
    store_key_view(&prefix, v, partition, SLICE(""));
    struct store *store = world_task_store(w, t, partition);
    struct meeting m = {.rows = rows, .world = w, .what = v->name, .view = v};
    check(&m, store, &prefix);
    if (v->retention_ms > 0) {
        store_key_index_of_view(&prefix, v, partition);
        check_index(&m, store, &prefix);
    }
    buf_free(&prefix);
    for (int i = 0; v->served != NULL && (store = world_store(w, t, i)) != NULL; i++)
        check_served(rows, w, v, partition, store);
}

void rows_watch(struct world *w, const struct topology *t, struct stream *s, struct store *store) {
    struct partitions wanted, held;
    stream_held(s, &wanted, &held);
    for (const struct view *const *v = t->views; v != NULL && *v != NULL; v++)
        for (int32_t p = 0; (*v)->served != NULL && p < world_plan(w)->partitions; p++) {
            int64_t end = world_stable_end(w, (*v)->changelog, p);
            bool cut = world_cuts(w, (*v)->changelog, p) > 0; /* that it has lost some is noticed in time */
            if (cut || !partitions_has(&held, p) || stream_behind(s, (*v)->served, p, end) > 0)
                continue;
            struct rows rows = {.count = 0};
            rows_fold(&rows, w, (*v)->changelog, p);
            if (!rows.unknown)
                check_served(&rows, w, *v, p, store);
        }
}

static void check_table(struct world *w, const struct topology *t, const struct table *table) {
    struct rows rows = {.count = 0};
    struct buf prefix = {0};
    struct store *store;
    for (int32_t p = 0; p < world_plan(w)->partitions; p++)
        rows_fold(&rows, w, table->topic, p);
    store_key_row(&prefix, table, -1, SLICE(""));
    for (int i = 0; (store = world_store(w, t, i)) != NULL; i++)
        check(&(struct meeting){.rows = &rows, .world = w, .what = table->name, .table = table}, store,
              &prefix);
    buf_free(&prefix);
}

void rows_check_topology(struct world *w, const struct topology *t) {
    for (size_t v = 0; t->views != NULL && t->views[v] != NULL; v++)
        for (int32_t p = 0; p < world_plan(w)->partitions; p++) {
            struct rows rows = {.count = 0};
            rows_fold(&rows, w, t->views[v]->changelog, p);
            rows_check_view(&rows, w, t, t->views[v], p);
        }
    for (size_t i = 0; t->tables != NULL && t->tables[i] != NULL; i++)
        check_table(w, t, t->tables[i]);
}
