/* Values of one size by key, of which only 128 bits are kept: for what there are millions of, more than
 * memory holds (spill.h). One thread. */
#pragma once

#include "base/buf.h"
#include "spill.h"

struct keyed { /* zero but for value_size, and for `spent` where values end */
    size_t value_size;
    bool (*spent)(void *context, const void *value); /* asked before there is room for more: it goes */
    void *context;
    struct spill *slots; /* two words of the key, the second never 0, and the value */
    size_t count, capacity;
};

void keyed_free(struct keyed *k);

/* Calls `each` for every value. */
void keyed_each(const struct keyed *k, void (*each)(void *context, void *value), void *context);

/* The value of a key, zeroed when new; until the next call. */
void *keyed_at(struct keyed *k, struct slice key);
