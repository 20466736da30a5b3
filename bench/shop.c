#include "shop.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/wait.h>

enum { CUSTOMERS = 200, ORDERS_EACH = 1000, PRICE_CENTS_MAX = 100, QUANTITY_MAX = 3, STOCK_MS = 30000 };

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

struct slice shop_product(size_t n, struct arena *a) {
    return arena_printf(a, "load-%02zu", n % SHOP_PRODUCTS + 1);
}

static uint64_t mixed(size_t n) {
    uint64_t mixed = ((uint64_t)n + 1) * UINT64_C(0x9E3779B97F4A7C15);
    return mixed ^ mixed >> 29;
}

static size_t product_of(size_t n) {
    return (mixed(n) >> 8) % SHOP_PRODUCTS;
}

static int32_t quantity_of(size_t n) {
    return (int32_t)(1 + (mixed(n) >> 40) % QUANTITY_MAX);
}

size_t shop_customers(size_t orders) {
    return (orders + CUSTOMERS * ORDERS_EACH - 1) / (CUSTOMERS * ORDERS_EACH) * CUSTOMERS;
}

static size_t customer_of(size_t n) {
    return n / (CUSTOMERS * ORDERS_EACH) * CUSTOMERS + n % CUSTOMERS;
}

struct order_request shop_order(size_t n, struct arena *a) {
    return (struct order_request){
        .customer_id = arena_printf(a, "bench-%04zu", customer_of(n)),
        .product_id = shop_product(product_of(n), a),
        .quantity = quantity_of(n),
        .price_cents = (int64_t)(1 + (mixed(n) >> 48) % PRICE_CENTS_MAX),
    };
}

/* How many of each product the orders take. */
static void demand(size_t orders, int64_t wanted[SHOP_PRODUCTS]) {
    memset(wanted, 0, SHOP_PRODUCTS * sizeof *wanted);
    for (size_t n = 0; n < orders; n++)
        wanted[product_of(n)] += quantity_of(n);
}

bool shop_restock(size_t orders, struct err *err) {
    _cleanup_(buf_free) struct buf command = {0};
    _cleanup_(arena_free) struct arena a = {0};
    int64_t wanted[SHOP_PRODUCTS];
    demand(orders, wanted);
    setenv("LEGACY_URL", "postgresql://legacy:legacy@127.0.0.1:5433/legacy", 0);
    buf_printf(&command, "psql \"$LEGACY_URL\" -Xqv ON_ERROR_STOP=1 -c \"INSERT INTO stock (product_id, "
                         "name, quantity) VALUES");
    for (size_t i = 0; i < SHOP_PRODUCTS; i++)
        buf_printf(&command, "%s ('" SLICE_FMT "', 'Test pressing %zu', %" PRId64 ")", i == 0 ? "" : ",",
                   SLICE_ARG(shop_product(i, &a)), i + 1, wanted[i]);
    buf_printf(&command,
               " ON CONFLICT (product_id) DO UPDATE SET quantity = "
               "least(stock.quantity::bigint + excluded.quantity, 2147483647)\"%c",
               0);
    int status = system(command.data); // NOLINT(cert-env33-c): nothing in it comes from outside
    return status == 0 ||
           err_set(err, ERR_CONFIG, "the legacy database takes no stock (LEGACY_URL): psql ended with %d",
                   WIFEXITED(status) ? WEXITSTATUS(status) : status);
}

static bool is_available(struct client *c, struct slice product, int64_t wanted, bool *there,
                         struct err *err) {
    _cleanup_(buf_free) struct buf path = {0}, body = {0};
    long status;
    buf_printf(&path, "/v1/stock/" SLICE_FMT "%c", SLICE_ARG(product), 0);
    if (!client_ask(c, "GET", path.data, SLICE_NONE, &status, &body, err))
        return false;
    json_t *answer = json_loadb(body.data, body.size, 0, NULL);
    *there = status == 200 && json_integer_value(json_object_get(answer, "available")) >= wanted;
    json_decref(answer);
    return true;
}

static bool await_stock(struct client *c, size_t orders, struct err *err) {
    _cleanup_(arena_free) struct arena a = {0};
    int64_t wanted[SHOP_PRODUCTS], deadline = clock_mono_us() + STOCK_MS * INT64_C(1000);
    demand(orders, wanted);
    for (size_t i = 0; i < SHOP_PRODUCTS; i++) {
        for (bool there = false; !there;) {
            if (!is_available(c, shop_product(i, &a), wanted[i], &there, err))
                return false;
            if (!there && clock_mono_us() > deadline)
                return err_set(err, ERR_RETRY, "what was put into the legacy table of stock is not served");
            if (!there)
                client_wait(c, 50);
        }
    }
    return true;
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

bool shop_open(struct client *c, size_t orders, struct err *err) {
    bool ok = true;
    for (size_t n = 0; n < shop_customers(orders) && ok; n++)
        ok = ensure_customer(c, n, err);
    return ok && shop_restock(orders, err) && await_stock(c, orders, err);
}
