#include "store/key_table.h"

#include "base/buf.h"

#include <stdlib.h>

void key_table_reserve(struct key_table *t, size_t keys) {
    struct key_table old = *t;
    if (t->size >= 2 * keys)
        return;
    t->size = old.size == 0 ? 1 : old.size;
    while (t->size < 2 * keys)
        t->size *= 2;
    t->slots = xcalloc(t->size, sizeof *t->slots);
    for (size_t i = 0; i < old.size; i++) {
        if (old.slots[i].place == 0)
            continue;
        size_t at = old.slots[i].tag & (t->size - 1);
        while (t->slots[at].place != 0)
            at = (at + 1) & (t->size - 1);
        t->slots[at] = old.slots[i];
    }
    free(old.slots);
}

void key_table_free(struct key_table *t) {
    free(t->slots);
    *t = (struct key_table){0};
}
