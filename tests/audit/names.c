#include "names.h"

#include <stdlib.h>

void names_free(struct names *n) {
    spill_free(n->texts);
    spill_free(n->places);
    spill_free(n->slots);
    *n = (struct names){0};
}

const char *names_text(const struct names *n, uint32_t number) {
    spill_touch();
    return n->texts->data + ((const size_t *)n->places->data)[number];
}

static uint32_t hash(struct slice s) { /* FNV-1a */
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.size; i++)
        h = (h ^ (uint8_t)s.data[i]) * 16777619u;
    return h ^ h >> 15;
}

/* Where the number + 1 of the name is, 0: where it would go. */
static uint32_t *slot_of(const struct names *n, struct slice name) {
    uint32_t *slots = (uint32_t *)n->slots->data, i = hash(name) & (n->slot_count - 1);
    while (slots[i] != 0 && !slice_equal(slice_of(names_text(n, slots[i] - 1)), name))
        i = (i + 1) & (n->slot_count - 1);
    return &slots[i];
}

static void grow(struct names *n) {
    struct spill *old = n->slots;
    n->slots = NULL;
    n->slot_count = n->slot_count == 0 ? 1024 : n->slot_count * 2;
    spill_room(&n->slots, n->slot_count * sizeof(uint32_t));
    for (uint32_t i = 0; i < n->count; i++)
        *slot_of(n, slice_of(names_text(n, i))) = i + 1;
    spill_free(old);
}

static void append(struct names *n, struct slice name) {
    char *texts = spill_room(&n->texts, n->size + name.size + 1);
    size_t *places = spill_room(&n->places, (n->count + 1) * sizeof *places);
    if (name.size > 0)
        memcpy(texts + n->size, name.data, name.size); /* the NUL is there */
    places[n->count++] = n->size;
    n->size += name.size + 1;
}

uint32_t names_add(struct names *n, struct slice name) {
    if (n->count * 2 >= n->slot_count)
        grow(n);
    uint32_t *slot = slot_of(n, name);
    if (*slot == 0) {
        append(n, name);
        *slot = n->count;
    }
    return *slot - 1;
}

uint32_t names_find(const struct names *n, struct slice name) {
    return n->count == 0 ? NAMES_NONE : *slot_of(n, name) - 1;
}
