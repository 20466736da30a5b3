/* Logs that become shorter: retention, compaction, a broker that has lost its latest records. */
#include "broker.h"

#include "instance.h"

#include <stdlib.h>

void broker_delete_front(struct broker *b, struct partition *p, int64_t first) {
    for (int64_t o = p->first; o < first; o++)
        if (p->entries[o].fate == ENTRY_THERE)
            p->entries[o].fate = ENTRY_DELETED;
    p->first = first;
    b->version++;
}

/* ---- the tail ---- */

static bool touched_by_open(const struct broker *b, const struct partition *p) {
    for (const struct txn *t = b->open; t != NULL; t = t->next)
        for (size_t i = 0; i < t->touched_count; i++)
            if (t->touched[i].p == p && t->touched[i].marker_at >= 0)
                return true;
    return false;
}

/* The first entry of a transaction that has others from `at` on. */
static int64_t whole_from(const struct partition *p, int64_t at) {
    int64_t from = at;
    for (int64_t o = at; o < p->count; o++)
        for (int64_t k = p->first; k < from && p->entries[o].txn != NULL; k++)
            if (p->entries[k].txn == p->entries[o].txn)
                from = k;
    return from;
}

bool broker_cut(struct broker *b, struct partition *p, int64_t at) {
    if (touched_by_open(b, p) || p->cuts == (int)(sizeof p->cut_at / sizeof *p->cut_at))
        return false;
    for (int64_t from; (from = whole_from(p, at)) < at;)
        at = from;
    if (at >= p->count)
        return false;
    p->lost = xrealloc(p->lost, (size_t)(p->lost_count + p->count - at) * sizeof *p->lost);
    for (int64_t o = at; o < p->count; o++) {
        p->lost[p->lost_count] = p->entries[o];
        p->lost[p->lost_count++].fate = ENTRY_LOST;
    }
    p->count = p->cut_at[p->cuts++] = at;
    b->version++;
    return true;
}

/* ---- compaction ---- */

static bool is_superseded(const struct partition *p, int64_t end, int64_t at) {
    for (int64_t o = at + 1; o < end; o++)
        if (p->entries[o].fate == ENTRY_THERE && broker_visible(&p->entries[o]) &&
            slice_equal(p->entries[o].key, p->entries[at].key))
            return true;
    return false;
}

static bool has_entries_left(const struct partition *p, int64_t marker) {
    for (int64_t o = p->first; o < marker; o++)
        if (p->entries[o].fate == ENTRY_THERE && p->entries[o].txn == p->entries[marker].txn)
            return true;
    return false;
}

static bool is_needed(const struct partition *p, int64_t end, int64_t at, int64_t now) {
    const struct entry *e = &p->entries[at];
    bool young = e->appended + DELETE_RETENTION_MS > now;
    if (e->marker)
        return young || has_entries_left(p, at);
    return broker_visible(e) && !is_superseded(p, end, at) && (e->value.data != NULL || young);
}

static void compact(struct broker *b, struct partition *p) {
    int64_t end = broker_stable_end(b, p), now = world_now(b->world), first = p->first;
    for (int64_t o = p->first; o < end; o++)
        if (p->entries[o].fate == ENTRY_THERE && !is_needed(p, end, o, now))
            p->entries[o].fate = ENTRY_COMPACTED;
    while (first < end && p->entries[first].fate != ENTRY_THERE)
        first++;
    if (world_random(b->world, 2) == 0) /* a file of which nothing is left goes too */
        p->first = first;
}

void broker_compact(struct broker *b) {
    for (size_t t = 0; t < sizeof b->topics / sizeof *b->topics; t++)
        for (int32_t p = 0; b->topics[t] != NULL && b->topics[t]->topic->compacted && p < b->partition_count;
             p++)
            compact(b, &b->topics[t][p]);
    b->version++;
}
