/* An input, and what is due before it, through its handler: all of it, or nothing. */
#include "transaction/internal.h"

#include "log/partitions.h"
#include <stdlib.h>

/* Checks what is the same for all topics; fills in->value. */
static bool decode(struct txn *txn, const struct source *source, const struct log_record *r,
                   int32_t partitions, struct event *in) {
    struct log_record at_home = *r;
    if (source->forward_misplaced && r->key.size > 0)
        at_home.partition = partition_of(r->key, partitions);
    if (!record_well_formed(&at_home, partitions, &txn->err))
        return false;
    if (r->value.data == NULL)
        return true;
    void *value = arena_alloc(&txn->scratch, r->topic->value->size);
    in->value = value;
    return schemas_decode(txn->schemas, r->topic->value, r->value, &txn->scratch, value, &txn->err);
}

static void begin(struct txn *txn, const struct event *in, struct slice traceparent, struct task_time *time) {
    txn->in = in;
    txn->event++;
    txn->key_of = NULL;
    arena_reset(&txn->scratch);
    txn_take_trace(txn, &(struct cause){in->topic, in->partition, in->offset}, traceparent);
    txn->link_count = 0;
    txn->time = time;
    txn->now = in->timestamp > time->now ? in->timestamp : time->now;
    txn->out_headers = NULL;
    txn->err.kind = ERR_NONE;
    txn->stale_lookup = false;
    txn->undo_count = 0;
    if (txn->cached_tables.count > ROWS_KEPT)
        overlay_clear(&txn->cached_tables);
}

/* Keeps what was done since begin(), or undoes it all; `emitted` is what there was before. */
static bool end(struct txn *txn, size_t emitted, struct err *e) {
    for (size_t i = txn->undo_count; txn_failed(txn) && i-- > 0;)
        txn_undo(txn, &txn->undo[i]);
    for (size_t i = 0; !txn_failed(txn) && i < txn->undo_count; i++)
        if (is_logged(&txn->changes[txn->undo[i].index]))
            txn_add_cause(&txn->changes[txn->undo[i].index], txn);
    txn->in = NULL;
    if (!txn_failed(txn))
        return true;
    txn->emission_count = emitted;
    *e = txn->err;
    return false;
}

bool txn_run(struct txn *txn, const struct source *source, const struct log_record *r,
             struct slice traceparent, int32_t partitions, struct task_time *time, struct err *e) {
    struct event in = {r->topic, r->partition, r->offset, r->timestamp, r->key, NULL, SLICE_NONE};
    size_t emitted = txn->emission_count;
    begin(txn, &in, traceparent, time);
    bool decoded = decode(txn, source, r, partitions, &in);
    bool handled = decoded && partition_of(in.key, partitions) == in.partition;
    if (decoded && !handled)
        txn_emit_bytes(txn, in.topic, in.key, arena_copy(&txn->overlay.arena, r->value));
    else if (handled && source->handle != NULL)
        source->handle(txn, &in);
    bool ok = end(txn, emitted, e);
    if (handled && (ok || txn->err.kind == ERR_POISON))
        time->now = txn->now;
    return ok;
}

bool txn_handles(struct txn *txn, const struct source *source, const struct log_record *r, int32_t partitions,
                 bool *handles, struct err *e) {
    struct event in;
    arena_reset(&txn->scratch);
    txn->err.kind = ERR_NONE;
    *handles = decode(txn, source, r, partitions, &in) && partition_of(r->key, partitions) == r->partition;
    if (!txn_failed(txn) || txn->err.kind == ERR_POISON)
        return true;
    *e = txn->err;
    return false;
}

/* The row of an entry that is due, if it is still there: away with it, or with the entry to where it is. */
static void expire_row(struct txn *txn, const struct view *v, const struct due *due, struct event *in,
                       handler *expired, size_t *rows) {
    struct slice stored;
    const char *slash = memchr(due->record_key.data, '/', due->record_key.size);
    in->key = due->record_key;
    if (slash != NULL) {
        in->key.size = (size_t)(slash - in->key.data);
        in->sub = (struct slice){slash + 1, due->record_key.size - in->key.size - 1};
    }
    txn_change(txn, due->entry, SLICE_NONE);
    store_key_view(&txn->key, v, in->partition, due->record_key);
    txn->prefix = txn->key.size - due->record_key.size;
    if (!txn_read(txn, buf_slice(&txn->key), &stored) || stored.data == NULL)
        return;
    if (retention_end(v, row_stamp(stored)) >= txn->now) {
        txn_put_due(txn, v, row_stamp(stored), due->record_key);
        return;
    }
    txn_put_row(txn, v, SLICE_NONE);
    ++*rows;
    if (expired == NULL)
        return;
    void *value = arena_alloc(&txn->scratch, v->changelog->value->size);
    in->value = value;
    if (schemas_decode(txn->schemas, v->changelog->value, row_payload(v, stored), &txn->scratch, value,
                       &txn->err))
        expired(txn, in);
    else
        txn_unreadable(txn, "view", v->name, due->record_key);
}

/* Each entry by itself. What a handler rejects is undone, and the row goes all the same. */
static bool expire_entry(struct txn *txn, const struct view *v, const struct due *due,
                         const struct log_record *r, struct slice traceparent, struct task_time *time,
                         struct expiry *x, struct err *e) {
    handler *expired = x->silent ? NULL : v->expired;
    x->rejected += x->silent && v->expired != NULL;
    for (;;) {
        struct event in = {.topic = r->topic, .partition = r->partition, .offset = r->offset};
        in.timestamp = r->timestamp > time->now ? r->timestamp : time->now;
        size_t emitted = txn->emission_count, rows = x->rows;
        begin(txn, &in, traceparent, time);
        expire_row(txn, v, due, &in, expired, &x->rows);
        if (end(txn, emitted, e))
            return true;
        if (e->kind != ERR_POISON || expired == NULL)
            return false;
        x->rows = rows;
        x->rejected++;
        expired = NULL;
    }
}

bool txn_expire(struct txn *txn, const struct log_record *r, struct slice traceparent, size_t limit,
                struct task_time *time, struct expiry *x, struct err *e) {
    int64_t now = r->timestamp > time->now ? r->timestamp : time->now, since = time->due;
    *x = (struct expiry){.silent = x->silent};
    if (now <= since)
        return true;
    bool ok = true;
    time->due = INT64_MAX; /* entries that are put lower it */
    for (const struct view *const *v = txn->topology->views; ok && v != NULL && *v != NULL; v++) {
        if ((*v)->retention_ms == 0)
            continue;
        struct due_list list = {.limit = limit};
        ok = retention_due(&txn->overlay, *v, r->partition, since, now, &list, e);
        for (size_t i = 0; ok && i < list.count; i++)
            ok = expire_entry(txn, *v, &list.items[i], r, traceparent, time, x, e);
        time->due = list.next < time->due ? list.next : time->due;
        free(list.items);
    }
    time->due = ok ? time->due : since;
    x->more = time->due < now;
    return ok;
}
