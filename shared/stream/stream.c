#include "stream/runtime.h"

#include "base/cleanup.h"
#include "transaction/transaction.h"

#include <stdlib.h>

enum {
    PENDING_OUTPUTS = 4000,
    EXPIRY_ROWS = 5000,
    FLUSH_MS = 60 * 1000, /* the store is at most so far behind */
    TROUBLE_MS = 1000,    /* what is tried again and again has one status, also between two tries */
    RENEW_FIRST_MS = 60 * 1000,
    RENEW_MS = 60 * 60 * 1000,
};

struct stream *stream_create(const struct stream_options *options) {
    struct stream *s = xcalloc(1, sizeof *s);
    const struct topology *t = options->topology;
    s->o = *options;
    if (s->o.pending_outputs == 0)
        s->o.pending_outputs = PENDING_OUTPUTS;
    if (s->o.expiry_rows == 0)
        s->o.expiry_rows = EXPIRY_ROWS;
    s->topology = t;
    while (t->sources != NULL && t->sources[s->source_count].topic != NULL)
        s->source_count++;
    while (t->views != NULL && t->views[s->view_count] != NULL)
        s->expires = t->views[s->view_count++]->retention_ms > 0 || s->expires;
    s->serves = topology_served(t) != NULL;
    while (t->tables != NULL && t->tables[s->table_count] != NULL)
        s->table_count++;
    s->renew_at = INT64_MIN; /* not set yet */
    s->txn = txn_create(t, options->schemas, options->store);
    txn_observe(s->txn, options->observer);
    s->incoming.store = options->store;
    s->counts = topic_counts_create(t);
    s->cursors = xcalloc(s->table_count, sizeof(struct cursor *));
    s->table_partitions = xcalloc(s->table_count, sizeof *s->table_partitions);
    s->forgotten = xcalloc(s->table_count, sizeof *s->forgotten);
    pthread_mutex_init(&s->lock, NULL);
    status_init(&s->status, "starting");
    return s;
}

void stream_destroy(struct stream *s) {
    if (s == NULL)
        return;
    txn_destroy(s->txn);
    overlay_free(&s->incoming);
    for (int32_t p = 0; s->tasks != NULL && p < s->partitions; p++)
        task_free(&s->tasks[p]);
    for (size_t i = 0; i < s->table_count; i++)
        free(s->cursors[i]);
    free(s->tasks);
    free(s->cursors);
    free(s->table_partitions);
    free(s->forgotten);
    pthread_mutex_destroy(&s->lock);
    free(s->counts);
    free(atomic_load(&s->places));
    status_finish(&s->status);
    free(s);
}

static bool recover(struct stream *s, struct err *e) {
    if (s->recovery == RECOVER_BY_ABORT) {
        counter_add(&s->aborts, 1);
        if (!GUARDED(s, CALL(s, abort, e))) {
            if (e->kind == ERR_ABORT || e->kind == ERR_UNKNOWN) {
                s->recovery = RECOVER_BY_INIT;
                e->kind = ERR_RETRY;
            }
            return false;
        }
    }
    if (s->recovery == RECOVER_BY_INIT && !GUARDED(s, CALL(s, init, e))) {
        if (e->kind == ERR_ABORT || e->kind == ERR_UNKNOWN)
            e->kind = ERR_RETRY;
        return false;
    }
    s->recovery = RECOVER_NOTHING;
    return true;
}

/* Whether a changelog of a running task ends before our last record in it, see task_check(). */
static bool changelogs_check(struct stream *s, struct err *e) {
    size_t n = 0;
    struct log_delivered *known[(size_t)s->partitions * s->view_count + 1];
    struct log_position at[(size_t)s->partitions * s->view_count + 1];
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; s->tasks[p].state == TASK_RUNNING && i < s->view_count; i++) {
            known[n] = &s->tasks[p].changelogs[i];
            at[n++] = (struct log_position){s->topology->views[i]->changelog, p, -1};
        }
    TRY(log_ends_or_later(s, at, &n, false, e));
    for (size_t k = 0; k < n; k++)
        // NOLINTNEXTLINE(clang-analyzer-*): n of them are set above
        if (at[k].offset < known[k]->next && known[k]->was == 0)
            *known[k] = (struct log_delivered){.next = at[k].offset, .was = known[k]->next};
    return true;
}

/* What the store has in memory is read from the log again after a crash: that must not become long, nor so
 * old that the log has forgotten its tombstones. Nor should what the log has lost be taken for true. */
static bool flush(struct stream *s, struct err *e) {
    if (now_ms(s) < s->flush_at)
        return true;
    s->flush_at = now_ms(s) + FLUSH_MS;
    return store_flush(s->o.store, e) && changelogs_check(s, e);
}

/* Once an hour, so that nothing looks older than it is: the group's offsets, of which a broker forgets those
 * that are not of the topic to which the group subscribes, and the ages of what the store has. */
static bool renew(struct stream *s, struct err *e) {
    int64_t now = time_of_day(s);
    _cleanup_(buf_free) struct buf key = {0};
    if (s->renew_at == INT64_MIN)
        s->renew_at = now_ms(s) + RENEW_FIRST_MS;
    if (now_ms(s) < s->renew_at)
        return true;
    TRY(tables_renew(s, e) && standbys_renew(s, e));
    for (int32_t p = 0; p < s->partitions; p++) {
        struct task *task = &s->tasks[p];
        if (task->state != TASK_RUNNING)
            continue;
        for (size_t i = 0; i < s->source_count; i++) {
            if (task->inputs[i] >= 0 && s->dirty_since == 0)
                s->dirty_since = now_ms(s);
            task->committed[i] = task->inputs[i] >= 0 ? -1 : task->committed[i];
        }
        for (size_t i = 0; i < s->view_count; i++) {
            store_key_view_age(&key, s->topology->views[i], p);
            position_put(&s->incoming, &key, now);
        }
    }
    s->renew_at = now_ms(s) + RENEW_MS;
    return overlay_apply(&s->incoming, e);
}

static int least(int64_t a, int64_t b) {
    return (int)(a < b ? a : b);
}

/* How long a round may wait for something to come, up to `wait_ms`: not beyond what is to be done without. */
static int patience(struct stream *s, int wait_ms) {
    if (s->dirty_since != 0)
        wait_ms = least(wait_ms, awaited(s) ? BUSY_MS / 4 : has_output(s) ? TRANSACTION_MS : LAZY_COMMIT_MS);
    for (int32_t p = 0; p < s->partitions; p++)
        if (s->tasks[p].state == TASK_NEW)
            wait_ms = least(wait_ms, s->tasks_retry_at > now_ms(s) ? RETRY_MS : 0);
    if (s->topology->ticks != NULL)
        wait_ms = least(wait_ms, s->tick_at > now_ms(s) ? s->tick_at - now_ms(s) : 0);
    return wait_ms;
}

/* What has come: into the store, and through the handlers. */
static bool take(struct stream *s, int wait_ms, size_t *n, struct err *e) {
    *n = 0;
    TRY(CALL(s, poll, true, s->records, BATCH, wait_ms, n, e));
    bool ok = s->callback_err.kind == ERR_NONE;
    if (!ok)
        *e = s->callback_err;
    ok = ok && aside_absorb(s, s->records, *n, e) && inputs_process(s, *n, e);
    if (!ok && e->kind == ERR_RETRY) { /* keep what was done, come back to the rest */
        struct err worse = {0};
        if (!inputs_reread(s, &worse) || !commit(s, &worse))
            *e = worse;
    }
    CALL(s, release, s->records, *n);
    return ok;
}

/* A round, in the order that correctness needs. */
static bool round_once(struct stream *s, int wait_ms, struct err *e) {
    size_t n;
    TRY(stream_started(s) || stream_begin(s, e));
    TRY(recover(s, e));         /* before anything is written: whose the identity is */
    TRY(standbys_follow(s, e)); /* before tasks begin: what is held has a reader, or is gone */
    TRY(tasks_progress(s, e));  /* before inputs come: state is what its changelog says */
    TRY(tables_restart(s, e));  /* likewise */
    TRY(aims_refresh(s, e));    /* ends are asked for before what follows from a look-up */
    TRY(aims_lower(s, e));
    TRY(renew(s, e));
    TRY(registry_remember(s, e)); /* before a commit: the store knows the ids by which it was made */
    TRY(take(s, patience(s, wait_ms), &n, e)); /* the group's callbacks run in it, and may commit */
    TRY(ticks_write(s, e));                    /* after inputs: a tick is for who has handled all there is */
    TRY(!commit_is_due(s, n < BATCH) || commit(s, e));
    TRY(flush(s, e)); /* after the commit: the store is as far as the log */
    report(s);
    return true;
}

bool stream_step(struct stream *s, int wait_ms, struct err *e) {
    struct err trouble = {0};
    if (round_once(s, wait_ms, &trouble))
        return true;
    switch (trouble.kind) {
    case ERR_RETRY:
        atomic_store(&s->ready, false);
        status_trouble(&s->status, trouble.text);
        s->trouble_until = now_ms(s) + TROUBLE_MS;
        if (!aside_poll(s, wait_ms < RETRY_MS ? wait_ms : RETRY_MS, &trouble) && trouble.kind != ERR_RETRY) {
            *e = trouble;
            return false;
        }
        if (stream_started(s))
            places_update(s); /* what is followed goes on, and so do its readers */
        return true;
    case ERR_ABORT:
    case ERR_UNKNOWN:
    case ERR_REFUSED:
        status_trouble(&s->status, trouble.text);
        give_up(s, &trouble);
        return true;
    default:
        *e = trouble;
        status_trouble(&s->status, trouble.text);
        atomic_store(&s->ready, false);
        return false;
    }
}

/* Others have its tasks from now on; what it serves it holds on to, and follows them. */
static void leave(struct stream *s) {
    struct err trouble = {0};
    bool done = s->recovery == RECOVER_NOTHING && commit(s, &trouble);
    if (!done && (s->in_transaction || s->recovery == RECOVER_BY_ABORT))
        (void)!GUARDED(s, CALL(s, abort, &trouble)); /* who comes next fences what could not be aborted */
    if (!done)
        observe_end(s, false);
    txn_clear(s->txn);
    s->recovery = RECOVER_NOTHING;
    s->in_transaction = false;
    s->dirty_since = 0;
    if (s->subscribed && s->o.log->ops->leave != NULL && !CALL(s, leave, &trouble))
        status_set(&s->status, trouble.text); /* then they are missed when the session ends */
    for (int32_t p = 0; p < s->partitions; p++)
        if (s->tasks[p].ours)
            task_give(s, p);
    s->joined = false;
    pthread_mutex_lock(&s->lock);
    s->assigned = (struct partitions){0};
    pthread_mutex_unlock(&s->lock);
    atomic_store(&s->left_group, true);
}

bool stream_run(struct stream *s, struct err *e) {
    while (!atomic_load(&s->stopping)) {
        TRY(stream_step(s, 1000, e));
        if (atomic_load(&s->leaving) && !atomic_load(&s->left_group))
            leave(s);
    }
    if (!atomic_load(&s->left_group))
        leave(s);
    status_set(&s->status, "stopped");
    return true;
}

void stream_leave(struct stream *s) {
    atomic_store(&s->leaving, true);
    s->o.log->ops->wake(s->o.log);
}

bool stream_has_left(const struct stream *s) {
    return atomic_load(&s->left_group);
}

void stream_stop(struct stream *s) {
    atomic_store(&s->stopping, true);
    s->o.log->ops->wake(s->o.log);
}
