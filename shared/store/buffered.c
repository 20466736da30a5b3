/* What was changed lately stays in memory and goes to another store in large sorted batches: most of what is
 * written is written again soon, and most of what is read was written lately.
 *
 * A hash table finds a key; the sorted order is made up for when somebody wants it. */
#include "base/cleanup.h"
#include "store/filter.h"
#include "store/key_table.h"
#include "store/merged.h"
#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>

enum { CHUNK = 256, ENTRY_COST = 64 }; /* entries that a scan copies at first; bytes beside key and value */

struct entry {
    struct slice key, value; /* value.data NULL: deleted */
    size_t room;             /* bytes that there are for the value */
};

struct buffered {
    struct store store;
    struct store *below;
    size_t limit;
    pthread_mutex_t lock; /* of what follows; only the writing thread changes the entries */
    struct arena arena;   /* of keys and values */
    size_t bytes, count, capacity, sorted_count;
    struct entry *entries;
    struct key_table keys;    /* of the entries */
    uint32_t *sorted;         /* indexes by key, of the first sorted_count entries */
    struct filter beginnings; /* of the keys: what begins otherwise is not looked for in their order */
};

static struct buffered *buffered_of(struct store *s) {
    return (struct buffered *)s;
}

static void unlock(pthread_mutex_t **lock) {
    pthread_mutex_unlock(*lock);
}

/* Holds the lock to the end of the scope. */
#define LOCKED(b)                                                                                            \
    _cleanup_(unlock) __attribute__((unused)) pthread_mutex_t *held = &(b)->lock;                            \
    pthread_mutex_lock(held)

static struct key_slot *find(const struct buffered *b, struct slice key, uint32_t tag) {
    return key_table_find(&b->keys, tag, key, b->entries, sizeof *b->entries);
}

static void grow(struct buffered *b) {
    b->capacity = b->capacity == 0 ? 256 : b->capacity * 2;
    b->entries = xrealloc(b->entries, b->capacity * sizeof *b->entries);
    b->sorted = xrealloc(b->sorted, b->capacity * sizeof *b->sorted);
    key_table_reserve(&b->keys, b->capacity);
}

static void clear(struct buffered *b) {
    b->bytes = b->count = b->sorted_count = 0;
    key_table_clear(&b->keys);
    arena_reset(&b->arena);
    filter_free(&b->beginnings);
}

static void put(struct buffered *b, const struct store_change *c) {
    if (b->count == b->capacity)
        grow(b);
    uint32_t tag = key_tag(c->key);
    struct key_slot *slot = find(b, c->key, tag);
    if (slot->place == 0) {
        b->entries[b->count] = (struct entry){.key = arena_copy(&b->arena, c->key)};
        *slot = (struct key_slot){tag, (uint32_t)++b->count};
        filter_add_beginnings(&b->beginnings, c->key);
        b->bytes += c->key.size + ENTRY_COST;
    }
    struct entry *e = &b->entries[slot->place - 1];
    if (c->value.data == NULL) {
        e->value = SLICE_NONE;
        e->room = 0;
        return;
    }
    if (e->value.data == NULL || e->room < c->value.size) {
        e->value.data = arena_alloc(&b->arena, c->value.size);
        e->room = c->value.size;
        b->bytes += c->value.size;
    }
    memcpy((char *)e->value.data, c->value.data, c->value.size);
    e->value.size = c->value.size;
}

/* ---- order ---- */

/* How many sorted keys are below `key`; with `through`, below or equal or beginning with it. */
static size_t bound(const struct buffered *b, size_t high, struct slice key, bool through) {
    size_t low = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct slice at = b->entries[b->sorted[middle]].key;
        if (slice_compare(at, key) < 0 || (through && slice_starts_with(at, key)))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct keyed {
    struct slice key;
    uint32_t index;
};

static int by_key(const void *x, const void *y) {
    return slice_compare(((const struct keyed *)x)->key, ((const struct keyed *)y)->key);
}

/* The new ones are sorted, then put where they belong, from behind. */
static void sort(struct buffered *b) {
    size_t n = b->count - b->sorted_count;
    if (n == 0)
        return;
    struct keyed *new = xmalloc(n * sizeof *new);
    for (size_t i = 0; i < n; i++) {
        uint32_t index = (uint32_t)(b->sorted_count + i);
        new[i] = (struct keyed){b->entries[index].key, index};
    }
    qsort(new, n, sizeof *new, by_key);
    size_t end = b->sorted_count;
    for (size_t i = n; i-- > 0;) {
        size_t at = bound(b, end, new[i].key, false);
        memmove(b->sorted + at + i + 1, b->sorted + at, (end - at) * sizeof *b->sorted);
        b->sorted[at + i] = new[i].index;
        end = at;
    }
    b->sorted_count = b->count;
    free(new);
}

/* Other threads read the entries meanwhile, and find each here or below. */
static bool write_down(struct buffered *b, struct err *err) {
    if (b->count == 0)
        return true;
    struct store_change *changes = xmalloc(b->count * sizeof *changes);
    pthread_mutex_lock(&b->lock);
    sort(b);
    for (size_t i = 0; i < b->count; i++)
        changes[i] = (struct store_change){b->entries[b->sorted[i]].key, b->entries[b->sorted[i]].value};
    pthread_mutex_unlock(&b->lock);
    bool ok = store_apply(b->below, changes, b->count, err);
    free(changes);
    LOCKED(b);
    if (ok)
        clear(b);
    return ok;
}

/* ---- the store ---- */

static bool buffered_get(struct store *s, struct slice key, struct arena *arena, struct slice *value,
                         struct err *err) {
    struct buffered *b = buffered_of(s);
    pthread_mutex_lock(&b->lock);
    uint32_t place = b->count == 0 ? 0 : find(b, key, key_tag(key))->place;
    if (place != 0)
        *value = arena_copy(arena, b->entries[place - 1].value);
    pthread_mutex_unlock(&b->lock);
    return place != 0 || store_get(b->below, key, arena, value, err);
}

static bool buffered_apply(struct store *s, const struct store_change *changes, size_t count,
                           struct err *err) {
    struct buffered *b = buffered_of(s);
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < count; i++)
        put(b, &changes[i]);
    pthread_mutex_unlock(&b->lock);
    return b->bytes < b->limit || write_down(b, err);
}

struct scan {
    struct buffered *b;
    struct merged merge;
    struct slice prefix, from;
    struct slice after; /* where the last chunk ended; data NULL: this is the first */
    struct store_change *chunk;
    size_t count, given, room;
    store_visit *visit;
    void *ctx;
};

/* Copies the next entries of the range. */
static void gather(struct scan *scan, struct arena *arena) {
    struct buffered *b = scan->b;
    struct slice from = scan->after.data != NULL ? scan->after : scan->from;
    LOCKED(b);
    sort(b);
    size_t low = bound(b, b->count, scan->prefix, false), high = bound(b, b->count, scan->prefix, true);
    if (from.data != NULL && !scan->merge.reverse) {
        size_t at = bound(b, b->count, from, false);
        low = at > low ? at : low;
    } else if (from.data != NULL) {
        size_t at = bound(b, b->count, from, false);
        at += at < b->count && slice_equal(b->entries[b->sorted[at]].key, from);
        high = at < high ? at : high;
    }
    size_t n = high > low ? high - low : 0;
    scan->given = scan->count = 0;
    scan->room = scan->room == 0 ? CHUNK : scan->room * 2; /* each chunk is a scan below */
    scan->chunk = arena_alloc(arena, scan->room * sizeof *scan->chunk);
    for (size_t i = 0; i < n && scan->count < scan->room; i++) {
        const struct entry *e = &b->entries[b->sorted[scan->merge.reverse ? high - 1 - i : low + i]];
        if (scan->after.data == NULL || !slice_equal(e->key, scan->after))
            scan->chunk[scan->count++] =
                (struct store_change){arena_copy(arena, e->key), arena_copy(arena, e->value)};
    }
    scan->merge.part = scan->count == scan->room; /* there may be entries behind the chunk */
}

static const struct store_change *next_of(void *ctx) {
    struct scan *scan = ctx;
    return scan->given < scan->count ? &scan->chunk[scan->given++] : NULL;
}

/* What the last chunk ended with was given with it. */
static bool visit_after(void *ctx, struct slice key, struct slice value) {
    struct scan *scan = ctx;
    return (scan->after.data != NULL && slice_equal(key, scan->after)) || scan->visit(scan->ctx, key, value);
}

static bool buffered_scan(struct store *s, struct slice prefix, struct slice from, bool reverse,
                          store_visit *visit, void *ctx, struct err *err) {
    struct buffered *b = buffered_of(s);
    pthread_mutex_lock(&b->lock);
    bool below_only = filter_lacks_beginning(&b->beginnings, prefix);
    pthread_mutex_unlock(&b->lock);
    if (below_only)
        return store_scan(b->below, prefix, from, reverse, visit, ctx, err);
    struct scan scan = {.b = b, .prefix = prefix, .from = from, .visit = visit, .ctx = ctx};
    scan.merge = (struct merged){
        .reverse = reverse, .next = next_of, .context = &scan, .visit = visit_after, .visitor = &scan};
    _cleanup_(arena_free) struct arena arena = {0};
    do {
        gather(&scan, &arena);
        struct slice first = scan.after.data != NULL ? scan.after : from;
        if (!merged_scan(&scan.merge, b->below, prefix, first, err))
            return false;
        if (scan.count > 0)
            scan.after = scan.chunk[scan.count - 1].key;
    } while (scan.merge.part && !scan.merge.stopped);
    return true;
}

static bool buffered_delete_prefix(struct store *s, struct slice prefix, struct err *err) {
    struct buffered *b = buffered_of(s);
    return write_down(b, err) && store_delete_prefix(b->below, prefix, err);
}

static bool buffered_flush(struct store *s, struct err *err) {
    struct buffered *b = buffered_of(s);
    return write_down(b, err) && store_flush(b->below, err);
}

static bool buffered_damaged(struct store *s) {
    return store_damaged(buffered_of(s)->below);
}

static void buffered_metrics(struct store *s, struct store_metrics *metrics) {
    struct buffered *b = buffered_of(s);
    store_metrics(b->below, metrics);
    LOCKED(b);
    metrics->keys += b->count;
    metrics->memory_bytes += b->bytes;
}

static void buffered_close(struct store *s) {
    struct buffered *b = buffered_of(s);
    struct err err;
    if (!write_down(b, &err))
        err.kind = ERR_NONE; /* it is read from the log again */
    free(b->entries);
    key_table_free(&b->keys);
    free(b->sorted);
    arena_free(&b->arena);
    filter_free(&b->beginnings);
    store_close(b->below);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

struct store *store_create_buffered(struct store *below, size_t limit) {
    static const struct store_ops ops = {
        .get = buffered_get,
        .apply = buffered_apply,
        .scan = buffered_scan,
        .delete_prefix = buffered_delete_prefix,
        .flush = buffered_flush,
        .damaged = buffered_damaged,
        .metrics = buffered_metrics,
        .close = buffered_close,
    };
    struct buffered *b = xcalloc(1, sizeof *b);
    *b = (struct buffered){.store.ops = &ops, .below = below, .limit = limit};
    pthread_mutex_init(&b->lock, NULL);
    return &b->store;
}
