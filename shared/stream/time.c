/* How time passes in a running topology: what is due goes, and ticks where nobody sends. */
#include "stream/runtime.h"
#include "transaction/transaction.h"

/* What is due at the time of this record goes before it is handled, however much that is: in as many
 * transactions as it takes. Stream time moves with the record only, so that a crash in between comes back
 * here. The record's offset goes along although it does not move yet: it is by the offsets that Kafka knows
 * whether the task is still ours. A record that no handler gets makes nothing expire. */
bool expire_due(struct stream *s, size_t source, const struct log_record *r, struct slice trace,
                struct err *e) {
    struct task *task = &s->tasks[r->partition];
    struct search *q = &s->search;
    struct expiry x = {.more = s->expires && r->timestamp > task->time.due};
    if (x.more)
        TRY(txn_handles(s->txn, &s->topology->sources[source], r, s->partitions, &x.more, e));
    while (x.more) {
        bool alone = q->size == 1;
        x.silent = q->expiring && is_suspect(&q->culprit, r);
        task->inputs[source] = r->offset;
        task->committed[source] = -1;
        if (s->dirty_since == 0)
            s->dirty_since = now_ms(s); /* what is done of a portion that fails is committed too */
        TRY(txn_expire(s->txn, r, trace, alone ? 1 : s->o.expiry_rows, &task->time, &x, e));
        counter_add(&s->expired, x.rows);
        counter_add(&s->counts[r->topic->number].skipped, x.rejected);
        TRY((!x.more && !alone) || commit(s, e));
        if (x.silent)
            q->culprit = (struct suspect){0};
    }
    return true;
}

/* Where the sources of the tasks end that event time has left behind; ticks themselves tell nothing. */
static size_t late_tasks(struct stream *s, int64_t time, struct log_position *ends_of) {
    const struct topology *t = s->topology;
    size_t n = 0;
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; i < s->source_count; i++)
            if (s->tasks[p].state == TASK_RUNNING && time - s->tasks[p].time.now >= t->tick_ms &&
                t->sources[i].topic != t->ticks)
                ends_of[n++] = (struct log_position){t->sources[i].topic, p, -1};
    return n;
}

static bool task_has_read(const struct stream *s, const struct log_position *end) {
    size_t i = 0;
    while (s->topology->sources[i].topic != end->topic)
        i++;
    return s->tasks[end->partition].read[i] >= end->offset;
}

/* A tick is for tasks that have handled all that there is: after an outage what was sent meanwhile comes
 * first, and only then the news of how late it is. */
bool ticks_write(struct stream *s, struct err *e) {
    const struct topology *t = s->topology;
    if (t->ticks == NULL || now_ms(s) < s->tick_at)
        return true;
    s->tick_at = now_ms(s) + t->tick_ms;
    int64_t time = CALL0(s, time_ms);
    struct log_position positions[(size_t)s->partitions * s->source_count];
    size_t n = late_tasks(s, time, positions);
    TRY(log_ends(s, positions, n, true, e));
    for (size_t k = 0; k < n;) {
        int32_t p = positions[k].partition;
        bool all = true;
        for (; k < n && positions[k].partition == p; k++)
            all = all && task_has_read(s, &positions[k]);
        TRY(!all || txn_tick(s->txn, p, s->partitions, time, e));
        if (all && s->dirty_since == 0)
            s->dirty_since = now_ms(s);
        if (all)
            s->search.last = (struct suspect){0}; /* no input is to blame for a tick */
    }
    return true;
}
