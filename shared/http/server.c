#include "http/server.h"
#include "http/internal.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 5120, /* more than wait and stream, so that somebody always answers */
    WAITING_MAX = 2048,
    STREAMS_MAX = 2048,
    BEAT_MS = 15 * 1000,
    CONNECTION_MEMORY = 32 * 1024, /* bounds the header section too */
    IDLE_TIMEOUT_S = 10,
    DRAIN_MS = 2000,
    DRAIN_STEP_MS = 20,
};

/* With the request line: only now there is the target as it came. */
static void *exchange_create(void *context, const char *target, struct MHD_Connection *connection) {
    struct http_exchange *x = xcalloc(1, sizeof *x);
    x->server = context;
    x->connection = connection;
    x->target = arena_copy(&x->arena, slice_of(target));
    x->started_us = clock_mono_us();
    x->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
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
        if (x->gone)
            return MHD_NO;
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
        else if (!exchange_may_wait(x))
            http_reply_problem(x, 503, NULL, "%u requests wait already; no more at the moment",
                               x->server->config.max_waiting);
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
    (void)context, (void)connection;
    if (!x->begun) {
        x->begun = true;
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
    if (s->config.max_waiting == 0)
        s->config.max_waiting = WAITING_MAX;
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

static bool listen_at_path(struct http_server *s, const char *path, struct err *err) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path)
        return err_set(err, ERR_CONFIG, "%s: a socket's path has at most %zu bytes", path,
                       sizeof a.sun_path - 1);
    memcpy(a.sun_path, path, strlen(path));
    unlink(path);
    s->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return (s->socket >= 0 && bind(s->socket, (struct sockaddr *)&a, sizeof a) == 0 &&
            chmod(path, 0660) == 0 && listen(s->socket, 1024) == 0) ||
           err_set(err, ERR_CONFIG, "cannot listen at %s: %s", path, strerror(errno));
}

static bool listen_on(struct http_server *s, struct err *err) {
    if (s->config.path != NULL)
        return listen_at_path(s, s->config.path, err);
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

/* Without a thread of its own: there the library waits for the second 128 events of a round until the next
 * time-out, while the first 128 are not looked at. */
static struct MHD_Daemon *start_daemon(struct http_server *s) {
    unsigned connections = s->config.max_connections > 0 ? s->config.max_connections : CONNECTIONS_MAX;
    unsigned timeout = s->config.idle_timeout_s > 0 ? s->config.idle_timeout_s : IDLE_TIMEOUT_S;
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
                            MHD_OPTION_LISTEN_SOCKET, s->socket, MHD_OPTION_URI_LOG_CALLBACK, exchange_create,
                            s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_UNESCAPE_CALLBACK,
                            no_unescape, NULL, MHD_OPTION_CONNECTION_LIMIT, connections,
                            MHD_OPTION_CONNECTION_TIMEOUT, timeout, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
}

/* The ms until the server has something to do, whatever comes; -1: nothing. */
static int time_left(struct http_server *s, int tend_ms) {
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(s->daemon, &ms) != MHD_YES)
        return tend_ms;
    return tend_ms >= 0 && (unsigned long long)tend_ms < ms ? tend_ms : ms > INT_MAX ? INT_MAX : (int)ms;
}

static void *serve(void *context) {
    struct http_server *s = context;
    int epoll_fd = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    int64_t until_us = 0; /* it stops then */
    prctl(PR_SET_NAME, "http");
    while (until_us == 0 || (!waiting_idle(&s->waiting) && clock_mono_us() < until_us)) {
        int tend_ms = waiting_tend(&s->waiting);
        struct pollfd fds[] = {{.fd = epoll_fd, .events = POLLIN},
                               {.fd = s->waiting.wake_fd, .events = POLLIN}};
        poll(fds, 2, time_left(s, until_us == 0 ? tend_ms : DRAIN_STEP_MS));
        if (fds[1].revents != 0) {
            eventfd_t wakes;
            eventfd_read(s->waiting.wake_fd, &wakes);
            atomic_store(&s->waiting.wakes, false); /* before the library looks */
        }
        if (until_us == 0 && atomic_load(&s->stopping)) {
            until_us = clock_mono_us() + DRAIN_MS * 1000;
            MHD_quiesce_daemon(s->daemon);
            waiting_drain(&s->waiting);
        }
        MHD_run(s->daemon);
    }
    return NULL;
}

static bool start_thread(struct http_server *s, struct err *err) {
    sigset_t all, before;
    sigfillset(&all);
    if ((s->daemon = start_daemon(s)) == NULL)
        return err_set(err, ERR_FATAL, "cannot start the HTTP server: %s", strerror(errno));
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int e = pthread_create(&s->thread, NULL, serve, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->running = e == 0;
    return s->running || err_set(err, ERR_FATAL, "cannot start a thread: %s", strerror(e));
}

bool http_server_start(struct http_server *s, struct err *err) {
    bool ok = listen_on(s, err) && start_thread(s, err);
    if (!ok)
        http_server_stop(s);
    return ok;
}

uint16_t http_server_port(const struct http_server *s) {
    return s->port;
}

void http_server_stop(struct http_server *s) {
    if (s->running) {
        atomic_store(&s->stopping, true);
        waiting_wake(&s->waiting);
        pthread_join(s->thread, NULL);
        s->running = false;
    }
    if (s->daemon != NULL)
        MHD_stop_daemon(s->daemon);
    s->daemon = NULL;
    if (s->socket >= 0)
        close(s->socket);
    if (s->socket >= 0 && s->config.path != NULL)
        unlink(s->config.path);
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
