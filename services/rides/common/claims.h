/* One ride at a time: the claim that a rider or a driver has on a ride. Used by the topologies rider (a HAIL
 * claims) and driver (an ACCEPT does), each by its own key.
 *
 * Who has no claim gets one, and the command goes on to its ride under the claim's number. A claim on another
 * ride is not believed: that ride is asked, in the log, behind everything the claimant ever sent there; only
 * its answer refuses. A ride answers "not yours" of itself when it ends or was never had; the claim then
 * goes, unless a later attempt has renewed it. So: whoever has a ride has a claim on it   a ride is given
 * only under a claim, and after the answer that takes a claim away nothing is under way under its number no
 * claim is stuck                      every command that goes on under a claim is answered or makes a ride */
#pragma once

#include "transaction/txn.h"

#include "schemas/schemas.gen.h"

struct claims {
    const struct view *view; /* struct ride_claim, by claimant */
    const char *has_another; /* the refusal: "the driver has another ride: " and the ride's id follows */
};

/* A command of the incoming key's owner. True when it went on under a claim, now in *claim. */
bool claims_command(struct txn *txn, const struct claims *claims, const struct ride_command *c,
                    struct ride_claim *claim);

/* A ride's answer, which came `at`. True when the claim that was there is gone, or another has taken its
 * place: see *claim. */
bool claims_answer(struct txn *txn, const struct claims *claims, const struct claim_answer *answer,
                   int64_t at, struct ride_claim *claim);
