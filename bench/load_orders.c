/* load orders: places orders through the gateway at a steady rate and measures how long they take. */
#include "base/cleanup.h"
#include "base/json.h"
#include "load.h"
#include "options.h"
#include "paced.h"
#include "shop.h"

#include <stdio.h>

static void report(struct paced *p, bool as_json) {
    double seconds = (double)(p->last_us - p->start_us) / 1e6;
    if (!as_json) {
        printf("%zu orders in %.2f s: %.1f/s (due: %.1f/s, held back: %zu); %llu VALIDATED, %llu FAILED, "
               "%llu retries, %llu given up\n",
               p->created, seconds, (double)p->created / seconds, p->rate, p->held_back, p->validated,
               p->failed, p->retries, p->given_up);
        samples_print_head();
        samples_print(&p->created_us, "POST to 201");
        samples_print(&p->outcome_us, "POST to outcome");
        return;
    }
    _cleanup_(buf_free) struct buf out = {0};
    struct json j = {.out = &out};
    json_begin_object(&j);
    json_key(&j, "orders"), json_put_int(&j, (int64_t)p->created);
    json_key(&j, "seconds"), json_put_double(&j, seconds);
    json_key(&j, "perSecond"), json_put_double(&j, (double)p->created / seconds);
    json_key(&j, "validated"), json_put_int(&j, (int64_t)p->validated);
    json_key(&j, "failed"), json_put_int(&j, (int64_t)p->failed);
    json_key(&j, "retries"), json_put_int(&j, (int64_t)p->retries);
    json_key(&j, "heldBack"), json_put_int(&j, (int64_t)p->held_back);
    json_key(&j, "givenUp"), json_put_int(&j, (int64_t)p->given_up);
    json_key(&j, "createdMs"), samples_json(&p->created_us, &j);
    json_key(&j, "outcomeMs"), samples_json(&p->outcome_us, &j);
    json_end_object(&j);
    printf(SLICE_FMT "\n", SLICE_ARG(buf_slice(&out)));
}

int load_orders(int argc, char **argv) {
    struct client *client = NULL;
    struct err err = {0};
    double rate = 50, count = 1000, sample = 1;
    bool as_json = false;
    const struct option_spec options[] = {
        {.name = "rate", .min = 0.1, .max = 100000, .number = &rate},
        {.name = "count", .min = 1, .max = 10000000, .number = &count},
        {.name = "sample", .min = 0, .max = 10000000, .number = &sample},
        {.name = "json", .flag = &as_json},
        {0},
    };
    if (!options_parse(argc, argv, options))
        return LOAD_USAGE;
    const char *url;
    struct paced p = {.rate = rate, .total = (size_t)count, .sample = (size_t)sample};
    bool ok =
        shop_gateway(&url, &err) && client_create(url, &client, &err) && shop_open(client, p.total, &err);
    if (ok) {
        paced_run(&p, client);
        report(&p, as_json);
    }
    if (!ok)
        fprintf(stderr, "load: %s\n", err.text);
    else if (p.given_up > 0)
        fprintf(stderr, "load: %llu orders failed; the last: %s\n", p.given_up, p.last_error);
    ok = ok && p.given_up == 0;
    client_destroy(client);
    paced_finish(&p);
    return ok ? 0 : 1;
}
