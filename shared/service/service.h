/* The life of a service's process: its settings, signals, streams and HTTP, and what it answers about itself
 * (health.h).
 *
 * A service is data: its name, its topologies and its routes. main() hands it to service_main() and that is
 * all. That makes the instance (instance/inside.h) and what belongs to it: tracer, schemas, producer,
 * workers, feeds, assignments, HTTP, and then the threads.
 *
 * Threads: the main one waits for signals, and looks once a second whether a worker has ended, hangs, or has
 * something to say. Each topology and each delivery is a worker with a thread of its own (worker.h): what its
 * stream tells goes from there to whoever waits, to the feeds and to the assignments. Handlers of routes run
 * on the HTTP thread. What the feeds and the relay need of their own they start themselves. */
#pragma once

#include "base/err.h"
#include "http/server.h"
#include "instance/instance.h"
#include "partitions/served.h"

struct delivery;
struct settings;

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

/* Appends what /readyz is about, as JSON for pages: {"ready", "streams": [{"name", "ready", "status",
 * "records", "left"}]}, see struct stream_progress. */
void instance_progress(struct instance *i, struct buf *out);
