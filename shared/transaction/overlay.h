/* Changes to a store that are not in it yet, and reads that see them: what a transaction has done so far.
 * One thread. Keys and values live in the overlay's own arena until it is cleared. */
#pragma once

#include "store/filter.h"
#include "store/key_table.h"
#include "store/store.h"

struct overlay { /* zero-initialise, then set store */
    struct store *store;
    struct arena arena;
    struct store_change *changes; /* in the order of their first put; each key once */
    bool *live;                   /* false: taken back, the store's value counts */
    size_t count, capacity;
    struct key_table keys; /* of the changes */
    uint32_t *sorted;      /* indexes of the first changes by key, as far as a scan has needed them */
    size_t sorted_count, sorted_capacity;
    struct filter beginnings; /* of the keys (filter_beginning): who scans for another needs no order */
};

void overlay_free(struct overlay *o);
void overlay_clear(struct overlay *o);

/* Whether a change of the key is in it; *value is what it says. */
bool overlay_find(const struct overlay *o, struct slice key, struct slice *value);

/* That, or what the store has. value->data NULL: there is none. */
WARN_UNUSED bool overlay_get(struct overlay *o, struct slice key, struct slice *value, struct err *e);

/* As store_scan, ascending, over both. The visitor must not change the overlay. */
WARN_UNUSED bool overlay_scan(struct overlay *o, struct slice prefix, struct slice from, store_visit *visit,
                              void *context, struct err *e);

/* As overlay_get, and what the store has is remembered: it must not change until the overlay is cleared. */
WARN_UNUSED bool overlay_remember(struct overlay *o, struct slice key, struct slice *value, struct err *e);

/* Puts, or deletes where value.data is NULL; copies the key, keeps the value, which must be in the overlay's
 * arena (or static). Returns the change's index; *before is what counted until now, *was_live whether it did.
 */
size_t overlay_put(struct overlay *o, struct slice key, struct slice value, struct slice *before,
                   bool *was_live);

/* Puts a change back to what overlay_put said it was before. */
void overlay_undo(struct overlay *o, size_t index, struct slice before, bool was_live);

/* All that is live into the store, in one batch. From then on the overlay can only be cleared or freed; what
 * is in its arena stays until then. */
WARN_UNUSED bool overlay_write(struct overlay *o, struct err *e);

/* The same, and then clears. On error the overlay can only be cleared or freed. */
WARN_UNUSED bool overlay_apply(struct overlay *o, struct err *e);
