/* Transactions: what follows from the inputs goes into the log, with their offsets; then the store takes it.
 */
#include "stream/runtime.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "log/observer.h"
#include "log/partitions.h"
#include "transaction/transaction.h"

#include <stdlib.h>

enum {
    TRANSACTION_BYTES = 6 << 20, /* of what follows from the inputs; with the age it bounds a commit */
    BUSY_RECORDS = 300,          /* a transaction as full as this is a sign of load: it waits for more */
};

void observe_end(struct stream *s, bool committed) {
    if (s->o.observer != NULL)
        s->o.observer->ended(s->o.observer->context, committed);
}

static bool begin(struct stream *s, struct err *e) {
    if (s->in_transaction)
        return true;
    TRY(GUARDED(s, CALL(s, begin, e)));
    s->in_transaction = true;
    s->transaction_since_us = clock_mono_us();
    return true;
}

/* Where the offset behind a view's record goes, once it is known. */
static struct log_delivered *delivered(const struct stream *s, const struct emission *m) {
    return m->view == NULL ? NULL : &s->tasks[m->partition].changelogs[view_index(s, m->view)];
}

/* Within a transaction nothing can be tried again by itself: whatever the log calls it, it is `kind`. */
static bool spoilt(struct err *e, enum err_kind kind) {
    if (e->kind == ERR_RETRY)
        e->kind = kind;
    return false;
}

/* In a transaction, and guarded. With `inputs`, if there are any, in a header. */
static bool produce(struct stream *s, const struct emission *m, struct slice inputs, struct err *e) {
    struct log_header headers[m->header_count + 1];
    size_t n = m->header_count;
    memcpy(headers, m->headers, n * sizeof *headers);
    if (inputs.size > 0)
        headers[n++] = (struct log_header){INPUTS_HEADER, inputs};
    struct log_message message = {.topic = m->topic,
                                  .partition = m->partition,
                                  .timestamp = log_timestamp(m->timestamp, CALL0(s, time_ms)),
                                  .key = m->key,
                                  .value = m->value,
                                  .headers = headers,
                                  .header_count = n,
                                  .delivered = delivered(s, m)};
    if (message.delivered != NULL)
        log_send(message.delivered);
    TRY(CALL(s, produce, &message, e) || spoilt(e, ERR_ABORT));
    counter_add(&s->counts[m->topic->number].out, 1);
    return true;
}

static int by_partition(const void *a, const void *b) {
    const struct emission *x = *(struct emission *const *)a, *y = *(struct emission *const *)b;
    int order = x->topic->number - y->topic->number;
    order = order != 0 ? order : x->partition - y->partition;
    return order != 0 ? order : x < y ? -1 : 1;
}

static bool same_partition(const struct emission *a, const struct emission *b) {
    return a->topic == b->topic && a->partition == b->partition;
}

static bool produce_all(struct stream *s, struct emission *const *m, size_t n, struct err *e) {
    _cleanup_(buf_free) struct buf inputs = {0};
    for (size_t i = 0; i < n; i++) {
        buf_clear(&inputs);
        if (m[i]->view != NULL && (i + 1 == n || !same_partition(m[i], m[i + 1])))
            inputs_write(s, m[i]->partition, &inputs);
        TRY(produce(s, m[i], buf_slice(&inputs), e));
    }
    return true;
}

bool produce_emissions(struct stream *s, struct err *e) {
    size_t n;
    TRY(begin(s, e));
    struct emission *m = txn_emissions(s->txn, &n);
    struct emission **order = arena_alloc(txn_arena(s->txn), n * sizeof *order);
    for (size_t i = 0; i < n; i++) {
        int32_t count;
        order[i] = &m[i];
        if (m[i].partition >= 0)
            continue;
        if (!CALL(s, partitions, m[i].topic, &count, e))
            return err_set(e, ERR_ABORT, "%s: how many partitions it has is not known any more",
                           m[i].topic->name);
        m[i].partition = partition_of(m[i].key, count);
    }
    qsort(order, n, sizeof(struct emission *), by_partition);
    return GUARDED(s, produce_all(s, order, n, e));
}

struct changelog_context {
    struct stream *s;
    struct slice inputs;
    bool *told; /* by view */
    struct err *e;
};

static bool produce_changelog(void *context, const struct emission *m) {
    struct changelog_context *c = context;
    bool *told = &c->told[view_index(c->s, m->view)], first = !*told;
    *told = true;
    return produce(c->s, m, first ? c->inputs : SLICE(""), c->e);
}

static bool produce_changelogs(struct stream *s, struct err *e) {
    _cleanup_(buf_free) struct buf inputs = {0};
    for (int32_t p = 0; p < s->partitions; p++) {
        bool told[s->view_count + 1];
        memset(told, 0, sizeof told);
        inputs_write(s, p, &inputs);
        struct changelog_context c = {s, buf_slice(&inputs), told, e};
        TRY(txn_changelogs(s->txn, p, produce_changelog, &c));
    }
    return true;
}

static void tell_served(void *context, const struct table *t, struct slice key, int32_t partition) {
    struct stream *s = context;
    s->o.changed(s->o.context, t, key, partition, -1);
}

/* What is read here others must be able to read, too: who has seen a row here finds it at a standby. Where a
 * record lies of which nothing was heard, nobody knows; it is before the log's end. */
static bool visible(struct stream *s, struct err *e) {
    size_t n = 0;
    bool heard = true;
    struct log_position at[(size_t)s->partitions * s->view_count + 1];
    for (int32_t p = 0; s->serves && p < s->partitions; p++)
        for (size_t i = 0; s->tasks[p].state == TASK_RUNNING && i < s->view_count; i++) {
            const struct view *v = s->topology->views[i];
            const struct log_delivered *d = &s->tasks[p].changelogs[i];
            if (v->served == NULL || !d->open)
                continue;
            at[n++] = (struct log_position){v->changelog, p, d->next};
            heard = heard && d->sent == 0;
        }
    TRY(heard || log_ends(s, at, n, false, e));
    return n == 0 || GUARDED(s, CALL(s, visible, at, n, e));
}

/* The store takes what the log has. */
static bool apply(struct stream *s, struct err *e) {
    struct overlay *changes = txn_overlay(s->txn);
    bool changed = changes->count > 0;
    for (int32_t p = 0; p < s->partitions; p++) {
        struct task *task = &s->tasks[p];
        if (task->state != TASK_RUNNING)
            continue;
        memcpy(task->committed, task->inputs, s->source_count * sizeof *task->inputs);
        for (size_t i = 0; i < s->view_count; i++)
            log_delivered_commit(&task->changelogs[i]);
        if (changed && s->view_count > 0)
            task_put_positions(s, p, changes);
    }
    TRY(overlay_write(changes, e));
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; s->tasks[p].state == TASK_RUNNING && i < s->view_count; i++)
            s->tasks[p].applied[i] = log_delivered_to(&s->tasks[p].changelogs[i]);
    if (s->serves && s->o.changed != NULL)
        txn_served(s->txn, tell_served, s);
    txn_clear(s->txn);
    return true;
}

/* Ends the transaction, then moves the store to what it says. */
bool commit(struct stream *s, struct err *e) {
    if (s->dirty_since == 0)
        return true;
    TRY(produce_emissions(s, e));
    TRY(GUARDED(s, produce_changelogs(s, e)));
    TRY(txn_index(s->txn, e) || spoilt(e, ERR_ABORT));
    struct log_committed inputs[(size_t)s->partitions * s->source_count + 1];
    size_t n = 0;
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; i < s->source_count; i++)
            if (s->tasks[p].state == TASK_RUNNING && s->tasks[p].inputs[i] != s->tasks[p].committed[i])
                inputs[n++] =
                    (struct log_committed){s->topology->sources[i].topic, p, s->tasks[p].inputs[i],
                                           s->expires ? s->tasks[p].time.now : 0, s->tasks[p].cuts[i]};
    TRY(GUARDED(s, CALL(s, commit, inputs, n, e)) || spoilt(e, ERR_UNKNOWN));
    TRY(visible(s, e) || spoilt(e, ERR_UNKNOWN));
    histogram_observe(&s->transaction_us, &buckets_us, clock_mono_us() - s->transaction_since_us);
    histogram_observe(&s->transaction_inputs, &buckets_records, (int64_t)s->transaction_records);
    counter_add(&s->commits, 1);
    observe_end(s, true);
    search_passed(s);
    s->in_transaction = false;
    s->dirty_since = 0;
    s->transaction_records = 0;
    s->fruitless = 0;
    return apply(s, e);
}

bool has_output(struct stream *s) {
    return s->in_transaction || txn_overlay(s->txn)->count > 0 || txn_pending(s->txn) > 0;
}

bool awaited(struct stream *s) {
    return s->in_transaction || txn_awaited(s->txn);
}

bool commit_is_due(struct stream *s, bool drained) {
    if (s->dirty_since == 0)
        return false;
    int64_t age = now_ms(s) - s->dirty_since;
    if (!has_output(s))
        return age >= LAZY_COMMIT_MS;
    if (drained && awaited(s) && (s->transaction_records < BUSY_RECORDS || age >= BUSY_MS))
        return true;
    return age >= TRANSACTION_MS || txn_bytes(s->txn) >= TRANSACTION_BYTES;
}
