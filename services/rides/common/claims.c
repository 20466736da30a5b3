#include "claims.h"

#include "replies.h"

static struct ride_claim get(struct step *s, const struct claims *claims) {
    struct ride_claim claim = {.claim = -1};
    step_get(s, claims->view, SLICE_NONE, &claim);
    return claim;
}

bool claims_command(struct step *s, const struct claims *claims, const struct ride_command *c,
                    struct ride_claim *claim) {
    struct ride_command on = *c;
    *claim = get(s, claims);
    if (replies_find(claim->replies, c->id) != NULL)
        return false; /* it was refused, and stays so; or another of its id was, which HTTP says */
    bool free = claim->ride_id.data == NULL || slice_equal(claim->ride_id, c->ride_id);
    if (free) {
        claim->ride_id = c->ride_id;
        claim->claim++;
        step_put(s, claims->view, SLICE_NONE, claim);
    }
    on.claim = claim->claim;
    on.held_ride_id = free ? SLICE_NONE : claim->ride_id;
    step_emit(s, &topic_ride_commands, claim->ride_id, &on);
    return free;
}

bool claims_answer(struct step *s, const struct claims *claims, const struct claim_answer *answer, int64_t at,
                   struct ride_claim *claim) {
    *claim = get(s, claims);
    bool same = claim->ride_id.data != NULL && slice_equal(claim->ride_id, answer->ride_id) &&
                claim->claim == answer->claim;
    bool gone = same && !answer->holds;
    if (gone) {
        claim->ride_id = SLICE_NONE;
        step_put(s, claims->view, SLICE_NONE, claim);
    }
    for (size_t i = 0; i < answer->pending.count; i++) {
        const struct ride_command *c = &answer->pending.items[i];
        if (same && answer->holds) {
            struct slice why =
                arena_printf(step_arena(s), "%s" SLICE_FMT, claims->has_another, SLICE_ARG(claim->ride_id));
            claim->replies = replies_add(step_arena(s), claim->replies,
                                         &(struct ride_reply){.command = c->id,
                                                              .asked = reply_asked(step_arena(s), c),
                                                              .status = 409,
                                                              .detail = why,
                                                              .at = at});
            step_put(s, claims->view, SLICE_NONE, claim);
        } else {
            gone |= claims_command(s, claims, c, claim);
        }
    }
    return gone;
}
