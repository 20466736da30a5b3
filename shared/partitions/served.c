#include "partitions/served.h"

#include "instance/traces.h"
#include "partitions/assignments.h"

#include <stdlib.h>

enum {
    GRACE_MS = 1000, /* for the answer of another, who waits as long as we would have */
    WAIT_MAX_MS = 60000,
    FRESH_MS = 1000, /* a client that waits less for a row still gets what the log has */
};

struct forwarding {
    bool begun, postponed;
    int32_t asked; /* the partition that another instance asks for; -1: the client asks */
    int32_t count;
    struct call **calls; /* by partition, NULL: none */
};

static void forwarding_finish(void *state) {
    struct forwarding *p = state;
    for (int32_t n = 0; n < p->count; n++)
        call_release(p->calls[n]);
    free(p->calls);
}

static int64_t header_number(struct http_exchange *x, const char *name, int64_t fallback) {
    struct slice text = http_header(x, name);
    int64_t n = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || i > 9)
            return fallback;
        n = n * 10 + (text.data[i] - '0');
    }
    return text.size == 0 ? fallback : n;
}

static struct forwarding *forwarding_of(struct instance *i, struct http_exchange *x) {
    static const char owner;
    struct forwarding *p = http_state(x, &owner, sizeof *p, forwarding_finish);
    if (!p->begun) {
        p->begun = true;
        p->asked = (int32_t)header_number(x, RELAY_PARTITION, -1);
        p->count = assignments_count(i->assignments);
        p->calls = xcalloc((size_t)p->count, sizeof(struct call *));
        if (p->asked >= 0)
            http_waited(x, header_number(x, RELAY_WAITED, 0));
        http_watch(x, assignments_key());
    }
    return p;
}

/* For the answers to calls that say `waiter`. One name for all of them, since it is watched until the end. */
static void watch_calls(struct http_exchange *x, const void *waiter) {
    char text[32];
    http_watch(x, instance_address_key(text, sizeof text, 'c', waiter));
}

static struct call *call_of(struct instance *i, struct http_exchange *x, struct forwarding *p,
                            int32_t partition, struct slice body, bool waits) {
    if (p->calls[partition] != NULL)
        return p->calls[partition];
    if (!p->postponed)
        http_postpone(x, GRACE_MS);
    p->postponed = true;
    struct slice traceparent, tracestate;
    traces_request(i, x, &traceparent, &tracestate);
    int64_t left = http_remaining(x) - GRACE_MS;
    struct call *call =
        relay_call(assignments_relay(i->assignments), &(struct relay_request){.partition = partition,
                                                                              .method = http_method(x),
                                                                              .target = http_target(x),
                                                                              .body = body,
                                                                              .traceparent = traceparent,
                                                                              .tracestate = tracestate,
                                                                              .waited_ms = http_elapsed(x),
                                                                              .left_ms = left > 0 ? left : 0,
                                                                              .waits = waits,
                                                                              .waiter = p});
    watch_calls(x, p);
    return p->calls[partition] = call;
}

/* As the other has it. */
static enum http_result reply(struct http_exchange *x, const struct relay_answer *a, int32_t partition) {
    if (a->status == 0 || (a->status == 503 && a->body.data == NULL))
        return http_reply_problem(x, 503, NULL, "no instance that has partition %d answers", partition);
    if (a->location.data != NULL)
        http_reply_header(x, "Location", SLICE_FMT, SLICE_ARG(a->location));
    struct slice type = a->type.data == NULL
                            ? SLICE_NONE
                            : arena_printf(http_arena(x), SLICE_FMT "%c", SLICE_ARG(a->type), 0);
    return http_reply_text(x, a->status, type.data, a->body.data == NULL ? SLICE("") : a->body);
}

bool instance_here(struct instance *i, struct http_exchange *x, struct slice key, struct slice body,
                   enum http_result *result) {
    if (i->assignments == NULL)
        return true;
    http_deadline(x, INSTANCE_ANSWER_MS);
    struct forwarding *p = forwarding_of(i, x);
    int32_t partition = assignments_partition(i->assignments, key);
    if (assignments_here(i->assignments, partition))
        return true;
    if (p->asked >= 0) {
        *result = http_reply_problem(x, 503, NULL, "partition %d is not here", partition);
        return false;
    }
    struct slice timeout;
    bool waits = body.data != NULL || !http_query_string(x, "timeout", &timeout) || timeout.data != NULL;
    struct call *call = call_of(i, x, p, partition, body, waits);
    struct relay_answer a;
    if (call_answer(call, &a))
        *result = reply(x, &a, partition);
    else
        *result = http_timed_out(x) ? instance_unavailable(x, "no other instance answers") : HTTP_WAIT;
    return false;
}

bool instance_find(struct instance *i, struct http_exchange *x, const struct table *t, struct slice key,
                   const char *what, struct event *row, enum http_result *result) {
    int64_t timeout;
    struct event found;
    *result = HTTP_DONE;
    if (!http_query_int64(x, "timeout", 0, INT32_MAX, -1, &timeout))
        return false;
    bool waits = timeout >= 0;
    timeout = timeout < WAIT_MAX_MS ? timeout : WAIT_MAX_MS;
    http_deadline(x, !waits ? INSTANCE_ANSWER_MS : timeout > FRESH_MS ? timeout : FRESH_MS);
    if (t->view != NULL && !instance_here(i, x, key, SLICE_NONE, result))
        return false;
    instance_watch(i, x, t, key);
    bool fresh = instance_fresh(i, x, t); /* before looking; a row that is there may be another one by now */
    if (!instance_row(i, x, t, key, &found))
        return false;
    if (fresh && found.value != NULL) {
        *row = found;
        return true;
    }
    if (fresh && !waits)
        *result = http_reply_problem(x, 404, NULL, "no %s of this id", what);
    else if (fresh && http_elapsed(x) >= timeout)
        *result = http_reply_problem(x, 504, NULL, "the %s did not appear in time", what);
    else if (http_timed_out(x))
        *result = instance_unavailable(x, "Kafka does not answer");
    else
        *result = HTTP_WAIT;
    return false;
}

bool instance_gather(struct instance *i, struct http_exchange *x, const struct table *t,
                     struct gathered *gathered, enum http_result *result) {
    struct forwarding *p = forwarding_of(i, x);
    struct gathered g = {.asked = p->asked, .count = p->count};
    struct slice *others = arena_alloc(http_arena(x), ((size_t)p->count + 1) * sizeof *others);
    bool pending = false, local = false;
    http_deadline(x, INSTANCE_ANSWER_MS);
    for (int32_t n = 0; n < p->count; n++) {
        others[n] = SLICE_NONE;
        if (p->asked >= 0 && p->asked != n)
            continue;
        if (assignments_here(i->assignments, n)) {
            partitions_put(&g.here, n, true);
            local = true;
            continue;
        }
        struct relay_answer a;
        if (p->asked >= 0) {
            *result = http_reply_problem(x, 503, NULL, "partition %d is not here", n);
            return false;
        }
        if (!call_answer(call_of(i, x, p, n, SLICE_NONE, false), &a)) {
            pending = true;
        } else if (a.status != 200) {
            *result = reply(x, &a, n);
            return false;
        } else {
            others[n] = a.body.data == NULL ? SLICE("") : a.body;
        }
    }
    bool fresh = !local || instance_fresh(i, x, t);
    if (pending || !fresh) {
        *result = http_timed_out(x) ? instance_unavailable(x, "not all partitions answer") : HTTP_WAIT;
        return false;
    }
    g.others = others;
    *gathered = g;
    return true;
}

static void asked_finish(void *state) {
    calls_release(state);
}

enum ask instance_ask(struct instance *i, struct http_exchange *x, struct slice key, struct slice target,
                      struct slice *body) {
    static const char owner;
    int32_t partition = i->assignments == NULL ? -1 : assignments_partition(i->assignments, key);
    if (partition < 0 || assignments_here(i->assignments, partition))
        return ASK_HERE;
    struct calls *asked = http_state(x, &owner, sizeof *asked, asked_finish);
    struct relay_answer answer;
    watch_calls(x, asked);
    if (!calls_answer(asked, assignments_relay(i->assignments), key,
                      &(struct relay_request){.partition = partition,
                                              .method = "GET",
                                              .target = target,
                                              .left_ms = INSTANCE_ANSWER_MS,
                                              .waiter = asked},
                      &answer))
        return ASK_PENDING;
    *body = answer.status == 200 ? answer.body : SLICE_NONE; /* the next time it may be there */
    return ASK_ANSWERED;
}
