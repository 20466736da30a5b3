/* orders: makes an order of each new request, and one outcome of its three validations, or of a cancellation
 * that comes before that. Keeps the orders for reading, and beside them the log's secondary indexes by
 * product and by customer. */
#pragma once

#include "http/server.h"
#include "schemas/schemas.gen.h"
#include "topology/topology.h"

extern const struct topology orders_topology;
extern const struct view orders_made, orders_checks;

/* Asks the log how far orders_made must be for an answer; each instance has some partitions of it. */
extern const struct topology orders_view_topology;
extern const struct table orders_table; /* serves orders_made */
extern const struct table orders_assignments;

extern const struct http_route orders_routes[];

/* What the life of an order consists of: topics whose key is its id. */
extern const struct topic *const orders_followed[];

/* The reason of an order that somebody cancelled before it had an outcome. */
#define ORDER_CANCELLED "CANCELLED"

/* Where an order stands after these checks: the first FAIL makes FAILED, three times PASS VALIDATED. */
enum order_state orders_outcome(const struct order_checks *c);

/* When the order of a row was CREATED. */
int64_t orders_created_at(const struct event *row);

/* Index keys of orders_table, newest first: of a state's orders there is one list, and one for each customer.
 * Appends the part that all keys of such a list begin with. No customer: data NULL. */
void orders_list_prefix(struct slice customer_id, enum order_state state, struct buf *out);

/* Appends what follows the prefix, an order's place in each of its lists; also the cursor of a page. */
void orders_list_place(int64_t timestamp, struct slice id, struct buf *out);
bool orders_list_place_valid(struct slice place);
