/* Who has which partition of a service's views: rules over what the instances have published
 * (assignments.h), so that all of them come to the same without asking each other. Pure.
 *
 * A partition's owner is the instance whose task it is. It holds the partition in its store, and so do the
 * next instances behind it in the order of slots: its standbys. Whoever holds it and has read it to its end
 * may answer for it. */
#pragma once

#include "base/slice.h"
#include "log/partitions.h"

#include <stddef.h>

enum {
    MEMBERS_MAX = 128,
    SILENT_MS = 15000, /* an instance that has said nothing for so long is taken for dead */
};

/* An instance, as it describes itself. */
struct member {
    int32_t slot;
    int64_t time;            /* of what it has said last, ms since 1970 */
    bool leaving;            /* it gives away what it has, and answers meanwhile */
    struct partitions owned; /* its tasks */
    struct partitions held;  /* hydrated in its store */
    char address[272];       /* host:port */
};

struct members { /* zero: none */
    struct member at[MEMBERS_MAX];
    size_t count; /* in the order of slots */
};

/* Puts one in its place, or in place of what it said before; one too many is left out. */
void members_put(struct members *all, const struct member *m);

/* Whether it counts: it is not silent for much longer than the one that spoke last. */
bool member_lives(const struct members *all, const struct member *m);

/* Whose task the partition is, by who has said so last; NULL: nobody's. */
const struct member *placement_owner(const struct members *all, int32_t partition);

/* Whether this one shall hold the partition, as its owner or as one of so many standbys. */
bool placement_wants(const struct members *all, const struct member *m, int32_t partition, int standbys);

/* Whether this one, who is not wanted, may delete it: because all who are have it. */
bool placement_spares(const struct members *all, const struct member *m, int32_t partition, int standbys);

/* Whom to ask for a partition, but for `self` (NULL: nobody is left out): the owner first, then who lives,
 * then who may be dead. Returns how many there are in `holders`, which has room for MEMBERS_MAX. */
size_t placement_holders(const struct members *all, const struct member *self, int32_t partition,
                         const struct member **holders);
