#include "replies.h"

#include "base/num.h"

const struct ride_reply *replies_find(struct ride_reply_array replies, struct slice command) {
    for (size_t i = 0; i < replies.count; i++)
        if (slice_equal(replies.items[i].command, command))
            return &replies.items[i];
    return NULL;
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
