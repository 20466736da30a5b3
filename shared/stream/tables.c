#include "stream/table.h"

#include "base/cleanup.h"
#include "stream/runtime.h"
#include "stream/transaction.h"

bool position_load(struct stream *s, const struct buf *key, int64_t *position, struct err *e) {
    _cleanup_(arena_free) struct arena a = {0};
    struct slice value;
    TRY(store_get(s->o.store, buf_slice(key), &a, &value, e));
    *position = -1;
    if (value.size == sizeof *position)
        memcpy(position, value.data, sizeof *position);
    return true;
}

void position_put(struct overlay *o, const struct buf *key, int64_t position) {
    struct slice value = arena_copy(&o->arena, (struct slice){(const char *)&position, sizeof position});
    overlay_put(o, buf_slice(key), value, NULL, NULL);
}

static bool found(void *context, struct slice key, struct slice value) {
    (void)key, (void)value;
    *(bool *)context = true;
    return false;
}

bool sweep(struct stream *s, const struct buf *key, struct err *e) {
    bool any = false;
    TRY(store_scan(s->o.store, buf_slice(key), SLICE_NONE, false, found, &any, e));
    return !any || store_delete_prefix(s->o.store, buf_slice(key), e);
}

/* Says so where there are positions, but none that this index_version has written: the entries of another
 * index would be found for ever. */
static bool note_reindexed(struct stream *s, const struct table *t, const struct buf *positions,
                           struct err *e) {
    bool any = false;
    TRY(store_scan(s->o.store, buf_slice(positions), SLICE_NONE, false, found, &any, e));
    if (!any)
        return true;
    counter_add(&s->reindexed, 1);
    notice(s, "table %s: its index is another one now, so it is read anew from %s", t->name, t->topic->name);
    return true;
}

/* The positions go first: without them whatever a crash leaves of the rest is swept at the next start. */
static bool forget_table(struct stream *s, const struct table *t, struct err *e) {
    _cleanup_(buf_free) struct buf key = {0};
    store_key_positions(&key, t->name);
    TRY(sweep(s, &key, e));
    store_key_row(&key, t, -1, SLICE(""));
    TRY(sweep(s, &key, e));
    store_key_index(&key, t, -1, SLICE(""));
    return sweep(s, &key, e);
}

/* Is it one that counts: when tables are to be as far as their topics? Of a partitioned one what is hydrated,
 * so that nobody waits for what has just begun. */
static bool counts(const struct stream *s, size_t i, int32_t p, bool only_fresh) {
    const struct table *t = s->topology->tables[i];
    return (!only_fresh || t->fresh) &&
           (t->partitioned_with == NULL || partitions_has(&s->holdings[i].held, p));
}

static bool reads(const struct stream *s, size_t i, int32_t p) {
    return s->topology->tables[i]->partitioned_with == NULL || partitions_has(&s->holdings[i].reading, p);
}

int64_t table_place(const struct stream *s, size_t i, int32_t p) {
    return reads(s, i, p) ? s->cursors[i][p].position : -1;
}

bool ends(struct stream *s, struct log_position *positions, size_t n, bool committed, struct err *e) {
    return n == 0 || GUARDED(s, LOG(s, ends, positions, n, committed, e));
}

bool tables_aim(struct stream *s, bool only_fresh, struct err *e) {
    size_t n = 0, total = 0;
    for (size_t i = 0; i < s->table_count; i++)
        total += (size_t)s->table_partitions[i];
    struct log_position positions[total + 1];
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++)
            if (counts(s, i, p, only_fresh))
                positions[n++] = (struct log_position){s->topology->tables[i]->topic, p, -1};
    TRY(ends(s, positions, n, true, e));
    n = 0;
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++)
            if (counts(s, i, p, only_fresh))
                s->cursors[i][p].target = positions[n++].offset;
    return true;
}

bool tables_reached(const struct stream *s, bool only_fresh) {
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++)
            if (counts(s, i, p, only_fresh) &&
                (s->holdings[i].forgotten || s->cursors[i][p].position < s->cursors[i][p].target))
                return false;
    return true;
}

/* ---- tables that are partitioned ---- */

static bool partition_forget(struct stream *s, const struct table *t, int32_t p, struct err *e) {
    _cleanup_(buf_free) struct buf key = {0};
    store_key_table_positions(&key, t, p);
    TRY(sweep(s, &key, e));
    store_key_part(&key, t, p);
    return store_delete_prefix(s->o.store, buf_slice(&key), e);
}

/* What is read from the beginning is as old as that. */
static bool age_begin(struct stream *s, const struct table *t, int32_t p, const struct cursor *c,
                      struct err *e) {
    _cleanup_(buf_free) struct buf key = {0};
    store_key_table_age(&key, t, p);
    position_put(&s->hydrated, &key, c->mark_at);
    return overlay_apply(&s->hydrated, e);
}

/* Where nothing is known yet, the log may begin anywhere. */
static bool read_from(struct stream *s, const struct topic *t, int32_t p, int64_t position, struct err *e) {
    struct log_position from = {t, p, position > 0 ? position : -1};
    return LOG(s, read, LOG_TABLES, &from, e);
}

static bool partition_start(struct stream *s, size_t i, int32_t p, struct err *e) {
    const struct table *t = s->topology->tables[i];
    struct cursor c;
    bool stale;
    struct log_position end = {t->topic, p, -1};
    _cleanup_(buf_free) struct buf key = {0};
    TRY(ends(s, &end, 1, true, e));
    c.target = end.offset;
    c.mark = c.target;
    c.mark_at = time_of_day(s);
    store_key_table_position(&key, t, p);
    TRY(position_load(s, &key, &c.position, e));
    store_key_table_age(&key, t, p);
    TRY(age_check(s, t->topic, p, &key, &c, &stale, e));
    if (c.position < 0) {
        store_key_table_positions(&key, t, p);
        TRY(note_reindexed(s, t, &key, e));
    }
    if (c.position > c.target)
        note_ahead(s, t->name, &end, c.position);
    if (c.position < 0 || c.position > c.target || stale) {
        TRY(partition_forget(s, t, p, e) && age_begin(s, t, p, &c, e));
        c.position = 0;
    }
    TRY(read_from(s, t->topic, p, c.position, e));
    s->cursors[i][p] = c;
    partitions_put(&s->holdings[i].reading, p, true);
    return true;
}

static void set_held(struct stream *s, size_t i, int32_t p, bool held) {
    pthread_mutex_lock(&s->lock);
    partitions_put(&s->holdings[i].held, p, held);
    pthread_mutex_unlock(&s->lock);
    if (s->o.moved != NULL)
        s->o.moved(s->o.context);
}

static bool partition_stop(struct stream *s, size_t i, int32_t p, struct err *e) {
    const struct table *t = s->topology->tables[i];
    LOG(s, unread, LOG_TABLES, t->topic, p);
    partitions_put(&s->holdings[i].reading, p, false);
    s->cursors[i][p] = (struct cursor){0};
    set_held(s, i, p, false);
    return partition_forget(s, t, p, e);
}

static bool follow(struct stream *s, size_t i, struct err *e) {
    struct holding *h = &s->holdings[i];
    pthread_mutex_lock(&s->lock);
    struct partitions wanted = h->wanted;
    pthread_mutex_unlock(&s->lock);
    for (int32_t p = 0; p < s->table_partitions[i]; p++) {
        bool wants = partitions_has(&wanted, p), reading = partitions_has(&h->reading, p);
        TRY(!wants || reading || partition_start(s, i, p, e));
        TRY(wants || !reading || partition_stop(s, i, p, e));
    }
    return true;
}

static bool table_restart(struct stream *s, size_t i, struct err *e);

bool tables_follow(struct stream *s, struct err *e) {
    for (size_t i = 0; i < s->table_count; i++)
        TRY(!s->holdings[i].forgotten || table_restart(s, i, e));
    bool changed = atomic_exchange(&s->hold_changed, false);
    for (size_t i = 0; i < s->table_count; i++) {
        struct holding *h = &s->holdings[i];
        if (s->topology->tables[i]->partitioned_with == NULL)
            continue;
        if (changed && !follow(s, i, e)) {
            atomic_store(&s->hold_changed, true);
            return false;
        }
        for (int32_t p = 0; p < s->table_partitions[i]; p++)
            if (partitions_has(&h->reading, p) && !partitions_has(&h->held, p) &&
                s->cursors[i][p].position >= s->cursors[i][p].target)
                set_held(s, i, p, true);
    }
    return true;
}

/* All positions go at once, and first: with some of them gone the others could look right once the topics
 * have grown. */
static bool partitions_forget(struct stream *s, const struct table *t, const struct partitions *which,
                              int32_t n, struct err *e) {
    _cleanup_(arena_free) struct arena a = {0};
    _cleanup_(buf_free) struct buf key = {0};
    struct store_change gone[n];
    size_t count = 0;
    memset(gone, 0, sizeof gone); /* gcc does not see that no more than `count` are read */
    for (int32_t p = 0; p < n; p++) {
        if (!partitions_has(which, p))
            continue;
        store_key_table_position(&key, t, p);
        gone[count++] = (struct store_change){arena_copy(&a, buf_slice(&key)), SLICE_NONE};
    }
    TRY(store_apply(s->o.store, gone, count, e));
    for (int32_t p = 0; p < n; p++)
        TRY(!partitions_has(which, p) || partition_forget(s, t, p, e));
    return true;
}

/* What the store has is held on to, until somebody says otherwise; but for one that is of another log. */
static bool partitioned_start(struct stream *s, size_t i, struct err *e) {
    const struct table *t = s->topology->tables[i];
    struct holding *h = &s->holdings[i];
    struct partitions found = {0};
    _cleanup_(buf_free) struct buf key = {0};
    if (s->table_partitions[i] > PARTITIONS_MAX)
        return err_set(e, ERR_CONFIG, "topic %s has more than %d partitions", t->topic->name, PARTITIONS_MAX);
    int32_t n = s->table_partitions[i];
    struct log_position at_end[n];
    bool longer = false;
    for (int32_t p = 0; p < n; p++)
        at_end[p] = (struct log_position){t->topic, p, -1};
    TRY(ends(s, at_end, (size_t)n, true, e));
    for (int32_t p = 0; p < n; p++) {
        int64_t position;
        store_key_table_position(&key, t, p);
        TRY(position_load(s, &key, &position, e));
        if (position > at_end[p].offset)
            note_ahead(s, t->name, &at_end[p], position);
        longer = longer || position > at_end[p].offset;
        partitions_put(&found, p, position >= 0);
    }
    TRY(!longer || partitions_forget(s, t, &found, n, e));
    for (int32_t p = 0; p < n && !s->o.divided; p++)
        partitions_put(&found, p, true);
    pthread_mutex_lock(&s->lock);
    if (partitions_empty(&h->wanted))
        h->wanted = found;
    pthread_mutex_unlock(&s->lock);
    atomic_store(&h->count, s->table_partitions[i]);
    atomic_store(&s->hold_changed, true);
    return true;
}

/* ---- tables ---- */

bool table_start(struct stream *s, size_t i, struct err *e) {
    const struct table *t = s->topology->tables[i];
    if (t->partitioned_with != NULL)
        return partitioned_start(s, i, e);
    struct cursor *cursors = s->cursors[i];
    _cleanup_(buf_free) struct buf key = {0};
    bool longer = false, empty = true, stale;
    for (int32_t p = 0; p < s->table_partitions[i]; p++) {
        cursors[p].mark = cursors[p].target;
        cursors[p].mark_at = time_of_day(s);
        store_key_table_position(&key, t, p);
        TRY(position_load(s, &key, &cursors[p].position, e));
        if (cursors[p].position > cursors[p].target)
            note_ahead(s, t->name, &(struct log_position){t->topic, p, cursors[p].target},
                       cursors[p].position);
        store_key_table_age(&key, t, p);
        TRY(age_check(s, t->topic, p, &key, &cursors[p], &stale, e));
        longer = longer || stale || cursors[p].position > cursors[p].target;
        empty = empty && cursors[p].position < 0;
    }
    store_key_positions(&key, t->name);
    TRY(!empty || note_reindexed(s, t, &key, e));
    if (longer || empty)
        TRY(forget_table(s, t, e));
    for (int32_t p = 0; p < s->table_partitions[i]; p++) {
        if (longer || cursors[p].position < 0) {
            TRY(age_begin(s, t, p, &cursors[p], e));
            cursors[p].position = 0;
        }
        TRY(read_from(s, t->topic, p, cursors[p].position, e));
    }
    return true;
}

bool tables_renew(struct stream *s, struct err *e) {
    size_t n = 0, total = 0;
    int64_t now = time_of_day(s);
    _cleanup_(buf_free) struct buf key = {0};
    for (size_t i = 0; i < s->table_count; i++)
        total += (size_t)s->table_partitions[i];
    struct log_position positions[total + 1];
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++)
            if (reads(s, i, p))
                positions[n++] = (struct log_position){s->topology->tables[i]->topic, p, -1};
    TRY(ends(s, positions, n, true, e));
    n = 0;
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++) {
            struct cursor *c = &s->cursors[i][p];
            if (!reads(s, i, p))
                continue;
            store_key_table_age(&key, s->topology->tables[i], p);
            if (c->position >= c->mark)
                position_put(&s->hydrated, &key, c->mark_at);
            c->mark = positions[n++].offset;
            c->mark_at = now;
        }
    return true;
}

/* What is in the store may be of records that the log has lost: all of it goes, and is read anew. */
static bool table_forget(struct stream *s, size_t i, struct err *e) {
    struct holding *h = &s->holdings[i];
    const struct table *t = s->topology->tables[i];
    struct partitions had = h->reading;
    TRY(overlay_apply(&s->hydrated, e));
    for (int32_t p = 0; p < s->table_partitions[i]; p++) {
        if (reads(s, i, p))
            LOG(s, unread, LOG_TABLES, t->topic, p);
        s->cursors[i][p] = (struct cursor){0};
        if (partitions_has(&h->held, p))
            set_held(s, i, p, false);
    }
    h->reading = (struct partitions){0};
    h->forgotten = true;
    s->tables_known = false;
    atomic_store(&s->ready, false);
    if (s->o.reread != NULL)
        s->o.reread(s->o.context, t);
    return t->partitioned_with == NULL ? forget_table(s, t, e)
                                       : partitions_forget(s, t, &had, s->table_partitions[i], e);
}

static bool table_restart(struct stream *s, size_t i, struct err *e) {
    TRY(tables_aim(s, false, e));
    s->holdings[i].forgotten = false;
    return table_start(s, i, e);
}

static bool table_moved(struct stream *s, size_t i, const struct log_record *r, struct err *e) {
    struct cursor *c = &s->cursors[i][r->partition];
    _cleanup_(buf_free) struct buf key = {0};
    if (r->offset < c->position) {
        note_ahead(s, s->topology->tables[i]->name, &(struct log_position){r->topic, r->partition, r->offset},
                   r->was);
        return table_forget(s, i, e);
    }
    note_moved(s, r);
    c->position = r->offset;
    store_key_table_position(&key, s->topology->tables[i], r->partition);
    position_put(&s->hydrated, &key, r->offset);
    return true;
}

bool tables_reread(struct stream *s, struct err *e) {
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++) {
            const struct topic *t = s->topology->tables[i]->topic;
            if (!reads(s, i, p) || s->holdings[i].forgotten)
                continue;
            LOG(s, unread, LOG_TABLES, t, p);
            TRY(read_from(s, t, p, s->cursors[i][p].position, e));
        }
    return true;
}

bool table_hydrate(struct stream *s, const struct log_record *r, struct err *e) {
    for (size_t i = 0; i < s->table_count; i++) {
        const struct table *t = s->topology->tables[i];
        struct cursor *c = &s->cursors[i][r->partition];
        if (t->topic != r->topic || s->holdings[i].forgotten || !reads(s, i, r->partition))
            continue;
        if (r->moved)
            TRY(table_moved(s, i, r, e));
        if (r->moved || r->offset < c->position)
            continue;
        if (!r->end) {
            if (!table_put(t, &s->hydrated, s->o.schemas, r, s->table_partitions[i], e)) {
                if (e->kind != ERR_POISON)
                    return false;
                counter_add(&s->counts[r->topic->index].skipped, 1);
            }
            counter_add(&s->counts[r->topic->index].hydrated, 1);
            _cleanup_(buf_free) struct buf key = {0};
            store_key_table_position(&key, t, r->partition);
            position_put(&s->hydrated, &key, r->offset + 1);
        }
        c->position = r->offset + !r->end;
    }
    return true;
}
