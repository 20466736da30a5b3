/* flood: order requests straight into the log, and how fast the suite decides them.
 *
 *   flood [--count N] [--json]   writes N (200000), waits until all are decided
 *   --hold        for a flood that is in the log already: the services are stopped; once it has said
 *                 "written", start them and close its standard input. The time counts from the first of
 *                 its records in `orders`, otherwise from the first request written.
 *   --rate N      N requests a second, whatever becomes of those before; prints how many ms each took from
 *                 when it was due until a committed reader had its outcome
 *   --timeout S   gives up when not all are decided by then (300)
 *   --peer        for bench/peers/streams: through its topics, peer-order-requests and peer-orders
 * Environment: KAFKA_BROKERS (localhost:9092), REGISTRY_URL, LEGACY_URL: customers and products are those of
 * shop.h. Exit codes: 0; 1 when not all were decided, or Kafka is away; 2 usage. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "options.h"
#include "processes.h"
#include "reader.h"
#include "samples.h"
#include "shop.h"
#include "writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { STOCK_MS = 30000, LOOK_MS = 200 };

static const char *const services[] = {"orders", "inventory", "fraud", "order-details", "customers", NULL};

struct flood {
    double count, timeout_s, rate; /* rate: 0: all at once */
    bool hold, json, peer;
    struct topic requests, orders; /* whose they are; all else is as in the catalogue */
    const struct where *suite;
    char run[64];
    struct reader *reader;
    bool stocked;
    struct arena arena;
    struct samples us; /* at a rate */
    size_t created, validated, failed;
    int64_t write_us;          /* how long that took */
    int64_t start_us, last_us; /* see above; the last outcome */
};

static void pause_ms(long ms) {
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* ---- writing ---- */

/* The last of the products came with the others: they were written at once. */
static bool on_stock(void *context, const struct log_record *r, struct err *err) {
    struct flood *f = context;
    (void)err;
    f->stocked = f->stocked || slice_equal(r->key, shop_product(SHOP_PRODUCTS - 1, &f->arena));
    return true;
}

static bool restock(struct flood *f, struct err *err) {
    int64_t deadline = clock_mono_us() + STOCK_MS * INT64_C(1000);
    if (!reader_aim(f->reader, &topic_stock, false, err))
        return false;
    reader_skip(f->reader, &topic_stock);
    if (!shop_restock((size_t)f->count, err))
        return false;
    while (!f->stocked) {
        if (!reader_aim(f->reader, &topic_stock, false, err) || !reader_read(f->reader, on_stock, f, err))
            return false;
        if (!f->stocked && clock_mono_us() > deadline)
            return err_set(err, ERR_RETRY, "the stock of the legacy database does not come");
        pause_ms(f->stocked ? 0 : 20);
    }
    return true;
}

/* The nth request, of this moment. */
static bool write_request(struct flood *f, struct writer *w, size_t n, int64_t timestamp, struct err *err) {
    struct order_request r = shop_order(n, &f->arena);
    r.id = arena_printf(&f->arena, "%s-%zu", f->run, n);
    bool ok = writer_write(w, &f->requests, &topic_order_requests, r.id, &r, timestamp, err);
    arena_reset(&f->arena);
    return ok;
}

static bool write_customers(struct flood *f, struct writer *w, struct err *err) {
    bool ok = true;
    for (size_t n = 0; n < shop_customers((size_t)f->count) && ok; n++, arena_reset(&f->arena)) {
        struct customer c = shop_customer(n, &f->arena);
        ok = writer_write(w, &topic_customers, &topic_customers, c.id, &c, clock_wall_ms(), err);
    }
    return ok && writer_flush(w, err);
}

static bool write_all(struct flood *f, struct writer *w, struct err *err) {
    bool ok = write_customers(f, w, err);
    f->start_us = clock_mono_us();
    for (size_t n = 0; n < (size_t)f->count && ok; n++)
        ok = write_request(f, w, n, clock_wall_ms(), err);
    ok = ok && writer_flush(w, err);
    f->write_us = clock_mono_us() - f->start_us;
    return ok;
}

static bool open_writer(struct flood *f, struct writer **w, struct err *err) {
    return restock(f, err) && writer_create(f->suite, reader_schemas(f->reader), topics_count, w, err) &&
           writer_prepare(*w, &topic_customers, &topic_customers, err) &&
           writer_prepare(*w, &f->requests, &topic_order_requests, err);
}

/* ---- waiting ---- */

static bool on_order(void *context, const struct log_record *r, struct err *err) {
    struct flood *f = context;
    struct slice run = slice_of(f->run);
    struct order o;
    if (!slice_starts_with(r->key, run) || r->key.size <= run.size || r->key.data[run.size] != '-')
        return true;
    arena_reset(&f->arena);
    if (!schemas_decode(reader_schemas(f->reader), &order_type, r->value, &f->arena, &o, err))
        return err->kind == ERR_POISON;
    f->last_us = clock_mono_us();
    if (f->start_us == 0)
        f->start_us = f->last_us;
    f->created += o.state == ORDER_STATE_CREATED;
    f->validated += o.state == ORDER_STATE_VALIDATED;
    f->failed += o.state == ORDER_STATE_FAILED;
    if (f->rate > 0 && o.state != ORDER_STATE_CREATED) /* what follows has its request's timestamp */
        samples_add(&f->us, (clock_wall_ms() - r->timestamp) * 1000);
    return true;
}

static size_t decided(const struct flood *f) {
    return f->validated + f->failed;
}

static bool wait_flood(struct flood *f, struct err *err) {
    int64_t deadline = clock_mono_us() + (int64_t)(f->timeout_s * 1e6), shown = 0;
    bool terminal = isatty(STDERR_FILENO);
    size_t count = (size_t)f->count;
    while (decided(f) < count) {
        if (!reader_aim(f->reader, &f->orders, false, err) || !reader_read(f->reader, on_order, f, err))
            return false;
        if (clock_mono_us() > deadline)
            return err_set(err, ERR_RETRY, "%zu of %zu orders were created, %zu decided within %.0f s",
                           f->created, count, decided(f), f->timeout_s);
        if (terminal && clock_mono_us() - shown > 1000000) {
            shown = clock_mono_us();
            fprintf(stderr, "\r\033[K%zu of %zu created, %zu decided", f->created, count, decided(f));
        }
        pause_ms(LOOK_MS);
    }
    if (terminal)
        fprintf(stderr, "\r\033[K");
    return true;
}

/* Open loop: each request when it is due, with that for its timestamp; in between who looks on. */
static bool pace_flood(struct flood *f, struct writer *w, struct err *err) {
    int64_t start_ms = clock_wall_ms(), deadline = start_ms + (int64_t)(f->timeout_s * 1000);
    size_t sent = 0, count = (size_t)f->count;
    while (decided(f) < count) {
        int64_t now = clock_wall_ms(), due;
        for (; sent < count && (due = start_ms + (int64_t)((double)sent * 1000 / f->rate)) <= now; sent++)
            if (!write_request(f, w, sent, due, err))
                return false;
        if (!reader_follow(f->reader, &f->orders, 1, on_order, f, err))
            return false;
        if (now > deadline)
            return err_set(err, ERR_RETRY, "%zu of %zu orders were decided within %.0f s", decided(f), count,
                           f->timeout_s);
    }
    return writer_flush(w, err);
}

/* ---- reporting ---- */

static void report(const struct flood *f) {
    struct process all[PROCESSES_MAX];
    size_t n = processes_find(services, f->suite->brokers, all);
    double seconds = (double)(f->last_us - f->start_us) / 1e6;
    if (!f->json) {
        printf("%.0f orders decided in %.2f s: %.0f orders/s; %zu VALIDATED, %zu FAILED\n", f->count, seconds,
               f->count / seconds, f->validated, f->failed);
        for (size_t i = 0; i < n; i++)
            printf("%-16s pid %7d  %6.1f MB now, %6.1f MB at most\n", all[i].name, (int)all[i].pid,
                   (double)all[i].rss_bytes / 1048576, (double)all[i].peak_bytes / 1048576);
        return;
    }
    _cleanup_(buf_free) struct buf out = {0};
    struct json j = {.out = &out};
    json_begin_object(&j);
    json_key(&j, "orders"), json_put_int(&j, (int64_t)f->count);
    json_key(&j, "seconds"), json_put_double(&j, seconds);
    json_key(&j, "perSecond"), json_put_double(&j, f->count / seconds);
    json_key(&j, "validated"), json_put_int(&j, (int64_t)f->validated);
    json_key(&j, "failed"), json_put_int(&j, (int64_t)f->failed);
    json_key(&j, "services"), json_begin_array(&j);
    for (size_t i = 0; i < n; i++) {
        json_begin_object(&j);
        json_key(&j, "name"), json_put_string(&j, slice_of(all[i].name));
        json_key(&j, "pid"), json_put_int(&j, all[i].pid);
        json_key(&j, "rssBytes"), json_put_int(&j, all[i].rss_bytes);
        json_key(&j, "peakRssBytes"), json_put_int(&j, all[i].peak_bytes);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_end_object(&j);
    printf(SLICE_FMT "\n", SLICE_ARG(buf_slice(&out)));
}

static void report_pace(struct flood *f) {
    _cleanup_(buf_free) struct buf out = {0};
    struct json j = {.out = &out};
    samples_json(&f->us, &j);
    printf(SLICE_FMT "\n", SLICE_ARG(buf_slice(&out)));
}

static void name_run(struct flood *f) {
    char uuid[UUID_SIZE];
    uuid_make(uuid, clock_wall_ms());
    snprintf(f->run, sizeof f->run, "flood-%.*s", UUID_SIZE, uuid);
}

static void hold(struct flood *f) {
    puts("written");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    f->start_us = 0;
}

static bool run(struct flood *f, struct err *err) {
    f->requests = topic_order_requests;
    f->orders = topic_orders;
    if (f->peer)
        f->requests.name = "peer-order-requests", f->orders.name = "peer-orders";
    const struct topic *const read_topics[] = {&topic_stock, &f->orders, NULL};
    if (!reader_create(f->suite, read_topics, topics_count, &f->reader, err))
        return false;
    struct process all[PROCESSES_MAX];
    processes_reset_peaks(all, processes_find(services, f->suite->brokers, all));
    name_run(f);
    if (!reader_aim(f->reader, &f->orders, false, err))
        return false;
    reader_skip(f->reader, &f->orders);
    struct writer *w = NULL;
    bool ok = open_writer(f, &w, err) &&
              (f->rate > 0 ? write_customers(f, w, err) && pace_flood(f, w, err) : write_all(f, w, err));
    writer_destroy(w);
    if (!ok)
        return false;
    if (f->rate > 0) {
        report_pace(f);
        return true;
    }
    fprintf(stderr, "%.0f requests written in %.2f s\n", f->count, (double)f->write_us / 1e6);
    if (f->hold)
        hold(f);
    if (!wait_flood(f, err))
        return false;
    report(f);
    return true;
}

int main(int argc, char **argv) {
    struct flood f = {.count = 200000, .timeout_s = 300};
    struct err err = {0};
    const struct option_spec options[] = {
        {.name = "count", .min = 1, .max = 10000000, .number = &f.count},
        {.name = "timeout", .min = 1, .max = 86400, .number = &f.timeout_s},
        {.name = "rate", .min = 0.1, .max = 100000, .number = &f.rate},
        {.name = "hold", .flag = &f.hold},
        {.name = "peer", .flag = &f.peer},
        {.name = "json", .flag = &f.json},
        {0},
    };
    if (!options_parse(argc, argv, options)) {
        fprintf(stderr, "usage: flood [--count N] [--hold] [--rate N] [--timeout S] [--peer] [--json]\n");
        return 2;
    }
    f.suite = where_suite_is(&err);
    bool ok = f.suite != NULL && run(&f, &err);
    if (!ok)
        fprintf(stderr, "flood: %s\n", err.text);
    reader_destroy(f.reader);
    arena_free(&f.arena);
    samples_free(&f.us);
    return ok ? 0 : 1;
}
