/* Figures about a process, as Prometheus text (exposition format 0.0.4).
 *
 * Whoever does something counts it in counters and histograms of its own, at the cost of an addition; a
 * scrape collects them all into a struct metrics, which has each family once, however many add to it. */
#pragma once

#include "base/buf.h"

#include <stdatomic.h>

/* ---- Counting: any thread reads, nothing is ordered by it ---- */

/* What only grows. */
typedef _Atomic uint64_t counter;

/* Of one thread: no other adds. */
static inline void counter_add(counter *c, uint64_t n) {
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

/* Of any thread. */
static inline void counter_add_shared(counter *c, uint64_t n) {
    atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

/* Its value now. Any thread. */
static inline uint64_t counter_get(const counter *c) {
    return atomic_load_explicit(c, memory_order_relaxed);
}

/* How many buckets there are at most, the last one apart. */
enum { HISTOGRAM_BOUNDS = 16 };

/* Buckets: upper bounds, ascending, up to 0, of what is observed, which is whole; `unit` of it make one of
 * what is shown. */
struct buckets {
    double unit;
    int64_t bounds[HISTOGRAM_BOUNDS];
};

extern const struct buckets buckets_us;      /* observes µs, shows seconds: 1 ms to 30 s */
extern const struct buckets buckets_records; /* 1 to 30,000 */

/* How often what was observed fell into each bucket, and the sum of it. Zero-initialise. */
struct histogram {
    counter counts[HISTOGRAM_BOUNDS + 1];
    counter sum;
};

/* Of one thread, always with the same buckets. */
void histogram_observe(struct histogram *h, const struct buckets *b, int64_t value);

/* ---- Showing ---- */

/* A family. Static: its address is its identity. */
struct metric {
    const char *name;
    enum { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_SUMMARY } type;
    const char *help;
};

/* What a scrape has collected. Zero-initialise; one thread. */
struct metrics {
    struct metric_family *families;
    size_t count;
};

/* Gives the memory back. */
void metrics_free(struct metrics *m);

/* Adds one sample. The labels are pairs of strings, name and value, up to NULL; values may be anything. */
void metrics_add(struct metrics *m, const struct metric *of, double value, ...) __attribute__((sentinel));

/* All samples of a histogram. The labels are as in metrics_add(). */
void metrics_add_histogram(struct metrics *m, const struct metric *of, const struct histogram *h,
                           const struct buckets *b, ...) __attribute__((sentinel));
/* A summary that has a sum and a count only. The labels are as in metrics_add(). */
void metrics_add_summary(struct metrics *m, const struct metric *of, double sum, uint64_t count, ...)
    __attribute__((sentinel));

/* Appends all families, each with its HELP and TYPE, in the order in which they were added first. */
void metrics_write(const struct metrics *m, struct buf *out);
