#include "http/events.h"
#include "http/internal.h"

#include "base/clock.h"

#include <assert.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    STUCK_S = 60,
    HTTP_1_0_BLOCK = 1024,     /* chunks are as large as a connection's memory */
    SOCKET_BUFFER = 64 * 1024, /* else the kernel keeps megabytes for a client that does not read */
    KEPT = 4 * 1024,           /* of a buffer, while its stream sleeps */
};

static void put_off_beat(struct http_exchange *x) {
    x->beat_us = clock_mono_us() + x->server->config.beat_ms * (int64_t)1000;
}

enum refill { REFILL_READY, REFILL_SLEEPS, REFILL_OVER };

/* Runs the handler while there is nothing to send. */
static enum refill refill(struct http_exchange *x) {
    while (x->sent == x->events.size) {
        if (x->events.capacity > KEPT)
            buf_free(&x->events);
        buf_clear(&x->events);
        x->sent = 0;
        if (x->ended || x->gone)
            return REFILL_OVER;
        if (x->pause_us != 0 && exchange_sleep(x))
            return REFILL_SLEEPS;
        if (!exchange_run(x))
            return REFILL_OVER;
        x->ended = x->route->spec->handle(x, x->route->context) == HTTP_DONE;
        arena_free(&x->run);
        if (x->events.size == 0 && x->beat)
            buf_append_slice(&x->events, SLICE(":\n"));
        if (x->events.size > 0)
            put_off_beat(x);
        else if (!x->ended && x->pause_us == 0 && exchange_sleep(x))
            return REFILL_SLEEPS;
    }
    return REFILL_READY;
}

/* The connection can take up to `max` bytes. */
static ssize_t on_room(void *context, uint64_t position, char *to, size_t max) {
    struct http_exchange *x = context;
    (void)position;
    enum refill r = refill(x);
    if (r != REFILL_READY)
        return r == REFILL_SLEEPS ? 0 : MHD_CONTENT_READER_END_OF_STREAM;
    size_t n = x->events.size - x->sent;
    n = n < max ? n : max;
    memcpy(to, x->events.data + x->sent, n);
    x->sent += n;
    return (ssize_t)n;
}

static bool admit(struct http_exchange *x) {
    struct waiting *w = &x->server->waiting;
    pthread_mutex_lock(&w->lock);
    bool room = w->streams < x->server->config.max_streams;
    w->streams += room;
    w->waiting -= x->waits;
    x->waits = false;
    pthread_mutex_unlock(&w->lock);
    return room;
}

struct buf *http_events(struct http_exchange *x) {
    if (x->streams)
        return &x->events;
    assert(x->response == NULL);
    if (!admit(x)) {
        http_reply_problem(x, 503, NULL, "there are %u streams of events; no more at the moment",
                           x->server->config.max_streams);
        return NULL;
    }
    x->streams = true;
    put_off_beat(x);
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, HTTP_1_0_BLOCK, on_room, x, NULL);
    if (r == NULL)
        abort(); /* out of memory */
    reply_begin(x, 200, "text/event-stream", r);
    MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)STUCK_S);
    int size = SOCKET_BUFFER;
    setsockopt(x->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return &x->events;
}

void http_events_pause(struct http_exchange *x, int64_t ms) {
    x->pause_us = clock_mono_us() + ms * 1000;
}

bool http_events_beat(const struct http_exchange *x) {
    return x->beat;
}
