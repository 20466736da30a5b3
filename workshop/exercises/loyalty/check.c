#include "check.h"

#include <inttypes.h>

static const struct {
    const char *id;
    enum customer_level level;
    int64_t factor;
} customers[] = {{"ada", CUSTOMER_LEVEL_PLATINUM, 4},
                 {"bob", CUSTOMER_LEVEL_BRONZE, 1},
                 {"cid", CUSTOMER_LEVEL_GOLD, 3},
                 {"dee", CUSTOMER_LEVEL_SILVER, 2}};

static void count_record(void *context, const struct log_record *record, const struct log_header *headers,
                         size_t n) {
    (void)record, (void)headers, (void)n;
    ++*(int *)context;
}

/* Nobody orders before there is a record of them, and all are written at once. */
static void write_customers(struct world *w) {
    int count = 0;
    for (int32_t p = 0; p < world_plan(w)->partitions; p++)
        world_scan(w, &topic_customers, p, count_record, &count);
    for (int i = 0; count == 0 && i < 4; i++) {
        struct slice id = slice_of(customers[i].id);
        world_write_event(w, &topic_customers, -1, id,
                          &(struct customer){.id = id, .level = customers[i].level}, world_now(w),
                          WRITE_PLAIN);
    }
}

/* An order and its outcome. The suite writes each outcome once, and so does this. */
static void write_order(struct world *w, const struct item *item) {
    uint32_t n = item->arg % 4000;
    char id[20];
    snprintf(id, sizeof id, "o-%u", n);
    write_customers(w);
    struct order o = {.id = slice_of(id),
                      .customer_id = slice_of(customers[item->key].id),
                      .product_id = SLICE("lp"),
                      .quantity = 1 + (int32_t)(item->arg / 4000 % 3),
                      .price_cents = 500 + 100 * (int64_t)(item->arg / 12000 % 10),
                      .state = ORDER_STATE_CREATED};
    int64_t time = world_now(w) - (item->kind == ITEM_LATE ? 600000 : 0);
    world_write_event(w, &topic_orders, -1, o.id, &o, time, WRITE_PLAIN);
    o.state = n % 3 == 2 ? ORDER_STATE_FAILED : ORDER_STATE_VALIDATED;
    world_write_event(w, &topic_orders, -1, o.id, &o, time, item->mode);
}

static int number_of(struct slice customer) {
    return customer.data[0] - 'a';
}

struct state {
    struct loyalty rows[4];
};

/* The rows follow from the orders, in whatever order those come: a sum. */
static void reckon(struct reckoning *r, const struct event *in) {
    const struct order *o = in->value;
    struct state *state = reckoning_state(r);
    if (o->state != ORDER_STATE_VALIDATED)
        return;
    int64_t points = o->quantity * o->price_cents / 100 * customers[number_of(o->customer_id)].factor;
    struct loyalty *row = &state->rows[number_of(o->customer_id)];
    row->customer_id = slice_of(customers[number_of(o->customer_id)].id);
    row->points += points;
    row->orders++;
    expect(r, NULL, &topic_loyalty, row->customer_id, row, points,
           SLICE_FMT "'s %" PRId64 " points of order " SLICE_FMT, SLICE_ARG(row->customer_id), points,
           SLICE_ARG(o->id));
}

static int64_t amount(const struct topic *t, const void *value) {
    (void)t;
    return ((const struct loyalty *)value)->points;
}

const struct exercise exercise_loyalty = {
    .topology = "loyalty_topology",
    .inputs = (const struct topic *const[]){&topic_orders, NULL},
    .rows = (const struct topic *const[]){&topic_loyalty, NULL},
    .state = sizeof(struct state),
    .write = write_order,
    .reckon = reckon,
    .amount = amount,
};
