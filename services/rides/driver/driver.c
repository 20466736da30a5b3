#include "driver.h"

#include "base/num.h"
#include "claims.h"
#include "positions.h"
#include "tables.h"

static void on_command(struct txn *txn, const struct event *in);
static void on_answer(struct txn *txn, const struct event *in);
static void on_position(struct txn *txn, const struct event *in);
static void on_silence(struct txn *txn, const struct event *in);

const struct view driver_claims = {.name = "claims", .changelog = &topic_driver_claims};
/* A row is as old as DRIVER_TOUCH_MS when it is renewed, so one that lives this long has seen nobody for
 * DRIVER_GONE_MS. */
const struct view driver_presence = {.name = "presence",
                                     .changelog = &topic_driver_presence,
                                     .retention_ms = DRIVER_GONE_MS + DRIVER_TOUCH_MS,
                                     .expired = on_silence};

const struct topology driver_topology = {
    .name = "driver",
    .sources =
        (const struct source[]){
            {.topic = &topic_driver_commands, .handle = on_command},
            {.topic = &topic_driver_claim_answers, .handle = on_answer},
            {.topic = &topic_driver_positions, .handle = on_position},
            {.topic = &topic_driver_ticks},
            {0},
        },
    .views = (const struct view *const[]){&driver_claims, &driver_presence, NULL},
    .outputs = (const struct topic *const[]){&topic_ride_commands, NULL},
    .dead_letters = &topic_dead_letters,
    .ticks = &topic_driver_ticks,
    .tick_ms = 1000,
};

const struct table driver_claims_table = {.name = "claims", .topic = &topic_driver_claims};

const struct topology driver_view_topology = {
    .name = "driver-view",
    .tables = (const struct table *const[]){&rides_table, &decisions_table, &driver_claims_table,
                                            &driver_positions_table, &rider_positions_table, NULL},
};

static const struct claims claims = {.view = &driver_claims, .has_another = "the driver has another ride: "};

/* From here on the driver must be heard of. */
static void present(struct txn *txn, const struct ride_claim *claim, int64_t at) {
    if (claim->ride_id.data == NULL)
        txn_delete(txn, &driver_presence, SLICE_NONE);
    else
        txn_put(txn, &driver_presence, SLICE_NONE,
                &(struct driver_presence){.ride_id = claim->ride_id, .claim = claim->claim, .seen_at = at});
}

static void on_command(struct txn *txn, const struct event *in) {
    const struct ride_command *c = in->value;
    struct ride_claim claim;
    if (c->action != RIDE_ACTION_ACCEPT || !slice_equal(in->key, c->driver_id))
        txn_reject(txn, "action: a driver's own ACCEPT is expected");
    else if (claims_command(txn, &claims, c, &claim))
        present(txn, &claim, in->timestamp);
}

static void on_answer(struct txn *txn, const struct event *in) {
    struct ride_claim claim;
    if (claims_answer(txn, &claims, in->value, in->timestamp, &claim))
        present(txn, &claim, in->timestamp);
}

/* Most cars have no ride, and cost nothing here; of one that has, each report would be a changelog record. */
static void on_position(struct txn *txn, const struct event *in) {
    struct ride_claim claim;
    struct driver_presence p;
    const char *fault = position_fault(in);
    if (fault != NULL)
        txn_reject(txn, "%s", fault);
    if (fault != NULL || !txn_get(txn, &driver_claims, SLICE_NONE, &claim) || claim.ride_id.data == NULL)
        return;
    if (!txn_get(txn, &driver_presence, SLICE_NONE, &p) || p.claim != claim.claim ||
        sat_sub(in->timestamp, p.seen_at) >= DRIVER_TOUCH_MS)
        present(txn, &claim, in->timestamp);
}

/* Nobody has heard of the driver for too long. Whether there is anything to give back the ride decides: who
 * is on the trip keeps it, and a later position is seen again. */
static void on_silence(struct txn *txn, const struct event *in) {
    const struct driver_presence *p = in->value;
    txn_emit(txn, &topic_ride_commands, p->ride_id,
             &(struct ride_command){
                 .id = arena_printf(txn_arena(txn), "gone:" SLICE_FMT ":%lld", SLICE_ARG(in->key),
                                    (long long)p->claim),
                 .action = RIDE_ACTION_GIVE_BACK,
                 .ride_id = p->ride_id,
                 .driver_id = in->key,
                 .claim = p->claim,
             });
}
