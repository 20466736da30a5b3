#include "orders.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "http/body.h"
#include "service/feed.h"

#include <stdlib.h>

enum {
    OUTCOME_MS = 10000, /* how long a client waits for an outcome, unless it says how long */
    WAIT_MAX_MS = 60000,
    PAGE = 50,
    PAGE_MAX = 500,
};

static void put_link(struct json *j, const char *name, const char *path, struct slice id,
                     const char *behind) {
    _cleanup_(buf_free) struct buf link = {0};
    buf_printf(&link, "%s" SLICE_FMT "%s", path, SLICE_ARG(id), behind);
    json_key(j, name), json_put_string(j, buf_slice(&link));
}

/* Where the order's later stages are to be seen. One that is not VALIDATED is never shipped. */
static void put_links(struct json *j, const struct order *o) {
    json_begin_object(j);
    put_link(j, "self", "/v1/orders/", o->id, "");
    put_link(j, "validated", "/v1/orders/", o->id, "/validated");
    put_link(j, "payments", "/v1/payments?orderId=", o->id, "");
    put_link(j, "emails", "/v1/emails?orderId=", o->id, "");
    if (o->state == ORDER_STATE_VALIDATED)
        put_link(j, "shipment", "/v1/shipments/", o->id, "");
    json_end_object(j);
}

static void append_order(const struct event *row, struct buf *out) {
    event_json(&order_type, row->value, out);
    out->size--; /* into the object */
    struct json j = {.out = out, .comma = true};
    json_key(&j, "createdAt"), json_put_int(&j, row->timestamp);
    json_key(&j, "links"), put_links(&j, row->value);
    buf_append_byte(out, '}');
}

static enum http_result reply_order(struct http_exchange *x, unsigned status, const struct event *row) {
    _cleanup_(buf_free) struct buf json = {0};
    append_order(row, &json);
    return http_reply_json(x, status, buf_slice(&json));
}

struct post {
    bool asked; /* the order was not there when we first looked */
    char id[UUID_SIZE];
};

static bool read_request(struct http_exchange *x, struct post *post, struct order_request *r) {
    if (http_body_has(x, "id")) {
        if (!http_body_id(x, "id", &r->id))
            return false;
    } else {
        if (post->id[0] == 0)
            uuid_make(post->id, clock_wall_ms());
        r->id = (struct slice){post->id, sizeof post->id};
    }
    return http_body_id(x, "customerId", &r->customer_id) && http_body_id(x, "productId", &r->product_id) &&
           http_body_int32(x, "quantity", &r->quantity) && http_body_int64(x, "priceCents", &r->price_cents);
}

static bool same_order(const struct order *o, const struct order_request *r) {
    return slice_equal(o->customer_id, r->customer_id) && slice_equal(o->product_id, r->product_id) &&
           o->quantity == r->quantity && o->price_cents == r->price_cents;
}

/* Nothing is decided here: the request goes into the log, and whichever request of this id made the order
 * shows in the view. Repeats and races all end with the same comparison. */
static enum http_result post_order(struct http_exchange *x, void *context) {
    static const char owner;
    struct instance *i = context;
    struct post *post = http_state(x, &owner, sizeof *post, NULL);
    struct order_request r;
    struct event row;
    if (!read_request(x, post, &r))
        return HTTP_DONE;
    instance_watch(i, x, &orders_table, r.id);
    if (!instance_row(i, x, &orders_table, r.id, &row))
        return HTTP_DONE;
    if (row.value != NULL) {
        if (!same_order(row.value, &r))
            return http_reply_problem(x, 409, "id", "there is an order of this id with other fields");
        http_reply_header(x, "Location", "/v1/orders/" SLICE_FMT, SLICE_ARG(r.id));
        return reply_order(x, post->asked ? 201 : 200, &row);
    }
    http_deadline(x, INSTANCE_ANSWER_MS);
    post->asked = true;
    enum publish published = instance_publish(i, x, &topic_order_requests, r.id, &r);
    if (published == PUBLISH_FAILED || http_timed_out(x))
        return http_reply_problem(x, 503, NULL, "no answer in time; repeat with id " SLICE_FMT,
                                  SLICE_ARG(r.id));
    return HTTP_WAIT;
}

static enum http_result get_order(struct http_exchange *x, void *context) {
    struct slice id;
    struct event row;
    enum http_result result;
    if (!http_path_id(x, "id", &id))
        return HTTP_DONE;
    if (!instance_find(context, x, &orders_table, id, "order", &row, &result))
        return result;
    return reply_order(x, 200, &row);
}

static enum http_result get_outcome(struct http_exchange *x, void *context) {
    struct instance *i = context;
    struct slice id;
    struct event row;
    int64_t timeout;
    if (!http_path_id(x, "id", &id) || !http_query_int64(x, "timeout", 0, INT32_MAX, OUTCOME_MS, &timeout))
        return HTTP_DONE;
    instance_watch(i, x, &orders_table, id);
    if (!instance_row(i, x, &orders_table, id, &row))
        return HTTP_DONE;
    const struct order *o = row.value;
    if (o != NULL && o->state != ORDER_STATE_CREATED)
        return reply_order(x, 200, &row);
    if (http_timed_out(x))
        return http_reply_problem(x, 504, NULL, "%s order " SLICE_FMT " in time",
                                  o == NULL ? "there was no" : "there was no outcome of", SLICE_ARG(id));
    http_deadline(x, timeout < WAIT_MAX_MS ? timeout : WAIT_MAX_MS);
    return HTTP_WAIT;
}

/* Which orders a client wants to see. */
struct query {
    struct slice customer_id, after; /* data NULL: any; from the first */
    int state;                       /* -1: any */
    int64_t limit;
};

static bool read_query(struct http_exchange *x, struct query *q) {
    struct slice state;
    q->state = -1;
    if (!http_query_id(x, "customerId", &q->customer_id) || !http_query_string(x, "state", &state) ||
        !http_query_int64(x, "limit", 1, PAGE_MAX, PAGE, &q->limit) ||
        !http_query_string(x, "after", &q->after))
        return false;
    if (q->after.data != NULL && !orders_list_place_valid(q->after)) {
        http_reply_problem(x, 400, "after", "must be a cursor that an earlier page gave");
        return false;
    }
    if (state.data != NULL && !event_enum_find(&order_state_enum, state, &q->state)) {
        http_reply_problem(x, 400, "state", "must be CREATED, VALIDATED or FAILED");
        return false;
    }
    return true;
}

struct listed {
    struct slice place, id;
};

struct page {
    struct arena *arena;
    struct listed *orders;
    size_t count, limit;
    size_t first, prefix_size; /* of the list that is being read */
    bool more;
};

static bool take(void *context, struct slice index_key, struct slice id) {
    struct page *p = context;
    struct slice place = {index_key.data + p->prefix_size, index_key.size - p->prefix_size};
    p->orders[p->count++] = (struct listed){arena_copy(p->arena, place), arena_copy(p->arena, id)};
    return p->count - p->first <= p->limit; /* one more than fits tells that there are more */
}

/* The orders of one state. */
static bool read_list(struct instance *i, struct http_exchange *x, const struct query *q,
                      enum order_state state, struct page *p) {
    _cleanup_(buf_free) struct buf prefix = {0}, from = {0};
    orders_list_prefix(q->customer_id, state, &prefix);
    buf_append_slice(&from, buf_slice(&prefix));
    if (q->after.data != NULL) {
        buf_append_slice(&from, q->after);
        buf_append_byte(&from, 0); /* behind it */
    }
    p->first = p->count;
    p->prefix_size = prefix.size;
    return instance_scan(i, x, &orders_table, buf_slice(&prefix), buf_slice(&from), take, p);
}

static int by_place(const void *a, const void *b) {
    return slice_compare(((const struct listed *)a)->place, ((const struct listed *)b)->place);
}

/* CREATED comes first: an order that goes on meanwhile is seen twice, and never not at all. */
static bool read_page(struct instance *i, struct http_exchange *x, const struct query *q, struct page *p) {
    static const enum order_state states[] = {ORDER_STATE_CREATED, ORDER_STATE_VALIDATED, ORDER_STATE_FAILED};
    enum { STATES = sizeof states / sizeof *states };
    p->orders = arena_alloc(p->arena, STATES * (p->limit + 1) * sizeof *p->orders);
    for (size_t n = 0; n < STATES; n++)
        if ((q->state < 0 || (enum order_state)q->state == states[n]) && !read_list(i, x, q, states[n], p))
            return false;
    qsort(p->orders, p->count, sizeof *p->orders, by_place);
    size_t kept = 0;
    for (size_t n = 0; n < p->count; n++)
        if (kept == 0 || !slice_equal(p->orders[n].place, p->orders[kept - 1].place))
            p->orders[kept++] = p->orders[n];
    p->more = kept > p->limit;
    p->count = p->more ? p->limit : kept;
    return true;
}

static void put_cursor(const struct query *q, const struct page *p, struct json *j) {
    if (!p->more) {
        json_key(j, "next"), json_put_null(j);
        return;
    }
    struct slice last = p->orders[p->count - 1].place;
    struct slice next = arena_printf(p->arena, "/v1/orders?limit=%lld&after=" SLICE_FMT, (long long)q->limit,
                                     SLICE_ARG(last));
    if (q->customer_id.data != NULL)
        next = arena_printf(p->arena, SLICE_FMT "&customerId=" SLICE_FMT, SLICE_ARG(next),
                            SLICE_ARG(q->customer_id));
    if (q->state >= 0)
        next = arena_printf(p->arena, SLICE_FMT "&state=%s", SLICE_ARG(next),
                            event_enum_name(&order_state_enum, q->state));
    json_key(j, "next"), json_put_string(j, next);
    json_key(j, "after"), json_put_string(j, last);
}

static enum http_result list_orders(struct http_exchange *x, void *context) {
    struct instance *i = context;
    enum http_result result;
    struct query q;
    if (!read_query(x, &q))
        return HTTP_DONE;
    if (!instance_wait_fresh(i, x, &orders_table, &result))
        return result;

    _cleanup_(buf_free) struct buf json = {0};
    struct page p = {.arena = http_arena(x), .limit = (size_t)q.limit};
    if (!read_page(i, x, &q, &p))
        return HTTP_DONE;

    struct json j = {.out = &json};
    json_begin_object(&j);
    json_key(&j, "orders"), json_begin_array(&j);
    for (size_t n = 0; n < p.count; n++) {
        struct event row;
        if (!instance_row(i, x, &orders_table, p.orders[n].id, &row))
            return HTTP_DONE;
        const struct order *o = row.value;
        if (o == NULL || (q.state >= 0 && (int)o->state != q.state))
            continue; /* it went on between index and row */
        _cleanup_(buf_free) struct buf one = {0};
        append_order(&row, &one);
        json_put_raw(&j, buf_slice(&one));
    }
    json_end_array(&j);
    put_cursor(&q, &p, &j);
    json_end_object(&j);
    return http_reply_json(x, 200, buf_slice(&json));
}

const struct topic *const orders_followed[] = {
    &topic_orders, &topic_order_validations, &topic_payments, &topic_shipments, &topic_emails, NULL};

struct follower {
    struct instance *instance;
    struct http_exchange *exchange;
    struct slice customer_id;
};

/* Only orders say whose they are, so the order is looked up; what comes before it can be has to wait. */
static enum feed_verdict of_customer(void *context, const struct feed_record *r) {
    struct follower *f = context;
    struct event row;
    if (!instance_row(f->instance, f->exchange, &orders_table, r->key, &row) || row.value == NULL)
        return FEED_LATER;
    const struct order *o = row.value;
    return slice_equal(o->customer_id, f->customer_id) ? FEED_SEND : FEED_SKIP;
}

/* The life of one order, of a customer's orders, or of all. */
static enum http_result get_events(struct http_exchange *x, void *context) {
    struct slice id;
    struct follower f = {.instance = context, .exchange = x};
    struct feed feeds[sizeof orders_followed / sizeof *orders_followed] = {0};
    if (!http_query_id(x, "id", &id) || !http_query_id(x, "customerId", &f.customer_id))
        return HTTP_DONE;
    for (size_t n = 0; orders_followed[n] != NULL; n++)
        feeds[n] = (struct feed){.topic = orders_followed[n],
                                 .key = id,
                                 .select = f.customer_id.data != NULL ? of_customer : NULL,
                                 .context = &f};
    return instance_feed(context, x, feeds);
}

const struct http_route orders_routes[] = {
    {"POST", "/v1/orders", post_order},       {"GET", "/v1/orders", list_orders},
    {"GET", "/v1/orders/{id}", get_order},    {"GET", "/v1/orders/{id}/validated", get_outcome},
    {"GET", "/v1/events/orders", get_events}, {0},
};
