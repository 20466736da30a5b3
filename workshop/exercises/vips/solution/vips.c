/* What the best customers do: clickstream LEFT JOIN customers WHERE level = 'PLATINUM'. */
#include "schemas/schemas.gen.h"
#include "topology/topology.h"
#include "transaction/txn.h"

static const struct table customers = {.name = "customers", .topic = &topic_customers, .fresh = true};

static void on_click(struct txn *txn, const struct event *in) {
    const struct click *c = in->value;
    struct customer who;
    if (!txn_lookup(txn, &customers, c->user_id, &who) || who.level != CUSTOMER_LEVEL_PLATINUM)
        return;
    txn_emit(txn, &topic_vip_actions, in->key,
             &(struct vip_action){
                 .user_id = c->user_id,
                 .page = c->page,
                 .action = c->action,
                 .level = who.level,
                 .name = arena_printf(txn_arena(txn), SLICE_FMT " " SLICE_FMT, SLICE_ARG(who.first_name),
                                      SLICE_ARG(who.last_name)),
             });
}

const struct topology vips = {
    .name = "vips",
    .sources = (const struct source[]){{.topic = &topic_clickstream, .handle = on_click}, {0}},
    .tables = (const struct table *const[]){&customers, NULL},
    .outputs = (const struct topic *const[]){&topic_vip_actions, NULL},
};
