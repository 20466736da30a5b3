#include "replies.h"

#include "base/num.h"

const struct ride_reply *replies_find(struct ride_reply_array replies, struct slice command) {
    for (size_t i = 0; i < replies.count; i++)
        if (slice_equal(replies.items[i].command, command))
            return &replies.items[i];
    return NULL;
}

/* No id has a space. A CANCEL does not say who sends it. */
struct slice reply_asked(struct arena *a, const struct ride_command *c) {
    struct slice sender = c->action == RIDE_ACTION_HAIL ? c->rider_id : c->driver_id;
    return arena_printf(a, "%s " SLICE_FMT " " SLICE_FMT, event_enum_name(&ride_action_enum, (int)c->action),
                        SLICE_ARG(c->action == RIDE_ACTION_CANCEL ? SLICE("") : sender),
                        SLICE_ARG(c->ride_id));
}

bool reply_is_to(const struct ride_reply *reply, const struct ride_command *c) {
    struct arena a = {0};
    bool same = reply->asked.data == NULL || slice_equal(reply->asked, reply_asked(&a, c));
    arena_free(&a);
    return same;
}

struct ride_reply_array replies_add(struct arena *a, struct ride_reply_array old,
                                    const struct ride_reply *reply) {
    size_t first = old.count < REPLIES_MAX ? 0 : old.count - REPLIES_MAX + 1, count = 0;
    struct ride_reply *items = arena_alloc(a, (old.count - first + 1) * sizeof *items);
    for (size_t i = first; i < old.count; i++)
        if (sat_sub(reply->at, old.items[i].at) <= REPLIES_KEPT_MS)
            items[count++] = old.items[i];
    items[count++] = *reply;
    return (struct ride_reply_array){items, count};
}
