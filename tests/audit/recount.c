#include "recount.h"

#include "fraud/fraud_rules.h"
#include "keyed.h"
#include "topology/window.h"

#include <inttypes.h>
#include <stdlib.h>

#define WINDOW_MS INT64_C(300000)
#define WINDOW_KEPT_MS INT64_C(86400000)
enum { FREE = 3 }; /* authorizations of a window, of which nothing is said */

/* As a row of a view: it goes when the stream time of its partition has passed by `kept` since its last put.
 */
struct row {
    int64_t stamp;
    int32_t partition;
};

struct spender { /* a customer */
    struct row row;
    int64_t time;
    struct session *sessions;
    size_t count;
};

struct card_count { /* of one card in one window */
    struct row row;
    int64_t count, said;
    bool began_anew; /* it was forgotten in between, and what was said cannot be told apart */
};

struct lane {                                 /* a partition */
    int64_t orders_time, authorizations_time; /* stream times */
};

struct recount {
    struct keyed spenders, windows, payments;
    struct lane *lanes;
    size_t lane_count;
    uint64_t payment_count, authorization_count;
    struct arena arena; /* of one call */
};

static bool is_spent(int64_t now, int64_t stamp, int64_t kept) {
    return now > stamp && now - stamp > kept;
}

static bool spender_spent(void *context, const void *value) {
    const struct recount *r = context;
    const struct spender *s = value;
    bool spent = is_spent(r->lanes[s->row.partition].orders_time, s->row.stamp, FRAUD_ROW_MS);
    if (spent)
        free(s->sessions);
    return spent;
}

static bool window_spent(void *context, const void *value) {
    const struct recount *r = context;
    const struct card_count *w = value;
    bool settled = w->said == (w->count > FREE ? w->count - FREE : 0) || w->began_anew;
    return settled && is_spent(r->lanes[w->row.partition].authorizations_time, w->row.stamp, WINDOW_KEPT_MS);
}

struct recount *recount_create(void) {
    struct recount *r = xcalloc(1, sizeof *r);
    r->spenders = (struct keyed){.value_size = sizeof(struct spender), .spent = spender_spent, .context = r};
    r->windows = (struct keyed){.value_size = sizeof(struct card_count), .spent = window_spent, .context = r};
    return r;
}

static void free_sessions(void *context, void *value) {
    (void)context;
    free(((struct spender *)value)->sessions);
}

void recount_destroy(struct recount *r) {
    if (r == NULL)
        return;
    keyed_each(&r->spenders, free_sessions, NULL);
    keyed_free(&r->spenders);
    keyed_free(&r->windows);
    keyed_free(&r->payments);
    free(r->lanes);
    arena_free(&r->arena);
    free(r);
}

static struct lane *lane_of(struct recount *r, int32_t partition) {
    size_t n = (size_t)partition;
    if (n >= r->lane_count) {
        r->lanes = xrealloc(r->lanes, (n + 1) * sizeof *r->lanes);
        for (size_t i = r->lane_count; i <= n; i++)
            r->lanes[i] = (struct lane){.orders_time = INT64_MIN, .authorizations_time = INT64_MIN};
        r->lane_count = n + 1;
    }
    return &r->lanes[n];
}

/* ---- fraud ---- */

void recount_order(struct recount *r, struct audit *a, struct audit_at at, int64_t time,
                   const struct order *o) {
    struct lane *lane = lane_of(r, at.partition);
    lane->orders_time = time > lane->orders_time ? time : lane->orders_time;
    if (o->state != ORDER_STATE_CREATED || audit_fraud_is_due(a, o->id))
        return;
    arena_reset(&r->arena);
    struct spender *s = keyed_at(&r->spenders, o->customer_id);
    struct fraud_sessions old = {.stream_time = time};
    if (s->count > 0 && !is_spent(lane->orders_time, s->row.stamp, FRAUD_ROW_MS))
        old = (struct fraud_sessions){.stream_time = s->time, .sessions = {s->sessions, s->count}};
    int64_t total;
    struct fraud_sessions now =
        fraud_add(&old, time, fraud_amount(o->quantity, o->price_cents), &r->arena, &total);
    s->sessions = xrealloc(s->sessions, (now.sessions.count + 1) * sizeof *s->sessions);
    memcpy(s->sessions, now.sessions.items, now.sessions.count * sizeof *s->sessions);
    s->count = now.sessions.count;
    s->time = now.stream_time;
    s->row = (struct row){lane->orders_time, at.partition};
    audit_fraud_due(a, o->id, total < FRAUD_LIMIT_CENTS);
}

/* ---- payments ---- */

void recount_payment(struct recount *r, struct audit *a, struct audit_at at, const struct payment *p,
                     bool own) {
    size_t before = r->payments.count;
    keyed_at(&r->payments, p->id);
    if (r->payments.count == before)
        audit_violation(a, AUDIT_SHIPMENTS, "payment " SLICE_FMT " a second time, at %s/%d/%" PRId64,
                        SLICE_ARG(p->id), topic_payments.name, at.partition, at.offset);
    r->payment_count += own;
}

/* ---- possible-fraud ---- */

static struct card_count *window_of(struct recount *r, struct slice card, int64_t start, int32_t partition) {
    arena_reset(&r->arena);
    struct slice key = arena_printf(&r->arena, SLICE_FMT "/%" PRId64, SLICE_ARG(card), start);
    struct card_count *w = keyed_at(&r->windows, key);
    w->row.partition = partition;
    return w;
}

void recount_authorization(struct recount *r, struct audit_at at, int64_t time,
                           const struct authorization *auth, bool own) {
    struct lane *lane = lane_of(r, at.partition);
    lane->authorizations_time = time > lane->authorizations_time ? time : lane->authorizations_time;
    int64_t start = window_tumbling(time, WINDOW_MS).start;
    struct card_count *w = window_of(r, auth->card_token, start, at.partition);
    w->began_anew =
        w->began_anew || (w->count > 0 && is_spent(lane->authorizations_time, w->row.stamp, WINDOW_KEPT_MS));
    w->row.stamp = lane->authorizations_time;
    w->count++;
    r->authorization_count += own;
}

/* The fourth payment of a card in a window says 4, the next one 5. */
void recount_possible_fraud(struct recount *r, struct audit *a, struct audit_at at,
                            const struct possible_fraud *p) {
    lane_of(r, at.partition);
    struct card_count *w = window_of(r, p->card_token, p->window_start, at.partition);
    w->said++;
    if (p->window_end != p->window_start + WINDOW_MS ||
        window_tumbling(p->window_start, WINDOW_MS).start != p->window_start)
        audit_violation(a, AUDIT_SHIPMENTS, "%s/%d/%" PRId64 " is of no window of five minutes",
                        topic_possible_fraud.name, at.partition, at.offset);
    else if (p->count != w->said + FREE && !w->began_anew)
        audit_violation(a, AUDIT_SHIPMENTS, "%s/%d/%" PRId64 " counts %" PRId64 ", where %" PRId64 " is next",
                        topic_possible_fraud.name, at.partition, at.offset, p->count, w->said + FREE);
    audit_checked(a, AUDIT_SHIPMENTS, 1);
}

/* ---- judgement ---- */

struct sums {
    uint64_t missing, wrong;
};

static void sum_window(void *context, void *value) {
    struct sums *sums = context;
    const struct card_count *w = value;
    int64_t due = w->count > FREE ? w->count - FREE : 0;
    if (w->began_anew)
        return;
    sums->missing += due > w->said ? (uint64_t)(due - w->said) : 0;
    sums->wrong += w->said > due;
}

static struct sums sum(const struct recount *r) {
    struct sums sums = {0};
    keyed_each(&r->windows, sum_window, &sums);
    return sums;
}

uint64_t recount_in_flight(const struct recount *r) {
    uint64_t p = r->payment_count, n = r->authorization_count;
    return (p > n ? p - n : n - p) + sum(r).missing;
}

uint64_t recount_remembers(const struct recount *r) {
    return r->spenders.count + r->windows.count;
}

void recount_judge(struct recount *r, struct audit *a, bool quiescent) {
    struct sums sums = sum(r);
    audit_checked(a, AUDIT_SHIPMENTS, r->payment_count);
    if (quiescent && r->payment_count != r->authorization_count)
        audit_violation(a, AUDIT_SHIPMENTS, "there are %" PRIu64 " %s and %" PRIu64 " %s", r->payment_count,
                        topic_payments.name, r->authorization_count, topic_authorizations.name);
    if (quiescent && sums.missing > 0)
        audit_violation(a, AUDIT_SHIPMENTS, "%s lacks %" PRIu64 " counts", topic_possible_fraud.name,
                        sums.missing);
    if (sums.wrong > 0)
        audit_violation(a, AUDIT_SHIPMENTS, "%s counts more than there is, in %" PRIu64 " windows",
                        topic_possible_fraud.name, sums.wrong);
}
