#include "base/cleanup.h"
#include "base/clock.h"
#include "log/observer.h"
#include "log/partitions.h"
#include "stream/runtime.h"
#include "transaction/transaction.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TRANSACTION_BYTES =
        6 << 20, /* of what follows from the inputs; together with the age it bounds a commit */
    TRANSACTION_MS = 300,
    BATCH_MS =
        1500, /* then the rest of a batch waits for the next one: a transaction lives for ten seconds */
    HELD_OUTPUTS = 4000,
    EXPIRY_ROWS = 5000,
    BUSY_RECORDS = 300, /* a transaction as full as this is a sign of load: it waits for more, */
    BUSY_MS = 40, /* for as long, because a commit costs the broker the same for one record and for all */
    LAZY_COMMIT_MS = 1000, /* offsets of inputs from which nothing followed */
    FLUSH_MS = 60 * 1000,  /* the store is at most so far behind */
    RETRY_MS = 200,
    TROUBLE_MS = 1000, /* what is tried again and again has one status, also between two tries */
    FRESH_MS = 5000,
    AIM_MS = 2000,
};

/* ---- creation ---- */

static void task_free(struct task *task) {
    free(task->inputs);
    free(task->read);
    free(task->committed);
    free(task->cuts);
    free(task->changelogs);
    free(task->restore);
    free(task->applied);
    free(task->wanted);
}

struct stream *stream_create(const struct stream_options *options) {
    struct stream *s = xcalloc(1, sizeof *s);
    const struct topology *t = options->topology;
    s->o = *options;
    if (s->o.held_outputs == 0)
        s->o.held_outputs = HELD_OUTPUTS;
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
    s->hydrated.store = options->store;
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
    overlay_free(&s->hydrated);
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

void notice(struct stream *s, const char *fmt, ...) {
    char text[600];
    if (s->o.notice == NULL)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    s->o.notice(s->o.context, text);
}

void note_moved(struct stream *s, const struct log_record *r) {
    struct topic_counts *c = &s->counts[r->topic->index];
    char text[300];
    counter_add(r->offset > r->was ? &c->deleted : &c->lost, 1);
    log_moved_text(r, text, sizeof text);
    notice(s, "%s", text);
}

void note_ahead(struct stream *s, const char *what, const struct log_position *end, int64_t position) {
    counter_add(&s->counts[end->topic->index].lost, 1);
    notice(s, "%s/%d: it was read up to %lld and %s %lld; %s is read anew", end->topic->name, end->partition,
           (long long)position,
           position > end->offset ? "ends at" : "has lost some of that, and ends again at",
           (long long)end->offset, what);
}

/* ---- tasks ---- */

/* What became of what was handled since the last time. */
static void observe_end(struct stream *s, bool committed) {
    if (s->o.observer != NULL)
        s->o.observer->ended(s->o.observer->context, committed);
}

/* Everything since the last commit is forgotten; all tasks ask the log where they are. */
static void rewind_tasks(struct stream *s, enum mend mend) {
    txn_clear(s->txn);
    observe_end(s, false);
    if (mend == MEND_INIT || s->in_transaction)
        s->mend = mend;
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

/* ---- what is read beside the inputs ---- */

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

/* The records of tables and changelogs, into the store. */
static bool absorb(struct stream *s, const struct log_record *records, size_t n, struct err *e) {
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
    if (!overlay_apply(&s->hydrated, &worse) || (!ok && e->kind == ERR_RETRY && !reread(s, &worse))) {
        *e = worse;
        return false;
    }
    if (tables)
        txn_tables_changed(s->txn);
    tell_changed(s, records, taken);
    return ok;
}

/* Polls tables and changelogs only, for up to `wait_ms`. */
static bool poll_aside(struct stream *s, int wait_ms, struct err *e) {
    size_t n = 0;
    TRY(LOG(s, poll, false, s->aside, BATCH, wait_ms, &n, e));
    bool ok = absorb(s, s->aside, n, e);
    LOG(s, release, s->aside, n);
    return ok;
}

/* ---- transactions ---- */

static bool begin(struct stream *s, struct err *e) {
    if (s->in_transaction)
        return true;
    TRY(GUARDED(s, LOG(s, begin, e)));
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
                                  .timestamp = log_timestamp(m->timestamp, LOG0(s, time_ms)),
                                  .key = m->key,
                                  .value = m->value,
                                  .headers = headers,
                                  .header_count = n,
                                  .delivered = delivered(s, m)};
    if (message.delivered != NULL)
        log_send(message.delivered);
    TRY(LOG(s, produce, &message, e) || spoilt(e, ERR_ABORT));
    counter_add(&s->counts[m->topic->index].out, 1);
    return true;
}

static int by_partition(const void *a, const void *b) {
    const struct emission *x = *(struct emission *const *)a, *y = *(struct emission *const *)b;
    int order = x->topic->index - y->topic->index;
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

/* One partition after the other, so that each gets few large requests instead of many small ones. */
static bool produce_emissions(struct stream *s, struct err *e) {
    size_t n;
    TRY(begin(s, e));
    struct emission *m = txn_emissions(s->txn, &n);
    struct emission **order = arena_alloc(txn_arena(s->txn), n * sizeof *order);
    for (size_t i = 0; i < n; i++) {
        int32_t count;
        order[i] = &m[i];
        if (m[i].partition >= 0)
            continue;
        if (!LOG(s, partitions, m[i].topic, &count, e))
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

/* ---- what the broker refuses ---- */

enum { SEARCH_PARTS = 8 }; /* into which a transaction is divided that is refused */

/* This transaction is refused; it is still as it was. */
static void search_narrow(struct stream *s, const struct err *why) {
    struct search *q = &s->search;
    size_t n = s->transaction_records;
    counter_add(&s->refusals, 1);
    if (q->size == 0)
        notice(s, "%s; what it follows from is searched for in %zu inputs", why->text, n);
    if (q->culprit.place.topic != NULL) {
        /* Its letter is refused too: wait, and begin again with the record. */
        q->culprit = (struct suspect){0};
        q->found = false;
    } else if (q->size == 1 && q->last.place.topic != NULL) {
        q->culprit = q->last;
        q->expiring = n == 0;
        memcpy(q->why, why->text, sizeof q->why);
        s->fruitless = 0; /* go on at once */
    } else {
        q->left = n > q->left ? n : q->left;
        q->left = q->left > 0 ? q->left : 1;
        q->size = n > SEARCH_PARTS ? n / SEARCH_PARTS : 1;
    }
}

/* This transaction is not. */
static void search_passed(struct stream *s) {
    struct search *q = &s->search;
    q->left -= s->transaction_records < q->left ? s->transaction_records : q->left;
    if (q->found || (q->left == 0 && q->culprit.place.topic == NULL))
        *q = (struct search){0};
}

static bool search_on(struct stream *s, struct err *e) {
    return s->search.size == 0 || s->transaction_records < s->search.size || commit(s, e);
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
    TRY(heard || ends(s, at, n, false, e));
    return n == 0 || GUARDED(s, LOG(s, visible, at, n, e));
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
    TRY(GUARDED(s, LOG(s, commit, inputs, n, e)) || spoilt(e, ERR_UNKNOWN));
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

/* Has anything followed from the inputs since the last commit? */
static bool has_output(struct stream *s) {
    return s->in_transaction || txn_overlay(s->txn)->count > 0 || txn_pending(s->txn) > 0;
}

/* May somebody wait for it? */
static bool awaited(struct stream *s) {
    return s->in_transaction || txn_awaited(s->txn);
}

static bool commit_is_due(struct stream *s, bool drained) {
    if (s->dirty_since == 0)
        return false;
    int64_t age = now_ms(s) - s->dirty_since;
    if (!has_output(s))
        return age >= LAZY_COMMIT_MS;
    if (drained && awaited(s) && (s->transaction_records < BUSY_RECORDS || age >= BUSY_MS))
        return true;
    return age >= TRANSACTION_MS || txn_bytes(s->txn) >= TRANSACTION_BYTES;
}

/* ---- inputs ---- */

static void bad_record(struct stream *s, const struct log_record *r, const char *reason) {
    const struct topology *t = s->topology;
    if (t->dead_letters == NULL || r->topic->dead_letters == NULL ||
        strcmp(r->topic->dead_letters, t->name) != 0) {
        counter_add(&s->counts[r->topic->index].skipped, 1);
        return;
    }
    struct log_header kept[64];
    size_t n = s->o.log->ops->headers(r, kept, sizeof kept / sizeof *kept);
    txn_dead_letter(s->txn, r, kept, n, reason);
    if (s->o.dead_letter != NULL)
        s->o.dead_letter(s->o.context, r, reason, s->o.log->ops->header(r, "traceparent"));
    counter_add(&s->counts[r->topic->index].dead_letters, 1);
}

/* What is far ahead of the clock is by a wrong one, and would make everything late that comes after it. */
static bool timely(const struct stream *s, const struct log_record *r, struct err *e) {
    return r->timestamp <= s->latest ||
           err_set(e, ERR_POISON, "its timestamp, %lld, is %lld minutes ahead of the clock, more than %d",
                   (long long)r->timestamp, (long long)(r->timestamp - s->latest + LOG_AHEAD_MS) / 60000,
                   LOG_AHEAD_MS / 60000);
}

/* Whether the broker has taken what follows from it, as far as is known. */
static bool taken(struct stream *s, const struct log_record *r, struct err *e) {
    struct search *q = &s->search;
    bool comes = is_suspect(&q->culprit, r);
    if (!comes && q->culprit.place.topic == r->topic && q->culprit.place.partition == r->partition &&
        r->offset >= q->culprit.place.offset)
        *q = (struct search){0}; /* the log does not have it any more */
    q->last = (struct suspect){{r->topic, r->partition, r->offset}, r->timestamp};
    q->found = comes && !q->expiring;
    return !q->found || err_set(e, ERR_POISON, "%s", q->why);
}

static void observe_begin(struct stream *s, const struct log_record *r) {
    if (s->o.observer == NULL)
        return;
    txn_tracestate(s->txn, s->o.log->ops->header(r, "tracestate"));
    s->o.observer->begins(s->o.observer->context);
}

/* A source without a handler is only read past. */
static void observe(struct stream *s, const struct source *source, const struct log_record *r,
                    const char *error) {
    char span[SPAN_TEXT];
    struct handled h = {.group = s->topology->name, .record = r, .error = error};
    if (s->o.observer == NULL || (source->handle == NULL && error == NULL))
        return;
    h.traceparent = s->o.log->ops->header(r, "traceparent");
    h.tracestate = s->o.log->ops->header(r, "tracestate");
    if (!txn_span(s->txn, r, h.traceparent, span))
        return;
    h.span = slice_of(span);
    h.link_count = txn_links(s->txn, &h.links);
    h.followed = txn_followed(s->txn);
    s->o.observer->handled(s->o.observer->context, &h);
}

/* All that follows from one record. ERR_POISON: it is a bad one. */
static bool handle(struct stream *s, size_t source, const struct log_record *r, struct err *e) {
    struct slice trace = s->o.log->ops->header(r, "traceparent");
    observe_begin(s, r);
    return timely(s, r, e) && taken(s, r, e) && expire_due(s, source, r, trace, e) &&
           txn_run(s->txn, &s->topology->sources[source], r, trace, s->partitions,
                   &s->tasks[r->partition].time, e);
}

/* What was processed stays so, and the group learns where it goes on. */
static void input_moved(struct stream *s, struct task *task, size_t source, const struct log_record *r) {
    note_moved(s, r);
    task->cuts[source] += r->offset < r->was;
    task->inputs[source] = task->read[source] = r->offset;
    task->committed[source] = -1;
    if (s->dirty_since == 0)
        s->dirty_since = now_ms(s);
}

static bool process_record(struct stream *s, const struct log_record *r, struct err *e) {
    struct task *task = &s->tasks[r->partition];
    size_t i = 0;
    while (s->topology->sources[i].topic != r->topic)
        i++;
    if (r->moved && task->state == TASK_RUNNING)
        input_moved(s, task, i, r);
    if (r->moved || task->state != TASK_RUNNING || r->offset < task->inputs[i])
        return true;
    if (r->end) {
        task->read[i] = r->offset;
        return true;
    }
    bool good = handle(s, i, r, e);
    if (!good) {
        if (e->kind != ERR_POISON)
            return false;
        bad_record(s, r, e->text);
    }
    observe(s, &s->topology->sources[i], r, good ? NULL : e->text);
    task->inputs[i] = task->read[i] = r->offset + 1;
    if (s->dirty_since == 0)
        s->dirty_since = now_ms(s);
    s->transaction_records++;
    counter_add(&s->counts[r->topic->index].in, 1);
    /* Last: whatever fails here, what follows from the record is kept, and the record does not come again. */
    return txn_pending(s->txn) < s->o.held_outputs || produce_emissions(s, e);
}

/* Inputs flow again from behind the last record processed. */
static bool inputs_reread(struct stream *s, struct err *e) {
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; s->tasks[p].state == TASK_RUNNING && i < s->source_count; i++) {
            enum log_queue q = source_queue(&s->topology->sources[i]);
            struct log_position from = {s->topology->sources[i].topic, p, s->tasks[p].inputs[i]};
            LOG(s, unread, q, from.topic, p);
            TRY(LOG(s, read, q, &from, e));
        }
    return true;
}

static bool not_fresh(struct stream *s, struct err *e) {
    char trouble[300];
    if (log_troubled(s->o.log, trouble, sizeof trouble))
        return err_set(e, ERR_RETRY, "%s", trouble);
    return err_set(e, ERR_RETRY, "waiting for Kafka: the tables of %s are not read to their end yet",
                   s->topology->name);
}

/* Hydrates fresh tables to where their topics end, at the first time all tables. */
static bool freshen(struct stream *s, struct err *e) {
    TRY(tables_aim(s, true, e));
    int64_t until = now_ms(s) + FRESH_MS;
    while (!tables_reached(s, s->tables_known)) {
        if (now_ms(s) >= until || atomic_load(&s->stopping))
            return not_fresh(s, e);
        TRY(poll_aside(s, RETRY_MS, e));
    }
    s->tables_known = true; /* from an empty one nobody would be known */
    txn_tables_fresh(s->txn, true);
    return true;
}

/* Where a handler looks a fresh table up, that is hydrated first, once in a batch of inputs: what a client
 * could read before it wrote an input is known to whoever decides on it. Most inputs need no table. */
static bool process_fresh(struct stream *s, const struct log_record *r, struct err *e) {
    if (process_record(s, r, e))
        return true;
    return txn_looked_up_stale(s->txn) && freshen(s, e) && process_record(s, r, e);
}

static bool process(struct stream *s, size_t n, struct err *e) {
    size_t inputs = 0;
    for (size_t k = 0; k < n; k++)
        inputs += log_queue_of_inputs(s->records[k].queue) && !log_is_news(&s->records[k]);
    txn_tables_fresh(s->txn, false);
    s->latest = time_of_day(s) + LOG_AHEAD_MS;
    TRY(inputs == 0 || s->tables_known || freshen(s, e));
    for (size_t k = 0; k < n; k++) {
        if (!log_queue_of_inputs(s->records[k].queue))
            continue;
        if (s->dirty_since != 0 && now_ms(s) - s->dirty_since >= BATCH_MS)
            return inputs_reread(s, e);           /* each may have waited for the registry */
        TRY(s->search.size != 1 || commit(s, e)); /* each alone */
        TRY(process_fresh(s, &s->records[k], e));
        TRY(search_on(s, e));
    }
    return true;
}

/* ---- the group ---- */

static void note_tasks(struct stream *s, const int32_t *tasks, size_t n, bool assigned) {
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < n; i++)
        if (tasks[i] < PARTITIONS_MAX)
            partitions_put(&s->assigned, tasks[i], assigned);
    pthread_mutex_unlock(&s->lock);
    if (s->o.moved != NULL)
        s->o.moved(s->o.context);
}

/* The transaction is lost. */
static void give_up(struct stream *s, const struct err *why) {
    if (why->kind == ERR_REFUSED)
        search_narrow(s, why);
    rewind_tasks(s, why->kind == ERR_UNKNOWN ? MEND_INIT : MEND_ABORT);
}

/* Whoever stood by goes on from there. */
static void task_take(struct stream *s, int32_t p) {
    s->tasks[p].ours = true;
    task_halt(s, p, TASK_NEW);
}

/* What was served is held on to, until somebody says otherwise. */
static void task_give(struct stream *s, int32_t p) {
    pthread_mutex_lock(&s->lock);
    bool held = s->serves && partitions_has(&s->hold_wanted, p);
    pthread_mutex_unlock(&s->lock);
    s->tasks[p].ours = false;
    task_halt(s, p, held ? TASK_NEW : TASK_NONE);
    atomic_store(&s->hold_changed, true);
}

static void on_assigned(void *context, const int32_t *tasks, size_t n) {
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

static void on_revoked(void *context, const int32_t *tasks, size_t n, bool lost) {
    struct stream *s = context;
    if (lost) {
        if (s->dirty_since != 0)
            rewind_tasks(s, MEND_ABORT);
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

/* ---- the round ---- */

static bool count_partitions(struct stream *s, const struct topic *t, int32_t *count, struct err *e) {
    TRY(LOG(s, partitions, t, count, e));
    if (s->o.partitions == 0 || t->partitions != 0 || *count == s->o.partitions)
        return true;
    return err_set(e, ERR_CONFIG,
                   "topic %s has %d partitions, PARTITIONS says %d: set PARTITIONS=%d, or start from nothing "
                   "(./demo reset)",
                   t->name, *count, s->o.partitions, *count);
}

static bool not_copartitioned(struct stream *s, const struct topic *t, int32_t count, struct err *e) {
    return err_set(e, ERR_CONFIG, "topology %s: %s has %d partitions, %s has %d; they must be the same",
                   s->topology->name, s->topology->sources[0].topic->name, s->partitions, t->name, count);
}

static void places_create(struct stream *s) {
    size_t n = (size_t)s->partitions * (s->source_count + s->view_count);
    for (size_t i = 0; i < s->table_count; i++)
        n += (size_t)s->table_partitions[i];
    struct places *all = xcalloc(1, sizeof *all + n * sizeof(struct place));
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; i < s->source_count; i++)
            all->place[all->count++] = (struct place){s->topology->sources[i].topic, p, -1};
    all->inputs = all->count;
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++)
            all->place[all->count++] = (struct place){s->topology->tables[i]->topic, p, -1};
    all->tables = all->count;
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; i < s->view_count; i++)
            all->place[all->count++] = (struct place){s->topology->views[i]->changelog, p, -1};
    atomic_store(&s->places, all);
}

/* Gets to know the topics; one step after the other, each taken once. */
static bool start(struct stream *s, struct err *e) {
    const struct topology *t = s->topology;
    static const struct log_listener listener = {.assigned = on_assigned, .revoked = on_revoked};
    if (s->step_started == 0) {
        int32_t count;
        TRY(topology_check(t, e) && registry_recognise(s, e));
        for (size_t i = 0; i < s->source_count; i++) {
            TRY(count_partitions(s, t->sources[i].topic, &count, e));
            if (s->tasks == NULL) {
                s->tasks = xcalloc((size_t)count, sizeof *s->tasks);
                s->partitions = count;
            }
            TRY(count == s->partitions || not_copartitioned(s, t->sources[i].topic, count, e));
        }
        for (size_t i = 0; i < s->view_count; i++) {
            TRY(count_partitions(s, t->views[i]->changelog, &count, e));
            TRY(count == s->partitions || not_copartitioned(s, t->views[i]->changelog, count, e));
        }
        for (int32_t p = 0; p < s->partitions; p++) {
            struct task *task = &s->tasks[p];
            task_free(task); /* an earlier attempt got this far */
            task->inputs = xcalloc(s->source_count, sizeof *task->inputs);
            task->read = xcalloc(s->source_count, sizeof *task->read);
            task->committed = xcalloc(s->source_count, sizeof *task->committed);
            task->cuts = xcalloc(s->source_count, sizeof *task->cuts);
            task->changelogs = xcalloc(s->view_count, sizeof *task->changelogs);
            task->restore = xcalloc(s->view_count, sizeof *task->restore);
            task->applied = xcalloc(s->view_count, sizeof *task->applied);
            task->wanted = xcalloc(s->view_count, sizeof *task->wanted);
        }
        for (size_t i = 0; i < s->table_count; i++) {
            TRY(count_partitions(s, t->tables[i]->topic, &s->table_partitions[i], e));
            free(s->cursors[i]);
            s->cursors[i] = xcalloc((size_t)s->table_partitions[i], sizeof **s->cursors);
        }
        for (size_t i = 0; t->outputs != NULL && t->outputs[i] != NULL; i++)
            TRY(count_partitions(s, t->outputs[i], &count, e));
        if (t->dead_letters != NULL)
            TRY(count_partitions(s, t->dead_letters, &count, e));
        s->step_started = 1;
    }
    if (s->step_started == 1) {
        TRY(standbys_start(s, e)); /* again, where the rest fails: what is read already is not read twice */
        if (atomic_load(&s->places) == NULL)
            places_create(s); /* who asks from now on is told what is held */
        TRY(tables_aim(s, false, e));
        for (size_t i = 0; i < s->table_count; i++)
            TRY(table_start(s, i, e));
        s->step_started = 2;
    }
    bool member = s->source_count > 0 && !atomic_load(&s->leaving);
    if (s->step_started == 2) {
        if (member)
            TRY(GUARDED(s, LOG(s, init, e)));
        s->step_started = 3;
    }
    if (member) {
        struct log_listener bound = listener;
        bound.context = s;
        TRY(LOG(s, subscribe, t->sources[0].topic, &bound, e));
        s->subscribed = true;
    }
    s->step_started = 4;
    return true;
}

static bool started(const struct stream *s) {
    return s->step_started == 4;
}

static bool mend(struct stream *s, struct err *e) {
    if (s->mend == MEND_ABORT) {
        counter_add(&s->aborts, 1);
        if (!GUARDED(s, LOG(s, abort, e))) {
            if (e->kind == ERR_ABORT || e->kind == ERR_UNKNOWN) {
                s->mend = MEND_INIT;
                e->kind = ERR_RETRY;
            }
            return false;
        }
    }
    if (s->mend == MEND_INIT && !GUARDED(s, LOG(s, init, e))) {
        if (e->kind == ERR_ABORT || e->kind == ERR_UNKNOWN)
            e->kind = ERR_RETRY;
        return false;
    }
    s->mend = MEND_NONE;
    return true;
}

static void refresh_end(struct stream *s) {
    if (s->refresh_started == atomic_load(&s->refresh_done) || !tables_reached(s, false))
        return;
    atomic_store(&s->refresh_done, s->refresh_started);
    if (s->o.refreshed != NULL)
        s->o.refreshed(s->o.context);
}

/* One aim after the other: each is reached, however fast others write and ask. */
static bool refresh(struct stream *s, struct err *e) {
    refresh_end(s);
    uint64_t wanted = atomic_load(&s->refresh_wanted);
    if (wanted > s->refresh_started && s->refresh_started == atomic_load(&s->refresh_done)) {
        TRY(tables_aim(s, false, e));
        s->refresh_started = wanted;
        refresh_end(s); /* often they are there already */
    }
    return true;
}

static uint64_t left(const struct stream *s) {
    uint64_t n = 0;
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++)
            n += table_left(s, i, p);
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; i < s->view_count && s->tasks[p].state == TASK_RESTORING; i++)
            n += cursor_left(&s->tasks[p].restore[i]);
    return n;
}

/* The cursors that have not reached what they aim at: of tables, or of tasks that are restored. */
static size_t aiming(struct stream *s, bool tables, struct cursor **cursors, struct log_position *at) {
    size_t n = 0;
    for (size_t i = 0; tables && i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++)
            if (table_left(s, i, p) > 0) {
                cursors[n] = &s->cursors[i][p];
                at[n++] = (struct log_position){s->topology->tables[i]->topic, p, -1};
            }
    for (int32_t p = 0; !tables && p < s->partitions; p++)
        for (size_t i = 0; s->tasks[p].state == TASK_RESTORING && i < s->view_count; i++)
            if (cursor_left(&s->tasks[p].restore[i]) > 0) {
                cursors[n] = &s->tasks[p].restore[i];
                at[n++] = (struct log_position){s->topology->views[i]->changelog, p, -1};
            }
    return n;
}

/* A question that can as well be asked later. */
static bool ends_or_later(struct stream *s, struct log_position *at, size_t *n, bool committed,
                          struct err *e) {
    if (ends(s, at, *n, committed, e))
        return true;
    *n = 0;
    return e->kind == ERR_RETRY;
}

/* What is aimed at never comes where a log has lost it since somebody asked for its end: now and then the
 * aims come back to where the logs end. */
static bool aims_lower(struct stream *s, struct err *e) {
    if (left(s) == 0)
        s->aim_at = now_ms(s) + AIM_MS;
    if (now_ms(s) < s->aim_at)
        return true;
    s->aim_at = now_ms(s) + AIM_MS;
    size_t most = (size_t)s->partitions * s->view_count;
    for (size_t i = 0; i < s->table_count; i++)
        most += (size_t)s->table_partitions[i];
    struct cursor *cursors[most + 1];
    struct log_position at[most + 1];
    for (int tables = 0; tables <= 1; tables++) {
        size_t n = aiming(s, tables, cursors, at);
        TRY(ends_or_later(s, at, &n, tables, e));
        for (size_t k = 0; k < n; k++) {
            cursors[k]->target = at[k].offset < cursors[k]->target ? at[k].offset : cursors[k]->target;
            cursors[k]->mark = at[k].offset < cursors[k]->mark ? at[k].offset : cursors[k]->mark;
        }
    }
    return true;
}

static void places_update(struct stream *s) {
    struct place *at = atomic_load_explicit(&s->places, memory_order_relaxed)->place;
    bool moved = false; /* a view */
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; i < s->source_count; i++, at++)
            atomic_store_explicit(&at->position, s->tasks[p].state == TASK_RUNNING ? s->tasks[p].read[i] : -1,
                                  memory_order_relaxed);
    for (size_t i = 0; i < s->table_count; i++)
        for (int32_t p = 0; p < s->table_partitions[i]; p++, at++)
            atomic_store_explicit(&at->position, table_place(s, i, p), memory_order_relaxed);
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; i < s->view_count; i++, at++) {
            const struct task *t = &s->tasks[p];
            int64_t position = reads_changelogs(t) ? t->restore[i].position : t->applied[i];
            moved = atomic_exchange(&at->position, position) != position || moved;
        }
    if (s->serves && moved && atomic_exchange(&s->expected, false) && s->o.advanced != NULL)
        s->o.advanced(s->o.context);
}

static void report(struct stream *s) {
    int running = 0, assigned = 0;
    char text[100] = "running";
    for (int32_t p = 0; p < s->partitions; p++) {
        assigned += s->tasks[p].ours;
        running += s->tasks[p].state == TASK_RUNNING;
    }
    bool hydrated = atomic_load(&s->ready) || tables_reached(s, false);
    char trouble[300];
    bool troubled = log_troubled(s->o.log, trouble, sizeof trouble);
    bool ready = hydrated && running == assigned && (s->joined || s->source_count == 0) &&
                 s->mend == MEND_NONE && !troubled;
    if (!hydrated)
        snprintf(text, sizeof text, "hydrating tables");
    else if (s->source_count > 0 && !s->joined)
        snprintf(text, sizeof text, "joining the group %s", s->topology->name);
    else if (running < assigned)
        snprintf(text, sizeof text, "restoring, %d of %d tasks are done", running, assigned);
    if (ready != atomic_load(&s->ready) || !ready || strcmp(s->status.text, "running") != 0)
        if (!troubled && (ready || (now_ms(s) >= s->tasks_retry_at && now_ms(s) >= s->trouble_until)))
            status_set(&s->status, text);
    if (troubled)
        status_trouble(&s->status, trouble);
    atomic_store(&s->ready, ready);
    atomic_store(&s->left, left(s));
    places_update(s);
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
    TRY(ends_or_later(s, at, &n, false, e));
    for (size_t k = 0; k < n; k++)
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

static int least(int a, int b) {
    return a < b ? a : b;
}

static bool round_once(struct stream *s, int wait_ms, struct err *e) {
    if (!started(s))
        TRY(start(s, e));
    TRY(mend(s, e));
    TRY(standbys_follow(s, e));
    TRY(tasks_progress(s, e));
    TRY(tables_restart(s, e));
    TRY(refresh(s, e));
    TRY(aims_lower(s, e));
    TRY(renew(s, e) && registry_remember(s, e));
    if (s->dirty_since != 0)
        wait_ms = least(wait_ms, awaited(s) ? BUSY_MS / 4 : has_output(s) ? TRANSACTION_MS : LAZY_COMMIT_MS);
    for (int32_t p = 0; p < s->partitions; p++)
        if (s->tasks[p].state == TASK_NEW && wait_ms > RETRY_MS)
            wait_ms = s->tasks_retry_at > now_ms(s) ? RETRY_MS : 0;

    if (s->topology->ticks != NULL && s->tick_at - now_ms(s) < wait_ms)
        wait_ms = s->tick_at > now_ms(s) ? (int)(s->tick_at - now_ms(s)) : 0;

    size_t n = 0;
    TRY(LOG(s, poll, true, s->records, BATCH, wait_ms, &n, e));
    bool ok = s->callback_err.kind == ERR_NONE;
    if (!ok)
        *e = s->callback_err;
    ok = ok && absorb(s, s->records, n, e) && process(s, n, e);
    if (!ok && e->kind == ERR_RETRY) { /* keep what was done, come back to the rest */
        struct err worse = {0};
        if (!inputs_reread(s, &worse) || !commit(s, &worse))
            *e = worse;
    }
    LOG(s, release, s->records, n);
    TRY(ok);
    TRY(ticks_write(s, e));
    TRY(!commit_is_due(s, n < BATCH) || commit(s, e));
    TRY(flush(s, e));
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
        if (!poll_aside(s, wait_ms < RETRY_MS ? wait_ms : RETRY_MS, &trouble) && trouble.kind != ERR_RETRY) {
            *e = trouble;
            return false;
        }
        if (started(s))
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
    bool done = s->mend == MEND_NONE && commit(s, &trouble);
    if (!done && (s->in_transaction || s->mend == MEND_ABORT))
        (void)!GUARDED(s, LOG(s, abort, &trouble)); /* who comes next fences what could not be aborted */
    if (!done)
        observe_end(s, false);
    txn_clear(s->txn);
    s->mend = MEND_NONE;
    s->in_transaction = false;
    s->dirty_since = 0;
    if (s->subscribed && s->o.log->ops->leave != NULL && !LOG(s, leave, &trouble))
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
