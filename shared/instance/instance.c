#include "instance/inside.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "instance/traces.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* Whose topology declares it, and knows how far it is; or who `keeps` its rows: those of a view are in the
 * store of the topology that decides. NULL: none of the service's. */
static struct worker *worker_of(struct instance *i, const struct table *t, bool keeps) {
    const struct view *v = keeps ? t->view : NULL;
    for (size_t k = 0; k < i->worker_count && i->workers[k].topology != NULL; k++) {
        const struct topology *of = i->workers[k].topology;
        if (v != NULL ? topology_has_view(of, v) : topology_has_table(of, t))
            return &i->workers[k];
    }
    return NULL;
}

struct stream *instance_stream(struct instance *i, const struct table *t) {
    struct worker *w = worker_of(i, t, true);
    return w == NULL ? NULL : atomic_load(&w->stream);
}

bool worker_ready(struct worker *w) {
    struct stream *s = atomic_load(&w->stream);
    struct deliverer *d = atomic_load(&w->deliverer);
    return (s != NULL && stream_ready(s)) || (d != NULL && deliverer_ready(d));
}

bool worker_status(struct worker *w, char *text, size_t size) {
    struct stream *s = atomic_load(&w->stream);
    struct deliverer *d = atomic_load(&w->deliverer);
    return d != NULL   ? deliverer_status(d, text, size)
           : s != NULL ? stream_status(s, text, size)
                       : status_read(&w->status, text, size);
}

bool instance_hindered(struct instance *i, char *text, size_t size) {
    *text = 0;
    return i->producer != NULL && producer_status(i->producer, text, size);
}

/* NULL after a 503, while the view is not open yet, or after a 500: nobody has declared it. */
static struct stream *stream_of(struct instance *i, struct http_exchange *x, const struct table *t) {
    struct worker *w = worker_of(i, t, true);
    char why[600];
    if (w == NULL) {
        http_reply_problem(x, 500, NULL, "no topology of %s declares the table %s", i->name, t->name);
        return NULL;
    }
    struct stream *s = atomic_load(&w->stream);
    if (s == NULL) {
        worker_status(w, why, sizeof why);
        http_reply_problem(x, 503, NULL, "%s: %s", w->name, why);
    }
    return s;
}

enum http_result instance_unavailable(struct http_exchange *x, const char *detail) {
    return http_reply_problem(x, 503, NULL, "%s", detail);
}

/* 503, unless the stream could answer. */
static bool answered(struct http_exchange *x, bool ok, const struct err *e) {
    if (!ok)
        instance_unavailable(x, e->text);
    return ok;
}

bool instance_row(struct instance *i, struct http_exchange *x, const struct table *t, struct slice key,
                  struct event *row) {
    struct err e;
    struct stream *s = stream_of(i, x, t);
    return s != NULL && answered(x, stream_row(s, t, key, http_arena(x), row, &e), &e);
}

bool instance_scan(struct instance *i, struct http_exchange *x, const struct table *t, struct slice prefix,
                   struct slice from, bool (*each)(void *, struct slice, struct slice), void *context) {
    struct err e;
    struct stream *s = stream_of(i, x, t);
    return s != NULL && answered(x, stream_scan(s, t, prefix, from, each, context, &e), &e);
}

bool instance_scan_partition(struct instance *i, struct http_exchange *x, const struct table *t,
                             int32_t partition, struct slice prefix, struct slice from,
                             bool (*each)(void *, struct slice, struct slice), void *context) {
    struct err e;
    struct stream *s = stream_of(i, x, t);
    return s != NULL &&
           answered(x, stream_scan_partition(s, t, partition, prefix, from, each, context, &e), &e);
}

bool instance_scan_rows(struct instance *i, struct http_exchange *x, const struct table *t, struct slice from,
                        bool (*each)(void *, const struct event *), void *context) {
    struct err e;
    struct stream *s = stream_of(i, x, t);
    return s != NULL && answered(x, stream_scan_rows(s, t, from, each, context, &e), &e);
}

enum http_result instance_reply(struct http_exchange *x, unsigned status, const struct event_type *type,
                                const void *value) {
    _cleanup_(buf_free) struct buf json = {0};
    event_json(type, value, &json);
    return http_reply_json(x, status, buf_slice(&json));
}

bool instance_decode(struct instance *i, struct http_exchange *x, const struct topic *t, struct slice value,
                     void *out, struct err *e) {
    return schemas_decode(i->schemas, t->value, value, http_arena(x), out, e);
}

bool instance_wait_fresh(struct instance *i, struct http_exchange *x, const struct table *t,
                         enum http_result *result) {
    http_deadline(x, INSTANCE_ANSWER_MS);
    if (instance_fresh(i, x, t))
        return true;
    *result = http_timed_out(x) ? instance_unavailable(x, "Kafka does not answer") : HTTP_WAIT;
    return false;
}

bool instance_fresh_row(struct instance *i, struct http_exchange *x, const struct table *t, struct slice key,
                        const char *what, struct event *row, enum http_result *result) {
    if (!instance_wait_fresh(i, x, t, result))
        return false;
    *result = HTTP_DONE;
    if (!instance_row(i, x, t, key, row))
        return false;
    if (row->value == NULL)
        http_reply_problem(x, 404, NULL, "no %s " SLICE_FMT, what, SLICE_ARG(key));
    return row->value != NULL;
}

/* ---- waking ---- */

/* The keys that exchanges watch: 'r' table row, 'f' stream, 'p' ticket. */
static void row_key(struct buf *out, const struct table *t, struct slice key) {
    buf_printf(out, "r%s/", t->name);
    buf_append_slice(out, key);
}

struct slice instance_address_key(char *text, size_t size, char kind, const void *address) {
    return (struct slice){text, (size_t)snprintf(text, size, "%c%p", kind, address)};
}

void instance_watch(struct instance *i, struct http_exchange *x, const struct table *t, struct slice key) {
    _cleanup_(buf_free) struct buf watched = {0};
    (void)i;
    row_key(&watched, t, key);
    http_watch(x, buf_slice(&watched));
}

void instance_wake_row(struct instance *i, const struct table *t, struct slice key) {
    _cleanup_(buf_free) struct buf watched = {0};
    row_key(&watched, t, key);
    http_wake(i->http, buf_slice(&watched));
}

void instance_wake_fresh(struct worker *w) {
    char text[32];
    http_wake(w->instance->http, instance_address_key(text, sizeof text, 'f', w));
}

bool instance_fresh(struct instance *i, struct http_exchange *x, const struct table *t) {
    struct worker *w = worker_of(i, t, false);
    if (w == NULL)
        return true; /* whoever reads it says what is wrong */
    struct stream *s = atomic_load(&w->stream);
    uint64_t *ticket = http_state(x, w, sizeof *ticket, NULL);
    char text[32];
    if (s == NULL)
        return false;
    if (*ticket == 0) {
        http_watch(x, instance_address_key(text, sizeof text, 'f', w));
        *ticket = stream_refresh(s);
    }
    return stream_fresh(s, *ticket);
}

void instance_not_fresh(struct instance *i, struct http_exchange *x, const struct table *t) {
    struct worker *w = worker_of(i, t, false);
    uint64_t *ticket = w == NULL ? NULL : http_state(x, w, sizeof *ticket, NULL);
    if (ticket != NULL)
        *ticket = 0;
}

/* ---- publishing ---- */

/* Shared by the exchange, which may go away, and by the record under way. */
struct ticket {
    atomic_int owners;
    atomic_int state;        /* enum publish */
    struct sending *sending; /* NULL: it is not traced */
};

static void ticket_release(struct ticket *t) {
    if (t != NULL && atomic_fetch_sub(&t->owners, 1) == 1)
        free(t);
}

static void exchange_ended(void *state) {
    ticket_release(*(struct ticket **)state);
}

void instance_published(void *instance, void *ticket, int64_t offset) {
    struct instance *i = instance;
    struct ticket *t = ticket;
    char text[32];
    if (t == NULL) /* instance_send: nobody waits, and nothing is traced */
        return;
    sending_end(i, t->sending, offset);
    atomic_store(&t->state, offset >= 0 ? PUBLISH_DONE : PUBLISH_FAILED);
    http_wake(i->http, instance_address_key(text, sizeof text, 'p', t));
    ticket_release(t);
}

/* A trace that begins here. */
static struct slice traceparent_make(struct arena *a) {
    struct trace_context c = {.sampled = true};
    char text[TRACEPARENT + 1];
    trace_id_make(c.trace_id);
    span_id_make(c.span_id);
    trace_context_write(&c, text);
    return arena_copy(a, slice_of(text));
}

static bool send(struct instance *i, const struct topic *t, struct slice key, const void *value,
                 struct slice traceparent, struct slice state, struct ticket *ticket, struct err *e) {
    _cleanup_(buf_free) struct buf bytes = {0};
    if (value != NULL && !schemas_encode(i->schemas, t, value, &bytes, e))
        return false;
    struct log_header headers[] = {{"traceparent", traceparent}, {"tracestate", state}};
    struct log_message m = {.topic = t,
                            .timestamp = clock_wall_ms(),
                            .key = key,
                            .value = value == NULL ? SLICE_NONE : buf_slice(&bytes),
                            .headers = headers,
                            .header_count = state.data == NULL ? 1 : 2};
    return producer_send(i->producer, &m, ticket, e);
}

static bool send_traced(struct instance *i, const struct topic *t, struct slice key, const void *value,
                        struct err *e) {
    _cleanup_(arena_free) struct arena a = {0};
    struct slice traceparent;
    struct sending *sending =
        sending_begin(i, &a, t, key, SLICE_NONE, SLICE_NONE, t == i->untraced, &traceparent);
    struct ticket *ticket = NULL;
    if (sending != NULL) {
        ticket = xcalloc(1, sizeof *ticket);
        atomic_store(&ticket->owners, 1);
        ticket->sending = sending;
    }
    bool sent = send(i, t, key, value, traceparent, SLICE_NONE, ticket, e);
    if (!sent) {
        sending_end(i, sending, -1);
        ticket_release(ticket);
    }
    return sent;
}

bool instance_send(struct instance *i, const struct topic *t, struct slice key, const void *value,
                   struct err *e) {
    static _Thread_local uint64_t n; /* each record is a trace of its own; a seed, and then a count */
    char trace[56];
    if (!atomic_load(&i->publishes_registered))
        return err_set(e, ERR_RETRY, "Kafka is away");
    if (i->tracer != NULL)
        return send_traced(i, t, key, value, e);
    if (n == 0 && getrandom(&n, sizeof n, 0) < 0)
        n = (uint64_t)clock_wall_ms();
    n++;
    snprintf(trace, sizeof trace, "00-%016llx%016llx-%016llx-01", (unsigned long long)n * 0x9e3779b97f4a7c15,
             (unsigned long long)n, (unsigned long long)n | 1);
    return send(i, t, key, value, slice_of(trace), SLICE_NONE, NULL, e);
}

void instance_wake(struct instance *i, struct slice key) {
    http_wake(i->http, key);
}

bool instance_stopping(const struct instance *i) {
    return atomic_load(&i->stopping);
}

enum publish instance_publish(struct instance *i, struct http_exchange *x, const struct topic *t,
                              struct slice key, const void *value) {
    struct ticket **slot = http_state(x, t, sizeof *slot, exchange_ended);
    struct err e;
    char text[32];
    if (*slot != NULL)
        return (enum publish)atomic_load(&(*slot)->state);
    if (!atomic_load(&i->publishes_registered))
        return PUBLISH_FAILED;
    struct ticket *ticket = *slot = xcalloc(1, sizeof *ticket);
    atomic_store(&ticket->owners, 2);
    http_watch(x, instance_address_key(text, sizeof text, 'p', ticket));
    struct slice parent, state;
    traces_request(i, x, &parent, &state);
    if (i->tracer != NULL)
        ticket->sending = sending_begin(i, http_arena(x), t, key, parent, state, false, &parent);
    else if (parent.data == NULL)
        parent = traceparent_make(http_arena(x));
    if (!send(i, t, key, value, parent, state, ticket, &e)) {
        sending_end(i, ticket->sending, -1);
        atomic_store(&ticket->state, PUBLISH_FAILED);
        ticket_release(ticket);
    }
    return (enum publish)atomic_load(&ticket->state);
}
