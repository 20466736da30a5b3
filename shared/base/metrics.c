#include "base/metrics.h"

#include "base/cleanup.h"

#include <stdarg.h>
#include <stdlib.h>

const struct buckets buckets_us = {1e6,
                                   {1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000,
                                    2500000, 5000000, 10000000, 30000000}};
const struct buckets buckets_records = {1, {1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000}};

static size_t bound_count(const struct buckets *b) {
    size_t n = 0;
    while (n < HISTOGRAM_BOUNDS && b->bounds[n] != 0)
        n++;
    return n;
}

void histogram_observe(struct histogram *h, const struct buckets *b, int64_t value) {
    size_t i = 0, n = bound_count(b);
    while (i < n && value > b->bounds[i])
        i++;
    counter_add(&h->counts[i], 1);
    counter_add(&h->sum, value > 0 ? (uint64_t)value : 0);
}

struct metric_family {
    const struct metric *of;
    struct buf samples;
};

void metrics_free(struct metrics *m) {
    for (size_t i = 0; i < m->count; i++)
        buf_free(&m->families[i].samples);
    free(m->families);
    *m = (struct metrics){0};
}

static struct buf *samples_of(struct metrics *m, const struct metric *of) {
    for (size_t i = 0; i < m->count; i++)
        if (m->families[i].of == of)
            return &m->families[i].samples;
    m->families = xrealloc(m->families, (m->count + 1) * sizeof *m->families);
    m->families[m->count] = (struct metric_family){.of = of};
    return &m->families[m->count++].samples;
}

/* As the format has it between quotes. */
static void append_escaped(struct buf *out, const char *text) {
    for (; *text != 0; text++)
        switch (*text) {
        case '\n':
            buf_append(out, "\\n", 2);
            break;
        case '\\':
        case '"':
            buf_append_byte(out, '\\');
            /* fall through */
        default:
            buf_append_byte(out, (uint8_t)*text);
        }
}

static void append_labels(struct buf *out, va_list labels) {
    const char *name;
    while ((name = va_arg(labels, const char *)) != NULL) {
        buf_printf(out, "%s%s=\"", out->size > 0 ? "," : "", name);
        append_escaped(out, va_arg(labels, const char *));
        buf_append_byte(out, '"');
    }
}

static void append_sample(struct buf *out, const char *name, const char *suffix, struct slice labels,
                          double value) {
    buf_printf(out, "%s%s", name, suffix);
    if (labels.size > 0) {
        buf_append_byte(out, '{');
        buf_append_slice(out, labels);
        buf_append_byte(out, '}');
    }
    bool whole = value < 9e15 && value > -9e15 && value == (double)(int64_t)value;
    buf_printf(out, whole ? " %.0f\n" : " %.15g\n", value);
}

void metrics_add(struct metrics *m, const struct metric *of, double value, ...) {
    _cleanup_(buf_free) struct buf text = {0};
    va_list labels;
    va_start(labels, value);
    append_labels(&text, labels);
    va_end(labels);
    append_sample(samples_of(m, of), of->name, "", buf_slice(&text), value);
}

void metrics_add_histogram(struct metrics *m, const struct metric *of, const struct histogram *h,
                           const struct buckets *b, ...) {
    _cleanup_(buf_free) struct buf text = {0};
    struct buf *out = samples_of(m, of);
    uint64_t count = 0;
    va_list labels;
    va_start(labels, b);
    append_labels(&text, labels);
    va_end(labels);
    struct slice own = buf_slice(&text);
    for (size_t i = 0, n = bound_count(b); i <= n; i++) {
        count += counter_get(&h->counts[i]);
        buf_printf(out, "%s_bucket{", of->name);
        buf_append_slice(out, own);
        buf_printf(out, "%sle=\"", own.size > 0 ? "," : "");
        if (i < n)
            buf_printf(out, "%g\"} %llu\n", (double)b->bounds[i] / b->unit, (unsigned long long)count);
        else
            buf_printf(out, "+Inf\"} %llu\n", (unsigned long long)count);
    }
    append_sample(out, of->name, "_sum", own, (double)counter_get(&h->sum) / b->unit);
    append_sample(out, of->name, "_count", own, (double)count);
}

void metrics_add_summary(struct metrics *m, const struct metric *of, double sum, uint64_t count, ...) {
    _cleanup_(buf_free) struct buf text = {0};
    va_list labels;
    va_start(labels, count);
    append_labels(&text, labels);
    va_end(labels);
    struct buf *out = samples_of(m, of);
    append_sample(out, of->name, "_sum", buf_slice(&text), sum);
    append_sample(out, of->name, "_count", buf_slice(&text), (double)count);
}

void metrics_write(const struct metrics *m, struct buf *out) {
    static const char *const types[] = {"counter", "gauge", "histogram", "summary"};
    for (size_t i = 0; i < m->count; i++) {
        const struct metric *of = m->families[i].of;
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", of->name, of->help, of->name, types[of->type]);
        buf_append_slice(out, buf_slice(&m->families[i].samples));
    }
}
