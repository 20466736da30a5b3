#include "http/internal.h"

static const double bounds_s[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};

enum { BOUNDS = sizeof bounds_s / sizeof bounds_s[0], STATUS_MIN = 100, STATUS_MAX = 599 };

/* Counters that one thread adds to and any thread reads: nothing is ordered by them. */
struct route_metrics {
    _Atomic uint64_t by_status[STATUS_MAX - STATUS_MIN + 1];
    _Atomic uint64_t by_duration[BOUNDS + 1]; /* not cumulative */
    _Atomic uint64_t sum_us;
};

static void add(_Atomic uint64_t *counter, uint64_t n) {
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t load(_Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

struct route_metrics *route_metrics_create(void) {
    return xcalloc(1, sizeof(struct route_metrics));
}

void route_metrics_add(struct route_metrics *m, unsigned status, int64_t duration_us) {
    size_t bucket = 0;
    while (bucket < BOUNDS && (double)duration_us > bounds_s[bucket] * 1e6)
        bucket++;
    if (status >= STATUS_MIN && status <= STATUS_MAX)
        add(&m->by_status[status - STATUS_MIN], 1);
    add(&m->by_duration[bucket], 1);
    add(&m->sum_us, (uint64_t)duration_us);
}

static void print_requests(struct route_metrics *m, const char *path, const char *method, struct buf *out) {
    for (unsigned i = 0; i <= STATUS_MAX - STATUS_MIN; i++) {
        uint64_t n = load(&m->by_status[i]);
        if (n > 0)
            buf_printf(out, "http_requests_total{route=\"%s\",method=\"%s\",status=\"%u\"} %llu\n", path,
                       method, i + STATUS_MIN, (unsigned long long)n);
    }
}

static void print_durations(struct route_metrics *m, const char *path, const char *method, struct buf *out) {
    uint64_t count = 0;
    for (size_t i = 0; i <= BOUNDS; i++) {
        count += load(&m->by_duration[i]);
        buf_printf(out, "http_request_duration_seconds_bucket{route=\"%s\",method=\"%s\",le=\"", path,
                   method);
        if (i < BOUNDS)
            buf_printf(out, "%g\"} %llu\n", bounds_s[i], (unsigned long long)count);
        else
            buf_printf(out, "+Inf\"} %llu\n", (unsigned long long)count);
    }
    buf_printf(out, "http_request_duration_seconds_sum{route=\"%s\",method=\"%s\"} %.6f\n", path, method,
               (double)load(&m->sum_us) / 1e6);
    buf_printf(out, "http_request_duration_seconds_count{route=\"%s\",method=\"%s\"} %llu\n", path, method,
               (unsigned long long)count);
}

static void print_routes(struct http_server *s, struct buf *out,
                         void (*print)(struct route_metrics *, const char *, const char *, struct buf *)) {
    for (size_t i = 0; i < s->route_count; i++)
        print(s->routes[i].metrics, s->routes[i].spec->path, s->routes[i].spec->method, out);
    print(s->unmatched, "other", "other", out); /* what clients invent makes no series of its own */
}

void http_metrics(struct http_server *s, struct buf *out) {
    buf_append_slice(out, SLICE("# HELP http_requests_total Requests answered.\n"
                                "# TYPE http_requests_total counter\n"));
    print_routes(s, out, print_requests);
    buf_append_slice(out,
                     SLICE("# HELP http_request_duration_seconds From a request's headers to its answer, "
                           "waiting included.\n"
                           "# TYPE http_request_duration_seconds histogram\n"));
    print_routes(s, out, print_durations);
    pthread_mutex_lock(&s->waiting.lock);
    unsigned suspended = s->waiting.suspended, streams = s->waiting.streams;
    pthread_mutex_unlock(&s->waiting.lock);
    buf_printf(out, "# HELP http_requests_waiting Requests that wait for an event or their deadline.\n"
                    "# TYPE http_requests_waiting gauge\n");
    buf_printf(out, "http_requests_waiting %u\n", suspended);
    buf_printf(out, "# HELP http_streams Streams of events that are open.\n# TYPE http_streams gauge\n");
    buf_printf(out, "http_streams %u\n", streams);
}
