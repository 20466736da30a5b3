/* An HTTP/1.1 server for one process on loopback behind a gateway: routes as data, and requests that wait
 * without a thread each. One thread runs every handler; it sleeps while nothing happens.
 *
 * What the server itself answers, as problem+json: 400 (ambiguous or invalid framing, path, JSON), 404, 405,
 * 413 (body over 64 KiB), 415 (POST, PUT, PATCH and DELETE must be application/json, as it is), 421 (for
 * another host), 500, 503 and 504. What cannot be parsed as a request at all is answered by the library
 * beneath, in HTML, and its connection closed.
 *
 * A client that closes its connection, or its half of it, is gone: a request of its that waits, and a stream,
 * end within a second. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/metrics.h"
#include "http/exchange.h"

#include <stdint.h>

/* Answers an exchange, or lets it wait; runs on the server's thread, so it must not block. */
typedef enum http_result (*http_handler)(struct http_exchange *x, void *context);

/* `path` has parameters as whole segments: "/v1/orders/{id}/validated". The first match wins, and GET serves
 * HEAD too. Arrays of routes end with {0} and must outlive the server. */
struct http_route {
    const char *method, *path;
    http_handler handle;
};

/* An answer that is on its way. */
struct http_answered {
    const char *method, *route; /* as declared; "other": there is none */
    unsigned status;
    int64_t duration_us; /* from the headers on */
    struct http_exchange *exchange;
};

/* What http_server_create() is told; it is copied, what it points to is not. */
struct http_config {
    const char *address; /* numeric; NULL: 127.0.0.1 */
    uint16_t port;       /* 0: one that is free */
    const char *path;    /* of a socket in the file system to listen on instead, for its owner and its
                            directory's group; it replaces one that was left there. NULL: none */
    /* The names that clients may have for this server beside those of loopback and the address at which they
     * reach it; up to NULL, and living as long as it does. Another one is somebody else's that was made to
     * point here (DNS rebinding). NULL: none. */
    const char *const *hosts;
    unsigned max_connections; /* 0: 5120; more than that wait in the listen queue */
    unsigned max_waiting;     /* 0: 2048; requests that wait at a time, 503 beyond */
    unsigned max_streams;     /* 0: 2048; of events (events.h) at a time, 503 beyond */
    unsigned beat_ms;         /* 0: 15000; a stream is not silent for longer */
    unsigned idle_timeout_s;  /* 0: 10; for a connection on which nothing arrives, waiting requests apart */
    void (*answered)(void *context, const struct http_answered *a); /* NULL: nobody cares. HTTP thread */
    void *context;
};

struct http_server;

/* A server without routes that does not listen yet. The caller destroys it. */
struct http_server *http_server_create(const struct http_config *config);

/* Adds routes, whose handlers get `context`. Before http_server_start() only. */
void http_server_mount(struct http_server *s, const struct http_route *routes, void *context);

/* Listens and serves, in a thread of its own with all signals blocked. ERR_CONFIG when the address is taken
 * or wrong. */
WARN_UNUSED bool http_server_start(struct http_server *s, struct err *err);

/* The port it listens on; 0: a path. After http_server_start(). */
uint16_t http_server_port(const struct http_server *s);

/* Answers all that wait with 503, ends the streams, gives the answers up to 2 s to leave, and stops
 * listening. Blocks until no handler runs any more. Not from a handler; the second call does nothing. */
void http_server_stop(struct http_server *s);

/* Stops if need be. NULL is fine. */
void http_server_destroy(struct http_server *s);

/* Every exchange that watches `key` (http_watch) runs its handler again. From any thread, before start and
 * after stop too; a short lock and one lookup when nobody watches. */
void http_wake(struct http_server *s, struct slice key);

/* What was served, by method, route (as it is declared) and status; how long it took; what waits and what
 * streams now. Any thread. */
void http_metrics(struct http_server *s, struct metrics *m);
