#include "http/server.h"
#include "http/internal.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 4096,
    STREAMS_MAX = 2048,
    BEAT_MS = 15 * 1000,
    CONNECTION_MEMORY = 32 * 1024, /* bounds the header section too */
    IDLE_TIMEOUT_S = 10,
    DRAIN_MS = 2000,
};

static struct http_exchange *exchange_create(struct http_server *s, struct MHD_Connection *connection) {
    struct http_exchange *x = xcalloc(1, sizeof *x);
    x->server = s;
    x->connection = connection;
    x->started_us = clock_mono_us();
    return x;
}

static void exchange_destroy(struct http_exchange *x) {
    exchange_end(x);
    while (x->states != NULL) {
        struct state *next = x->states->next;
        if (x->states->finish != NULL)
            x->states->finish(x->states->data);
        free(x->states);
        x->states = next;
    }
    if (x->response != NULL)
        MHD_destroy_response(x->response);
    body_free(x->json);
    buf_wipe(&x->body);
    buf_free(&x->events);
    arena_free(&x->run);
    arena_free(&x->arena);
    free(x);
}

static enum MHD_Result send_reply(struct http_exchange *x) {
    struct route_metrics *m = x->route != NULL ? x->route->metrics : x->server->unmatched;
    const struct http_config *config = &x->server->config;
    int64_t duration_us = clock_mono_us() - x->started_us;
    route_metrics_add(m, x->status, duration_us);
    if (config->answered != NULL)
        config->answered(config->context, &(struct http_answered){
                                              .method = x->route != NULL ? x->route->spec->method : "other",
                                              .route = x->route != NULL ? x->route->spec->path : "other",
                                              .status = x->status,
                                              .duration_us = duration_us,
                                              .exchange = x});
    return MHD_queue_response(x->connection, x->status, x->response);
}

/* A piece of the body. */
static enum MHD_Result receive(struct http_exchange *x, struct slice piece) {
    x->received += piece.size;
    if (x->received > BODY_DRAIN_MAX)
        return MHD_NO;
    if (x->response != NULL || !x->wants_body)
        return MHD_YES;
    if (x->received > BODY_MAX) {
        buf_wipe(&x->body);
        http_reply_problem(x, 413, NULL, "the body may have up to %d bytes", BODY_MAX);
    } else {
        body_append(&x->body, piece);
    }
    return MHD_YES;
}

/* Runs the handler until there is an answer, or until the exchange sleeps. */
static enum MHD_Result run(struct http_exchange *x) {
    while (x->response == NULL) {
        if (!exchange_run(x)) {
            x->close = true;
            http_reply_problem(x, 503, NULL, "the service is stopping");
            break;
        }
        enum http_result result = x->route->spec->handle(x, x->route->context);
        x->ended = x->streams && result == HTTP_DONE;
        arena_free(&x->run);
        if (x->response != NULL)
            break;
        if (result == HTTP_DONE)
            http_reply_problem(x, 500, NULL, "the handler of this route gave no answer");
        else if (x->timed_out)
            http_reply_problem(x, 504, NULL, "no answer in time");
        else if (exchange_sleep(x))
            return MHD_YES;
    }
    return send_reply(x);
}

/* Called with the headers, with each piece of the body, at its end, and after each suspension. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **slot) {
    struct http_exchange *x = *slot;
    if (x == NULL) {
        *slot = x = exchange_create(context, connection);
        x->url = arena_copy(&x->arena, slice_of(url));
        bool refused = !request_admit(x, url, method, version);
        return refused && x->close ? send_reply(x) : MHD_YES;
    }
    if (*upload_size > 0) {
        struct slice piece = {upload, *upload_size};
        *upload_size = 0;
        return receive(x, piece);
    }
    bool refused = x->response != NULL || (!x->parsed && !body_parse(x));
    return refused ? send_reply(x) : run(x);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode why) {
    (void)context, (void)connection, (void)why;
    if (*slot != NULL)
        exchange_destroy(*slot);
    *slot = NULL;
}

/* Paths and queries are decoded by us, where %00 is seen. */
static size_t no_unescape(void *context, struct MHD_Connection *connection, char *text) {
    (void)context, (void)connection;
    return strlen(text);
}

struct http_server *http_server_create(const struct http_config *config) {
    struct http_server *s = xcalloc(1, sizeof *s);
    body_init();
    s->config = *config;
    if (s->config.max_streams == 0)
        s->config.max_streams = STREAMS_MAX;
    if (s->config.beat_ms == 0)
        s->config.beat_ms = BEAT_MS;
    s->address = xstrdup(config->address != NULL ? config->address : "127.0.0.1");
    s->unmatched = route_metrics_create();
    s->socket = -1;
    waiting_init(&s->waiting);
    return s;
}

void http_server_mount(struct http_server *s, const struct http_route *routes, void *context) {
    assert(s->daemon == NULL);
    for (const struct http_route *spec = routes; spec->method != NULL; spec++) {
        struct mounted_route route = {.spec = spec, .context = context, .metrics = route_metrics_create()};
        bool valid = path_split(slice_of(spec->path), &route.pattern);
        assert(valid);
        (void)valid;
        s->routes = xrealloc(s->routes, (s->route_count + 1) * sizeof *s->routes);
        s->routes[s->route_count++] = route;
    }
}

static bool listen_on(struct http_server *s, struct err *err) {
    char port[8];
    snprintf(port, sizeof port, "%u", s->config.port);
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *a;
    int e = getaddrinfo(s->address, port, &hints, &a);
    if (e != 0)
        return err_set(err, ERR_CONFIG, "address %s: %s", s->address, gai_strerror(e));
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
              bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 1024) == 0 &&
              getsockname(fd, (struct sockaddr *)&bound, &size) == 0;
    int why = errno;
    freeaddrinfo(a);
    if (!ok) {
        if (fd >= 0)
            close(fd);
        return err_set(err, ERR_CONFIG, "cannot listen on %s port %s: %s", s->address, port, strerror(why));
    }
    char number[8];
    getnameinfo((struct sockaddr *)&bound, size, NULL, 0, number, sizeof number, NI_NUMERICSERV);
    s->socket = fd;
    s->port = (uint16_t)atoi(number);
    return true;
}

static struct MHD_Daemon *start_daemon(struct http_server *s) {
    unsigned connections = s->config.max_connections > 0 ? s->config.max_connections : CONNECTIONS_MAX;
    unsigned timeout = s->config.idle_timeout_s > 0 ? s->config.idle_timeout_s : IDLE_TIMEOUT_S;
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
                            on_request, s, MHD_OPTION_LISTEN_SOCKET, s->socket, MHD_OPTION_NOTIFY_COMPLETED,
                            on_completed, NULL, MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL,
                            MHD_OPTION_CONNECTION_LIMIT, connections, MHD_OPTION_CONNECTION_TIMEOUT, timeout,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
}

bool http_server_start(struct http_server *s, struct err *err) {
    if (!listen_on(s, err))
        return false;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = waiting_start(&s->waiting, err);
    if (ok && (s->daemon = start_daemon(s)) == NULL)
        ok = err_set(err, ERR_FATAL, "cannot start the HTTP server: %s", strerror(errno));
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!ok)
        http_server_stop(s);
    return ok;
}

uint16_t http_server_port(const struct http_server *s) {
    return s->port;
}

void http_server_stop(struct http_server *s) {
    if (s->daemon != NULL) {
        MHD_quiesce_daemon(s->daemon);
        waiting_drain(&s->waiting, DRAIN_MS);
        MHD_stop_daemon(s->daemon);
        s->daemon = NULL;
    }
    waiting_stop(&s->waiting);
    if (s->socket >= 0)
        close(s->socket);
    s->socket = -1;
}

void http_server_destroy(struct http_server *s) {
    if (s == NULL)
        return;
    http_server_stop(s);
    waiting_finish(&s->waiting);
    for (size_t i = 0; i < s->route_count; i++)
        free(s->routes[i].metrics);
    free(s->routes);
    free(s->unmatched);
    free(s->address);
    free(s);
}
