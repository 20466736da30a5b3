#include "transaction/overlay.h"

#include "store/merged.h"

#include <stdlib.h>

void overlay_free(struct overlay *o) {
    arena_free(&o->arena);
    free(o->changes);
    free(o->live);
    key_table_free(&o->keys);
    free(o->sorted);
    filter_free(&o->beginnings);
    *o = (struct overlay){0};
}

void overlay_clear(struct overlay *o) {
    arena_reset(&o->arena);
    if (o->count > 0)
        key_table_clear(&o->keys);
    o->count = o->sorted_count = 0;
    filter_free(&o->beginnings);
}

static struct key_slot *find(const struct overlay *o, struct slice key, uint32_t tag) {
    return key_table_find(&o->keys, tag, key, o->changes, sizeof *o->changes);
}

static void grow(struct overlay *o) {
    o->capacity = o->capacity == 0 ? 256 : o->capacity * 2;
    o->changes = xrealloc(o->changes, o->capacity * sizeof *o->changes);
    o->live = xrealloc(o->live, o->capacity * sizeof *o->live);
    key_table_reserve(&o->keys, o->capacity);
}

bool overlay_find(const struct overlay *o, struct slice key, struct slice *value) {
    uint32_t place = o->count == 0 ? 0 : find(o, key, key_tag(key))->place;
    if (place == 0 || !o->live[place - 1])
        return false;
    *value = o->changes[place - 1].value;
    return true;
}

bool overlay_get(struct overlay *o, struct slice key, struct slice *value, struct err *e) {
    return overlay_find(o, key, value) || store_get(o->store, key, &o->arena, value, e);
}

bool overlay_remember(struct overlay *o, struct slice key, struct slice *value, struct err *e) {
    if (overlay_find(o, key, value))
        return true;
    if (!store_get(o->store, key, &o->arena, value, e))
        return false;
    overlay_put(o, key, *value, NULL, NULL);
    return true;
}

size_t overlay_put(struct overlay *o, struct slice key, struct slice value, struct slice *before,
                   bool *was_live) {
    if (o->count == o->capacity)
        grow(o);
    uint32_t tag = key_tag(key);
    struct key_slot *slot = find(o, key, tag);
    if (slot->place == 0) {
        o->changes[o->count].key = arena_copy(&o->arena, key);
        o->live[o->count] = false;
        *slot = (struct key_slot){tag, (uint32_t)++o->count};
        filter_add_beginnings(&o->beginnings, key);
    }
    size_t i = slot->place - 1;
    if (before != NULL)
        *before = o->changes[i].value;
    if (was_live != NULL)
        *was_live = o->live[i];
    o->changes[i].value = value;
    o->live[i] = true;
    return i;
}

void overlay_undo(struct overlay *o, size_t index, struct slice before, bool was_live) {
    o->changes[index].value = before;
    o->live[index] = was_live;
}

/* The place in o->sorted of the first key that is not below `key`. */
static size_t lower_bound(const struct overlay *o, struct slice key) {
    size_t low = 0, high = o->sorted_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(o->changes[o->sorted[middle]].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Only who scans pays for the order, and for the few keys that are new since the last scan. */
static void sort_new(struct overlay *o) {
    if (o->sorted_capacity < o->count)
        o->sorted = xrealloc(o->sorted, (o->sorted_capacity = o->capacity) * sizeof *o->sorted);
    while (o->sorted_count < o->count) {
        size_t at = lower_bound(o, o->changes[o->sorted_count].key);
        memmove(o->sorted + at + 1, o->sorted + at, (o->sorted_count - at) * sizeof *o->sorted);
        o->sorted[at] = (uint32_t)o->sorted_count++;
    }
}

/* The overlay's changes of a range, in the order of keys. */
struct range {
    const struct overlay *o;
    size_t next; /* in o->sorted */
    struct slice prefix;
};

static const struct store_change *next_in(void *context) {
    struct range *r = context;
    while (r->next < r->o->sorted_count) {
        uint32_t i = r->o->sorted[r->next++];
        if (!slice_starts_with(r->o->changes[i].key, r->prefix))
            break;
        if (r->o->live[i])
            return &r->o->changes[i];
    }
    return NULL;
}

bool overlay_scan(struct overlay *o, struct slice prefix, struct slice from, store_visit *visit,
                  void *context, struct err *e) {
    if (filter_lacks_beginning(&o->beginnings, prefix))
        return store_scan(o->store, prefix, from, false, visit, context, e);
    sort_new(o);
    struct slice first = from.data != NULL && slice_compare(from, prefix) > 0 ? from : prefix;
    struct range range = {o, lower_bound(o, first), prefix};
    return merged_scan(
        &(struct merged){.next = next_in, .context = &range, .visit = visit, .visitor = context}, o->store,
        prefix, from, e);
}

bool overlay_write(struct overlay *o, struct err *e) {
    size_t n = 0;
    for (size_t i = 0; i < o->count; i++)
        if (o->live[i])
            o->changes[n++] = o->changes[i];
    /* The indexes are gone now: whatever comes next is a clear, or the end of the stream. */
    return n == 0 || store_apply(o->store, o->changes, n, e);
}

bool overlay_apply(struct overlay *o, struct err *e) {
    if (!overlay_write(o, e))
        return false;
    overlay_clear(o);
    return true;
}
