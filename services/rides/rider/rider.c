#include "rider.h"

#include "claims.h"
#include "positions.h"
#include "tables.h"

static void on_command(struct txn *txn, const struct event *in);
static void on_answer(struct txn *txn, const struct event *in);
static void on_position(struct txn *txn, const struct event *in);

const struct view rider_claims = {.name = "claims", .changelog = &topic_rider_claims};

const struct topology rider_topology = {
    .name = "rider",
    .sources =
        (const struct source[]){
            {.topic = &topic_rider_commands, .handle = on_command},
            {.topic = &topic_rider_claim_answers, .handle = on_answer},
            {.topic = &topic_rider_positions, .handle = on_position},
            {0},
        },
    .views = (const struct view *const[]){&rider_claims, NULL},
    .outputs = (const struct topic *const[]){&topic_ride_commands, NULL},
    .dead_letters = &topic_dead_letters,
};

const struct table rider_claims_table = {.name = "claims", .topic = &topic_rider_claims};

const struct topology rider_view_topology = {
    .name = "rider-view",
    .tables = (const struct table *const[]){&rides_table, &decisions_table, &rider_claims_table,
                                            &driver_positions_table, &rider_positions_table, NULL},
};

static const struct claims claims = {.view = &rider_claims, .has_another = "the rider has another ride: "};

static void on_command(struct txn *txn, const struct event *in) {
    const struct ride_command *c = in->value;
    struct ride_claim claim;
    if (c->action != RIDE_ACTION_HAIL || !slice_equal(in->key, c->rider_id))
        txn_reject(txn, "action: a rider's own HAIL is expected");
    else
        claims_command(txn, &claims, c, &claim);
}

static void on_answer(struct txn *txn, const struct event *in) {
    struct ride_claim claim;
    claims_answer(txn, &claims, in->value, in->timestamp, &claim);
}

/* Positions decide nothing here: they are a table. But somebody must find the bad ones. */
static void on_position(struct txn *txn, const struct event *in) {
    const char *fault = position_fault(in);
    if (fault != NULL)
        txn_reject(txn, "%s", fault);
}
