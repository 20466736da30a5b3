#include "names.h"

#include <stdlib.h>

void names_free(struct names *n) {
    arena_free(&n->arena);
    free(n->text);
    free(n->slots);
    *n = (struct names){0};
}

static uint32_t hash(struct slice s) { /* FNV-1a */
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.size; i++)
        h = (h ^ (uint8_t)s.data[i]) * 16777619u;
    return h ^ h >> 15;
}

/* Where the name is, or where it would go. */
static uint32_t *slot_of(const struct names *n, struct slice name) {
    uint32_t i = hash(name) & (n->slot_count - 1);
    while (n->slots[i] != 0 && !slice_equal(slice_of(n->text[n->slots[i] - 1]), name))
        i = (i + 1) & (n->slot_count - 1);
    return &n->slots[i];
}

static void grow(struct names *n) {
    n->slot_count = n->slot_count == 0 ? 1024 : n->slot_count * 2;
    n->capacity = n->slot_count / 2;
    n->text = xrealloc(n->text, n->capacity * sizeof *n->text);
    free(n->slots);
    n->slots = xcalloc(n->slot_count, sizeof *n->slots);
    for (uint32_t i = 0; i < n->count; i++)
        *slot_of(n, slice_of(n->text[i])) = i + 1;
}

uint32_t names_add(struct names *n, struct slice name) {
    if (n->count == n->capacity)
        grow(n);
    uint32_t *slot = slot_of(n, name);
    if (*slot == 0) {
        n->text[n->count++] = arena_printf(&n->arena, SLICE_FMT, SLICE_ARG(name)).data;
        *slot = n->count;
    }
    return *slot - 1;
}

uint32_t names_find(const struct names *n, struct slice name) {
    return n->count == 0 ? NAMES_NONE : *slot_of(n, name) - 1;
}
