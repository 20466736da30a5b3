/* Which keys may be in a set: a "no" is certain, a "yes" is wrong for a few keys in a hundred. It grows with
 * the keys, by 2 to 3 bytes each; what was added stays. A Bloom filter whose bits of a key share a cache
 * line. Not to be used by two threads at once. */
#pragma once

#include "base/slice.h"

#include <stdint.h>
#include <string.h>

struct filter { /* zero-initialise */
    struct filter_segment *newest;
};

void filter_free(struct filter *f);

/* What it takes of memory. */
size_t filter_bytes(const struct filter *f);

/* Of a key by its hash (slice_hash). Adding returns whether that changed anything. */
bool filter_add(struct filter *f, uint64_t hash);
/* One that was new to another filter, which had been given the same ones before: it is new to this one too,
 * and not looked for. */
void filter_add_again(struct filter *f, uint64_t hash);
bool filter_may_have(const struct filter *f, uint64_t hash);

/* A scan asks for what begins with a prefix. Those that end with a slash can be in a filter too: of every key
 * that is added, each of its beginnings up to a slash.
 *
 * The size of the key's next such beginning that is longer than `from`; 0: there is none. */
static inline size_t filter_beginning(struct slice key, size_t from) {
    const char *slash = from < key.size ? memchr(key.data + from, '/', key.size - from) : NULL;
    return slash == NULL ? 0 : (size_t)(slash - key.data) + 1;
}
void filter_add_beginnings(struct filter *f, struct slice key);
/* Is it certain that none of the keys begins so? */
bool filter_lacks_beginning(const struct filter *f, struct slice prefix);
