#include "inventory.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "feeds/feed.h"
#include "instance/page.h"

enum { PAGE_MAX = 500 };

/* A client that saw an outcome sees the reservation that it came from: both tables are read to the end. */
static bool fresh(struct instance *i, struct http_exchange *x, enum http_result *result) {
    return instance_wait_fresh(i, x, &inventory_stock, result) &&
           instance_wait_fresh(i, x, &inventory_reserved_stock, result);
}

static int32_t on_hand(const struct stock *s) {
    return s->quantity.present ? s->quantity.value : 0;
}

static void put_on_hand(const struct event *row, struct json *j) {
    const struct stock *s = row->value;
    json_key(j, "productId"), json_put_string(j, row->key);
    json_key(j, "name");
    if (s->name.data != NULL)
        json_put_string(j, s->name);
    else
        json_put_null(j);
    json_key(j, "onHand"), json_put_int(j, on_hand(s));
}

struct listing {
    struct instance *instance;
    struct http_exchange *x;
    struct json json;
    bool failed; /* answered already: with 503 */
};

static void put_product(void *context, const struct event *row) {
    struct listing *l = context;
    struct json *j = &l->json;
    struct event of;
    l->failed = l->failed || !instance_row(l->instance, l->x, &inventory_reserved_stock, row->key, &of);
    if (l->failed)
        return;
    const struct reserved_stock *r = of.value;
    int64_t reserved = r == NULL ? 0 : r->reserved;
    json_begin_object(j);
    put_on_hand(row, j);
    json_key(j, "reserved"), json_put_int(j, reserved);
    json_key(j, "available"), json_put_int(j, on_hand(row->value) - reserved);
    json_end_object(j);
}

static enum http_result get_stock(struct http_exchange *x, void *context) {
    struct instance *i = context;
    enum http_result result;
    struct slice id;
    struct event row;
    if (!http_path_key(x, "productId", &id)) /* the legacy system's own */
        return HTTP_DONE;
    if (!fresh(i, x, &result) || !instance_fresh_row(i, x, &inventory_stock, id, "product", &row, &result))
        return result;
    _cleanup_(buf_free) struct buf json = {0};
    struct listing l = {i, x, {.out = &json}, false};
    put_product(&l, &row);
    return l.failed ? HTTP_DONE : http_reply_json(x, 200, buf_slice(&json));
}

static enum http_result list_stock(struct http_exchange *x, void *context) {
    struct instance *i = context;
    enum http_result result;
    struct page page;
    if (!page_query(x, 0, PAGE_MAX, &page))
        return HTTP_DONE;
    if (!fresh(i, x, &result))
        return result;
    _cleanup_(buf_free) struct buf json = {0};
    struct listing l = {i, x, {.out = &json}, false};
    json_begin_object(&l.json);
    json_key(&l.json, "stock"), json_begin_array(&l.json);
    if (!page_rows(i, x, &inventory_stock, &page, put_product, &l) || l.failed)
        return HTTP_DONE;
    json_end_array(&l.json);
    page_put_next(&page, "/v1/stock", SLICE_NONE, &l.json);
    json_end_object(&l.json);
    return http_reply_json(x, 200, buf_slice(&json));
}

static void on_hand_json(const struct event *row, struct buf *out) {
    struct json j = {.out = out};
    json_begin_object(&j);
    put_on_hand(row, &j);
    json_end_object(&j);
}

/* What is available is the difference of two tables: the reader subtracts. */
static enum http_result stock_events(struct http_exchange *x, void *context) {
    const struct feed feeds[] = {
        {.table = &inventory_stock, .event = "stock", .json = on_hand_json},
        {.table = &inventory_reserved_stock, .event = "reserved-stock"},
        {.table = NULL},
    };
    return instance_feed(context, x, feeds);
}

const struct http_route inventory_routes[] = {
    {"GET", "/v1/stock", list_stock},
    {"GET", "/v1/stock/{productId}", get_stock},
    {"GET", "/v1/events/stock", stock_events},
    {0},
};
