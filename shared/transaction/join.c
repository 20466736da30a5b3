#include "transaction/join.h"

#include "base/num.h"
#include "topology/window.h"
#include "transaction/transaction.h"

/* An event that looks for its partners among those kept of the other side. */
struct search {
    struct step *step;
    const struct join *join;
    const struct event *in;
    bool in_is_left;
};

static bool pair(void *context, struct slice sub, const void *value) {
    const struct search *search = context;
    const struct view *other = search->in_is_left ? search->join->right : search->join->left;
    step_joins(search->step, other, sub);
    struct event kept = {.topic = other->changelog,
                         .partition = search->in->partition,
                         .offset = -1,
                         .timestamp = time_of_sub(sub),
                         .key = search->in->key,
                         .value = value,
                         .sub = sub};
    if (search->in_is_left)
        search->join->pair(search->step, search->in, &kept);
    else
        search->join->pair(search->step, &kept, search->in);
    return true;
}

static void join(struct step *s, const struct join *j, const struct event *in, struct slice id,
                 bool is_left) {
    const struct view *own = is_left ? j->left : j->right, *other = is_left ? j->right : j->left;
    struct arena *a = step_arena(s);
    struct slice time = time_sub(a, in->timestamp);
    struct slice sub = arena_printf(a, SLICE_FMT "." SLICE_FMT, SLICE_ARG(time), SLICE_ARG(id));
    if (step_get(s, own, sub, arena_alloc(a, own->changelog->value->size)))
        return;
    step_put(s, own, sub, in->value);
    step_made(s, own, sub);
    struct search search = {s, j, in, is_left};
    step_each(s, other, time_sub(a, sat_sub(in->timestamp, j->within_ms)),
              time_sub(a, sat_add(sat_add(in->timestamp, j->within_ms), 1)), pair, &search);
}

void join_left(struct step *s, const struct join *j, const struct event *in, struct slice id) {
    join(s, j, in, id, true);
}

void join_right(struct step *s, const struct join *j, const struct event *in, struct slice id) {
    join(s, j, in, id, false);
}
