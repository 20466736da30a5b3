#include "paced.h"

#include "base/cleanup.h"
#include "base/clock.h"
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

struct paced_order {
    struct paced *paced;
    size_t n;
    int64_t due_us, again_us; /* again_us: of a retry */
    enum stage stage;
    int attempts;
    bool held_back;
};

static void end(struct paced_order *o, enum stage stage) {
    o->stage = stage;
    o->paced->ended++;
}

/* True when there is no use in trying again. */
static bool retry(struct paced_order *o, const struct answer *a, enum stage stage) {
    struct paced *p = o->paced;
    bool away = a->status == 0 || a->status == 503 || a->status == 504;
    snprintf(p->last_error, sizeof p->last_error, "order %zu: %ld %s%.*s", o->n, a->status,
             a->error == NULL ? "" : a->error, a->body.size > 120 ? 120 : (int)a->body.size, a->body.data);
    if (!away || ++o->attempts >= ATTEMPTS_MAX) {
        p->given_up++;
        end(o, GIVEN_UP);
        return true;
    }
    p->retries++;
    o->stage = stage;
    o->again_us =
        clock_mono_us() + (a->retry_after_s > 0 ? a->retry_after_s * 1000 : RETRY_MS) * INT64_C(1000);
    return false;
}

static void on_outcome(void *context, const struct answer *a) {
    struct paced_order *o = context;
    struct paced *p = o->paced;
    p->waiting--;
    if (a->status != 200) {
        retry(o, a, CREATED);
        return;
    }
    samples_add(&p->outcome_us, clock_mono_us() - o->due_us);
    json_t *answer = json_loadb(a->body.data, a->body.size, 0, NULL);
    const char *state = json_string_value(json_object_get(answer, "state"));
    if (state != NULL && strcmp(state, "VALIDATED") == 0)
        p->validated++;
    else
        p->failed++;
    json_decref(answer);
    end(o, DECIDED);
}

static void on_created(void *context, const struct answer *a) {
    struct paced_order *o = context;
    struct paced *p = o->paced;
    p->posting--;
    if (a->status != 201 && a->status != 200) {
        retry(o, a, DUE);
        return;
    }
    p->last_us = clock_mono_us();
    samples_add(&p->created_us, p->last_us - o->due_us);
    p->created++;
    o->again_us = 0;
    if (p->sample > 0 && o->n % p->sample == 0)
        o->stage = CREATED;
    else
        end(o, DECIDED);
}

static void post(struct paced_order *o) {
    struct paced *p = o->paced;
    _cleanup_(arena_free) struct arena a = {0};
    _cleanup_(buf_free) struct buf json = {0};
    struct order_request r = shop_order(o->n, &a);
    r.id = arena_printf(&a, "load-%.*s-%zu", UUID_SIZE, p->run, o->n);
    event_json(&order_request_type, &r, &json);
    o->stage = POSTED;
    p->posting++;
    client_send(p->client, "POST", "/v1/orders", buf_slice(&json), REQUEST_MS, on_created, o);
}

static void wait_outcome(struct paced_order *o) {
    struct paced *p = o->paced;
    _cleanup_(buf_free) struct buf path = {0};
    buf_printf(&path, "/v1/orders/load-%.*s-%zu/validated?timeout=%d%c", UUID_SIZE, p->run, o->n, OUTCOME_MS,
               0);
    o->stage = WAITING;
    p->waiting++;
    client_send(p->client, "GET", path.data, SLICE_NONE, REQUEST_MS, on_outcome, o);
}

/* Sends what is due; returns when the next will be. */
static int64_t send_due(struct paced *p) {
    int64_t now = clock_mono_us(), next = now + 1000000;
    while (p->first < p->total && p->orders[p->first].stage >= DECIDED)
        p->first++;
    for (size_t i = p->first; i < p->total; i++) {
        struct paced_order *o = &p->orders[i];
        int64_t at = o->again_us > 0 ? o->again_us : o->due_us;
        if (o->due_us > now) {
            next = o->due_us < next ? o->due_us : next;
            break;
        }
        if (o->stage != DUE && o->stage != CREATED)
            continue;
        if (at > now)
            next = at < next ? at : next;
        else if (o->stage == DUE && p->posting < POSTS_MAX)
            post(o);
        else if (o->stage == CREATED && p->waiting < WAITS_MAX)
            wait_outcome(o);
        else if (!o->held_back)
            o->held_back = true, p->held_back++;
    }
    return next;
}

static void progress(const struct paced *p, int64_t *shown_us) {
    int64_t now = clock_mono_us();
    if (now - *shown_us < 1000000)
        return;
    *shown_us = now;
    fprintf(stderr, "\r\033[K%5.0f s  %zu of %zu orders created, %llu decided, %llu retries",
            (double)(now - p->start_us) / 1e6, p->created, p->total, (p->validated + p->failed), p->retries);
}

void paced_run(struct paced *p, struct client *client) {
    bool terminal = isatty(STDERR_FILENO);
    p->client = client;
    uuid_make(p->run, clock_wall_ms());
    p->orders = xcalloc(p->total, sizeof *p->orders);
    p->start_us = clock_mono_us();
    int64_t shown_us = p->start_us;
    for (size_t i = 0; i < p->total; i++)
        p->orders[i] = (struct paced_order){
            .paced = p, .n = i, .due_us = p->start_us + (int64_t)((double)i * 1e6 / p->rate)};
    while (p->ended < p->total) {
        int64_t left_us = send_due(p) - clock_mono_us();
        client_wait(p->client, left_us <= 0 ? 0 : (int)(left_us / 1000) + 1);
        if (terminal)
            progress(p, &shown_us);
    }
    if (terminal)
        fprintf(stderr, "\r\033[K");
}

void paced_finish(struct paced *p) {
    samples_free(&p->created_us);
    samples_free(&p->outcome_us);
    free(p->orders);
    *p = (struct paced){0};
}
