/* A running service, from the inside. service.h has what routes see. */
#pragma once

#include "base/metrics.h"
#include "base/status.h"
#include "delivery/delivery.h"
#include "kafka/producer.h"
#include "service/service.h"
#include "service/settings.h"
#include "service/telling.h"
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
    struct traced *traced;  /* what waits for the end of the transaction; NULL: nothing is traced */
    struct status status;   /* before there is a stream or deliverer */
    struct telling telling; /* main thread only */
    int64_t letters_since;  /* bad records that were told of in this second; its own thread only */
    int letters;
    counter fencings;      /* of the processes before, too */
    counter store_repairs; /* what was damaged when the store was opened, and made anew */
    int exit_code;         /* set before the thread ends */
    struct err err;
};

struct instance {
    const struct service *service;
    struct settings settings;
    struct registry *registry;
    struct schemas *schemas;
    struct http_server *http;
    const char *hosts[3];      /* its names */
    struct producer *producer; /* NULL: requests write nothing */
    struct telling publishing; /* of the producer; main thread only */
    struct tracer *tracer;     /* NULL: none, and nothing is traced */
    struct worker *workers;
    size_t worker_count, topic_count;
    atomic_bool stopping, publishes_registered;
    pthread_t background;
    bool background_running;         /* the thread was made and not joined */
    int wake_fd;                     /* an eventfd: a worker has ended */
    struct feeds *feeds;             /* NULL: none are served */
    struct assignments *assignments; /* NULL: no view is served */
};

struct feeds;

/* What the streams of events share: the changes of the tables, and a reader of the log on a thread that
 * starts when it is needed first. */
struct feeds *feeds_create(struct instance *i);
/* Takes NULL. No exchange is under way any more. */
void feeds_destroy(struct feeds *f);
void feeds_metrics(struct feeds *f, struct metrics *m); /* HTTP thread */
/* A table's row has changed; on its stream's thread. */
void feeds_note(struct feeds *f, const struct table *t, struct slice key, int32_t partition, int64_t offset);
/* What the table has is not true any more: streams of it begin anew. */
void feeds_reset(struct feeds *f, const struct table *t);

/* The stream that has the table's rows; NULL until it is open. */
struct stream *instance_stream(struct instance *i, const struct table *t);

/* Routes /livez, /readyz, /progress and /metrics. */
extern const struct http_route health_routes[];
/* Route /digest/{topic}. */
extern const struct http_route digest_routes[];

enum http_result metrics_answer(struct http_exchange *x, void *instance);

/* Asks /readyz of the process that runs with the same settings, and prints the answer. Returns an exit code:
 * 0 is ready. */
int health_ask(void);

bool worker_ready(struct worker *w);
/* What a worker is doing, for people. True: it waits for what should be there. */
bool worker_status(struct worker *w, char *text, size_t size);

/* What instance_fresh() said to this exchange does not hold any more. HTTP thread. */
void instance_not_fresh(struct instance *i, struct http_exchange *x, const struct table *t);

/* Whether something hinders what requests write, and then what. Any thread. */
bool instance_hindered(struct instance *i, char *text, size_t size);

/* What exchanges watch that wait for something with an address. */
struct slice instance_address_key(char *text, size_t size, char kind, const void *address);

/* Callbacks of streams and of the producer: they wake whoever waits. */
void instance_row_changed(void *worker, const struct table *t, struct slice key, int32_t partition,
                          int64_t offset);
void instance_table_reread(void *worker, const struct table *t);
void instance_refreshed(void *worker);
void instance_moved(void *worker);
void instance_advanced(void *worker);
struct stream *instance_owner(void *worker, const struct table *t);
void instance_published(void *instance, void *ticket, int64_t offset);
