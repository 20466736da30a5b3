#include "claims.h"

#include "replies.h"

static struct ride_claim get(struct txn *txn, const struct claims *claims) {
    struct ride_claim claim = {.claim = -1};
    txn_get(txn, claims->view, SLICE_NONE, &claim);
    return claim;
}

bool claims_command(struct txn *txn, const struct claims *claims, const struct ride_command *c,
                    struct ride_claim *claim) {
    struct ride_command on = *c;
    *claim = get(txn, claims);
    if (replies_find(claim->replies, c->id) != NULL)
        return false; /* it was refused, and stays so; or another of its id was, which HTTP says */
    bool free = claim->ride_id.data == NULL || slice_equal(claim->ride_id, c->ride_id);
    if (free) {
        claim->ride_id = c->ride_id;
        claim->claim++;
        txn_put(txn, claims->view, SLICE_NONE, claim);
    }
    on.claim = claim->claim;
    on.held_ride_id = free ? SLICE_NONE : claim->ride_id;
    txn_emit(txn, &topic_ride_commands, claim->ride_id, &on);
    return free;
}

bool claims_answer(struct txn *txn, const struct claims *claims, const struct claim_answer *answer,
                   int64_t at, struct ride_claim *claim) {
    *claim = get(txn, claims);
    bool same = claim->ride_id.data != NULL && slice_equal(claim->ride_id, answer->ride_id) &&
                claim->claim == answer->claim;
    bool gone = same && !answer->holds;
    if (gone) {
        claim->ride_id = SLICE_NONE;
        txn_put(txn, claims->view, SLICE_NONE, claim);
    }
    for (size_t i = 0; i < answer->pending.count; i++) {
        const struct ride_command *c = &answer->pending.items[i];
        if (same && answer->holds) {
            struct slice why =
                arena_printf(txn_arena(txn), "%s" SLICE_FMT, claims->has_another, SLICE_ARG(claim->ride_id));
            claim->replies = replies_add(txn_arena(txn), claim->replies,
                                         &(struct ride_reply){.command = c->id,
                                                              .asked = reply_asked(txn_arena(txn), c),
                                                              .status = 409,
                                                              .detail = why,
                                                              .at = at});
            txn_put(txn, claims->view, SLICE_NONE, claim);
        } else {
            gone |= claims_command(txn, claims, c, claim);
        }
    }
    return gone;
}
