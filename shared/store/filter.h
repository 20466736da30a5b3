/* Which keys may be in a set: a "no" is certain, a "yes" is wrong for a few keys in a hundred. It grows with
 * the keys, by some 2 bytes each; what was added stays. A Bloom filter whose bits of a key share a cache
 * line. Not to be used by two threads at once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct filter { /* zero-initialise */
    struct filter_segment *newest;
};

void filter_free(struct filter *f);

/* Of a key by its hash (slice_hash). */
void filter_add(struct filter *f, uint64_t hash);
bool filter_may_have(const struct filter *f, uint64_t hash);
