/* What becomes a span in a service: requests, records that are sent, inputs that are handled. All of it does
 * nothing where the instance has no tracer, but for contexts, which go on as they came. */
#pragma once

#include "instance/inside.h"
#include "log/observer.h"

/* Starts the tracer where the settings have one. */
WARN_UNUSED bool traces_start(struct instance *i, struct err *e);
/* Hands over what is left, in up to a second. Nobody records any more. */
void traces_stop(struct instance *i);

/* The context of the request, for what follows from it: traceparent, and tracestate (data NULL: none). HTTP
 * thread; they live as long as the exchange. */
void traces_request(struct instance *i, struct http_exchange *x, struct slice *parent, struct slice *state);

/* An answer is on its way. */
void traces_answered(struct instance *i, const struct http_answered *a);

/* A record that is sent, from here until it is acknowledged. */
struct sending;

/* Sends with a context of its own below `parent` (data NULL: its trace begins here, and is not sampled where
 * `quiet`), which goes into *traceparent and the arena. NULL: there is no span of it. Any thread. */
struct sending *sending_begin(struct instance *i, struct arena *a, const struct topic *t, struct slice key,
                              struct slice parent, struct slice state, bool quiet, struct slice *traceparent);
/* offset -1: nobody knows, or it was not written. Takes NULL. Any thread. */
void sending_end(struct instance *i, struct sending *s, int64_t offset);

/* Of a worker's inputs; NULL where nothing is traced. Lives as long as the worker. */
const struct observer *traces_observer(struct worker *w);
void traced_free(struct traced *t); /* takes NULL */
