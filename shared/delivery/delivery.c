#include "delivery/delivery.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/status.h"
#include "log/figures.h"
#include "log/guard.h"
#include "log/observer.h"
#include "log/partitions.h"
#include "transaction/transaction.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BATCH = 100,
    BATCH_MS = 20 * 1000, /* of slow deliveries: the group must hear of us */
    LAZY_COMMIT_MS = 1000,
    RETRY_MS = 200,
    AWAY_FIRST_MS = 250, /* doubles from pause to pause */
    AWAY_MAX_MS = 15 * 1000,
    LATER_FIRST_MS = 1000, /* likewise */
    LATER_MAX_MS = 60 * 1000,
};

static const char attempt_header[] = "attempt";

/* One partition of one of the two topics. */
struct lane {
    const struct topic *topic;
    int32_t partition;
    bool held, known, reading; /* known: `next` and `committed` are */
    int64_t next, committed;
    int64_t unmovable;  /* behind the record that the broker does not take into `later`; 0: there is none */
    int64_t not_before; /* of now_ms: nothing is read until then */
    _Atomic int64_t shown; /* `next` for other threads; -1: it is not ours now */
};

enum mend { MEND_NONE, MEND_ABORT, MEND_INIT };

struct deliverer {
    struct delivery_options o;
    const struct delivery *delivery;
    struct topology letters; /* what makes the records of `undelivered` */
    struct store *no_state;
    struct txn *txn;
    struct lane *lanes; /* partition p: 2p and 2p + 1 */
    size_t lane_count;
    int32_t partitions;
    bool subscribed, joined;
    enum mend mend;
    bool refused;       /* the last transaction, for its record */
    int64_t away_ms;    /* the present pause; 0: somebody is there */
    int64_t lazy_since; /* 0: all is committed, or tried */
    struct log_record records[BATCH];

    /* Shared with other threads. */
    atomic_bool stopping, ready;
    atomic_int_least64_t deadline;
    _Atomic(struct lane *) lanes_known; /* the lanes; NULL before the topics are known */
    counter moved[2][2];                /* positions, by topic and why */
    counter results[DELIVERY_RESULTS], skipped, undelivered, commits, aborts;
    struct status status;
};

#define LOG(d, f, ...) ((d)->o.log->ops->f((d)->o.log, __VA_ARGS__))

static int64_t now_ms(struct deliverer *d) {
    return d->o.log->ops->now_ms(d->o.log);
}

struct deliverer *deliverer_create(const struct delivery_options *options) {
    struct deliverer *d = xcalloc(1, sizeof *d);
    d->o = *options;
    d->delivery = options->delivery;
    if (d->o.wall_ms == NULL)
        d->o.wall_ms = clock_wall_ms;
    d->letters = (struct topology){.name = d->delivery->name, .dead_letters = d->delivery->undelivered};
    d->no_state = store_create_memory();
    d->txn = txn_create(&d->letters, d->o.schemas, d->no_state);
    txn_observe(d->txn, d->o.observer);
    d->mend = MEND_INIT;
    status_init(&d->status, "starting");
    return d;
}

void deliverer_destroy(struct deliverer *d) {
    if (d == NULL)
        return;
    txn_destroy(d->txn);
    store_close(d->no_state);
    status_finish(&d->status);
    free(d->lanes);
    free(d);
}

/* ---- lanes ---- */

static void lane_unread(struct deliverer *d, struct lane *l) {
    if (l->reading)
        LOG(d, unread, LOG_INPUTS, l->topic, l->partition);
    l->reading = false;
}

/* Nothing is read for a while, and then from the next record on. */
static void lane_pause(struct deliverer *d, struct lane *l, int64_t ms) {
    lane_unread(d, l);
    l->not_before = now_ms(d) + ms;
}

static void pause_all(struct deliverer *d, int64_t ms) {
    for (size_t i = 0; i < d->lane_count; i++)
        lane_pause(d, &d->lanes[i], ms);
}

/* Where the group is. What was delivered since, and could not be committed, is not delivered again. */
static bool lane_locate(struct deliverer *d, struct lane *l, struct err *e) {
    struct log_committed p = {.topic = l->topic, .partition = l->partition, .offset = -1};
    TRY(GUARDED(d, LOG(d, committed, &p, 1, e)));
    l->committed = p.offset < 0 ? 0 : p.offset;
    if (l->next < l->committed)
        l->next = l->committed;
    l->known = true;
    return true;
}

static bool lanes_start(struct deliverer *d, struct err *e) {
    for (size_t i = 0; i < d->lane_count; i++) {
        struct lane *l = &d->lanes[i];
        if (!l->held || l->reading || now_ms(d) < l->not_before)
            continue;
        if (!l->known)
            TRY(lane_locate(d, l, e));
        struct log_position from = {l->topic, l->partition, l->next > 0 ? l->next : -1};
        TRY(LOG(d, read, LOG_INPUTS, &from, e));
        l->reading = true;
    }
    return true;
}

static struct lane *lane_of(struct deliverer *d, const struct log_record *r) {
    return &d->lanes[2 * (size_t)r->partition + (r->topic == d->delivery->later)];
}

static void on_assigned(void *context, const int32_t *tasks, size_t n) {
    struct deliverer *d = context;
    d->joined = true;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; tasks[i] < d->partitions && k < 2; k++)
            d->lanes[2 * (size_t)tasks[i] + k].held = true;
}

static bool commit(struct deliverer *d, struct err *e);

static void on_revoked(void *context, const int32_t *tasks, size_t n, bool lost) {
    struct deliverer *d = context;
    struct err e;
    if (!lost && !commit(d, &e)) /* the next owner repeats what is lost here */
        status_trouble(&d->status, e.text);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; tasks[i] < d->partitions && k < 2; k++) {
            struct lane *l = &d->lanes[2 * (size_t)tasks[i] + k];
            lane_unread(d, l);
            l->held = l->known = false;
            l->next = 0;
        }
}

/* ---- transactions ---- */

/* Sorts the failure of a transaction: what must happen before the next one. True: the caller may go on later.
 */
static bool survive(struct deliverer *d, struct err *e) {
    if (e->kind != ERR_ABORT && e->kind != ERR_UNKNOWN && e->kind != ERR_REFUSED && e->kind != ERR_RETRY)
        return false;
    d->mend = e->kind == ERR_UNKNOWN ? MEND_INIT : MEND_ABORT;
    for (size_t i = 0; i < d->lane_count; i++) { /* it may be committed all the same: ask */
        lane_unread(d, &d->lanes[i]);
        d->lanes[i].known = false;
    }
    d->lazy_since = now_ms(d);
    e->kind = ERR_RETRY;
    return true;
}

static bool mend(struct deliverer *d, struct err *e) {
    if (d->mend == MEND_ABORT)
        counter_add(&d->aborts, 1);
    if (d->mend == MEND_ABORT && !GUARDED(d, LOG(d, abort, e))) {
        if (e->kind != ERR_ABORT && e->kind != ERR_UNKNOWN && e->kind != ERR_RETRY)
            return false;
        d->mend = MEND_INIT;
    }
    if (d->mend == MEND_INIT && !GUARDED(d, LOG(d, init, e))) {
        if (e->kind == ERR_ABORT || e->kind == ERR_UNKNOWN)
            e->kind = ERR_RETRY;
        return false;
    }
    d->mend = MEND_NONE;
    return true;
}

static bool produce(struct deliverer *d, const struct log_message *m, struct err *e) {
    return GUARDED(d, LOG(d, produce, m, e));
}

/* How far each lane is, and with it the record that one left behind, if any. */
static bool transact(struct deliverer *d, const struct log_message *moved, struct err *e) {
    struct log_committed positions[d->lane_count + 1];
    size_t n = 0;
    for (size_t i = 0; i < d->lane_count; i++) {
        const struct lane *l = &d->lanes[i];
        if (l->held && l->known && l->next != l->committed)
            positions[n++] =
                (struct log_committed){.topic = l->topic, .partition = l->partition, .offset = l->next};
    }
    if (n == 0)
        return true;
    bool ok = GUARDED(d, LOG(d, begin, e)) && (moved == NULL || produce(d, moved, e)) &&
              GUARDED(d, LOG(d, commit, positions, n, e));
    d->refused = !ok && e->kind == ERR_REFUSED;
    if (!ok) {
        survive(d, e);
        return false;
    }
    counter_add(&d->commits, 1);
    for (size_t i = 0; i < d->lane_count; i++)
        d->lanes[i].committed = d->lanes[i].next;
    d->lazy_since = 0;
    return true;
}

static bool commit(struct deliverer *d, struct err *e) {
    return d->mend != MEND_NONE || transact(d, NULL, e);
}

/* ---- one record ---- */

static long attempt_of(struct deliverer *d, const struct log_record *r) {
    struct slice text =
        r->topic == d->delivery->later ? d->o.log->ops->header(r, attempt_header) : SLICE_NONE;
    long n = 0;
    for (size_t i = 0; i < text.size && n < 1000000; i++)
        n = text.data[i] >= '0' && text.data[i] <= '9' ? n * 10 + text.data[i] - '0' : 0;
    return n;
}

static int64_t doubling(int64_t first, long times, int64_t max) {
    while (times-- > 0 && first < max)
        first *= 2;
    return first < max ? first : max;
}

/* How long a record of `later` has to wait yet. A clock that was set back does not make it longer. */
static int64_t wait_of(struct deliverer *d, const struct log_record *r) {
    long attempt = attempt_of(d, r);
    if (attempt == 0)
        return 0;
    int64_t pause = doubling(LATER_FIRST_MS, attempt - 1, LATER_MAX_MS);
    int64_t left = r->timestamp + pause - d->o.wall_ms();
    return left > pause ? pause : left;
}

static bool move_later(struct deliverer *d, struct lane *l, const struct log_record *r, struct err *e) {
    char count[24];
    struct log_header headers[64] = {
        {attempt_header, {count, (size_t)snprintf(count, sizeof count, "%ld", attempt_of(d, r) + 1)}}};
    size_t n = d->o.log->ops->headers(r, headers + 1, 63) + 1, kept = 1;
    for (size_t i = 1; i < n; i++)
        if (strcmp(headers[i].name, attempt_header) != 0)
            headers[kept++] = headers[i];
    l->next = l->unmovable = r->offset + 1;
    bool ok = transact(d,
                       &(struct log_message){.topic = d->delivery->later,
                                             .partition = r->partition,
                                             .timestamp = d->o.wall_ms(),
                                             .key = r->key,
                                             .value = r->value,
                                             .headers = headers,
                                             .header_count = kept},
                       e);
    if (!d->refused)
        l->unmovable = 0;
    return ok;
}

static bool move_undelivered(struct deliverer *d, struct lane *l, const struct log_record *r, const char *why,
                             struct err *e) {
    struct log_header kept[64];
    int32_t partitions;
    size_t n;
    TRY(LOG(d, partitions, d->delivery->undelivered, &partitions, e));
    txn_dead_letter(d->txn, r, kept, d->o.log->ops->headers(r, kept, 64), why);
    const struct emission *m = txn_emissions(d->txn, &n);
    l->next = r->offset + 1;
    bool ok = transact(d,
                       &(struct log_message){.topic = m->topic,
                                             .partition = partition_of(m->key, partitions),
                                             .timestamp = log_timestamp(m->timestamp, d->o.wall_ms()),
                                             .key = m->key,
                                             .value = m->value,
                                             .headers = m->headers,
                                             .header_count = m->header_count},
                       e);
    txn_clear(d->txn);
    counter_add(&d->undelivered, ok);
    return ok;
}

/* What could not be moved has not been: it is the next one again. */
static bool moved(struct lane *l, const struct log_record *r, bool ok) {
    if (!ok)
        l->next = r->offset;
    return ok;
}

/* The rest of the batch comes again after the pause. */
static bool stay_away(struct deliverer *d, const char *why, struct err *e) {
    d->away_ms = d->away_ms == 0 ? AWAY_FIRST_MS : doubling(d->away_ms, 1, AWAY_MAX_MS);
    status_trouble(&d->status, why);
    pause_all(d, d->away_ms);
    return commit(d, e);
}

static bool settle(struct deliverer *d, struct lane *l, const struct log_record *r,
                   enum delivery_result result, struct err *e) {
    char why[sizeof e->text];
    long tries;
    memcpy(why, e->text, sizeof why);
    counter_add(&d->results[result], 1);
    if (result == DELIVERY_AWAY)
        return stay_away(d, why, e);
    d->away_ms = 0;
    switch (result) {
    case DELIVERY_IMPOSSIBLE:
        return moved(l, r, move_undelivered(d, l, r, why, e));
    case DELIVERY_REFUSED:
    case DELIVERY_LATER:
        tries = result == DELIVERY_LATER ? d->delivery->later_tries : d->delivery->refused_tries;
        tries = l->unmovable == r->offset + 1 ? 0 : tries;
        return moved(l, r,
                     attempt_of(d, r) < tries ? move_later(d, l, r, e) : move_undelivered(d, l, r, why, e));
    case DELIVERY_DONE:
        l->next = r->offset + 1;
        return commit(d, e);
    default:
        l->next = r->offset + 1;
        if (d->lazy_since == 0)
            d->lazy_since = now_ms(d);
        return true;
    }
}

/* What was delivered is not delivered again. */
static void lane_moved(struct deliverer *d, struct lane *l, const struct log_record *r) {
    char text[300];
    if (!l->held || !l->known || !l->reading)
        return;
    l->next = r->offset;
    if (d->lazy_since == 0)
        d->lazy_since = now_ms(d);
    counter_add(&d->moved[r->topic == d->delivery->later][r->offset < r->was], 1);
    log_moved_text(r, text, sizeof text);
    if (d->o.notice != NULL)
        d->o.notice(d->o.context, text);
}

/* Of an attempt that came to something; what has been done outside has been done, whether or not the log
 * knows. */
static void observe(struct deliverer *d, const struct log_record *r, const char *error) {
    char span[SPAN_TEXT];
    struct handled h = {.group = d->delivery->name, .record = r, .error = error};
    if (d->o.observer == NULL)
        return;
    h.traceparent = d->o.log->ops->header(r, "traceparent");
    h.tracestate = d->o.log->ops->header(r, "tracestate");
    if (!txn_span(d->txn, r, h.traceparent, span))
        return;
    h.span = slice_of(span);
    d->o.observer->handled(d->o.observer->context, &h);
    d->o.observer->ended(d->o.observer->context, true);
}

static bool process(struct deliverer *d, const struct log_record *r, struct err *e) {
    struct lane *l = lane_of(d, r);
    if (r->moved) {
        lane_moved(d, l, r);
        return true;
    }
    _cleanup_(arena_free) struct arena a = {0};
    if (!l->held || !l->known || !l->reading || r->offset < l->next)
        return true;
    int64_t wait = r->topic == d->delivery->later ? wait_of(d, r) : 0;
    if (wait > 0) {
        lane_pause(d, l, wait);
        return true;
    }
    *e = (struct err){0};
    void *value = arena_alloc(&a, r->topic->value->size);
    bool good = record_well_formed(r, d->partitions, e) &&
                schemas_decode(d->o.schemas, r->topic->value, r->value, &a, value, e);
    if (!good && e->kind == ERR_RETRY) /* the registry is away */
        return settle(d, l, r, DELIVERY_AWAY, e);
    if (!good) {
        counter_add(&d->skipped, 1);
        return settle(d, l, r, DELIVERY_IGNORED, e);
    }
    struct event in = {.topic = r->topic,
                       .partition = r->partition,
                       .offset = r->offset,
                       .timestamp = r->timestamp,
                       .key = r->key,
                       .value = value};
    if (d->o.observer != NULL)
        d->o.observer->begins(d->o.observer->context);
    enum delivery_result result = d->delivery->deliver(&in, &d->stopping, e);
    char why[sizeof e->text];
    memcpy(why, e->text, sizeof why);
    bool ok = settle(d, l, r, result, e);
    if (result == DELIVERY_DONE || (ok && result != DELIVERY_IGNORED && result != DELIVERY_AWAY))
        observe(d, r, result == DELIVERY_DONE ? NULL : why);
    return ok;
}

/* ---- the round ---- */

static bool partitions_known(struct deliverer *d, struct err *e) {
    const struct topic *topics[] = {d->delivery->topic, d->delivery->later};
    for (size_t k = 0; k < 2; k++) {
        int32_t count;
        TRY(LOG(d, partitions, topics[k], &count, e));
        if (d->o.partitions != 0 && count != d->o.partitions)
            return err_set(e, ERR_CONFIG, "topic %s has %d partitions, PARTITIONS says %d", topics[k]->name,
                           count, d->o.partitions);
        if (d->lanes == NULL) {
            d->partitions = count;
            d->lane_count = 2 * (size_t)count;
            d->lanes = xcalloc(d->lane_count, sizeof *d->lanes);
        }
        if (count != d->partitions)
            return err_set(e, ERR_CONFIG, "%s has %d partitions, %s has %d; they must be the same",
                           topics[0]->name, d->partitions, topics[k]->name, count);
        for (int32_t p = 0; p < count; p++)
            d->lanes[2 * (size_t)p + k] = (struct lane){.topic = topics[k], .partition = p, .shown = -1};
    }
    return true;
}

static bool round_(struct deliverer *d, int wait_ms, struct err *e) {
    if (!d->subscribed) {
        struct log_listener listener = {d, on_assigned, on_revoked};
        TRY(topology_check(&d->letters, e));
        TRY(partitions_known(d, e));
        TRY(mend(d, e));
        TRY(LOG(d, subscribe, d->delivery->topic, &listener, e));
        d->subscribed = true;
        atomic_store(&d->lanes_known, d->lanes);
    }
    TRY(mend(d, e));
    if (d->lazy_since != 0 && now_ms(d) - d->lazy_since >= LAZY_COMMIT_MS)
        TRY(commit(d, e));
    TRY(lanes_start(d, e));
    if (d->lazy_since != 0 && wait_ms > LAZY_COMMIT_MS)
        wait_ms = LAZY_COMMIT_MS;
    size_t n = 0;
    TRY(LOG(d, poll, true, d->records, BATCH, wait_ms, &n, e));
    bool ok = true;
    size_t done = 0;
    int64_t until = now_ms(d) + BATCH_MS;
    for (; done < n && ok && !atomic_load(&d->stopping) && (done == 0 || now_ms(d) < until); done++)
        ok = d->records[done].end || process(d, &d->records[done], e);
    LOG(d, release, d->records, n);
    if (!ok || done < n || atomic_load(&d->stopping)) /* what was not processed is read again */
        for (size_t i = 0; i < d->lane_count; i++)
            lane_unread(d, &d->lanes[i]);
    return ok;
}

/* How long a round may wait: until the first lane's pause is over. */
static int patience(struct deliverer *d, int wait_ms) {
    for (size_t i = 0; i < d->lane_count; i++) {
        const struct lane *l = &d->lanes[i];
        int64_t left = l->not_before - now_ms(d);
        if (l->held && !l->reading && left < wait_ms)
            wait_ms = left > 0 ? (int)left : 0;
    }
    return wait_ms;
}

bool deliverer_step(struct deliverer *d, int wait_ms, struct err *e) {
    bool ok = round_(d, patience(d, wait_ms), e);
    for (size_t i = 0; i < d->lane_count; i++)
        atomic_store_explicit(&d->lanes[i].shown, d->lanes[i].held ? d->lanes[i].next : -1,
                              memory_order_relaxed);
    if (ok) {
        char trouble[300];
        bool troubled = log_troubled(d->o.log, trouble, sizeof trouble);
        atomic_store(&d->ready, d->joined && !troubled);
        if (troubled)
            status_trouble(&d->status, trouble);
        else if (d->away_ms == 0)
            status_set(&d->status, d->joined ? "running" : "joining the group");
        return true;
    }
    if (e->kind != ERR_RETRY)
        return false;
    atomic_store(&d->ready, false);
    status_trouble(&d->status, e->text);
    pause_all(d, RETRY_MS);
    size_t n;
    struct err ignored;
    if (LOG(d, poll, false, d->records, 1, wait_ms < RETRY_MS ? wait_ms : RETRY_MS, &n, &ignored))
        LOG(d, release, d->records, n);
    return true;
}

bool deliverer_run(struct deliverer *d, struct err *e) {
    while (!atomic_load(&d->stopping))
        TRY(deliverer_step(d, 1000, e));
    struct err ignored;
    if (d->mend == MEND_NONE && !commit(d, &ignored))
        return true; /* the next start repeats it */
    return true;
}

void deliverer_stop(struct deliverer *d) {
    atomic_store(&d->stopping, true);
    d->o.log->ops->wake(d->o.log);
}

/* ---- what others see ---- */

bool deliverer_ready(const struct deliverer *d) {
    return atomic_load(&d->ready);
}

bool deliverer_status(struct deliverer *d, char *text, size_t size) {
    return status_read(&d->status, text, size);
}

int64_t deliverer_deadline(const struct deliverer *d) {
    return atomic_load(&d->deadline);
}

static void show_lag(struct deliverer *d, struct metrics *m) {
    const struct lane *lanes = atomic_load(&d->lanes_known);
    for (size_t i = 0; lanes != NULL && i < d->lane_count; i++) {
        const struct lane *l = &lanes[i];
        int64_t position = atomic_load_explicit(&l->shown, memory_order_relaxed), end = -1;
        if (position >= 0)
            end = LOG(d, seen_end, LOG_INPUTS, l->topic, l->partition);
        if (end < 0)
            continue;
        char partition[12];
        snprintf(partition, sizeof partition, "%d", l->partition);
        metrics_add(m, &figure_input_lag, end > position ? (double)(end - position) : 0, "topology",
                    d->delivery->name, "topic", l->topic->name, "partition", partition, NULL);
    }
}

void deliverer_metrics(struct deliverer *d, struct metrics *m) {
    static const struct metric records = {
        "insideout_delivery_records_total", METRIC_COUNTER,
        "Attempts to hand a record to the world outside, by what came of it."};
    static const char *const results[DELIVERY_RESULTS] = {"done",  "ignored", "away",
                                                          "later", "refused", "impossible"};
    const char *name = d->delivery->name, *topic = d->delivery->topic->name;
    metrics_add(m, &figure_ready, deliverer_ready(d), "topology", name, NULL);
    for (int i = 0; i < DELIVERY_RESULTS; i++)
        metrics_add(m, &records, (double)counter_get(&d->results[i]), "topology", name, "result", results[i],
                    NULL);
    metrics_add(m, &figure_skipped, (double)counter_get(&d->skipped), "topology", name, "topic", topic, NULL);
    metrics_add(m, &figure_dead_letters, (double)counter_get(&d->undelivered), "topology", name, "topic",
                topic, NULL);
    figure_moved_add(m, name, topic, &d->moved[0][0], &d->moved[0][1]);
    figure_moved_add(m, name, d->delivery->later->name, &d->moved[1][0], &d->moved[1][1]);
    metrics_add(m, &figure_committed, (double)counter_get(&d->commits), "topology", name, NULL);
    metrics_add(m, &figure_aborted, (double)counter_get(&d->aborts), "topology", name, NULL);
    show_lag(d, m);
}
