/* load orders: places orders through the gateway at a steady rate and measures how long they take. 503, 504
 * and broken connections are tried again with the same id. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "client.h"
#include "load.h"
#include "options.h"
#include "samples.h"
#include "shop.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    POSTS_MAX = 2000, /* at once, and so of waits: what a client can hold open, no more; */
    WAITS_MAX = 2000, /* what is due beyond that is held back, and counted */
    ATTEMPTS_MAX = 20,
    REQUEST_MS = 15000,
    OUTCOME_MS = 10000,
    RETRY_MS = 100, /* where nothing says when */
};

enum stage { DUE, POSTED, CREATED, WAITING, DECIDED, GIVEN_UP };

struct load;

struct order_run {
    struct load *load;
    size_t n;
    int64_t due_us, again_us; /* again_us: of a retry */
    enum stage stage;
    int attempts;
    bool held_back;
};

struct load {
    double rate, count, sample;
    bool json;
    struct client *client;
    char run[UUID_SIZE]; /* a prefix of ids that nobody else has */
    struct order_run *orders;
    size_t total, first; /* orders before `first` have ended */
    size_t posting, waiting, created, ended;
    size_t held_back; /* that were due and had to wait until others had ended */
    unsigned long long retries, validated, failed, given_up;
    struct samples created_us, outcome_us;
    char last_error[200];
    int64_t start_us, last_us; /* the last 201 */
};

static void end(struct order_run *o, enum stage stage) {
    o->stage = stage;
    o->load->ended++;
}

/* True when there is no use in trying again. */
static bool retry(struct order_run *o, const struct answer *a, enum stage stage) {
    struct load *l = o->load;
    bool away = a->status == 0 || a->status == 503 || a->status == 504;
    snprintf(l->last_error, sizeof l->last_error, "order %zu: %ld %s%.*s", o->n, a->status,
             a->error == NULL ? "" : a->error, a->body.size > 120 ? 120 : (int)a->body.size, a->body.data);
    if (!away || ++o->attempts >= ATTEMPTS_MAX) {
        l->given_up++;
        end(o, GIVEN_UP);
        return true;
    }
    l->retries++;
    o->stage = stage;
    o->again_us =
        clock_mono_us() + (a->retry_after_s > 0 ? a->retry_after_s * 1000 : RETRY_MS) * INT64_C(1000);
    return false;
}

static void on_outcome(void *context, const struct answer *a) {
    struct order_run *o = context;
    struct load *l = o->load;
    l->waiting--;
    if (a->status != 200) {
        retry(o, a, CREATED);
        return;
    }
    samples_add(&l->outcome_us, clock_mono_us() - o->due_us);
    json_t *answer = json_loadb(a->body.data, a->body.size, 0, NULL);
    const char *state = json_string_value(json_object_get(answer, "state"));
    if (state != NULL && strcmp(state, "VALIDATED") == 0)
        l->validated++;
    else
        l->failed++;
    json_decref(answer);
    end(o, DECIDED);
}

static void on_created(void *context, const struct answer *a) {
    struct order_run *o = context;
    struct load *l = o->load;
    l->posting--;
    if (a->status != 201 && a->status != 200) {
        retry(o, a, DUE);
        return;
    }
    l->last_us = clock_mono_us();
    samples_add(&l->created_us, l->last_us - o->due_us);
    l->created++;
    o->again_us = 0;
    if (l->sample > 0 && o->n % (size_t)l->sample == 0)
        o->stage = CREATED;
    else
        end(o, DECIDED);
}

static void post(struct order_run *o) {
    struct load *l = o->load;
    _cleanup_(arena_free) struct arena a = {0};
    _cleanup_(buf_free) struct buf json = {0};
    struct order_request r = shop_order(o->n, &a);
    r.id = arena_printf(&a, "load-%.*s-%zu", UUID_SIZE, l->run, o->n);
    event_json(&order_request_type, &r, &json);
    o->stage = POSTED;
    l->posting++;
    client_send(l->client, "POST", "/v1/orders", buf_slice(&json), REQUEST_MS, on_created, o);
}

static void wait_outcome(struct order_run *o) {
    struct load *l = o->load;
    _cleanup_(buf_free) struct buf path = {0};
    buf_printf(&path, "/v1/orders/load-%.*s-%zu/validated?timeout=%d%c", UUID_SIZE, l->run, o->n, OUTCOME_MS,
               0);
    o->stage = WAITING;
    l->waiting++;
    client_send(l->client, "GET", path.data, SLICE_NONE, REQUEST_MS, on_outcome, o);
}

/* Sends what is due; returns when the next will be. */
static int64_t send_due(struct load *l) {
    int64_t now = clock_mono_us(), next = now + 1000000;
    while (l->first < l->total && l->orders[l->first].stage >= DECIDED)
        l->first++;
    for (size_t i = l->first; i < l->total; i++) {
        struct order_run *o = &l->orders[i];
        int64_t at = o->again_us > 0 ? o->again_us : o->due_us;
        if (o->due_us > now) {
            next = o->due_us < next ? o->due_us : next;
            break;
        }
        if (o->stage != DUE && o->stage != CREATED)
            continue;
        if (at > now)
            next = at < next ? at : next;
        else if (o->stage == DUE && l->posting < POSTS_MAX)
            post(o);
        else if (o->stage == CREATED && l->waiting < WAITS_MAX)
            wait_outcome(o);
        else if (!o->held_back)
            o->held_back = true, l->held_back++;
    }
    return next;
}

static void progress(const struct load *l, int64_t *shown_us) {
    int64_t now = clock_mono_us();
    if (now - *shown_us < 1000000)
        return;
    *shown_us = now;
    fprintf(stderr, "\r\033[K%5.0f s  %zu of %zu orders created, %llu decided, %llu retries",
            (double)(now - l->start_us) / 1e6, l->created, l->total, (l->validated + l->failed), l->retries);
}

static void run(struct load *l) {
    bool terminal = isatty(STDERR_FILENO);
    l->start_us = clock_mono_us();
    int64_t shown_us = l->start_us;
    for (size_t i = 0; i < l->total; i++)
        l->orders[i] = (struct order_run){
            .load = l, .n = i, .due_us = l->start_us + (int64_t)((double)i * 1e6 / l->rate)};
    while (l->ended < l->total) {
        int64_t left_us = send_due(l) - clock_mono_us();
        client_wait(l->client, left_us <= 0 ? 0 : (int)(left_us / 1000) + 1);
        if (terminal)
            progress(l, &shown_us);
    }
    if (terminal)
        fprintf(stderr, "\r\033[K");
}

static void report(struct load *l, double seconds) {
    if (!l->json) {
        printf("%zu orders in %.2f s: %.1f/s (due: %.1f/s, held back: %zu); %llu VALIDATED, %llu FAILED, "
               "%llu retries, %llu given up\n",
               l->created, seconds, (double)l->created / seconds, l->rate, l->held_back, l->validated,
               l->failed, l->retries, l->given_up);
        samples_print_head();
        samples_print(&l->created_us, "POST to 201");
        samples_print(&l->outcome_us, "POST to outcome");
        return;
    }
    _cleanup_(buf_free) struct buf out = {0};
    struct json j = {.out = &out};
    json_begin_object(&j);
    json_key(&j, "orders"), json_put_int(&j, (int64_t)l->created);
    json_key(&j, "seconds"), json_put_double(&j, seconds);
    json_key(&j, "perSecond"), json_put_double(&j, (double)l->created / seconds);
    json_key(&j, "validated"), json_put_int(&j, (int64_t)l->validated);
    json_key(&j, "failed"), json_put_int(&j, (int64_t)l->failed);
    json_key(&j, "retries"), json_put_int(&j, (int64_t)l->retries);
    json_key(&j, "heldBack"), json_put_int(&j, (int64_t)l->held_back);
    json_key(&j, "givenUp"), json_put_int(&j, (int64_t)l->given_up);
    json_key(&j, "createdMs"), samples_json(&l->created_us, &j);
    json_key(&j, "outcomeMs"), samples_json(&l->outcome_us, &j);
    json_end_object(&j);
    printf(SLICE_FMT "\n", SLICE_ARG(buf_slice(&out)));
}

int load_orders(int argc, char **argv) {
    struct load l = {.rate = 50, .count = 1000, .sample = 1};
    struct err err = {0};
    const struct option_spec options[] = {
        {.name = "rate", .min = 0.1, .max = 100000, .number = &l.rate},
        {.name = "count", .min = 1, .max = 10000000, .number = &l.count},
        {.name = "sample", .min = 0, .max = 10000000, .number = &l.sample},
        {.name = "json", .flag = &l.json},
        {0},
    };
    if (!options_parse(argc, argv, options))
        return LOAD_USAGE;
    const char *url;
    bool ok = shop_gateway(&url, &err) && client_create(url, &l.client, &err) &&
              shop_open(l.client, (size_t)l.count, &err);
    if (ok) {
        uuid_make(l.run, clock_wall_ms());
        l.total = (size_t)l.count;
        l.orders = xcalloc(l.total, sizeof *l.orders);
        run(&l);
        report(&l, (double)(l.last_us - l.start_us) / 1e6);
    }
    if (!ok)
        fprintf(stderr, "load: %s\n", err.text);
    else if (l.given_up > 0)
        fprintf(stderr, "load: %llu orders failed; the last: %s\n", l.given_up, l.last_error);
    client_destroy(l.client);
    samples_free(&l.created_us);
    samples_free(&l.outcome_us);
    free(l.orders);
    return ok && l.given_up == 0 ? 0 : 1;
}
