#include "base/metrics.h"
#include "http/internal.h"

#include <stdio.h>

enum { STATUS_MIN = 100, STATUS_MAX = 599 };

struct route_metrics { /* the server's thread adds */
    counter by_status[STATUS_MAX - STATUS_MIN + 1];
    struct histogram us;
};

struct route_metrics *route_metrics_create(void) {
    return xcalloc(1, sizeof(struct route_metrics));
}

void route_metrics_add(struct route_metrics *m, unsigned status, int64_t duration_us) {
    if (status >= STATUS_MIN && status <= STATUS_MAX)
        counter_add(&m->by_status[status - STATUS_MIN], 1);
    histogram_observe(&m->us, &buckets_us, duration_us);
}

static void show_route(const struct route_metrics *r, const char *method, const char *path,
                       struct metrics *m) {
    static const struct metric requests = {"insideout_http_requests_total", METRIC_COUNTER,
                                           "Requests answered."};
    static const struct metric duration = {"insideout_http_request_duration_seconds", METRIC_HISTOGRAM,
                                           "From a request's headers to its answer, waiting included."};
    for (unsigned i = 0; i <= STATUS_MAX - STATUS_MIN; i++) {
        uint64_t n = counter_get(&r->by_status[i]);
        char status[12];
        if (n == 0)
            continue;
        snprintf(status, sizeof status, "%u", i + STATUS_MIN);
        metrics_add(m, &requests, (double)n, "method", method, "route", path, "status", status, NULL);
    }
    metrics_add_histogram(m, &duration, &r->us, &buckets_us, "method", method, "route", path, NULL);
}

void http_metrics(struct http_server *s, struct metrics *m) {
    static const struct metric waiting = {"insideout_http_requests_waiting", METRIC_GAUGE,
                                          "Requests that wait for an event or their deadline."};
    static const struct metric streams = {"insideout_http_streams", METRIC_GAUGE,
                                          "Streams of events that are open."};
    for (size_t i = 0; i < s->route_count; i++)
        show_route(s->routes[i].metrics, s->routes[i].spec->method, s->routes[i].spec->path, m);
    show_route(s->unmatched, "other", "other", m); /* what clients invent makes no series of its own */
    pthread_mutex_lock(&s->waiting.lock);
    unsigned suspended = s->waiting.suspended, open = s->waiting.streams;
    pthread_mutex_unlock(&s->waiting.lock);
    metrics_add(m, &waiting, suspended, NULL);
    metrics_add(m, &streams, open, NULL);
}
