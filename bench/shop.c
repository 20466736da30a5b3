#include "shop.h"

#include "base/cleanup.h"

#include <jansson.h>
#include <stdlib.h>

enum { PRICE_CENTS_MAX = 100, QUANTITY_MAX = 3 };

bool shop_gateway(const char **url, struct err *err) {
    const char *value = getenv("GATEWAY_URL");
    if (value == NULL || *value == 0)
        value = "http://127.0.0.1:8000";
    if (!url_is_loopback(value))
        return err_set(err, ERR_CONFIG, "GATEWAY_URL: \"%s\" is not on this machine", value);
    *url = value;
    return true;
}

struct customer shop_customer(size_t n, struct arena *a) {
    return (struct customer){
        .id = arena_printf(a, "bench-%04zu", n),
        .first_name = SLICE("Bench"),
        .last_name = arena_printf(a, "%04zu", n),
        .email = arena_printf(a, "bench-%04zu@example.com", n),
        .address = arena_printf(a, "%zu Long Street", n + 1),
        .level = (enum customer_level)(n % 4),
    };
}

struct order_request shop_order(const struct shop *shop, size_t n, struct arena *a) {
    uint64_t mixed = ((uint64_t)n + 1) * UINT64_C(0x9E3779B97F4A7C15);
    mixed ^= mixed >> 29;
    return (struct order_request){
        .customer_id = arena_printf(a, "bench-%04zu", n % SHOP_CUSTOMERS),
        .product_id = shop->products[(mixed >> 8) % shop->product_count],
        .quantity = (int32_t)(1 + (mixed >> 40) % QUANTITY_MAX),
        .price_cents = (int64_t)(1 + (mixed >> 48) % PRICE_CENTS_MAX),
    };
}

static bool get_products(struct client *c, struct shop *shop, struct err *err) {
    _cleanup_(buf_free) struct buf body = {0};
    long status;
    if (!client_ask(c, "GET", "/v1/stock", SLICE_NONE, &status, &body, err))
        return false;
    json_t *answer = json_loadb(body.data, body.size, 0, NULL);
    const json_t *rows = json_object_get(answer, "stock"), *row;
    shop->products = arena_alloc(&shop->arena, (json_array_size(rows) + 1) * sizeof *shop->products);
    size_t i;
    json_array_foreach(rows, i, row) {
        const char *id = json_string_value(json_object_get(row, "productId"));
        if (id != NULL)
            shop->products[shop->product_count++] = arena_printf(&shop->arena, "%s", id);
    }
    json_decref(answer);
    return shop->product_count > 0 || err_set(err, ERR_CONFIG, "/v1/stock has no products (%ld)", status);
}

static bool ensure_customer(struct client *c, size_t n, struct err *err) {
    _cleanup_(buf_free) struct buf path = {0}, json = {0}, answer = {0};
    _cleanup_(arena_free) struct arena a = {0};
    struct customer customer = shop_customer(n, &a);
    long status;
    buf_printf(&path, "/v1/customers/" SLICE_FMT "%c", SLICE_ARG(customer.id), 0);
    if (!client_ask(c, "GET", path.data, SLICE_NONE, &status, &answer, err))
        return false;
    if (status == 200)
        return true;
    event_json(&customer_type, &customer, &json);
    if (!client_ask(c, "PUT", path.data, buf_slice(&json), &status, &answer, err))
        return false;
    return status == 200 || status == 201 || err_set(err, ERR_CONFIG, "PUT %s: %ld", path.data, status);
}

bool shop_open(struct client *c, struct shop *shop, struct err *err) {
    bool ok = get_products(c, shop, err);
    for (size_t n = 0; n < SHOP_CUSTOMERS && ok; n++)
        ok = ensure_customer(c, n, err);
    return ok;
}

void shop_close(struct shop *shop) {
    arena_free(&shop->arena);
}
