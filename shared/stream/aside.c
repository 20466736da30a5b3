/* What is read beside the inputs: tables and changelogs, into the store. */
#include "stream/runtime.h"
#include "transaction/transaction.h"

static void tell(struct stream *s, const struct table *t, const struct log_record *r) {
    if (t != NULL && t->topic == r->topic && (t->view == NULL) == (r->queue == LOG_TABLES))
        s->o.changed(s->o.context, t, r->key, r->partition, r->offset);
}

static void tell_changed(struct stream *s, const struct log_record *records, size_t n) {
    for (const struct log_record *r = records; s->o.changed != NULL && r < records + n; r++) {
        if (log_is_news(r) || log_queue_of_inputs(r->queue))
            continue;
        for (size_t i = 0; i < s->table_count; i++)
            tell(s, s->topology->tables[i], r);
        for (size_t i = 0; i < s->view_count; i++)
            tell(s, s->topology->views[i]->served, r);
    }
}

/* Tables and changelogs are read again from behind what is in the store. */
static bool reread(struct stream *s, struct err *e) {
    tasks_reread(s);
    return tables_reread(s, e);
}

bool aside_absorb(struct stream *s, const struct log_record *records, size_t n, struct err *e) {
    bool ok = true, tables = false;
    size_t taken = 0;
    for (; taken < n && ok; taken += ok) {
        tables = tables || (records[taken].queue == LOG_TABLES && !records[taken].end);
        if (records[taken].queue == LOG_TABLES)
            ok = table_hydrate(s, &records[taken], e);
        else if (records[taken].queue == LOG_CHANGELOGS)
            ok = task_restore(s, &records[taken], e);
    }
    struct err worse = {0};
    if (!overlay_apply(&s->incoming, &worse) || (!ok && e->kind == ERR_RETRY && !reread(s, &worse))) {
        *e = worse;
        return false;
    }
    if (tables)
        txn_tables_changed(s->txn);
    tell_changed(s, records, taken);
    return ok;
}

bool aside_poll(struct stream *s, int wait_ms, struct err *e) {
    size_t n = 0;
    TRY(CALL(s, poll, false, s->aside, BATCH, wait_ms, &n, e));
    bool ok = aside_absorb(s, s->aside, n, e);
    CALL(s, release, s->aside, n);
    return ok;
}
