#include "broker.h"

#include "instance.h"

#include <stdlib.h>

struct partition *broker_partition(struct broker *b, const struct topic *t, int32_t partition) {
    if (b->topics[t->number] == NULL) {
        b->topics[t->number] = xcalloc(MAX_PARTITIONS, sizeof(struct partition));
        for (int32_t i = 0; i < MAX_PARTITIONS; i++)
            b->topics[t->number][i] = (struct partition){.topic = t, .number = i};
    }
    return &b->topics[t->number][partition];
}

int64_t broker_append(struct broker *b, struct partition *p, const struct entry *e, struct txn *txn) {
    if (p->count == p->capacity)
        p->entries = xrealloc(p->entries, (size_t)(p->capacity = p->capacity * 2 + 16) * sizeof *p->entries);
    struct entry *copy = &p->entries[p->count];
    *copy = *e;
    copy->txn = txn;
    copy->fate = ENTRY_THERE;
    copy->offset = p->count;
    copy->appended = world_now(b->world);
    copy->serial = b->entries++;
    copy->key = arena_copy(b->arena, e->key);
    copy->value = arena_copy(b->arena, e->value);
    struct log_header *headers = arena_alloc(b->arena, (e->header_count + 1) * sizeof *headers);
    for (size_t i = 0; i < e->header_count; i++)
        headers[i] = (struct log_header){arena_printf(b->arena, "%s", e->headers[i].name).data,
                                         arena_copy(b->arena, e->headers[i].value)};
    copy->headers = headers;
    if (txn != NULL && !e->marker) {
        size_t i = 0;
        while (i < txn->touched_count && txn->touched[i].p != p)
            i++;
        if (i == sizeof txn->touched / sizeof *txn->touched)
            abort();
        if (i == txn->touched_count) {
            txn->touched[i].p = p;
            txn->touched[i].first = p->count;
            txn->touched[i].marker_at = INT64_MAX;
            txn->touched_count++;
        }
    }
    b->version++;
    return p->count++;
}

int64_t broker_stable_end(struct broker *b, const struct partition *p) {
    int64_t end = p->count;
    for (const struct txn *t = b->open; t != NULL; t = t->next)
        for (size_t i = 0; i < t->touched_count; i++)
            if (t->touched[i].p == p && t->touched[i].marker_at >= 0 && t->touched[i].first < end)
                end = t->touched[i].first;
    return end;
}

bool broker_visible(const struct entry *e) {
    return !e->marker && (e->txn == NULL || e->txn->state == TXN_COMMITTED);
}

/* ---- transactions ---- */

static int64_t txn_tick(struct broker *b, struct txn *t, int64_t now);

struct txn *broker_begin(struct broker *b, struct member *owner) {
    struct txn *t = arena_alloc(b->arena, sizeof *t);
    memset(t, 0, sizeof *t);
    t->owner = owner;
    t->since = world_now(b->world);
    t->next = b->open;
    b->open = t;
    if (owner != NULL)
        owner->current = t;
    return t;
}

void broker_end(struct broker *b, struct txn *t, bool commit) {
    int64_t now = world_now(b->world);
    t->state = commit ? TXN_COMMITTED : TXN_ABORTED;
    bool late = b->late_markers, prompt = !late && world_random(b->world, 4) > 0;
    b->late_markers = false;
    for (size_t i = 0; i < t->touched_count; i++)
        t->touched[i].marker_at = now + (late     ? world_random(b->world, 2000)
                                         : prompt ? 0
                                                  : world_random(b->world, 20));
    t->offsets_at = now + (late ? world_random(b->world, 2000) : prompt ? 0 : world_random(b->world, 20));
    txn_tick(b, t, now);
}

bool txn_complete(const struct txn *t) {
    if (t == NULL)
        return true;
    for (size_t i = 0; i < t->touched_count; i++)
        if (t->touched[i].marker_at >= 0)
            return false;
    return t->state != TXN_ONGOING && t->offsets_done;
}

bool broker_offset_pending(const struct broker *b, const struct committed *committed) {
    for (const struct txn *t = b->open; t != NULL; t = t->next)
        for (size_t i = 0; i < t->offset_count && !t->offsets_done; i++)
            if (t->offsets[i].committed == committed)
                return true;
    return false;
}

static void offsets_apply(struct broker *b, struct txn *t) {
    for (size_t i = 0; t->state == TXN_COMMITTED && i < t->offset_count; i++) {
        if (t->offsets[i].to.offset < t->offsets[i].committed->offset &&
            t->offsets[i].to.cuts <= t->offsets[i].committed->cuts)
            world_violation(b->world, "%s commits input offset %lld, behind %lld", t->owner->name,
                            (long long)t->offsets[i].to.offset, (long long)t->offsets[i].committed->offset);
        *t->offsets[i].committed = t->offsets[i].to;
    }
    t->offsets_done = true;
    b->version++;
}

/* Writes the markers that are due; returns when the next one is. */
static int64_t txn_tick(struct broker *b, struct txn *t, int64_t now) {
    int64_t next = INT64_MAX;
    if (t->state == TXN_ONGOING) {
        int64_t due = t->owner != NULL ? t->since + TRANSACTION_TIMEOUT_MS : t->end_at;
        if (now < due)
            return due;
        if (t->owner != NULL) {
            world_trace(b->world, "coordinator aborts the abandoned transaction of %s", t->owner->name);
            t->owner->epoch++;
        }
        broker_end(b, t, t->owner == NULL && t->end_commit);
        return now;
    }
    for (size_t i = 0; i < t->touched_count; i++) {
        if (t->touched[i].marker_at >= 0 && t->touched[i].marker_at <= now) {
            t->touched[i].marker_at = -1;
            broker_append(b, t->touched[i].p, &(struct entry){.marker = true}, t);
        } else if (t->touched[i].marker_at >= 0 && t->touched[i].marker_at < next) {
            next = t->touched[i].marker_at;
        }
    }
    if (!t->offsets_done && t->offsets_at <= now)
        offsets_apply(b, t);
    else if (!t->offsets_done && t->offsets_at < next)
        next = t->offsets_at;
    return next;
}

/* ---- groups ---- */

void broker_retarget(struct broker *b, struct group *g, bool shuffle) {
    struct member *present[4];
    int n = 0, has[4] = {0};
    for (int i = 0; i < g->member_count; i++)
        if (g->members[i].present)
            present[n++] = &g->members[i];
    b->version++;
    int most = n == 0 ? 0 : (g->partitions + n - 1) / n;
    for (int32_t p = 0; p < g->partitions; p++) {
        struct member *keep = g->owner[p] != NULL ? g->owner[p] : g->target[p];
        if (n == 0 || shuffle) {
            g->target[p] = n == 0 ? NULL : present[world_random(b->world, (uint32_t)n)];
            continue;
        }
        bool stay = keep != NULL && keep->present && has[keep->number] < most;
        g->target[p] = stay ? keep : NULL;
        if (stay)
            has[keep->number]++;
    }
    for (int32_t p = 0; p < g->partitions && n > 0; p++)
        for (int i = 0; g->target[p] == NULL && i < n; i++)
            if (has[present[i]->number] < most) {
                g->target[p] = present[i];
                has[present[i]->number]++;
            }
    for (int32_t p = 0; p < g->partitions; p++)
        if (g->owner[p] == NULL)
            g->owner[p] = g->target[p];
}

void broker_lose_offsets(struct group *g) {
    for (int s = 0; s < g->source_count; s++)
        for (int32_t p = 0; p < g->partitions; p++)
            g->committed[s][p] = (struct committed){.offset = -1};
}

void broker_expire(struct broker *b, struct member *m) {
    m->present = false;
    m->expires = 0;
    for (int32_t p = 0; p < m->group->partitions; p++)
        if (m->group->owner[p] == m)
            m->group->owner[p] = NULL;
    broker_retarget(b, m->group, false);
}

/* ---- time ---- */

static int64_t late_tick(struct broker *b, int64_t now) {
    int64_t next = INT64_MAX;
    for (int i = 0; i < b->late_count; i++) {
        struct late_end *l = &b->late[i];
        if (l->at > now) {
            next = l->at < next ? l->at : next;
            continue;
        }
        struct late_end due = *l;
        *l = b->late[--b->late_count];
        i--;
        bool heard = due.epoch == due.member->epoch && txn_open(due.member->current);
        world_trace(b->world, "EndTxn of %s arrives late: %s", due.member->name, heard ? "done" : "refused");
        if (heard)
            broker_end(b, due.member->current, due.commit);
    }
    return next;
}

int64_t broker_tick(struct broker *b, int64_t now) {
    int64_t next = late_tick(b, now);
    for (struct txn **link = &b->open; *link != NULL;) {
        struct txn *t = *link;
        int64_t due = txn_tick(b, t, now);
        next = due < next ? due : next;
        if (txn_complete(t))
            *link = t->next;
        else
            link = &t->next;
    }
    for (int g = 0; g < b->group_count; g++)
        for (int i = 0; i < b->groups[g].member_count; i++) {
            struct member *m = &b->groups[g].members[i];
            if (!m->present || m->expires == 0)
                continue;
            if (m->expires <= now) {
                world_trace(b->world, "the session of %s ends", m->name);
                broker_expire(b, m);
            } else if (m->expires < next) {
                next = m->expires;
            }
        }
    return next;
}
