/* Tasks come and go. */
#include "stream/runtime.h"
#include "transaction/transaction.h"

#include "log/partitions.h"

/* Everything since the last commit is forgotten; all tasks ask the log where they are. */
static void rewind_tasks(struct stream *s, enum recovery recovery) {
    txn_clear(s->txn);
    observe_end(s, false);
    if (recovery == RECOVER_BY_INIT || s->in_transaction)
        s->recovery = recovery;
    s->in_transaction = false;
    s->dirty_since = 0;
    s->transaction_records = 0;
    atomic_store(&s->ready, false);
    for (int32_t p = 0; p < s->partitions; p++)
        if (s->tasks[p].ours)
            task_halt(s, p, TASK_NEW);
    counter_add(&s->rewinds, 1);
    if (s->fruitless++ > 0) /* what comes back at once will again: no busy loop */
        s->tasks_retry_at = now_ms(s) + RETRY_MS;
}

void give_up(struct stream *s, const struct err *why) {
    if (why->kind == ERR_REFUSED)
        search_narrow(s, why);
    rewind_tasks(s, why->kind == ERR_UNKNOWN ? RECOVER_BY_INIT : RECOVER_BY_ABORT);
}

static void note_tasks(struct stream *s, const int32_t *tasks, size_t n, bool assigned) {
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < n; i++)
        if (tasks[i] < PARTITIONS_MAX)
            partitions_put(&s->assigned, tasks[i], assigned);
    pthread_mutex_unlock(&s->lock);
    if (s->o.moved != NULL)
        s->o.moved(s->o.context);
}

/* Whoever stood by goes on from there. */
static void task_take(struct stream *s, int32_t p) {
    s->tasks[p].ours = true;
    task_halt(s, p, TASK_NEW);
}

void task_give(struct stream *s, int32_t p) {
    pthread_mutex_lock(&s->lock);
    bool held = s->serves && partitions_has(&s->hold_wanted, p);
    pthread_mutex_unlock(&s->lock);
    s->tasks[p].ours = false;
    task_halt(s, p, held ? TASK_NEW : TASK_NONE);
    atomic_store(&s->hold_changed, true);
}

void on_assigned(void *context, const int32_t *tasks, size_t n) {
    struct stream *s = context;
    s->joined = true;
    for (size_t i = 0; i < n; i++)
        if (tasks[i] >= s->partitions) /* keys have moved to other partitions, and their state has not */
            err_set(&s->callback_err, ERR_CONFIG, "topic %s had %d partitions at the start, and has more now",
                    s->topology->sources[0].topic->name, s->partitions);
        else if (!s->tasks[tasks[i]].ours)
            task_take(s, tasks[i]);
    note_tasks(s, tasks, n, true);
}

void on_revoked(void *context, const int32_t *tasks, size_t n, bool lost) {
    struct stream *s = context;
    if (lost) {
        if (s->dirty_since != 0)
            rewind_tasks(s, RECOVER_BY_ABORT);
    } else if (!commit(s, &s->callback_err)) {
        give_up(s, &s->callback_err);
        if (s->callback_err.kind == ERR_ABORT || s->callback_err.kind == ERR_UNKNOWN ||
            s->callback_err.kind == ERR_RETRY || s->callback_err.kind == ERR_REFUSED)
            s->callback_err.kind = ERR_NONE;
    }
    for (size_t i = 0; i < n; i++) {
        if (tasks[i] < s->partitions)
            task_give(s, tasks[i]);
        if (s->search.culprit.place.topic != NULL && s->search.culprit.place.partition == tasks[i])
            s->search = (struct search){0}; /* whoever has the task searches for it again */
    }
    note_tasks(s, tasks, n, false);
}
