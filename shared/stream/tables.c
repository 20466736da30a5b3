/* Tables: a store is hydrated from their topics. */
#include "stream/runtime.h"

#include "base/cleanup.h"
#include "transaction/table.h"

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

/* Is it one that counts: when tables are to be as far as their topics? */
static bool is_aimed_at(const struct stream *s, size_t i, bool only_fresh) {
    return !only_fresh || s->topology->tables[i]->fresh;
}

/* A view is read by the stream that has it. */
static bool reads(const struct stream *s, size_t i) {
    return s->topology->tables[i]->view == NULL;
}

int64_t table_place(const struct stream *s, size_t i, int32_t p) {
    return reads(s, i) ? s->cursors[i][p].position : -1;
}

/* Of a view, what it has hydrated counts, so that nobody waits for what has just begun. */
uint64_t table_left(const struct stream *s, size_t i, int32_t p) {
    const struct table *t = s->topology->tables[i];
    const struct cursor *c = &s->cursors[i][p];
    if (reads(s, i))
        return cursor_left(c);
    struct stream *owner = s->o.owner == NULL ? NULL : s->o.owner(s->o.context, t);
    return owner == NULL ? 1 : stream_behind(owner, t, p, c->target);
}

bool tables_aim(struct stream *s, bool only_fresh, struct err *e) {
    size_t n = 0, total = 0;
    for (size_t i = 0; i < s->table_count; i++)
        total += (size_t)s->table_partitions[i];
    struct log_position positions[total + 1];
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; is_aimed_at(s, i, only_fresh) && p < s->table_partitions[i]; p++)
            positions[n++] = (struct log_position){s->topology->tables[i]->topic, p, -1};
    TRY(log_ends(s, positions, n, true, e));
    n = 0;
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; is_aimed_at(s, i, only_fresh) && p < s->table_partitions[i]; p++)
            s->cursors[i][p].target = positions[n++].offset;
    return true;
}

bool tables_reached(const struct stream *s, bool only_fresh) {
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; is_aimed_at(s, i, only_fresh) && p < s->table_partitions[i]; p++)
            if (s->forgotten[i] || table_left(s, i, p) > 0)
                return false;
    return true;
}

/* What is read from the beginning is as old as that. */
static bool age_begin(struct stream *s, const struct table *t, int32_t p, const struct cursor *c,
                      struct err *e) {
    _cleanup_(buf_free) struct buf key = {0};
    store_key_age(&key, t->name, p);
    position_put(&s->incoming, &key, c->mark_at);
    return overlay_apply(&s->incoming, e);
}

/* Where nothing is known yet, the log may begin anywhere. */
static bool read_from(struct stream *s, const struct topic *t, int32_t p, int64_t position, struct err *e) {
    struct log_position from = {t, p, position > 0 ? position : -1};
    return CALL(s, read, LOG_TABLES, &from, e);
}

bool table_start(struct stream *s, size_t i, struct err *e) {
    const struct table *t = s->topology->tables[i];
    if (!reads(s, i))
        return true;
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
        store_key_age(&key, t->name, p);
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
        for (int32_t p = 0; reads(s, i) && p < s->table_partitions[i]; p++)
            positions[n++] = (struct log_position){s->topology->tables[i]->topic, p, -1};
    TRY(log_ends(s, positions, n, true, e));
    n = 0;
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; reads(s, i) && p < s->table_partitions[i]; p++) {
            struct cursor *c = &s->cursors[i][p];
            store_key_age(&key, s->topology->tables[i]->name, p);
            if (c->position >= c->mark)
                position_put(&s->incoming, &key, c->mark_at);
            c->mark = positions[n++].offset;
            c->mark_at = now;
        }
    return true;
}

/* What is in the store may be of records that the log has lost: all of it goes, and is read anew. */
static bool table_forget(struct stream *s, size_t i, struct err *e) {
    const struct table *t = s->topology->tables[i];
    TRY(overlay_apply(&s->incoming, e));
    for (int32_t p = 0; p < s->table_partitions[i]; p++) {
        CALL(s, unread, LOG_TABLES, t->topic, p);
        s->cursors[i][p] = (struct cursor){0};
    }
    s->forgotten[i] = true;
    s->tables_known = false;
    atomic_store(&s->ready, false);
    if (s->o.reread != NULL)
        s->o.reread(s->o.context, t);
    return forget_table(s, t, e);
}

bool tables_restart(struct stream *s, struct err *e) {
    for (size_t i = 0; i < s->table_count; i++) {
        if (!s->forgotten[i])
            continue;
        TRY(tables_aim(s, false, e));
        s->forgotten[i] = false;
        TRY(table_start(s, i, e));
    }
    return true;
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
    position_put(&s->incoming, &key, r->offset);
    return true;
}

bool tables_reread(struct stream *s, struct err *e) {
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++) {
            const struct topic *t = s->topology->tables[i]->topic;
            if (!reads(s, i) || s->forgotten[i])
                continue;
            CALL(s, unread, LOG_TABLES, t, p);
            TRY(read_from(s, t, p, s->cursors[i][p].position, e));
        }
    return true;
}

bool table_hydrate(struct stream *s, const struct log_record *r, struct err *e) {
    for (size_t i = 0; i < s->table_count; i++) {
        const struct table *t = s->topology->tables[i];
        struct cursor *c = &s->cursors[i][r->partition];
        if (t->topic != r->topic || s->forgotten[i] || !reads(s, i))
            continue;
        if (r->moved)
            TRY(table_moved(s, i, r, e));
        if (r->moved || r->offset < c->position)
            continue;
        if (!r->end) {
            if (!table_put(t, &s->incoming, s->o.schemas, r, s->table_partitions[i], e)) {
                if (e->kind != ERR_POISON)
                    return false;
                counter_add(&s->counts[r->topic->number].skipped, 1);
            }
            counter_add(&s->counts[r->topic->number].hydrated, 1);
            _cleanup_(buf_free) struct buf key = {0};
            store_key_table_position(&key, t, r->partition);
            position_put(&s->incoming, &key, r->offset + 1);
        }
        c->position = r->offset + !r->end;
    }
    return true;
}
