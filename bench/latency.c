/* latency: how long from POST to the outcome, one order after the other on an idle system, and under load: so
 * many orders a second, whatever becomes of those before.
 *
 *   latency [--count N] [--seconds S] [--json]    N orders one at a time (300), then each rate for S seconds
 * (10)
 *
 * Environment: GATEWAY_URL (http://127.0.0.1:8000), which must be this machine.
 * Exit codes: 0; 1 when an order got no outcome; 2 usage. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "client.h"
#include "options.h"
#include "paced.h"
#include "samples.h"
#include "shop.h"

#include <stdio.h>

enum { WARM_UP = 20 };

static const int rates[] = {10, 100, 250, 1000};
enum { RATES = sizeof rates / sizeof *rates };

struct latency {
    struct client *client;
    char run[UUID_SIZE];
    struct samples created_us, outcome_us; /* one at a time */
    struct paced paced[RATES];
};

static bool one(struct latency *l, size_t n, struct err *err) {
    _cleanup_(arena_free) struct arena a = {0};
    _cleanup_(buf_free) struct buf json = {0}, answer = {0};
    struct order_request r = shop_order(n, &a);
    r.id = arena_printf(&a, "latency-%.*s-%zu", UUID_SIZE, l->run, n);
    event_json(&order_request_type, &r, &json);
    struct slice path = arena_printf(&a, "/v1/orders/" SLICE_FMT "/validated?timeout=5000", SLICE_ARG(r.id));
    long status;
    int64_t start = clock_mono_us();
    if (!client_ask(l->client, "POST", "/v1/orders", buf_slice(&json), &status, &answer, err))
        return false;
    if (status != 201)
        return err_set(err, ERR_FATAL, "POST /v1/orders: %ld " SLICE_FMT, status,
                       SLICE_ARG(buf_slice(&answer)));
    int64_t created = clock_mono_us();
    if (!client_ask(l->client, "GET", path.data, SLICE_NONE, &status, &answer, err))
        return false;
    if (status != 200)
        return err_set(err, ERR_FATAL, "GET %s: %ld", path.data, status);
    if (n >= WARM_UP) {
        samples_add(&l->created_us, created - start);
        samples_add(&l->outcome_us, clock_mono_us() - start);
    }
    return true;
}

static bool run(struct latency *l, size_t count, double seconds, struct err *err) {
    uuid_make(l->run, clock_wall_ms());
    for (size_t n = 0; n < count + WARM_UP; n++)
        if (!one(l, n, err))
            return false;
    for (size_t i = 0; i < RATES; i++) {
        struct paced *p = &l->paced[i];
        *p = (struct paced){.rate = rates[i], .total = (size_t)(rates[i] * seconds), .sample = 1};
        paced_run(p, l->client);
        if (p->given_up > 0)
            return err_set(err, ERR_FATAL, "%llu orders failed at %d/s; the last: %s", p->given_up, rates[i],
                           p->last_error);
    }
    return true;
}

static void put_pace(struct json *j, int rate, struct samples *created, struct samples *outcome) {
    json_begin_object(j);
    json_key(j, "rate"), json_put_int(j, rate);
    json_key(j, "orders"), json_put_int(j, (int64_t)outcome->count);
    json_key(j, "createdMs"), samples_json(created, j);
    json_key(j, "outcomeMs"), samples_json(outcome, j);
    json_end_object(j);
}

/* An array, one element a pace; rate 0: one at a time. */
static void report_json(struct latency *l) {
    _cleanup_(buf_free) struct buf out = {0};
    struct json j = {.out = &out};
    json_begin_array(&j);
    put_pace(&j, 0, &l->created_us, &l->outcome_us);
    for (size_t i = 0; i < RATES; i++)
        put_pace(&j, rates[i], &l->paced[i].created_us, &l->paced[i].outcome_us);
    json_end_array(&j);
    printf(SLICE_FMT "\n", SLICE_ARG(buf_slice(&out)));
}

static void report(struct latency *l) {
    samples_print_head();
    samples_print(&l->created_us, "POST to 201");
    samples_print(&l->outcome_us, "POST to outcome");
    for (size_t i = 0; i < RATES; i++) {
        char name[32];
        snprintf(name, sizeof name, "  at %d/s", rates[i]);
        samples_print(&l->paced[i].outcome_us, name);
    }
}

int main(int argc, char **argv) {
    struct latency l = {0};
    struct err err = {0};
    double count = 300, seconds = 10;
    bool as_json = false;
    const struct option_spec options[] = {{.name = "count", .min = 1, .max = 1000000, .number = &count},
                                          {.name = "seconds", .min = 1, .max = 3600, .number = &seconds},
                                          {.name = "json", .flag = &as_json},
                                          {0}};
    if (!options_parse(argc, argv, options)) {
        fprintf(stderr, "usage: latency [--count N] [--seconds S] [--json]\n");
        return 2;
    }
    size_t orders = (size_t)count + WARM_UP;
    for (size_t i = 0; i < RATES; i++)
        orders += (size_t)(rates[i] * seconds);
    const char *url;
    bool ok = shop_gateway(&url, &err) && client_create(url, &l.client, &err) &&
              shop_open(l.client, orders, &err) && run(&l, (size_t)count, seconds, &err);
    if (!ok)
        fprintf(stderr, "latency: %s\n", err.text);
    else if (as_json)
        report_json(&l);
    else
        report(&l);
    client_destroy(l.client);
    samples_free(&l.created_us);
    samples_free(&l.outcome_us);
    for (size_t i = 0; i < RATES; i++)
        paced_finish(&l.paced[i]);
    return ok ? 0 : 1;
}
