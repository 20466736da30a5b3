/* Which of the entries of an array has a key: a hash table beside the array, whose entries begin with their
 * key (struct slice). It never shrinks, and an entry does not leave it alone, only all at once. */
#pragma once

#include "base/slice.h"

#include <stdint.h>
#include <string.h>

struct key_slot {
    uint32_t tag;   /* of the key: another one's is seldom the same, so that other keys are not looked at */
    uint32_t place; /* in the array, and 1; 0: the slot is free */
};

struct key_table { /* zero-initialise */
    struct key_slot *slots;
    size_t size; /* a power of two, or 0 */
};

static inline uint32_t key_tag(struct slice key) {
    uint64_t hash = slice_hash(key);
    return (uint32_t)(hash ^ hash >> 32);
}

/* The slot that has the key, or the free one where it belongs: *slot = {tag, place + 1} adds it. There must
 * be room; `tag` is the key's. */
static inline struct key_slot *key_table_find(const struct key_table *t, uint32_t tag, struct slice key,
                                              const void *entries, size_t entry_size) {
    for (size_t i = tag;; i++) {
        struct key_slot *slot = &t->slots[i & (t->size - 1)];
        if (slot->place == 0)
            return slot;
        const char *entry = (const char *)entries + (slot->place - 1) * entry_size;
        if (slot->tag == tag && slice_equal(*(const struct slice *)entry, key))
            return slot;
    }
}

/* Makes room for so many keys in all. */
void key_table_reserve(struct key_table *t, size_t keys);

/* Forgets all keys. */
static inline void key_table_clear(struct key_table *t) {
    if (t->size > 0)
        memset(t->slots, 0, t->size * sizeof *t->slots);
}

void key_table_free(struct key_table *t);
