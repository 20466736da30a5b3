#include "instance/traces.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FLUSH_MS = 1000,
    PENDING_MAX = 4096, /* spans of a transaction; twice as many as a queue has room for */
};

static void notice(void *context, bool trouble, const char *text) {
    (void)context;
    logger_write(trouble ? LEVEL_WARN : LEVEL_INFO, "%s", text);
}

bool traces_start(struct instance *i, struct err *e) {
    char slot[12];
    if (!i->settings.traces.enabled)
        return true;
    snprintf(slot, sizeof slot, "%d", i->settings.slot);
    return tracer_create(&(struct tracer_options){.settings = &i->settings.traces,
                                                  .service = i->name,
                                                  .version = INSIDEOUT_VERSION,
                                                  .instance = slot,
                                                  .notice = notice},
                         &i->tracer, e);
}

void traces_stop(struct instance *i) {
    tracer_destroy(i->tracer, FLUSH_MS);
    i->tracer = NULL;
}

static struct span_attribute text(const char *name, struct slice value) {
    return (struct span_attribute){.name = name, .text = value.data == NULL ? SLICE("") : value};
}

static struct span_attribute number(const char *name, int64_t value) {
    return (struct span_attribute){.name = name, .number = value};
}

/* A context below `parent` in its trace; where it is none, of a trace that begins here. Whether it is sampled
 * is to be said. Returns whether there is a parent. */
static bool context_begin(struct slice traceparent, struct trace_context *parent, struct trace_context *own) {
    bool has_parent = trace_context_read(traceparent, parent);
    if (has_parent)
        memcpy(own->trace_id, parent->trace_id, TRACE_ID);
    else
        trace_id_make(own->trace_id);
    span_id_make(own->span_id);
    return has_parent;
}

/* ---- requests ---- */

struct request {
    bool begun, has_parent;
    struct trace_context parent, own;
    char traceparent[TRACEPARENT + 1];
    struct slice state;
};

/* Who waits for something to happen is no trace of its own: it would be one span, as long as the client has
 * patience. Within a trace of the client's it is what the client sees. */
static bool is_long_poll(struct http_exchange *x) {
    struct slice target = http_target(x);
    const char *query = memchr(target.data, '?', target.size);
    return strcmp(http_method(x), "GET") == 0 && query != NULL &&
           memmem(query, (size_t)(target.data + target.size - query), "timeout=", 8) != NULL;
}

static const struct request *request_of(struct instance *i, struct http_exchange *x) {
    static const char owner;
    struct request *r = http_state(x, &owner, sizeof *r, NULL);
    if (r->begun)
        return r;
    r->begun = true;
    r->has_parent = context_begin(http_traceparent(x), &r->parent, &r->own);
    struct slice state = http_header(x, "tracestate");
    r->state = r->has_parent && tracestate_valid(state) ? state : SLICE_NONE;
    r->own.sampled = (r->has_parent || !is_long_poll(x)) &&
                     tracer_samples(i->tracer, r->has_parent ? &r->parent : NULL, r->own.trace_id);
    trace_context_write(&r->own, r->traceparent);
    return r;
}

void traces_request(struct instance *i, struct http_exchange *x, struct slice *parent, struct slice *state) {
    if (i->tracer == NULL) {
        *parent = http_traceparent(x);
        *state = SLICE_NONE;
        return;
    }
    const struct request *r = request_of(i, x);
    *parent = slice_of(r->traceparent);
    *state = r->state;
}

/* With the route and not the path, which may have what is nobody's business in it. */
void traces_answered(struct instance *i, const struct http_answered *a) {
    bool matched = strcmp(a->route, "other") != 0, failed = a->status >= 500;
    char name[300], status[12];
    if (i->tracer == NULL || !matched)
        return;
    const struct request *r = request_of(i, a->exchange);
    if (!r->own.sampled)
        return;
    snprintf(name, sizeof name, "%s %s", a->method, a->route);
    snprintf(status, sizeof status, "%u", a->status);
    struct span_attribute attributes[] = {
        text("http.request.method", slice_of(a->method)),
        text("http.route", slice_of(a->route)),
        text("url.scheme", SLICE("http")),
        number("http.response.status_code", a->status),
        text("server.address", slice_of(i->settings.advertised)),
        number("server.port", http_server_port(i->http)),
        text("error.type", slice_of(status)),
    };
    int64_t now = clock_wall_ns();
    tracer_record(i->tracer, &(struct span){.context = r->own,
                                            .parent = r->has_parent ? r->parent.span_id : NULL,
                                            .state = r->state,
                                            .kind = SPAN_SERVER,
                                            .name = slice_of(name),
                                            .start_ns = now - a->duration_us * 1000,
                                            .end_ns = now,
                                            .attributes = attributes,
                                            .attribute_count = failed ? 7 : 6,
                                            .error = failed ? SLICE("") : SLICE_NONE});
}

/* ---- what is sent ---- */

struct sending {
    struct trace_context context;
    bool has_parent;
    char parent[SPAN_ID];
    const struct topic *topic;
    struct arena memory; /* of the texts */
    struct slice key, state;
    int64_t start_ns;
};

struct sending *sending_begin(struct instance *i, struct arena *a, const struct topic *t, struct slice key,
                              struct slice parent, struct slice state, bool quiet,
                              struct slice *traceparent) {
    struct trace_context from, own;
    char header[TRACEPARENT + 1];
    if (i->tracer == NULL)
        return NULL;
    bool has_parent = context_begin(parent, &from, &own);
    own.sampled = has_parent ? from.sampled : !quiet && tracer_samples(i->tracer, NULL, own.trace_id);
    trace_context_write(&own, header);
    *traceparent = arena_copy(a, (struct slice){header, TRACEPARENT});
    if (!own.sampled)
        return NULL;
    struct sending *s = xcalloc(1, sizeof *s);
    s->context = own;
    s->has_parent = has_parent;
    if (has_parent)
        memcpy(s->parent, from.span_id, SPAN_ID);
    s->topic = t;
    s->key = arena_copy(&s->memory, key);
    s->state = state.data == NULL ? SLICE_NONE : arena_copy(&s->memory, state);
    s->start_ns = clock_wall_ns();
    return s;
}

void sending_end(struct instance *i, struct sending *s, int64_t offset) {
    char name[300];
    if (s == NULL)
        return;
    snprintf(name, sizeof name, "send %s", s->topic->name);
    struct span_attribute attributes[] = {
        text("messaging.system", SLICE("kafka")),
        text("messaging.operation.name", SLICE("send")),
        text("messaging.operation.type", SLICE("send")),
        text("messaging.destination.name", slice_of(s->topic->name)),
        text("messaging.kafka.message.key", s->key),
        offset >= 0 ? number("messaging.kafka.offset", offset) : text("error.type", SLICE("unacknowledged")),
    };
    tracer_record(i->tracer, &(struct span){.context = s->context,
                                            .parent = s->has_parent ? s->parent : NULL,
                                            .state = s->state,
                                            .kind = SPAN_PRODUCER,
                                            .name = slice_of(name),
                                            .start_ns = s->start_ns,
                                            .end_ns = clock_wall_ns(),
                                            .attributes = attributes,
                                            .attribute_count = sizeof attributes / sizeof *attributes,
                                            .error = offset >= 0 ? SLICE_NONE : SLICE("not acknowledged")});
    arena_free(&s->memory);
    free(s);
}

/* ---- inputs ---- */

/* An input of the open transaction. */
struct pending {
    struct trace_context own;
    bool has_parent, tombstone;
    char parent[SPAN_ID];
    const char *group;
    const struct topic *topic;
    int32_t partition;
    int64_t offset, start_ns, end_ns; /* end_ns 0: with the transaction */
    struct slice key, state, error;
    struct trace_context *links;
    size_t link_count;
};

struct traced {
    struct observer observer;
    struct instance *instance;
    struct arena memory; /* of what is pending */
    struct pending *pending;
    size_t count, capacity;
    size_t dropped; /* that found no place */
    int64_t start_ns;
};

static bool samples(void *context, struct slice traceparent, const char *trace_id) {
    const struct traced *t = context;
    struct trace_context parent;
    bool has_parent = trace_context_read(traceparent, &parent);
    return tracer_samples(t->instance->tracer, has_parent ? &parent : NULL, trace_id);
}

static void begins(void *context) {
    ((struct traced *)context)->start_ns = clock_wall_ns();
}

static struct slice keep(struct traced *t, struct slice s) {
    return s.data == NULL ? SLICE_NONE : arena_copy(&t->memory, s);
}

static void handled(void *context, const struct handled *h) {
    struct traced *t = context;
    struct trace_context parent;
    if (t->count == PENDING_MAX) {
        t->dropped++;
        return;
    }
    if (t->count == t->capacity)
        t->pending = xrealloc(t->pending, (t->capacity = t->capacity * 2 + 64) * sizeof *t->pending);
    struct pending *p = &t->pending[t->count];
    *p = (struct pending){.group = h->group,
                          .topic = h->record->topic,
                          .partition = h->record->partition,
                          .offset = h->record->offset,
                          .start_ns = t->start_ns,
                          .end_ns = h->followed ? 0 : clock_wall_ns(),
                          .tombstone = h->record->value.data == NULL};
    if (!trace_context_read(h->span, &p->own))
        return;
    p->has_parent = trace_context_read(h->traceparent, &parent);
    if (p->has_parent)
        memcpy(p->parent, parent.span_id, SPAN_ID);
    p->key = keep(t, h->record->key);
    p->state = tracestate_valid(h->tracestate) ? keep(t, h->tracestate) : SLICE_NONE;
    p->error = h->error == NULL ? SLICE_NONE : keep(t, slice_of(h->error));
    p->links = arena_alloc(&t->memory, (h->link_count + 1) * sizeof *p->links);
    for (size_t k = 0; k < h->link_count; k++)
        p->link_count += trace_context_read(h->links[k], &p->links[p->link_count]);
    t->count++;
}

static void record(struct traced *t, const struct pending *p, int64_t end_ns) {
    char name[300], partition[12];
    struct span_attribute attributes[10];
    size_t n = 0;
    snprintf(name, sizeof name, "process %s", p->topic->name);
    snprintf(partition, sizeof partition, "%d", p->partition);
    attributes[n++] = text("messaging.system", SLICE("kafka"));
    attributes[n++] = text("messaging.operation.name", SLICE("process"));
    attributes[n++] = text("messaging.operation.type", SLICE("process"));
    attributes[n++] = text("messaging.destination.name", slice_of(p->topic->name));
    attributes[n++] = text("messaging.destination.partition.id", slice_of(partition));
    attributes[n++] = number("messaging.kafka.offset", p->offset);
    attributes[n++] = text("messaging.consumer.group.name", slice_of(p->group));
    if (p->key.data != NULL)
        attributes[n++] = text("messaging.kafka.message.key", p->key);
    if (p->tombstone)
        attributes[n++] = (struct span_attribute){"messaging.kafka.message.tombstone", SLICE_NONE, 1, true};
    if (p->error.data != NULL)
        attributes[n++] = text("error.type", SLICE("rejected"));
    tracer_record(t->instance->tracer, &(struct span){.context = p->own,
                                                      .parent = p->has_parent ? p->parent : NULL,
                                                      .state = p->state,
                                                      .kind = SPAN_CONSUMER,
                                                      .name = slice_of(name),
                                                      .start_ns = p->start_ns,
                                                      .end_ns = end_ns > p->start_ns ? end_ns : p->start_ns,
                                                      .attributes = attributes,
                                                      .attribute_count = n,
                                                      .links = p->links,
                                                      .link_count = p->link_count,
                                                      .error = p->error});
}

/* A span ends when others can read what follows from it, if anything does. What was aborted comes again, as a
 * span of the same id: so it has never been. */
static void ended(void *context, bool committed) {
    struct traced *t = context;
    int64_t now = t->count > 0 ? clock_wall_ns() : 0;
    for (size_t k = 0; committed && k < t->count; k++)
        record(t, &t->pending[k], t->pending[k].end_ns != 0 ? t->pending[k].end_ns : now);
    if (committed && t->dropped > 0)
        tracer_drop(t->instance->tracer, t->dropped);
    t->count = t->dropped = 0;
    arena_reset(&t->memory);
}

const struct observer *traces_observer(struct worker *w) {
    if (w->instance->tracer == NULL)
        return NULL;
    struct traced *t = w->traced = xcalloc(1, sizeof *t);
    t->observer = (struct observer){t, samples, begins, handled, ended};
    t->instance = w->instance;
    return &t->observer;
}

void traced_free(struct traced *t) {
    if (t == NULL)
        return;
    arena_free(&t->memory);
    free(t->pending);
    free(t);
}
