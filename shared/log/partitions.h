/* The partition of a key, and a set of partitions, as plain bits. */
#pragma once

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* The partition of a key among `count`, as the Java clients have it: murmur2. */
int32_t partition_of(struct slice key, int32_t count);

enum { PARTITIONS_MAX = 1024 }; /* of a topic that is divided among instances */

/* A bit for each. Zero: none. */
struct partitions {
    uint64_t bits[PARTITIONS_MAX / 64];
};

/* Is it in the set? */
static inline bool partitions_has(const struct partitions *s, int32_t p) {
    return p >= 0 && p < PARTITIONS_MAX && (s->bits[p / 64] >> p % 64 & 1) != 0;
}

/* Puts it in, or takes it out. */
static inline void partitions_put(struct partitions *s, int32_t p, bool in) {
    uint64_t bit = (uint64_t)1 << p % 64;
    s->bits[p / 64] = in ? s->bits[p / 64] | bit : s->bits[p / 64] & ~bit;
}

/* Whether two sets have the same. */
static inline bool partitions_equal(const struct partitions *a, const struct partitions *b) {
    bool equal = true;
    for (int i = 0; i < PARTITIONS_MAX / 64; i++)
        equal = equal && a->bits[i] == b->bits[i];
    return equal;
}

/* Whether there is none in it. */
static inline bool partitions_empty(const struct partitions *s) {
    return partitions_equal(s, &(struct partitions){0});
}
