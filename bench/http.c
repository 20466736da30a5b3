/* http: how many requests a second an address answers, each connection with one under way at any time.
 *
 *   http get URL [--count N]      GET of one of the orders fill-0 to fill-(N-1) (1000000) of fill.c
 *   http post URL                 POST of a new order, until its 201
 *   http polls URL [--count N]    opens N long polls (10000) for orders that do not exist, says {"open": …}
 * once each is held or refused, and holds them until its standard input ends
 *     --connections N   (64)
 *     --seconds S       (5), after one that does not count
 *
 * URL: http://host:port, on this machine. Prints one JSON object. Exit codes: 0; 1 nobody is there; 2 usage.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "options.h"
#include "requests.h"
#include "samples.h"
#include "shop.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WARM_S = 1, POLL_MS = 60000, SETTLE_S = 15, REFUSED_MAX = 3 };

struct load {
    double count, connections, seconds;
    bool post;
    char run[UUID_SIZE];
    struct requests *requests;
    struct samples us;
    size_t sent, under_way, failed;
    int last_status; /* of a failure */
    int64_t counts_from_us;
};

static void on_answer(void *context, int status, int64_t sent_us) {
    struct load *l = context;
    l->under_way--;
    if (sent_us < l->counts_from_us)
        return;
    if (status == (l->post ? 201 : 200))
        samples_add(&l->us, clock_mono_us() - sent_us);
    else
        l->failed++, l->last_status = status;
}

static bool send_one(struct load *l, struct arena *a, struct buf *json) {
    size_t n = l->sent;
    int64_t now = clock_mono_us();
    if (!l->post) { /* spread over all */
        struct slice path = arena_printf(a, "/v1/orders/fill-%" PRIu64 "%c",
                                         (uint64_t)n * UINT64_C(2654435761) % (uint64_t)l->count, 0);
        return requests_send(l->requests, path.data, SLICE_NONE, now);
    }
    struct order_request r = shop_order(n, a);
    r.id = arena_printf(a, "http-%.*s-%zu", UUID_SIZE, l->run, n);
    buf_clear(json);
    event_json(&order_request_type, &r, json);
    return requests_send(l->requests, "/v1/orders", buf_slice(json), now);
}

static void run(struct load *l) {
    _cleanup_(arena_free) struct arena a = {0};
    _cleanup_(buf_free) struct buf json = {0};
    uuid_make(l->run, clock_wall_ms());
    l->counts_from_us = clock_mono_us() + WARM_S * INT64_C(1000000);
    int64_t end = l->counts_from_us + (int64_t)(l->seconds * 1e6);
    while (clock_mono_us() < end) {
        /* as many at most as there are connections: one that is refused has ended already */
        for (size_t k = 0; k < (size_t)l->connections && l->under_way < (size_t)l->connections; k++) {
            l->under_way++;
            if (!send_one(l, &a, &json))
                l->under_way--; /* a connection whose answer is being taken */
            l->sent++;
            arena_reset(&a);
        }
        requests_wait(l->requests, 100);
    }
}

static void report(struct load *l) {
    _cleanup_(buf_free) struct buf out = {0};
    struct json j = {.out = &out};
    json_begin_object(&j);
    json_key(&j, "perSecond"), json_put_double(&j, (double)l->us.count / l->seconds);
    json_key(&j, "failed"), json_put_int(&j, (int64_t)l->failed);
    json_key(&j, "lastStatus"), json_put_int(&j, l->last_status);
    json_key(&j, "ms"), samples_json(&l->us, &j);
    json_end_object(&j);
    printf(SLICE_FMT "\n", SLICE_ARG(buf_slice(&out)));
}

/* A connection with such a request; -1: nobody takes it. */
static int open_poll(const struct sockaddr_in *to, size_t n) {
    static const struct timeval patience = {.tv_sec = 1};
    char request[128];
    int size = snprintf(request, sizeof request,
                        "GET /v1/orders/none-%zu/validated?timeout=%d HTTP/1.1\r\nHost: localhost\r\n\r\n", n,
                        POLL_MS);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)to, sizeof *to) == 0 && write(fd, request, (size_t)size) == size)
        return fd;
    close(fd);
    return -1;
}

/* What is not answered once it has had the time to be is held: who has been refused lingers for ten seconds
 * (shared/http, IDLE_TIMEOUT_S), and until then others may wait to be let in. */
static void polls(const char *url, size_t count) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct pollfd *all = xcalloc(count, sizeof *all);
    size_t n = 0, held = 0;
    for (int refused = 0; n < count && refused < REFUSED_MAX;) {
        int fd = open_poll(&to, n);
        if (fd >= 0)
            all[n++] = (struct pollfd){.fd = fd, .events = POLLIN}, refused = 0;
        else
            refused++;
    }
    nanosleep(&(struct timespec){.tv_sec = SETTLE_S}, NULL);
    poll(all, n, 0);
    for (size_t i = 0; i < n; i++)
        held += all[i].revents == 0;
    printf("{\"open\":%zu}\n", held);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    for (size_t i = 0; i < n; i++)
        close(all[i].fd);
    free(all);
}

int main(int argc, char **argv) {
    struct load l = {.count = 0, .connections = 64, .seconds = 5};
    struct err err = {0};
    const struct option_spec options[] = {
        {.name = "count", .min = 1, .max = 100000000, .number = &l.count},
        {.name = "connections", .min = 1, .max = 4096, .number = &l.connections},
        {.name = "seconds", .min = 1, .max = 3600, .number = &l.seconds},
        {0}};
    const char *what = argc < 3 ? "" : argv[1];
    bool held = strcmp(what, "polls") == 0;
    l.post = strcmp(what, "post") == 0;
    if ((!held && !l.post && strcmp(what, "get") != 0) || !options_parse(argc - 2, argv + 2, options) ||
        !url_is_loopback(argv[2])) {
        fprintf(
            stderr,
            "usage: http get|post|polls http://127.0.0.1:PORT [--count N] [--connections N] [--seconds S]\n");
        return 2;
    }
    if (l.count == 0)
        l.count = held ? 10000 : 1000000;
    if (held) {
        polls(argv[2], (size_t)l.count);
        return 0;
    }
    bool ok = requests_create(argv[2], (size_t)l.connections, on_answer, &l, &l.requests, &err);
    if (!ok)
        fprintf(stderr, "http: %s\n", err.text);
    else
        run(&l), report(&l);
    requests_destroy(l.requests);
    samples_free(&l.us);
    return ok ? 0 : 1;
}
