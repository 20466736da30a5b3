#include "partitions/placement.h"
#include "log/partitions.h"

#include <string.h>

void members_put(struct members *all, const struct member *m) {
    size_t i = 0;
    while (i < all->count && all->at[i].slot < m->slot)
        i++;
    if (i == all->count || all->at[i].slot != m->slot) {
        if (all->count == MEMBERS_MAX)
            return;
        memmove(&all->at[i + 1], &all->at[i], (all->count - i) * sizeof *all->at);
        all->count++;
    }
    all->at[i] = *m;
}

bool member_lives(const struct members *all, const struct member *m) {
    int64_t newest = m->time;
    for (size_t i = 0; i < all->count; i++)
        newest = all->at[i].time > newest ? all->at[i].time : newest;
    return newest - m->time <= SILENT_MS;
}

const struct member *placement_owner(const struct members *all, int32_t partition) {
    const struct member *owner = NULL;
    for (size_t i = 0; i < all->count; i++) {
        const struct member *m = &all->at[i];
        if (partitions_has(&m->owned, partition) && (owner == NULL || m->time > owner->time))
            owner = m;
    }
    return owner;
}

/* The rank of a member among those who shall hold the partition: 0 its owner, then its standbys; -1: none. */
static int rank(const struct members *all, const struct member *m, const struct member *owner) {
    int n = 0;
    if (m == owner)
        return 0;
    if (m->leaving || !member_lives(all, m))
        return -1;
    for (const struct member *at = owner;;) {
        at = at + 1 == all->at + all->count ? all->at : at + 1;
        n += at != owner && !at->leaving && member_lives(all, at);
        if (at == m)
            return n;
    }
}

bool placement_wants(const struct members *all, const struct member *m, int32_t partition, int standbys) {
    const struct member *owner = placement_owner(all, partition);
    int r = owner == NULL ? -1 : rank(all, m, owner);
    return r >= 0 && r <= standbys;
}

bool placement_spares(const struct members *all, const struct member *m, int32_t partition, int standbys) {
    const struct member *owner = placement_owner(all, partition);
    if (owner == NULL || owner == m || owner->leaving || !member_lives(all, owner))
        return false;
    for (size_t i = 0; i < all->count; i++)
        if (placement_wants(all, &all->at[i], partition, standbys) &&
            !partitions_has(&all->at[i].held, partition))
            return false;
    return true;
}

size_t placement_holders(const struct members *all, const struct member *self, int32_t partition,
                         const struct member **holders) {
    const struct member *owner = placement_owner(all, partition);
    size_t n = 0;
    for (int turn = 0; turn < 3; turn++)
        for (size_t i = 0; i < all->count; i++) {
            const struct member *m = &all->at[i];
            int its_turn = !member_lives(all, m) ? 2 : m == owner ? 0 : 1;
            if (m != self && its_turn == turn && partitions_has(&m->held, partition))
                holders[n++] = m;
        }
    return n;
}
