/* What the files of this layer share; no other layer includes it. */
#pragma once

#include "http/events.h"
#include "http/server.h"

#include <pthread.h>
#include <stdatomic.h>

struct pollfd;

struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;
struct json_t;

enum {
    BODY_MAX = 64 * 1024,
    BODY_DRAIN_MAX = 1024 * 1024, /* read and thrown away, so that the client gets to read the refusal */
    SEGMENTS_MAX = 16,            /* of a path */
    WATCH_BUCKETS = 4096,
};

/* --- router.c: paths --- */

struct path {
    struct slice segments[SEGMENTS_MAX];
    size_t count;
};

struct mounted_route {
    const struct http_route *spec;
    void *context;
    struct path pattern;
    struct route_metrics *metrics;
};

/* Splits at '/'. Nothing is copied or decoded. False: no path, or too many segments. */
bool path_split(struct slice text, struct path *path);
/* Percent-decodes `s`, into `arena` where there is something to decode. False: NUL or not UTF-8. */
/* What is no id although it matches the pattern: answers 400 on false. */
WARN_UNUSED bool id_is_no_secret(struct http_exchange *x, const char *name, struct slice id);

bool percent_decode(struct arena *arena, struct slice s, struct slice *decoded);
/* The first route that serves it. None: NULL, with the methods that the path knows in `allow`. */
const struct mounted_route *route_find(const struct http_server *s, const char *method,
                                       const struct path *path, struct buf *allow);
/* The value of {name}, data == NULL when the route has no such parameter. */
struct slice route_param(const struct mounted_route *route, const struct path *path, const char *name);

/* --- request.c --- */

/* Refuses what two readers could understand differently, where the request's body ends first of all; then
 * what has no route or no business here. On false the exchange is answered. */
WARN_UNUSED bool request_admit(struct http_exchange *x, const char *url, const char *method,
                               const char *version);

/* --- body.c --- */

/* Bodies can hold secrets: what a body was in is wiped when it is given back, also by the JSON library.
 * Before anything uses that. */
void body_init(void);
void body_append(struct buf *body, struct slice piece);
/* Parses the body into x->json. On false the exchange is answered. */
WARN_UNUSED bool body_parse(struct http_exchange *x);
void body_free(struct json_t *json);

/* --- reply.c --- */

/* Makes `r`, with the headers that all answers have, the answer. */
void reply_begin(struct http_exchange *x, unsigned status, const char *content_type, struct MHD_Response *r);
/* Answers and closes the connection afterwards: what follows on it cannot be trusted. */
bool reply_and_close(struct http_exchange *x, unsigned status, const char *detail);

/* --- wait.c: exchanges that wait --- */

/* Exchanges by the time at which they wake. A list for each kind of time, so that a new one is mostly the
 * last. The server's thread only. */
struct timers {
    struct http_exchange *first, *last;
};
enum timer { TIMER_DEADLINE, TIMER_BEAT, TIMER_PAUSE };
enum { TIMERS = 3 };

struct waiting {
    struct timers timers[TIMERS];
    int64_t look_us;       /* when to look who has gone; 0: nobody sleeps */
    struct pollfd *looked; /* memory for that, … */
    struct http_exchange **sleepers;
    size_t capacity;   /* … for so many */
    int wake_fd;       /* the server's thread has something to do: … */
    atomic_bool wakes; /* … it was told so */

    pthread_mutex_t lock; /* of all below */
    bool stopping;
    unsigned running;   /* exchanges between their first run and their end */
    unsigned suspended; /* of these, the ones that sleep */
    unsigned waiting;   /* of these, the ones that have slept and are no stream */
    unsigned streams;   /* of these, the ones whose answer goes on */
    struct watch *buckets[WATCH_BUCKETS];
};

void waiting_init(struct waiting *w);
void waiting_finish(struct waiting *w);
/* Wakes whose time has come, and ends whose client has gone. Returns the ms until it is to be called again;
 * -1: no need. The server's thread. */
int waiting_tend(struct waiting *w);
/* Lets the server's thread look what was resumed. Any thread. */
void waiting_wake(struct waiting *w);
/* Wakes everything, and lets nothing sleep any more. */
void waiting_drain(struct waiting *w);
/* Whether all that began to run has ended. */
bool waiting_idle(struct waiting *w);
/* Before each run of the handler. False: the server stops, answer 503. */
bool exchange_run(struct http_exchange *x);
/* Counts it as one that waits. False: there are too many. */
bool exchange_may_wait(struct http_exchange *x);
/* After HTTP_WAIT, or for the pause of a stream. False: something has happened meanwhile, run again. */
bool exchange_sleep(struct http_exchange *x);
/* Forgets watches and deadline. */
void exchange_end(struct http_exchange *x);

/* --- metrics.c --- */

struct route_metrics *route_metrics_create(void);
void route_metrics_add(struct route_metrics *m, unsigned status, int64_t duration_us);

struct http_server {
    struct http_config config;
    char *address;
    struct mounted_route *routes;
    size_t route_count;
    struct route_metrics *unmatched;
    struct MHD_Daemon *daemon;
    int socket;
    uint16_t port;
    pthread_t thread;
    bool running;
    atomic_bool stopping;
    struct waiting waiting;
};

struct state {
    struct state *next;
    const void *owner;
    void (*finish)(void *);
    _Alignas(max_align_t) char data[];
};

struct reply_header {
    struct reply_header *next;
    const char *name;
    struct slice value;
};

struct http_exchange {
    struct http_server *server;
    struct MHD_Connection *connection;
    const struct mounted_route *route; /* NULL: none */
    struct path path;
    struct slice target; /* path and query as they came */
    int fd;
    bool begun, gone; /* its headers are there; its client has closed the connection */
    struct arena arena;
    struct state *states;
    int64_t started_us, first_run_us;

    struct buf body;
    size_t received; /* bytes of the body so far */
    bool wants_body, parsed;
    struct json_t *json;

    struct reply_header *headers;
    struct MHD_Response *response; /* set once */
    unsigned status;
    bool close;

    int64_t deadline_us; /* 0: none yet */
    bool timed_out;      /* when the present run began */

    bool streams;      /* the answer is a stream of events */
    struct arena run;  /* of one run of its handler */
    struct buf events; /* what the handler appended, of which so much was sent */
    size_t sent;
    bool ended, beat;          /* after what is there; this run is for want of events */
    int64_t beat_us, pause_us; /* when it is due; no run before (0: none) */

    struct timers *timers; /* that it is in, or NULL */
    int64_t wake_us;
    struct http_exchange *earlier, *later;
    struct watch *watches;

    /* Under the lock of struct waiting. */
    bool ran, woken, suspended, pausing, waits;
};
