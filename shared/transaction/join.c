#include "transaction/join.h"

#include "base/num.h"
#include "topology/window.h"
#include "transaction/internal.h"

/* An event that looks for its partners among those kept of the other side. */
struct search {
    struct txn *txn;
    const struct join *join;
    const struct event *in;
    bool in_is_left;
};

static bool pair(void *context, struct slice sub, const void *value) {
    const struct search *search = context;
    const struct view *other = search->in_is_left ? search->join->right : search->join->left;
    txn_joins(search->txn, other, sub);
    struct event kept = {.topic = other->changelog,
                         .partition = search->in->partition,
                         .offset = -1,
                         .timestamp = time_of_sub(sub),
                         .key = search->in->key,
                         .value = value,
                         .sub = sub};
    if (search->in_is_left)
        search->join->pair(search->txn, search->in, &kept);
    else
        search->join->pair(search->txn, &kept, search->in);
    return true;
}

static void join(struct txn *txn, const struct join *j, const struct event *in, struct slice id,
                 bool is_left) {
    const struct view *own = is_left ? j->left : j->right, *other = is_left ? j->right : j->left;
    struct arena *a = txn_arena(txn);
    struct slice time = time_sub(a, in->timestamp);
    struct slice sub = arena_printf(a, SLICE_FMT "." SLICE_FMT, SLICE_ARG(time), SLICE_ARG(id));
    if (txn_get(txn, own, sub, arena_alloc(a, own->changelog->value->size)))
        return;
    txn_put(txn, own, sub, in->value);
    txn_made(txn, own, sub);
    struct search search = {txn, j, in, is_left};
    txn_each(txn, other, time_sub(a, sat_sub(in->timestamp, j->within_ms)),
             time_sub(a, sat_add(sat_add(in->timestamp, j->within_ms), 1)), pair, &search);
}

void join_left(struct txn *txn, const struct join *j, const struct event *in, struct slice id) {
    join(txn, j, in, id, true);
}

void join_right(struct txn *txn, const struct join *j, const struct event *in, struct slice id) {
    join(txn, j, in, id, false);
}

static struct origin *origin_of(struct txn *txn, const struct view *v, struct slice sub, uint64_t *row) {
    txn_entry_key(txn, v, sub);
    *row = slice_hash(buf_slice(&txn->key)) | 1;
    if (txn->origins == NULL)
        txn->origins = xcalloc(ORIGINS, sizeof *txn->origins);
    return &txn->origins[*row / 2 % ORIGINS];
}

void txn_made(struct txn *txn, const struct view *v, struct slice sub) {
    if (txn->observer == NULL || txn_failed(txn) || !txn->sampled)
        return;
    uint64_t row;
    struct origin *o = origin_of(txn, v, sub, &row);
    o->row = row;
    const struct cause cause = {txn->in->topic, txn->in->partition, txn->in->offset};
    buf_clear(&txn->header);
    txn_append_traceparent(txn, &cause, txn->trace, true, &txn->header);
    memcpy(o->span, txn->header.data, SPAN_TEXT - 1);
}

void txn_joins(struct txn *txn, const struct view *v, struct slice sub) {
    if (txn->observer == NULL || txn_failed(txn) || !txn->sampled || txn->link_count == LINKS)
        return;
    uint64_t row;
    const struct origin *o = origin_of(txn, v, sub, &row);
    if (o->row != row)
        return;
    memcpy(txn->links[txn->link_count], o->span, SPAN_TEXT);
    txn->link_texts[txn->link_count] = (struct slice){txn->links[txn->link_count], SPAN_TEXT - 1};
    txn->link_count++;
}
