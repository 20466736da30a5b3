/* latency: one order after the other on an idle system; how long from POST to the outcome?
 *
 *   latency [--count N] [--json]        N: 500
 *
 * Environment: GATEWAY_URL (http://127.0.0.1:8000), which must be this machine.
 * Exit codes: 0; 1 when an order got no outcome; 2 usage. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "client.h"
#include "options.h"
#include "samples.h"
#include "shop.h"

#include <stdio.h>

enum { WARM_UP = 20 };

struct latency {
    struct client *client;
    char run[UUID_SIZE];
    struct samples created_us, outcome_us;
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

static void report(struct latency *l, bool as_json) {
    if (!as_json) {
        samples_print_head();
        samples_print(&l->created_us, "POST to 201");
        samples_print(&l->outcome_us, "POST to outcome");
        return;
    }
    _cleanup_(buf_free) struct buf out = {0};
    struct json j = {.out = &out};
    json_begin_object(&j);
    json_key(&j, "orders"), json_put_int(&j, (int64_t)l->outcome_us.count);
    json_key(&j, "createdMs"), samples_json(&l->created_us, &j);
    json_key(&j, "outcomeMs"), samples_json(&l->outcome_us, &j);
    json_end_object(&j);
    printf(SLICE_FMT "\n", SLICE_ARG(buf_slice(&out)));
}

int main(int argc, char **argv) {
    struct latency l = {0};
    struct err err = {0};
    double count = 500;
    bool as_json = false;
    const struct option_spec options[] = {{.name = "count", .min = 1, .max = 1000000, .number = &count},
                                          {.name = "json", .flag = &as_json},
                                          {0}};
    if (!options_parse(argc, argv, options)) {
        fprintf(stderr, "usage: latency [--count N] [--json]\n");
        return 2;
    }
    const char *url;
    bool ok = shop_gateway(&url, &err) && client_create(url, &l.client, &err) &&
              shop_open(l.client, (size_t)count + WARM_UP, &err);
    uuid_make(l.run, clock_wall_ms());
    for (size_t n = 0; n < (size_t)count + WARM_UP && ok; n++)
        ok = one(&l, n, &err);
    if (ok)
        report(&l, as_json);
    else
        fprintf(stderr, "latency: %s\n", err.text);
    client_destroy(l.client);
    samples_free(&l.created_us);
    samples_free(&l.outcome_us);
    return ok ? 0 : 1;
}
