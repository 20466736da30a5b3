/* Whom and what load and benchmarks order for: customers and 20 products of their own, so that they neither
 * sell out the shop nor are refused what others have bought. */
#pragma once

#include "client.h"
#include "schemas/schemas.gen.h"

enum { SHOP_PRODUCTS = 20 };

/* Puts on the shelves what the orders 0 to `orders` - 1 take: into the table of the legacy database, by psql,
 * at LEGACY_URL (postgresql://legacy:legacy@127.0.0.1:5433/legacy where it is not set). ERR_CONFIG when the
 * database refuses or is not there. */
WARN_UNUSED bool shop_restock(size_t orders, struct err *err);

/* Makes the customers that are missing, restocks for so many orders, and waits until the gateway serves that.
 * ERR_CONFIG when a customer is refused, ERR_RETRY when the gateway does not answer or the stock does not
 * come. */
WARN_UNUSED bool shop_open(struct client *c, size_t orders, struct err *err);

/* Whose the orders 0 to `orders` - 1 are: 200 take turns, and others after each has had so many that fraud
 * would soon refuse more. */
size_t shop_customers(size_t orders);

/* "bench-0000" and so on; the text is in the arena. */
struct customer shop_customer(size_t n, struct arena *a);

/* "load-01" to "load-20". */
struct slice shop_product(size_t n, struct arena *a);

/* The nth order, without an id: the same each time. */
struct order_request shop_order(size_t n, struct arena *a);

/* Benchmarks write only to a suite on this machine: GATEWAY_URL, http://127.0.0.1:8000 where it is not set.
 * ERR_CONFIG for any other. */
WARN_UNUSED bool shop_gateway(const char **url, struct err *err);
