/* Whom and what benchmarks order for: 200 customers of their own, and the products that there are. */
#pragma once

#include "client.h"
#include "schemas/schemas.gen.h"

enum { SHOP_CUSTOMERS = 200 };

struct shop {
    struct arena arena;
    struct slice *products;
    size_t product_count;
};

/* Asks for the products at the gateway and makes the customers that are missing. ERR_CONFIG when there are
 * no products or a customer is refused, ERR_RETRY when the gateway does not answer. */
WARN_UNUSED bool shop_open(struct client *c, struct shop *shop, struct err *err);
void shop_close(struct shop *shop);

/* "bench-0000" to "bench-0199"; the text is in the arena. */
struct customer shop_customer(size_t n, struct arena *a);

/* The nth order, without an id: the same each time. The amount is small, so that fraud lets a customer have
 * many in an hour. */
struct order_request shop_order(const struct shop *shop, size_t n, struct arena *a);

/* Benchmarks write only to a suite on this machine: GATEWAY_URL, http://127.0.0.1:8000 where it is not set.
 * ERR_CONFIG for any other. */
WARN_UNUSED bool shop_gateway(const char **url, struct err *err);
