#include "clickstream.h"

#include "transaction/txn.h"

static void on_click(struct txn *txn, const struct event *in);

const struct table clickstream_customers = {.name = "customers", .topic = &topic_customers, .fresh = true};

const struct topology clickstream_topology = {
    .name = "clickstream",
    .sources = (const struct source[]){{.topic = &topic_clickstream, .handle = on_click}, {0}},
    .tables = (const struct table *const[]){&clickstream_customers, NULL},
    .outputs = (const struct topic *const[]){&topic_vip_actions, NULL},
    .dead_letters = &topic_dead_letters,
};

/* clickstream LEFT JOIN customers WHERE level = 'PLATINUM' */
static void on_click(struct txn *txn, const struct event *in) {
    const struct click *click = in->value;
    struct customer c;
    if (!slice_equal(in->key, click->user_id)) {
        txn_reject(txn, "userId: differs from the record's key");
        return;
    }
    if (!txn_lookup(txn, &clickstream_customers, click->user_id, &c) || c.level != CUSTOMER_LEVEL_PLATINUM)
        return;
    txn_emit(txn, &topic_vip_actions, in->key,
             &(struct vip_action){
                 .user_id = click->user_id,
                 .page = click->page,
                 .action = click->action,
                 .level = c.level,
                 .name = arena_printf(txn_arena(txn), SLICE_FMT " " SLICE_FMT, SLICE_ARG(c.first_name),
                                      SLICE_ARG(c.last_name)),
             });
}
