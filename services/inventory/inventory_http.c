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

struct product {
    struct slice id, name;
    int32_t on_hand;
};

/* On false a 503 has been sent. */
static bool put_product(struct instance *i, struct http_exchange *x, const struct product *p,
                        struct json *j) {
    struct event row;
    if (!instance_row(i, x, &inventory_reserved_stock, p->id, &row))
        return false;
    const struct reserved_stock *r = row.value;
    int64_t reserved = r == NULL ? 0 : r->reserved;
    json_begin_object(j);
    json_key(j, "productId"), json_put_string(j, p->id);
    json_key(j, "name");
    if (p->name.data != NULL)
        json_put_string(j, p->name);
    else
        json_put_null(j);
    json_key(j, "onHand"), json_put_int(j, p->on_hand);
    json_key(j, "reserved"), json_put_int(j, reserved);
    json_key(j, "available"), json_put_int(j, p->on_hand - reserved);
    json_end_object(j);
    return true;
}

static struct product product_of(const struct event *row, struct arena *a) {
    const struct stock *s = row->value;
    return (struct product){
        .id = arena_copy(a, row->key),
        .name = s->name.data == NULL ? SLICE_NONE : arena_copy(a, s->name),
        .on_hand = s->quantity.present ? s->quantity.value : 0,
    };
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
    struct product p = product_of(&row, http_arena(x));
    _cleanup_(buf_free) struct buf json = {0};
    if (!put_product(i, x, &p, &(struct json){.out = &json}))
        return HTTP_DONE;
    return http_reply_json(x, 200, buf_slice(&json));
}

struct products {
    struct arena *arena;
    struct product *items;
    size_t count, capacity;
};

static void collect(void *context, const struct event *row) {
    struct products *all = context;
    if (all->count == all->capacity) {
        all->capacity = all->capacity * 2 + 64;
        struct product *items = arena_alloc(all->arena, all->capacity * sizeof *items);
        if (all->count > 0)
            memcpy(items, all->items, all->count * sizeof *items);
        all->items = items;
    }
    all->items[all->count++] = product_of(row, all->arena);
}

static enum http_result list_stock(struct http_exchange *x, void *context) {
    struct instance *i = context;
    enum http_result result;
    struct page page;
    if (!page_query(x, 0, PAGE_MAX, &page))
        return HTTP_DONE;
    if (!fresh(i, x, &result))
        return result;
    struct products all = {.arena = http_arena(x)};
    if (!page_rows(i, x, &inventory_stock, &page, collect, &all))
        return HTTP_DONE;
    _cleanup_(buf_free) struct buf json = {0};
    struct json j = {.out = &json};
    json_begin_object(&j);
    json_key(&j, "stock"), json_begin_array(&j);
    for (size_t n = 0; n < all.count; n++)
        if (!put_product(i, x, &all.items[n], &j))
            return HTTP_DONE;
    json_end_array(&j);
    page_put_next(&page, "/v1/stock", SLICE_NONE, &j);
    json_end_object(&j);
    return http_reply_json(x, 200, buf_slice(&json));
}

static void on_hand_json(const struct event *row, struct buf *out) {
    const struct stock *s = row->value;
    struct json j = {.out = out};
    json_begin_object(&j);
    json_key(&j, "productId"), json_put_string(&j, row->key);
    json_key(&j, "name");
    if (s->name.data != NULL)
        json_put_string(&j, s->name);
    else
        json_put_null(&j);
    json_key(&j, "onHand"), json_put_int(&j, s->quantity.present ? s->quantity.value : 0);
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
