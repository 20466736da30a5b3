#include "orders.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "feeds/feed.h"
#include "http/body.h"
#include "partitions/list.h"
#include "partitions/served.h"

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
    struct order o = *(const struct order *)row->value;
    o.created_at = orders_created_at(row);
    event_json(&order_type, &o, out);
    out->size--; /* into the object */
    struct json j = {.out = out, .comma = true};
    json_key(&j, "links"), put_links(&j, &o);
    buf_append_byte(out, '}');
}

static enum http_result reply_order(struct http_exchange *x, unsigned status, const struct event *row) {
    _cleanup_(buf_free) struct buf json = {0};
    append_order(row, &json);
    return http_reply_json(x, status, buf_slice(&json));
}

static bool read_request(struct http_exchange *x, struct order_request *r) {
    return http_body_id_or_new(x, "id", &r->id) && http_body_id(x, "customerId", &r->customer_id) &&
           http_body_id(x, "productId", &r->product_id) && http_body_int32(x, "quantity", &r->quantity) &&
           http_body_int64(x, "priceCents", &r->price_cents);
}

static bool same_order(const struct order *o, const struct order_request *r) {
    return slice_equal(o->customer_id, r->customer_id) && slice_equal(o->product_id, r->product_id) &&
           o->quantity == r->quantity && o->price_cents == r->price_cents;
}

/* The request as another instance gets it: with the id that it has now. */
static struct slice body_of(struct http_exchange *x, const struct order_request *r) {
    _cleanup_(buf_free) struct buf json = {0};
    event_json(&order_request_type, r, &json);
    return arena_copy(http_arena(x), buf_slice(&json));
}

/* Nothing is decided here: the request goes into the log, and whichever request of this id made the order
 * shows in the view. Repeats and races all end with the same comparison. */
static enum http_result post_order(struct http_exchange *x, void *context) {
    static const char owner;
    struct instance *i = context;
    /* The order was not there when we first looked. */
    bool *asked = http_state(x, &owner, sizeof *asked, NULL);
    struct order_request r;
    struct event row;
    enum http_result result;
    if (!read_request(x, &r))
        return HTTP_DONE;
    http_deadline(x, INSTANCE_ANSWER_MS);
    if (!instance_here(i, x, r.id, body_of(x, &r), &result))
        return result;
    instance_watch(i, x, &orders_table, r.id);
    if (!instance_row(i, x, &orders_table, r.id, &row))
        return HTTP_DONE;
    if (row.value != NULL) {
        if (!same_order(row.value, &r))
            return http_reply_problem(x, 409, "id", "there is an order of this id with other fields");
        /* Who repeats it may know more of it than this instance does. */
        if (!*asked && !instance_wait_fresh(i, x, &orders_table, &result))
            return result;
        if (!*asked && !instance_row(i, x, &orders_table, r.id, &row))
            return HTTP_DONE;
        http_reply_header(x, "Location", "/v1/orders/" SLICE_FMT, SLICE_ARG(r.id));
        return reply_order(x, *asked ? 201 : 200, &row);
    }
    *asked = true;
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
    enum http_result result;
    if (!http_path_id(x, "id", &id) || !http_query_int64(x, "timeout", 0, INT32_MAX, OUTCOME_MS, &timeout))
        return HTTP_DONE;
    http_deadline(x, timeout < WAIT_MAX_MS ? timeout : WAIT_MAX_MS);
    if (!instance_here(i, x, id, SLICE_NONE, &result))
        return result;
    instance_watch(i, x, &orders_table, id);
    if (!instance_row(i, x, &orders_table, id, &row))
        return HTTP_DONE;
    const struct order *o = row.value;
    if (o != NULL && o->state != ORDER_STATE_CREATED)
        return reply_order(x, 200, &row);
    if (http_timed_out(x))
        return http_reply_problem(x, 504, NULL, "%s order " SLICE_FMT " in time",
                                  o == NULL ? "there was no" : "there was no outcome of", SLICE_ARG(id));
    return HTTP_WAIT;
}

static bool was_cancelled(const struct order *o) {
    return o->state == ORDER_STATE_FAILED && o->reasons.count > 0 &&
           slice_equal(o->reasons.items[0], SLICE(ORDER_CANCELLED));
}

/* Nor is this: of a cancellation and the last check, the log says which comes first. */
static enum http_result post_cancel(struct http_exchange *x, void *context) {
    struct instance *i = context;
    struct slice id;
    struct event row;
    enum http_result result;
    if (!http_path_id(x, "id", &id))
        return HTTP_DONE;
    http_deadline(x, INSTANCE_ANSWER_MS);
    if (!instance_here(i, x, id, SLICE("{}"), &result))
        return result;
    instance_watch(i, x, &orders_table, id);
    if (!instance_wait_fresh(i, x, &orders_table, &result))
        return result;
    if (!instance_row(i, x, &orders_table, id, &row))
        return HTTP_DONE;
    const struct order *o = row.value;
    if (o == NULL)
        return http_reply_problem(x, 404, NULL, "no order of this id");
    if (was_cancelled(o))
        return reply_order(x, 200, &row);
    if (o->state != ORDER_STATE_CREATED)
        return http_reply_problem(x, 409, NULL, "the order is %s already",
                                  event_enum_name(&order_state_enum, (int)o->state));
    enum publish published =
        instance_publish(i, x, &topic_order_cancellations, id, &(struct order_cancellation){.order_id = id});
    if (published == PUBLISH_FAILED || http_timed_out(x))
        return instance_unavailable(x, "no answer in time; it is safe to repeat");
    return HTTP_WAIT;
}

/* Which orders a client wants to see. */
struct query {
    struct slice customer_id; /* data NULL: any */
    int state;                /* -1: any */
};

static bool read_query(struct http_exchange *x, struct query *q, struct page *page) {
    struct slice state;
    q->state = -1;
    if (!http_query_id(x, "customerId", &q->customer_id) || !http_query_string(x, "state", &state) ||
        !page_query(x, PAGE, PAGE_MAX, page))
        return false;
    if (state.data == NULL || event_enum_find(&order_state_enum, state, &q->state))
        return true;
    http_reply_problem(x, 400, "state", "must be CREATED, VALIDATED or FAILED");
    return false;
}

/* The query again, behind the cursor. */
static struct slice filters(struct arena *a, const struct query *q) {
    bool has_state = q->state >= 0, has_customer = q->customer_id.data != NULL;
    return arena_printf(a, "%s" SLICE_FMT "%s%s", has_customer ? "&customerId=" : "",
                        SLICE_ARG(q->customer_id), has_state ? "&state=" : "",
                        has_state ? event_enum_name(&order_state_enum, q->state) : "");
}

static void put_order(void *context, const struct event *row, struct buf *out) {
    const struct query *q = context;
    if (q->state < 0 || (int)((const struct order *)row->value)->state == q->state)
        append_order(row, out);
}

static enum http_result list_orders(struct http_exchange *x, void *context) {
    static const enum order_state states[] = {ORDER_STATE_CREATED, ORDER_STATE_VALIDATED, ORDER_STATE_FAILED};
    struct query q;
    struct page page;
    struct slice prefixes[sizeof states / sizeof *states];
    enum http_result result;
    _cleanup_(buf_free) struct buf json = {0};
    struct json j = {.out = &json};
    if (!read_query(x, &q, &page))
        return HTTP_DONE;
    struct list list = {&orders_table, prefixes, 0, orders_list_place_valid, put_order, &q};
    for (size_t k = 0; k < sizeof states / sizeof *states; k++) {
        _cleanup_(buf_free) struct buf prefix = {0};
        orders_list_prefix(q.customer_id, states[k], &prefix);
        if (q.state < 0 || (enum order_state)q.state == states[k])
            prefixes[list.prefix_count++] = arena_copy(http_arena(x), buf_slice(&prefix));
    }
    json_begin_object(&j);
    json_key(&j, "orders");
    if (!list_page(context, x, &list, &page, &j, &result))
        return result;
    page_put_next(&page, "/v1/orders", filters(http_arena(x), &q), &j);
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

/* What a stream has learned of orders: whether they are the customer's. An entry is the id's hash but for its
 * lowest bit, which is the answer. */
enum { LEARNED = 1024 };

static uint64_t *learned(struct follower *f, struct slice id, uint64_t *hash) {
    static const char owner;
    uint64_t *entries = http_state(f->exchange, &owner, LEARNED * sizeof *entries, NULL);
    uint64_t h = slice_hash(id);
    *hash = h | 1;
    return &entries[(h >> 32) % LEARNED];
}

/* Whose the order is, where this instance can tell. False: not yet. */
static bool look_up(struct follower *f, struct slice id, bool *wanted) {
    struct event row;
    struct slice body;
    struct arena *a = http_arena(f->exchange);
    switch (instance_ask(f->instance, f->exchange, id,
                         arena_printf(a, "/v1/orders/" SLICE_FMT, SLICE_ARG(id)), &body)) {
    case ASK_HERE:
        if (!instance_row(f->instance, f->exchange, &orders_table, id, &row) || row.value == NULL)
            return false;
        *wanted = slice_equal(((const struct order *)row.value)->customer_id, f->customer_id);
        return true;
    case ASK_ANSWERED: /* our own JSON: inside of a string the quotes would be escaped */
        if (body.data == NULL)
            return false;
        struct slice field = arena_printf(a, "\"customerId\":\"" SLICE_FMT "\"", SLICE_ARG(f->customer_id));
        *wanted = memmem(body.data, body.size, field.data, field.size) != NULL;
        return true;
    case ASK_PENDING:
        break;
    }
    return false;
}

/* Only orders say whose they are. Of other records the order is looked up; what comes before it can be has to
 * wait. */
static enum feed_verdict of_customer(void *context, const struct feed_record *r) {
    struct follower *f = context;
    struct order o;
    struct err e;
    uint64_t hash, *entry = learned(f, r->key, &hash);
    bool wanted;
    if (r->topic == &topic_orders && instance_decode(f->instance, f->exchange, r->topic, r->value, &o, &e))
        wanted = slice_equal(o.customer_id, f->customer_id);
    else if ((*entry | 1) == hash)
        wanted = (*entry & 1) != 0;
    else if (!look_up(f, r->key, &wanted))
        return FEED_LATER;
    *entry = (hash & ~(uint64_t)1) | wanted;
    return wanted ? FEED_SEND : FEED_SKIP;
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
    {"POST", "/v1/orders", post_order},
    {"GET", "/v1/orders", list_orders},
    {"GET", "/v1/orders/{id}", get_order},
    {"GET", "/v1/orders/{id}/validated", get_outcome},
    {"POST", "/v1/orders/{id}/cancel", post_cancel},
    {"GET", "/v1/events/orders", get_events},
    {0},
};
