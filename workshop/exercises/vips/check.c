#include "check.h"

#include "log/partitions.h"

#include <inttypes.h>

static const struct {
    const char *id, *name;
    enum customer_level level;
} customers[] = {{"ada", "Ada", CUSTOMER_LEVEL_PLATINUM},
                 {"bob", "Bob", CUSTOMER_LEVEL_GOLD},
                 {"cid", "Cid", CUSTOMER_LEVEL_PLATINUM},
                 {"dee", "Dee", CUSTOMER_LEVEL_GOLD}};

enum { DEE = 3 }; /* becomes PLATINUM, once a record is late */

/* How many records of this key, and is the last of PLATINUM? */
struct looked {
    struct slice key;
    struct world *world;
    struct arena arena;
    int count;
    bool platinum;
};

static void look(void *context, const struct log_record *record, const struct log_header *headers, size_t n) {
    (void)headers, (void)n;
    struct looked *l = context;
    struct customer c;
    struct err e = {0};
    if (!slice_equal(record->key, l->key))
        return;
    if (!schemas_decode(world_schemas(l->world), &customer_type, record->value, &l->arena, &c, &e))
        return;
    l->count++;
    l->platinum = c.level == CUSTOMER_LEVEL_PLATINUM;
}

static struct looked look_up(struct world *w, struct slice key) {
    struct looked l = {.key = key, .world = w};
    world_scan(w, &topic_customers, partition_of(key, world_plan(w)->partitions), look, &l);
    arena_free(&l.arena);
    return l;
}

static void write_customer(struct world *w, int key, enum customer_level level) {
    world_write_event(w, &topic_customers, -1, slice_of(customers[key].id),
                      &(struct customer){.id = slice_of(customers[key].id),
                                         .first_name = slice_of(customers[key].name),
                                         .last_name = SLICE("Byron"),
                                         .level = level},
                      world_now(w), WRITE_PLAIN);
}

/* Nobody clicks before there is a record of them. What they do says whether by then they were PLATINUM for
 * whoever reads the log. */
static void write_click(struct world *w, const struct item *item) {
    struct slice id = slice_of(customers[item->key].id);
    struct looked l = look_up(w, id);
    if (l.count == 0)
        write_customer(w, item->key, customers[item->key].level);
    if (item->kind == ITEM_LATE && item->key == DEE)
        write_customer(w, DEE, CUSTOMER_LEVEL_PLATINUM);
    l = look_up(w, id);
    char page[20];
    snprintf(page, sizeof page, "/lp/%u", item->arg % 4000);
    world_write_event(w, &topic_clickstream, -1, id,
                      &(struct click){.user_id = id,
                                      .page = slice_of(page),
                                      .action = l.platinum ? SLICE("buy") : SLICE("look")},
                      world_now(w) - (item->kind == ITEM_LATE ? 600000 : 0), item->mode);
}

static void reckon(struct reckoning *r, const struct event *in) {
    const struct click *c = in->value;
    int key = in->key.data[0] - 'a';
    char name[40];
    snprintf(name, sizeof name, "%s Byron", customers[key].name);
    struct vip_action action = {.user_id = in->key,
                                .page = c->page,
                                .action = c->action,
                                .level = CUSTOMER_LEVEL_PLATINUM,
                                .name = slice_of(name)};
    if (slice_equal(c->action, SLICE("buy")))
        expect(r, in, &topic_vip_actions, in->key, &action, 0,
               SLICE_FMT "'s click on " SLICE_FMT ", who is PLATINUM", SLICE_ARG(in->key),
               SLICE_ARG(c->page));
    else if (key == DEE) /* before the click was read she may have become it */
        expect_perhaps(r, in, &topic_vip_actions, in->key, &action);
    else
        expect_nothing(r, in, &topic_vip_actions, "unexpected", SLICE_FMT " is no PLATINUM customer",
                       SLICE_ARG(in->key));
}

const struct exercise exercise_vips = {
    .topology = "vips",
    .inputs = (const struct topic *const[]){&topic_clickstream, NULL},
    .outputs = (const struct topic *const[]){&topic_vip_actions, NULL},
    .write = write_click,
    .reckon = reckon,
};
