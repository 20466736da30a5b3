#include "rides.h"

#include "replies.h"
#include "ride_rules.h"
#include "transaction/txn.h"

static void on_command(struct txn *txn, const struct event *in);

const struct view rides_decisions = {.name = "decisions", .changelog = &topic_ride_decisions};

const struct topology rides_topology = {
    .name = "rides",
    .sources =
        (const struct source[]){
            {.topic = &topic_ride_commands, .handle = on_command},
            {.topic = &topic_rides},
            {0},
        },
    .views = (const struct view *const[]){&rides_decisions, NULL},
    .outputs = (const struct topic *const[]){&topic_rides, &topic_rider_claim_answers,
                                             &topic_driver_claim_answers, NULL},
    .dead_letters = &topic_dead_letters,
};

static void answer(struct txn *txn, const struct topic *to, struct slice claimant,
                   const struct claim_answer *a) {
    txn_emit(txn, to, claimant, a);
}

static bool is_driver(const struct ride_command *c) {
    return c->action == RIDE_ACTION_ACCEPT;
}

static bool holds(const struct ride *r, const struct ride_command *c) {
    return is_driver(c) ? ride_has_driver(r, c->driver_id) : ride_has_rider(r, c->rider_id);
}

/* To the claimant whose command this is. */
static void answer_command(struct txn *txn, const struct ride_command *c, const struct claim_answer *a) {
    answer(txn, is_driver(c) ? &topic_driver_claim_answers : &topic_rider_claim_answers,
           is_driver(c) ? c->driver_id : c->rider_id, a);
}

/* Does the sender still have this ride? The command that asked goes back with the answer. */
static void on_question(struct txn *txn, const struct ride_command *c) {
    struct ride_decision d;
    bool exists = txn_get(txn, &rides_decisions, SLICE_NONE, &d);
    answer_command(txn, c,
                   &(struct claim_answer){
                       .ride_id = c->held_ride_id,
                       .claim = c->claim,
                       .holds = exists && holds(&d.ride, c),
                       .pending = {c, 1},
                   });
}

/* A HAIL or an ACCEPT came under a claim: it is the one by which its sender now has the ride, or it is told
 * to go. */
static void settle(struct txn *txn, struct ride_decision *d, bool exists, const struct ride_command *c) {
    if (c->action != RIDE_ACTION_HAIL && c->action != RIDE_ACTION_ACCEPT)
        return;
    if (!exists || !holds(&d->ride, c))
        answer_command(txn, c, &(struct claim_answer){.ride_id = c->ride_id, .claim = c->claim});
    else if (is_driver(c))
        d->driver_claim = c->claim;
    else
        d->rider_claim = c->claim;
}

/* Whoever had the ride before and has it no longer. */
static void release(struct txn *txn, const struct ride_decision *before, const struct ride_decision *after) {
    const struct ride *r = &before->ride;
    if (ride_has_driver(r, r->driver_id) && !ride_has_driver(&after->ride, r->driver_id))
        answer(txn, &topic_driver_claim_answers, r->driver_id,
               &(struct claim_answer){.ride_id = r->id, .claim = before->driver_claim});
    if (ride_has_rider(r, r->rider_id) && !ride_has_rider(&after->ride, r->rider_id))
        answer(txn, &topic_rider_claim_answers, r->rider_id,
               &(struct claim_answer){.ride_id = r->id, .claim = before->rider_claim});
}

static bool well_formed(struct txn *txn, const struct event *in, const struct ride_command *c) {
    bool asks = c->held_ride_id.data != NULL;
    bool claims = c->action == RIDE_ACTION_HAIL || c->action == RIDE_ACTION_ACCEPT;
    struct slice who = c->action == RIDE_ACTION_HAIL ? c->rider_id : c->driver_id;
    if (!slice_equal(in->key, asks ? c->held_ride_id : c->ride_id))
        txn_reject(txn, "rideId: differs from the record's key");
    else if (asks && !claims)
        txn_reject(txn, "heldRideId: only a HAIL or an ACCEPT asks");
    else if (c->action != RIDE_ACTION_CANCEL && who.size == 0)
        txn_reject(txn, "%s: missing", c->action == RIDE_ACTION_HAIL ? "riderId" : "driverId");
    else
        return true;
    return false;
}

static void on_command(struct txn *txn, const struct event *in) {
    const struct ride_command *c = in->value;
    if (!well_formed(txn, in, c))
        return;
    if (c->held_ride_id.data != NULL) {
        on_question(txn, c);
        return;
    }
    struct ride_decision d = {0};
    bool exists = txn_get(txn, &rides_decisions, SLICE_NONE, &d);
    struct ride_decision before = d;
    if (!exists && c->action == RIDE_ACTION_ACCEPT) { /* HTTP has answered that there is no such ride */
        settle(txn, &d, false, c);
        return;
    }
    if (!exists && c->action != RIDE_ACTION_HAIL) {
        txn_reject(txn, "rideId: no such ride");
        return;
    }
    bool replied = c->action != RIDE_ACTION_GIVE_BACK; /* of which nobody waits for one */
    if (!exists || !replied || replies_find(d.replies, c->id) == NULL) {
        struct ride_verdict v = ride_decide(&d, exists, c, in->timestamp);
        if (v.changed)
            txn_emit(txn, &topic_rides, in->key, &d.ride);
        else if (!replied)
            return;
        if (replied)
            d.replies =
                replies_add(txn_arena(txn), d.replies,
                            &(struct ride_reply){.command = c->id,
                                                 .asked = reply_asked(txn_arena(txn), c),
                                                 .status = v.status,
                                                 .detail = v.why == NULL ? SLICE_NONE : slice_of(v.why),
                                                 .at = in->timestamp});
        if (exists)
            release(txn, &before, &d);
    }
    settle(txn, &d, true, c);
    txn_put(txn, &rides_decisions, SLICE_NONE, &d);
}
