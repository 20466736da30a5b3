/* Traces as OpenTelemetry has them: contexts (W3C), spans, and a thread that hands them to a collector over
 * OTLP/HTTP. Whoever has something to tell records a span and goes on: the queue is bounded, what finds no
 * place is dropped and counted, and a collector that is away, hangs or refuses holds up nobody.
 *
 * The library reads no clock for spans and makes no decision but the sampler's. */
#pragma once

#include "base/err.h"
#include "base/metrics.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Contexts ---- */

enum { TRACE_ID = 32, SPAN_ID = 16, TRACEPARENT = 55 }; /* hex digits; characters */

/* Which trace something belongs to, and which span of it. */
struct trace_context {
    char trace_id[TRACE_ID], span_id[SPAN_ID]; /* lower-case hex, not all zeros; no NUL */
    bool sampled;
};

/* Reads a traceparent header. False: it is none. Any thread, as all of these. */
bool trace_context_read(struct slice traceparent, struct trace_context *c);

/* Writes TRACEPARENT characters and a NUL. */
void trace_context_write(const struct trace_context *c, char out[TRACEPARENT + 1]);

/* A random id of a trace; and of a span. */
void trace_id_make(char trace_id[TRACE_ID]);
/* See trace_id_make(). */
void span_id_make(char span_id[SPAN_ID]);

/* A tracestate header that is given on as it is: 1 to 512 printable characters. */
bool tracestate_valid(struct slice tracestate);

/* ---- Settings ---- */

/* By the standard's names and meanings; which ones, and what they take, is in docs/OPERATIONS.md. Strings
 * point into the environment. */
struct trace_settings {
    bool enabled; /* an endpoint is set, and nothing forbids it */
    char url[1024];
    bool json; /* else protobuf */
    int32_t timeout_ms;
    const char *headers, *certificate, *service_name, *resource; /* NULL: not set */
    bool by_parent;                                              /* where there is one, its decision holds */
    double ratio;                                                /* of the other traces, 0 to 1 */
};

/* Reads the environment. ERR_CONFIG names setting, value (but of what may be secret) and what is allowed. */
WARN_UNUSED bool trace_settings_read(struct trace_settings *s, struct err *e);

/* ---- Spans ---- */

/* By OpenTelemetry's numbers. */
enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER, SPAN_CLIENT, SPAN_PRODUCER, SPAN_CONSUMER };

/* What is said of a span. */
struct span_attribute {
    const char *name;
    struct slice text; /* data NULL: a number, */
    int64_t number;
    bool is_flag; /* or whether it is not 0 */
};

/* What was done, from when until when; copied when it is recorded. */
struct span {
    struct trace_context context;
    const char *parent; /* SPAN_ID hex digits; NULL: none */
    struct slice state; /* tracestate; data NULL: none */
    enum span_kind kind;
    struct slice name;
    int64_t start_ns, end_ns; /* since 1970 */
    const struct span_attribute *attributes;
    size_t attribute_count;
    const struct trace_context *links;
    size_t link_count;
    struct slice error; /* what went wrong, in words, or ""; data NULL: nothing */
};

/* ---- The tracer ---- */

struct tracer;

/* What tracer_create() is told. */
struct tracer_options {
    const struct trace_settings *settings;    /* enabled */
    const char *service, *version, *instance; /* what the spans are of, unless the settings say otherwise */
    /* A line for people, once when the collector is away or refuses, and once when it is there again. On the
     * tracer's thread. NULL: nobody reads. */
    void (*notice)(void *context, bool trouble, const char *text);
    void *context;
};

/* Its thread starts at once, with all signals blocked. ERR_FATAL: there is none to be had. */
WARN_UNUSED bool tracer_create(const struct tracer_options *options, struct tracer **t, struct err *e);

/* Hands over what is queued, for up to `ms`; what is left then is dropped. Takes NULL. Nobody records any
 * more. */
void tracer_destroy(struct tracer *t, int ms);

/* The decision about a trace, made where it begins and the same for all of it: by the parent (NULL: there is
 * none) and the id. Any thread. */
bool tracer_samples(const struct tracer *t, const struct trace_context *parent,
                    const char trace_id[TRACE_ID]);

/* Queues a span whose context is sampled; another one is ignored. Never waits for the collector. Any thread.
 */
void tracer_record(struct tracer *t, const struct span *s);

/* Counts spans that were not even queued. Any thread. */
void tracer_drop(struct tracer *t, size_t spans);

/* What became of the spans. Any thread. */
void tracer_metrics(struct tracer *t, struct metrics *m);
