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

/* The positions go first: without them whatever a crash leaves of the rest is swept at the next start. */
static bool forget_table(struct stream *s, const struct table *t, struct err *e) {
    _cleanup_(buf_free) struct buf key = {0};
    store_key_positions(&key, t->name);
    TRY(sweep(s, &key, e));
    store_key_row(&key, t, SLICE(""));
    TRY(sweep(s, &key, e));
    store_key_index(&key, t, SLICE(""));
    return sweep(s, &key, e);
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
            if (!only_fresh || s->topology->tables[i]->fresh)
                positions[n++] = (struct log_position){s->topology->tables[i]->topic, p, -1};
    TRY(ends(s, positions, n, true, e));
    n = 0;
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++)
            if (!only_fresh || s->topology->tables[i]->fresh)
                s->cursors[i][p].target = positions[n++].offset;
    return true;
}

bool tables_reached(const struct stream *s, bool only_fresh) {
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++)
            if ((!only_fresh || s->topology->tables[i]->fresh) &&
                s->cursors[i][p].position < s->cursors[i][p].target)
                return false;
    return true;
}

bool table_start(struct stream *s, size_t i, struct err *e) {
    const struct table *t = s->topology->tables[i];
    struct cursor *cursors = s->cursors[i];
    _cleanup_(buf_free) struct buf key = {0};
    bool longer = false, empty = true;
    for (int32_t p = 0; p < s->table_partitions[i]; p++) {
        store_key_position(&key, t->name, p);
        TRY(position_load(s, &key, &cursors[p].position, e));
        longer = longer || cursors[p].position > cursors[p].target;
        empty = empty && cursors[p].position < 0;
    }
    if (longer || empty)
        TRY(forget_table(s, t, e));
    for (int32_t p = 0; p < s->table_partitions[i]; p++) {
        if (longer || cursors[p].position < 0)
            cursors[p].position = 0;
        struct log_position from = {t->topic, p, cursors[p].position};
        TRY(LOG(s, read, LOG_TABLES, &from, e));
    }
    return true;
}

bool tables_reread(struct stream *s, struct err *e) {
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++) {
            const struct topic *t = s->topology->tables[i]->topic;
            struct log_position from = {t, p, s->cursors[i][p].position};
            LOG(s, unread, LOG_TABLES, t, p);
            TRY(LOG(s, read, LOG_TABLES, &from, e));
        }
    return true;
}

bool table_hydrate(struct stream *s, const struct log_record *r, struct err *e) {
    for (size_t i = 0; i < s->table_count; i++) {
        const struct table *t = s->topology->tables[i];
        struct cursor *c = &s->cursors[i][r->partition];
        if (t->topic != r->topic || r->offset < c->position)
            continue;
        if (!r->end) {
            if (!table_put(t, &s->hydrated, s->o.schemas, r, s->table_partitions[i], e)) {
                if (e->kind != ERR_POISON)
                    return false;
                atomic_fetch_add(&s->skipped, 1);
            }
            atomic_fetch_add(&s->hydrated_records, 1);
            _cleanup_(buf_free) struct buf key = {0};
            store_key_position(&key, t->name, r->partition);
            position_put(&s->hydrated, &key, r->offset + 1);
        }
        c->position = r->offset + !r->end;
    }
    return true;
}
