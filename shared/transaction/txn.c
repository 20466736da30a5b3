/* What a handler may do. */
#include "transaction/internal.h"

#include "base/cleanup.h"
#include "transaction/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void txn_reject(struct txn *txn, const char *fmt, ...) {
    if (txn_failed(txn))
        return;
    va_list args;
    va_start(args, fmt);
    txn->err.kind = ERR_POISON;
    vsnprintf(txn->err.text, sizeof txn->err.text, fmt, args);
    va_end(args);
}

struct arena *txn_arena(struct txn *txn) {
    return &txn->scratch;
}

/* What no record is to blame for, and no other one will make better. */
__attribute__((format(printf, 2, 3))) static void refuse(struct txn *txn, const char *fmt, ...) {
    char what[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    if (!txn_failed(txn))
        err_set(&txn->err, ERR_CONFIG, "topology %s %s", txn->topology->name, what);
}

void txn_entry_key(struct txn *txn, const struct view *v, struct slice sub) {
    if (txn->key_of == v && sub.data == NULL)
        return;
    if (!topology_has_view(txn->topology, v)) {
        refuse(txn, "uses the view %s, which it does not declare", v->name);
        return;
    }
    if ((sub.data != NULL || v->expired != NULL) && memchr(txn->in->key.data, '/', txn->in->key.size) != NULL)
        txn_reject(txn, "key \"" SLICE_FMT "\": a slash is for sub-keys", SLICE_ARG(txn->in->key));
    store_key_view(&txn->key, v, txn->in->partition, txn->in->key);
    txn->prefix = txn->key.size - txn->in->key.size;
    txn->key_of = sub.data == NULL ? v : NULL;
    if (sub.data != NULL) {
        buf_append_byte(&txn->key, '/');
        buf_append_slice(&txn->key, sub);
    }
}

static struct slice txn_record_key(const struct txn *txn) {
    return (struct slice){txn->key.data + txn->prefix, txn->key.size - txn->prefix};
}

bool txn_unreadable(struct txn *txn, const char *what, const char *name, struct slice key) {
    err_prefix(&txn->err, "%s %s, key " SLICE_FMT, what, name, SLICE_ARG(key));
    if (txn->err.kind == ERR_POISON)
        txn->err.kind = ERR_RETRY;
    return false;
}

bool txn_read(struct txn *txn, struct slice key, struct slice *value) {
    if (overlay_find(&txn->overlay, key, value) || overlay_find(&txn->cached_views, key, value))
        return true;
    if (!store_get(txn->cached_views.store, key, &txn->cached_views.arena, value, &txn->err))
        return false;
    if (value->data != NULL)
        overlay_put(&txn->cached_views, key, *value, NULL, NULL);
    return true;
}

bool txn_get(struct txn *txn, const struct view *v, struct slice sub, void *value) {
    txn_entry_key(txn, v, sub);
    struct slice bytes;
    if (txn_failed(txn) || !txn_read(txn, buf_slice(&txn->key), &bytes) || bytes.data == NULL)
        return false;
    return schemas_decode(txn->schemas, v->changelog->value, row_payload(v, bytes), &txn->scratch, value,
                          &txn->err) ||
           txn_unreadable(txn, "view", v->name, txn_record_key(txn));
}

/* What the broker would refuse: found out here, where it is known what it follows from. */
static void check_record(struct txn *txn, const struct topic *t, size_t key, size_t value) {
    if (key == 0)
        txn_reject(txn, "a record for %s without a key follows from it", t->name);
    if (key + value > RECORD_MAX)
        txn_reject(txn, "a record for %s of %zu bytes follows from it, more than %d", t->name, key + value,
                   RECORD_MAX);
}

/* A copy of a change's new value. It takes the place of the value before the last: so what is put again and
 * again needs no more memory. The last one stays, for undo and for what this event has read. */
static struct slice keep(struct txn *txn, struct change *c, struct slice value) {
    struct room to = {0};
    if (c->event != txn->event) {
        to = c->spare;
        c->spare = c->room;
        c->event = txn->event;
    }
    if (value.data != NULL && (to.data == NULL || to.size < value.size)) {
        to.size = value.size + 16; /* numbers grow */
        to.data = arena_alloc(&txn->overlay.arena, to.size);
    }
    c->room = to;
    if (value.data == NULL)
        return value;
    memcpy(to.data, value.data, value.size);
    return (struct slice){to.data, value.size};
}

struct change *txn_change(struct txn *txn, struct slice key, struct slice value) {
    if (txn->undo_count == txn->undo_capacity)
        txn->undo =
            xrealloc(txn->undo, (txn->undo_capacity = txn->undo_capacity * 2 + 8) * sizeof *txn->undo);
    struct undo *u = &txn->undo[txn->undo_count++];
    size_t known = txn->overlay.count;
    u->index = overlay_put(&txn->overlay, key, SLICE_NONE, &u->before, &u->was_live);
    bool new = u->index == known;
    if (u->index >= txn->change_capacity)
        txn->changes =
            xrealloc(txn->changes, (txn->change_capacity = u->index * 2 + 64) * sizeof *txn->changes);
    struct change *c = &txn->changes[u->index];
    if (new)
        *c = (struct change){.partition = -1};
    txn->put_count = txn->overlay.count;
    txn->overlay.changes[u->index].value = keep(txn, c, value);
    return new ? c : NULL;
}

void txn_undo(struct txn *txn, const struct undo *u) {
    struct change *c = &txn->changes[u->index];
    overlay_undo(&txn->overlay, u->index, u->before, u->was_live);
    c->room = c->spare = (struct room){0}; /* one of them has the value; neither is written again */
}

void txn_put_due(struct txn *txn, const struct view *v, int64_t stamp, struct slice record_key) {
    _cleanup_(buf_free) struct buf entry = {0};
    store_key_due(&entry, v, txn->in->partition, stamp, record_key);
    txn_change(txn, buf_slice(&entry), SLICE(""));
    int64_t end = retention_end(v, stamp);
    txn->time->due = end < txn->time->due ? end : txn->time->due;
}

struct emission *txn_emission(struct txn *txn) {
    if (txn->emission_count == txn->emission_capacity)
        txn->emissions = xrealloc(txn->emissions, (txn->emission_capacity = txn->emission_capacity * 2 + 64) *
                                                      sizeof *txn->emissions);
    return &txn->emissions[txn->emission_count++];
}

/* What is put and deleted within a transaction has never been: neither the store nor the log hears of it. */
static void forget_unborn(struct txn *txn, const struct undo *last) {
    struct slice stored;
    if (last->was_live && last->before.data != NULL &&
        store_get(txn->overlay.store, buf_slice(&txn->key), &txn->scratch, &stored, &txn->err) &&
        stored.data == NULL)
        txn->overlay.live[last->index] = false;
}

/* What follows from the input: to the key's partition, or, as a view's (NULL: none), to the input's. The
 * value is in the overlay's arena. */
static void emit(struct txn *txn, const struct topic *t, const struct view *v, struct slice key,
                 struct slice value) {
    const struct log_header *all = txn_headers(txn);
    *txn_emission(txn) = (struct emission){.topic = t,
                                           .partition = v != NULL ? txn->in->partition : -1,
                                           .timestamp = txn->in->timestamp,
                                           .key = arena_copy(&txn->overlay.arena, key),
                                           .value = value,
                                           .headers = all,
                                           .header_count = txn->out_header_count,
                                           .view = v};
}

void txn_put_row(struct txn *txn, const struct view *v, struct slice row) {
    if (v->retention_ms > 0 && row.data != NULL) {
        struct slice old;
        if (!txn_read(txn, buf_slice(&txn->key), &old))
            return;
        if (old.data == NULL || row_stamp(old) > txn->now) /* it was put before a crash, at a later time */
            txn_put_due(txn, v, txn->now, txn_record_key(txn));
    }
    struct change *c = txn_change(txn, buf_slice(&txn->key), row);
    txn->shown = txn->shown || !v->private;
    if (c != NULL) {
        c->view = v;
        c->partition = txn->in->partition;
        c->record_key = arena_copy(&txn->overlay.arena, txn_record_key(txn));
    }
    if (v->events) {
        emit(txn, v->changelog, v, txn_record_key(txn), arena_copy(&txn->overlay.arena, row_payload(v, row)));
        return;
    }
    if (row.data == NULL)
        forget_unborn(txn, &txn->undo[txn->undo_count - 1]);
}

static void put_entry(struct txn *txn, const struct view *v, struct slice sub, struct slice row) {
    txn_entry_key(txn, v, sub);
    check_record(txn, v->changelog, txn_record_key(txn).size, row_payload(v, row).size);
    if (!txn_failed(txn))
        txn_put_row(txn, v, row);
}

void txn_put(struct txn *txn, const struct view *v, struct slice sub, const void *value) {
    buf_clear(&txn->bytes);
    row_begin(v, v->retention_ms > 0 ? txn->now : txn->in->timestamp, &txn->bytes);
    if (!txn_failed(txn) && schemas_encode(txn->schemas, v->changelog, value, &txn->bytes, &txn->err))
        put_entry(txn, v, sub, buf_slice(&txn->bytes));
}

void txn_delete(struct txn *txn, const struct view *v, struct slice sub) {
    if (!v->changelog->tombstones)
        refuse(txn, "deletes from the view %s, whose changelog %s knows no tombstones", v->name,
               v->changelog->name);
    if (!txn_failed(txn))
        put_entry(txn, v, sub, SLICE_NONE);
}

/* Copies of what a scan has visited, so that it can be changed while it is gone through. */
struct rows {
    struct arena *arena;
    size_t prefix;   /* bytes of each key to leave out */
    struct slice to; /* of what is left; SLICE_NONE: no end */
    struct row {
        struct slice key, value;
    } *items;
    size_t count, capacity;
};

static bool collect_row(void *context, struct slice key, struct slice value) {
    struct rows *r = context;
    key = (struct slice){key.data + r->prefix, key.size - r->prefix};
    if (r->to.data != NULL && slice_compare(key, r->to) >= 0)
        return false;
    if (r->count == r->capacity)
        r->items = xrealloc(r->items, (r->capacity = r->capacity * 2 + 16) * sizeof *r->items);
    r->items[r->count++] = (struct row){arena_copy(r->arena, key), arena_copy(r->arena, value)};
    return true;
}

void txn_each(struct txn *txn, const struct view *v, struct slice from, struct slice to,
              bool (*each)(void *, struct slice, const void *), void *context) {
    txn_entry_key(txn, v, SLICE(""));
    _cleanup_(buf_free) struct buf first = {0};
    buf_append_slice(&first, buf_slice(&txn->key));
    buf_append_slice(&first, from);
    struct rows rows = {.arena = &txn->scratch, .prefix = txn->key.size, .to = to};
    if (!txn_failed(txn) &&
        overlay_scan(&txn->overlay, buf_slice(&txn->key), buf_slice(&first), collect_row, &rows, &txn->err))
        for (size_t i = 0; i < rows.count && !txn_failed(txn); i++) {
            void *value = arena_alloc(&txn->scratch, v->changelog->value->size);
            if (!schemas_decode(txn->schemas, v->changelog->value, row_payload(v, rows.items[i].value),
                                &txn->scratch, value, &txn->err))
                txn_unreadable(txn, "view", v->name, rows.items[i].key);
            else if (!each(context, rows.items[i].key, value))
                break;
        }
    free(rows.items);
}

bool txn_lookup(struct txn *txn, const struct table *t, struct slice key, void *row) {
    struct slice bytes;
    if (!topology_has_table(txn->topology, t))
        refuse(txn, "looks up the table %s, which it does not declare", t->name);
    else if (t->view != NULL)
        refuse(txn, "looks up the table %s, of which another instance may have the row", t->name);
    if (t->fresh && txn->stale && !txn_failed(txn)) {
        txn->stale_lookup = true;
        err_set(&txn->err, ERR_RETRY, "table %s is to be read to its end first", t->name);
    }
    txn->key_of = NULL;
    store_key_row(&txn->key, t, -1, key);
    if (txn_failed(txn) || !overlay_remember(&txn->cached_tables, buf_slice(&txn->key), &bytes, &txn->err) ||
        bytes.data == NULL)
        return false;
    struct slice payload = table_row_payload(t, bytes);
    return schemas_decode(txn->schemas, t->topic->value, payload, &txn->scratch, row, &txn->err) ||
           txn_unreadable(txn, "table", t->name, key);
}

void txn_emit_bytes(struct txn *txn, const struct topic *t, struct slice key, struct slice value) {
    check_record(txn, t, key.size, value.size);
    if (!txn_failed(txn))
        emit(txn, t, NULL, key, value);
}

void txn_emit(struct txn *txn, const struct topic *t, struct slice key, const void *value) {
    const struct topic *const *o = txn->topology->outputs;
    while (o != NULL && *o != NULL && *o != t)
        o++;
    if (o == NULL || *o == NULL)
        refuse(txn, "emits to %s, which it does not declare", t->name);
    if (value == NULL && !t->tombstones)
        refuse(txn, "emits a tombstone to %s, which has none", t->name);
    buf_clear(&txn->bytes);
    if (txn_failed(txn) || (value != NULL && !schemas_encode(txn->schemas, t, value, &txn->bytes, &txn->err)))
        return;
    txn_emit_bytes(txn, t, key,
                   value == NULL ? SLICE_NONE : arena_copy(&txn->overlay.arena, buf_slice(&txn->bytes)));
}
