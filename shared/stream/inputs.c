/* Inputs, one after the other, through their handlers. */
#include "stream/runtime.h"

#include "log/observer.h"
#include "transaction/transaction.h"

#include <stdio.h>
#include <string.h>

enum {
    BATCH_MS =
        1500, /* then the rest of a batch waits for the next one: a transaction lives for ten seconds */
    FRESH_MS = 5000,
};

static void bad_record(struct stream *s, const struct log_record *r, const char *reason) {
    const struct topology *t = s->topology;
    if (t->dead_letters == NULL || r->topic->dead_letters == NULL ||
        strcmp(r->topic->dead_letters, t->name) != 0) {
        counter_add(&s->counts[r->topic->number].skipped, 1);
        return;
    }
    struct log_header kept[64];
    size_t n = s->o.log->ops->headers(r, kept, sizeof kept / sizeof *kept);
    txn_dead_letter(s->txn, r, kept, n, reason);
    if (s->o.dead_letter != NULL)
        s->o.dead_letter(s->o.context, r, reason, s->o.log->ops->header(r, "traceparent"));
    counter_add(&s->counts[r->topic->number].dead_letters, 1);
}

/* What is far ahead of the clock is by a wrong one, and would make everything late that comes after it. */
static bool timely(const struct stream *s, const struct log_record *r, struct err *e) {
    return r->timestamp <= s->latest ||
           err_set(e, ERR_POISON, "its timestamp, %lld, is %lld minutes ahead of the clock, more than %d",
                   (long long)r->timestamp, (long long)(r->timestamp - s->latest + LOG_AHEAD_MS) / 60000,
                   LOG_AHEAD_MS / 60000);
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
    return timely(s, r, e) && search_takes(s, r, e) && expire_due(s, source, r, trace, e) &&
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
    counter_add(&s->counts[r->topic->number].in, 1);
    /* Last: whatever fails here, what follows from the record is kept, and the record does not come again. */
    return txn_pending(s->txn) < s->o.pending_outputs || produce_emissions(s, e);
}

bool inputs_reread(struct stream *s, struct err *e) {
    for (int32_t p = 0; p < s->partitions; p++)
        for (size_t i = 0; s->tasks[p].state == TASK_RUNNING && i < s->source_count; i++) {
            enum log_queue q = source_queue(&s->topology->sources[i]);
            struct log_position from = {s->topology->sources[i].topic, p, s->tasks[p].inputs[i]};
            CALL(s, unread, q, from.topic, p);
            TRY(CALL(s, read, q, &from, e));
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
        TRY(aside_poll(s, RETRY_MS, e));
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

static bool search_on(struct stream *s, struct err *e) {
    return s->search.size == 0 || s->transaction_records < s->search.size || commit(s, e);
}

bool inputs_process(struct stream *s, size_t n, struct err *e) {
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
