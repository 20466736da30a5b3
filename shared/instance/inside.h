/* A running service, from the inside: for the rooms behind this one, and for tests. instance.h is what routes
 * see of it. */
#pragma once

#include "base/metrics.h"
#include "base/status.h"
#include "delivery/delivery.h"
#include "http/server.h"
#include "instance/instance.h"
#include "kafka/producer.h"
#include "process/news.h"
#include "process/settings.h"
#include "stream/stream.h"

#include <pthread.h>
#include <stdatomic.h>

/* A topology or a delivery in its thread, with what it owns. */
struct worker {
    struct instance *instance;
    const char *name;
    const struct topology *topology; /* or NULL, */
    const struct delivery *delivery; /* and then this */
    pthread_t thread;
    bool running;                          /* the thread was made and not joined */
    atomic_bool ended;                     /* it does nothing any more */
    _Atomic(struct stream *) stream;       /* NULL until it is open, and of a delivery */
    _Atomic(struct deliverer *) deliverer; /* likewise */
    struct log *log;
    struct store *store;
    struct traced *traced; /* what waits for the end of the transaction; NULL: nothing is traced */
    struct status status;  /* before there is a stream or deliverer */
    struct told told;      /* main thread only */
    int64_t letters_since; /* bad records that were told of in this second; its own thread only */
    int letters;
    counter fencings;      /* of the processes before, too */
    counter store_repairs; /* what was damaged when the store was opened, and made anew */
    int exit_code;         /* set before the thread ends */
    struct err err;
};

struct instance {
    const char *name;              /* of the service */
    const struct service *service; /* what it is made of; the process's business */
    struct settings settings;
    struct registry *registry;
    struct schemas *schemas;
    struct http_server *http;
    const char *hosts[3];      /* its names */
    struct producer *producer; /* NULL: requests write nothing */
    struct told told;          /* of the producer; main thread only */
    const struct topic
        *untraced;         /* of all day, and nobody's doing: a record of it begins no trace; or NULL */
    struct tracer *tracer; /* NULL: none, and nothing is traced */
    struct worker *workers;
    size_t worker_count, topic_count;
    atomic_bool stopping, publishes_registered;
    pthread_t background;
    bool background_running;         /* the thread was made and not joined */
    int wake_fd;                     /* an eventfd: a worker has ended */
    struct feeds *feeds;             /* NULL: none are served */
    struct assignments *assignments; /* NULL: no view is served */
};

/* The stream that has the table's rows; NULL until it is open. */
struct stream *instance_stream(struct instance *i, const struct table *t);

bool worker_ready(struct worker *w);
/* What a worker is doing, for people. True: it waits for what should be there. */
bool worker_status(struct worker *w, char *text, size_t size);

/* What instance_fresh() said to this exchange does not hold any more. HTTP thread. */
void instance_not_fresh(struct instance *i, struct http_exchange *x, const struct table *t);

/* Whether something hinders what requests write, and then what. Any thread. */
bool instance_hindered(struct instance *i, char *text, size_t size);

/* What exchanges watch that wait for something with an address. */
struct slice instance_address_key(char *text, size_t size, char kind, const void *address);

/* Wakes who waits for the row. Any thread, as the next two. */
void instance_wake_row(struct instance *i, const struct table *t, struct slice key);
/* Wakes who waits until tables of this worker's are fresh. */
void instance_wake_fresh(struct worker *w);
/* The producer's callback: the record of this ticket is written, or it is not (offset -1). */
void instance_published(void *instance, void *ticket, int64_t offset);
