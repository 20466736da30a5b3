/* A running service, as its routes see it: the rows of its tables, records that it writes, and what there is
 * to wait for. On the HTTP thread only, unless it says otherwise.
 *
 * An instance (inside.h) owns what a process has one of: its settings, the schemas, the HTTP server, a
 * producer, the tracer, and its workers. A worker is a topology or a delivery with its thread, log and store;
 * the stream in it belongs to that thread, and is asked from here by what stream.h allows any thread. Whoever
 * waits for something watches a key (http_watch), and the thread on which it happens wakes that key: so
 * nothing here blocks, and handlers run again and again. Traces (traces.h) are begun and ended where
 * requests, records and inputs are.
 *
 * What is built on it hangs its own on the instance: feeds/, partitions/. The process, service/, makes it and
 * ends it. */
#pragma once

#include "base/err.h"
#include "http/exchange.h"
#include "topology/topology.h"

struct instance;

/* The row of a key, decoded into the exchange's arena (http_arena); row->value is NULL when there is none.
 * On false a 503 has been sent. */
WARN_UNUSED bool instance_row(struct instance *i, struct http_exchange *x, const struct table *t,
                              struct slice key, struct event *row);

/* Decodes a value in wire format, of a record of a feed say, into the struct of `t`, which points into
 * `value` and the exchange's arena. ERR_POISON, or ERR_RETRY: the registry is away. */
WARN_UNUSED bool instance_decode(struct instance *i, struct http_exchange *x, const struct topic *t,
                                 struct slice value, void *out, struct err *e);

/* Rows by index key, see stream_scan(). On false a 503 has been sent. */
WARN_UNUSED bool instance_scan(struct instance *i, struct http_exchange *x, const struct table *t,
                               struct slice prefix, struct slice from,
                               bool (*each)(void *context, struct slice index_key, struct slice key),
                               void *context);

/* The same of one partition of a view. */
WARN_UNUSED bool
instance_scan_partition(struct instance *i, struct http_exchange *x, const struct table *t, int32_t partition,
                        struct slice prefix, struct slice from,
                        bool (*each)(void *context, struct slice index_key, struct slice key), void *context);

/* All rows of a table, by key. */
WARN_UNUSED bool instance_scan_rows(struct instance *i, struct http_exchange *x, const struct table *t,
                                    struct slice from, bool (*each)(void *context, const struct event *row),
                                    void *context);

/* The exchange runs again when this row changes. Call it before looking at the row. */
void instance_watch(struct instance *i, struct http_exchange *x, const struct table *t, struct slice key);

/* Whether the table holds all that was in the log when this exchange first asked. While it does not, answer
 * HTTP_WAIT: the exchange runs again. So a client reads what it wrote, at whichever instance. */
bool instance_fresh(struct instance *i, struct http_exchange *x, const struct table *t);

/* How long a client waits for what the log should say at once. */
enum { INSTANCE_ANSWER_MS = 8000 };

/* The same, and what to return while it does not: on false *result, which is HTTP_WAIT, or after
 * INSTANCE_ANSWER_MS a 503. */
WARN_UNUSED bool instance_wait_fresh(struct instance *i, struct http_exchange *x, const struct table *t,
                                     enum http_result *result);

/* Both: the row as the log had it when the client asked, or later. On false return *result; where there is
 * none that is a 404, "no WHAT KEY". */
WARN_UNUSED bool instance_fresh_row(struct instance *i, struct http_exchange *x, const struct table *t,
                                    struct slice key, const char *what, struct event *row,
                                    enum http_result *result);

/* Answers with an event, or a row's value, as JSON. */
enum http_result instance_reply(struct http_exchange *x, unsigned status, const struct event_type *type,
                                const void *value);

/* Writes a record into the log, once per exchange, acknowledged by all replicas. The record carries the
 * request's trace. While it is PENDING, answer HTTP_WAIT: the exchange runs again. FAILED: nobody knows
 * whether it was written; answer 503. */
enum publish { PUBLISH_PENDING, PUBLISH_DONE, PUBLISH_FAILED };
/* Writes it: see enum publish. `value` NULL is a tombstone. */
enum publish instance_publish(struct instance *i, struct http_exchange *x, const struct topic *t,
                              struct slice key, const void *value);

/* Writes a record for which nobody waits (value NULL: a tombstone); never blocks. Any thread. ERR_RETRY: it
 * is not written, Kafka is away or too much is under way. */
WARN_UNUSED bool instance_send(struct instance *i, const struct topic *t, struct slice key, const void *value,
                               struct err *e);

/* Runs the exchanges again that watch this key (http_watch). Any thread, but not after `background` has
 * returned. */
void instance_wake(struct instance *i, struct slice key);

/* The process ends. Any thread. */
bool instance_stopping(const struct instance *i);

/* 503 with Retry-After, naming what is missing. */
enum http_result instance_unavailable(struct http_exchange *x, const char *detail);
