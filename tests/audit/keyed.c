#include "keyed.h"

#include <stdlib.h>

enum { CAPACITY_MIN = 1024 };

void keyed_free(struct keyed *k) {
    spill_free(k->slots);
    k->slots = NULL;
    k->count = k->capacity = 0;
}

static size_t words(const struct keyed *k) {
    return 2 + (k->value_size + 7) / 8;
}

static uint64_t *slot_at(const struct keyed *k, size_t i) {
    spill_touch();
    return (uint64_t *)k->slots->data + i * words(k);
}

void keyed_each(const struct keyed *k, void (*each)(void *, void *), void *context) {
    for (size_t i = 0; i < k->capacity; i++) {
        uint64_t *slot = slot_at(k, i);
        if (slot[1] != 0)
            each(context, slot + 2);
    }
}

/* FNV-1a from two bases, mixed. */
static uint64_t hash(struct slice s, uint64_t h) {
    for (size_t i = 0; i < s.size; i++)
        h = (h ^ (uint8_t)s.data[i]) * UINT64_C(1099511628211);
    h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 32;
}

/* Where the key is, or where it would go. */
static uint64_t *slot_of(const struct keyed *k, const uint64_t key[2]) {
    for (size_t i = key[0] & (k->capacity - 1);; i = (i + 1) & (k->capacity - 1)) {
        uint64_t *slot = slot_at(k, i);
        if (slot[1] == 0 || (slot[0] == key[0] && slot[1] == key[1]))
            return slot;
    }
}

static void grow(struct keyed *k) {
    struct keyed old = *k;
    size_t kept = 0;
    for (size_t i = 0; i < old.capacity; i++) {
        uint64_t *slot = slot_at(&old, i);
        if (slot[1] != 0 && k->spent != NULL && k->spent(k->context, slot + 2))
            slot[1] = 0;
        kept += slot[1] != 0;
    }
    k->capacity = old.capacity < CAPACITY_MIN       ? CAPACITY_MIN
                  : kept * 2 > old.capacity * 2 / 3 ? old.capacity * 2
                                                    : old.capacity;
    k->count = kept;
    k->slots = NULL;
    spill_room(&k->slots, k->capacity * words(k) * sizeof(uint64_t));
    for (size_t i = 0; i < old.capacity; i++) {
        const uint64_t *slot = slot_at(&old, i);
        if (slot[1] != 0)
            memcpy(slot_of(k, slot), slot, words(k) * sizeof *slot);
    }
    spill_free(old.slots);
}

void *keyed_at(struct keyed *k, struct slice name) {
    const uint64_t key[2] = {hash(name, UINT64_C(14695981039346656037)),
                             hash(name, UINT64_C(0x9e3779b97f4a7c15)) | 1};
    if (k->count * 3 >= k->capacity * 2)
        grow(k);
    uint64_t *slot = slot_of(k, key);
    if (slot[1] == 0) {
        memcpy(slot, key, sizeof key);
        k->count++;
    }
    return slot + 2;
}
