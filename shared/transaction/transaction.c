/* What has come of the inputs since the last clear, for the runtime. */
#include "transaction/internal.h"

#include "transaction/table.h"
#include <stdlib.h>

struct txn *txn_create(const struct topology *t, struct schemas *schemas, struct store *store) {
    struct txn *txn = xcalloc(1, sizeof *txn);
    txn->topology = t;
    txn->schemas = schemas;
    txn->overlay.store = txn->cached_views.store = txn->cached_tables.store = store;
    return txn;
}

void txn_destroy(struct txn *txn) {
    if (txn == NULL)
        return;
    overlay_free(&txn->overlay);
    overlay_free(&txn->cached_views);
    overlay_free(&txn->cached_tables);
    arena_free(&txn->scratch);
    free(txn->origins);
    free(txn->changes);
    free(txn->undo);
    free(txn->emissions);
    buf_free(&txn->key);
    buf_free(&txn->bytes);
    buf_free(&txn->header);
    free(txn);
}

size_t txn_pending(const struct txn *txn) {
    return txn->emission_count - txn->emission_taken;
}

bool txn_awaited(const struct txn *txn) {
    return txn->shown || txn->emission_count > 0;
}

size_t txn_bytes(const struct txn *txn) {
    return arena_size(&txn->overlay.arena) + arena_size(&txn->cached_views.arena) +
           txn->overlay.count * sizeof *txn->changes + txn->emission_count * sizeof *txn->emissions;
}

struct emission *txn_emissions(struct txn *txn, size_t *count) {
    struct emission *first = txn->emissions + txn->emission_taken;
    *count = txn->emission_count - txn->emission_taken;
    txn->emission_taken = txn->emission_count;
    return first;
}

bool txn_changelogs(struct txn *txn, int32_t partition,
                    bool (*each)(void *context, const struct emission *record), void *context) {
    for (size_t i = 0; i < txn->overlay.count; i++) {
        struct change *c = &txn->changes[i];
        if (!txn->overlay.live[i] || c->partition != partition || !is_logged(c))
            continue;
        buf_clear(&txn->bytes);
        buf_clear(&txn->header);
        for (size_t k = c->causes > CAUSES ? c->causes - CAUSES : 0; k < c->causes; k++) {
            if (txn->bytes.size > 0)
                buf_append_byte(&txn->bytes, ',');
            txn_append_cause(&txn->bytes, txn_cause_at(c, k));
        }
        txn_append_traceparent(txn, txn_cause_at(c, c->causes - 1), c->has_trace ? c->trace : NULL,
                               c->sampled, &txn->header);
        struct log_header all[] = {{"traceparent", buf_slice(&txn->header)},
                                   {"caused-by", buf_slice(&txn->bytes)},
                                   {"tracestate", c->state}};
        struct emission record = {.topic = c->view->changelog,
                                  .partition = c->partition,
                                  .timestamp = c->timestamp,
                                  .key = c->record_key,
                                  .value = row_payload(c->view, txn->overlay.changes[i].value),
                                  .headers = all,
                                  .header_count = c->state.data == NULL ? 2 : 3,
                                  .view = c->view};
        if (!each(context, &record))
            return false;
    }
    return true;
}

static bool is_served(const struct txn *txn, size_t i) {
    return txn->overlay.live[i] && txn->changes[i].view != NULL && txn->changes[i].view->served != NULL;
}

bool txn_index(struct txn *txn, struct err *e) {
    for (size_t i = 0; i < txn->put_count; i++) {
        const struct store_change *row = &txn->overlay.changes[i];
        struct slice before;
        if (!is_served(txn, i) || txn->changes[i].view->served->index == NULL)
            continue;
        if (!overlay_find(&txn->cached_views, row->key, &before) &&
            !store_get(txn->overlay.store, row->key, &txn->overlay.arena, &before, e))
            return false;
        if (!table_reindex(txn->changes[i].view->served, &txn->overlay, txn->schemas,
                           txn->changes[i].partition, txn->changes[i].record_key, before, row->value, e))
            return false;
    }
    return true;
}

void txn_served(const struct txn *txn,
                void (*each)(void *context, const struct table *t, struct slice key, int32_t partition),
                void *context) {
    for (size_t i = 0; i < txn->put_count; i++)
        if (is_served(txn, i))
            each(context, txn->changes[i].view->served, txn->changes[i].record_key,
                 txn->changes[i].partition);
}

void txn_tables_changed(struct txn *txn) {
    overlay_clear(&txn->cached_tables);
}

void txn_task_gone(struct txn *txn) {
    overlay_clear(&txn->cached_views);
}

void txn_tables_fresh(struct txn *txn, bool fresh) {
    txn->stale = !fresh;
}

bool txn_looked_up_stale(const struct txn *txn) {
    return txn->stale_lookup;
}

struct overlay *txn_overlay(struct txn *txn) {
    return &txn->overlay;
}

void txn_clear(struct txn *txn) {
    overlay_clear(&txn->overlay);
    overlay_clear(&txn->cached_views);
    txn->emission_count = txn->emission_taken = txn->put_count = 0;
    txn->shown = false;
}
