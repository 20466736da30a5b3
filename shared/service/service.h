/* The life of a service's process: settings, signals, logging, health, metrics, its streams and its HTTP.
 *
 * A service is data: its name, its topologies and its routes. main() hands it to service_main() and that
 * is all. Each topology and each delivery runs in a thread of its own; handlers of routes run on the HTTP
 * thread. */
#pragma once

#include "base/err.h"
#include "http/exchange.h"
#include "http/server.h"
#include "topology/topology.h"

struct delivery;
struct settings;
struct instance;

/* A service, as data. Constant; it must live as long as the process. */
struct service {
    const char *name;
    const struct topology *const *topologies; /* NULL-terminated */
    const struct http_route *routes;          /* up to {0}; their context is the struct instance */
    const struct topic *const *publishes;     /* topics that routes write to, NULL-terminated or NULL */
    const struct topic *const *follows;       /* topics that routes show as they are (feed.h), likewise */
    const struct topic *const *patient;       /* that it may read some 100 ms late (kafka.h), likewise */
    /* Where instances say which partitions of the served views they have (placement.h): a table of one of the
     * topologies, of rows as assignments.h has them. NULL: the service serves no view. */
    const struct table *assignments;
    const struct delivery *const *deliveries; /* what goes to the world outside, NULL-terminated or NULL */
    bool asks_groups;                         /* it asks Kafka about the groups of others: for --acls */
    /* The service's own settings, before any thread; NULL: it has none. An error ends the process. */
    bool (*start)(const struct settings *settings, struct err *e);
    /* NULL, or a thread of its own, for what is neither an event nor a request. Returns soon after
     * instance_stopping() is true. */
    void (*background)(struct instance *i);
    /* NULL, or whether what `background` does is ready; else `why` says in words why not. Any thread. */
    bool (*ready)(char *why, size_t size);
};

/* Runs until SIGTERM or SIGINT. With --topology it prints its graph instead, with --acls[=PRINCIPAL]
 * (User:name) what it may do in Kafka, as lines of arguments for kafka-acls, with --ready what /readyz says.
 * Exit codes: 0 a clean end; 75 a call to Kafka overran its deadline; 77 another process has this identity;
 * 78 a setting, a schema or a partition count is wrong; 1 anything else. The last line of the log says why.
 */
int service_main(int argc, char **argv, const struct service *service);

/* ---- A running service, as its routes see it. HTTP thread only, unless it says otherwise. ---- */

/* The row of a key, decoded into the exchange's arena (http_arena); row->value is NULL when there is none.
 * On false a 503 has been sent. */
WARN_UNUSED bool instance_row(struct instance *i, struct http_exchange *x, const struct table *t,
                              struct slice key, struct event *row);

/* The whole of a GET of one row, but for a 200 from `row`: as the log had it when the client asked, or later,
 * at whichever instance, so that reads never go back; 503 where nobody knows in time. With ?timeout=ms it
 * waits for the row to appear (at most 60 s), 504 after. On false return *result. `what` the key is of goes
 * into the answers: "order". */
WARN_UNUSED bool instance_find(struct instance *i, struct http_exchange *x, const struct table *t,
                               struct slice key, const char *what, struct event *row,
                               enum http_result *result);

/* Decodes a value in wire format, of a record of a feed say, into the struct of `t`, which points into
 * `value` and the exchange's arena. ERR_POISON, or ERR_RETRY: the registry is away. */
WARN_UNUSED bool instance_decode(struct instance *i, struct http_exchange *x, const struct topic *t,
                                 struct slice value, void *out, struct err *e);

/* Rows by index key, see stream_scan(). On false a 503 has been sent. */
WARN_UNUSED bool instance_scan(struct instance *i, struct http_exchange *x, const struct table *t,
                               struct slice prefix, struct slice from,
                               bool (*each)(void *context, struct slice index_key, struct slice key),
                               void *context);

/* The same over all rows of a table, by key. */
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

/* Appends what /readyz is about, as JSON for pages: {"ready", "streams": [{"name", "ready", "status",
 * "records", "left"}]}, see struct stream_progress. */
void instance_progress(struct instance *i, struct buf *out);

/* 503 with Retry-After, naming what is missing. */
enum http_result instance_unavailable(struct http_exchange *x, const char *detail);
