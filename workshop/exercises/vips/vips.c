/* What the best customers do: clickstream LEFT JOIN customers WHERE level = 'PLATINUM'. */
#include "schemas/schemas.gen.h"
#include "topology/topology.h"
#include "transaction/txn.h"

/* TODO: a table, a replica of a whole topic on each instance, that can be looked up by any key:
 *       static const struct table customers = {.name = "customers", .topic = &topic_customers};
 *       Declared here, and in .tables of the topology below. Who was written before the click must be found
 *       by it: read in stream/topology.h what `fresh` does. */

static void on_click(struct txn *txn, const struct event *in) {
    const struct click *c = in->value;
    /* TODO: look the user up (txn_lookup), and emit what a PLATINUM one does to topic_vip_actions: user_id,
     *       page and action of the click, the level, and as name first and last name with a blank in between
     *       (arena_printf(txn_arena(txn), SLICE_FMT " " SLICE_FMT, SLICE_ARG(…), SLICE_ARG(…))). */
    (void)txn, (void)c;
}

const struct topology vips = {
    .name = "vips",
    .sources = (const struct source[]){{.topic = &topic_clickstream, .handle = on_click}, {0}},
    .outputs = (const struct topic *const[]){&topic_vip_actions, NULL},
};
