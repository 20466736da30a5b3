/* The store in memory: a sorted array. A scan copies what it will visit first, so that the visitor sees
 * one moment and may write; good for the sizes of tests. */
#include "base/cleanup.h"
#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>

struct entry {
    struct slice key, value; /* one allocation, at key.data */
};

struct memory {
    struct store store;
    pthread_mutex_t lock;
    struct entry *entries;
    size_t count, capacity;
    uint64_t bytes;
};

static struct memory *memory_of(struct store *s) {
    return (struct memory *)s;
}

static void unlock(pthread_mutex_t **lock) {
    pthread_mutex_unlock(*lock);
}

/* Holds the lock to the end of the scope. */
#define LOCKED(m)                                                                                            \
    _cleanup_(unlock) __attribute__((unused)) pthread_mutex_t *held = &(m)->lock;                            \
    pthread_mutex_lock(held)

/* The index of the first entry that is not below `key`. */
static size_t lower_bound(const struct memory *m, struct slice key) {
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(m->entries[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct memory *m, size_t i, struct slice key) {
    return i < m->count && slice_equal(m->entries[i].key, key);
}

static struct entry entry_create(struct slice key, struct slice value) {
    char *data = xmalloc(key.size + value.size);
    memcpy(data, key.data, key.size);
    if (value.size > 0)
        memcpy(data + key.size, value.data, value.size);
    return (struct entry){{data, key.size}, {data + key.size, value.size}};
}

/* Frees the entries [from, to) and closes the gap. */
static void erase(struct memory *m, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        m->bytes -= m->entries[i].key.size + m->entries[i].value.size;
        free((char *)m->entries[i].key.data);
    }
    if (to > from)
        memmove(m->entries + from, m->entries + to, (m->count - to) * sizeof *m->entries);
    m->count -= to - from;
}

static void insert(struct memory *m, size_t at, struct entry entry) {
    if (m->count == m->capacity) {
        m->capacity = m->capacity > 0 ? m->capacity * 2 : 64;
        m->entries = xrealloc(m->entries, m->capacity * sizeof *m->entries);
    }
    memmove(m->entries + at + 1, m->entries + at, (m->count - at) * sizeof *m->entries);
    m->entries[at] = entry;
    m->count++;
    m->bytes += entry.key.size + entry.value.size;
}

static bool memory_get(struct store *s, struct slice key, struct arena *arena, struct slice *value,
                       struct err *err) {
    (void)err;
    struct memory *m = memory_of(s);
    LOCKED(m);
    size_t i = lower_bound(m, key);
    *value = is_at(m, i, key) ? arena_copy(arena, m->entries[i].value) : SLICE_NONE;
    return true;
}

static bool memory_apply(struct store *s, const struct store_change *changes, size_t count, struct err *err) {
    (void)err;
    struct memory *m = memory_of(s);
    LOCKED(m);
    for (const struct store_change *c = changes; c < changes + count; c++) {
        size_t i = lower_bound(m, c->key);
        if (is_at(m, i, c->key))
            erase(m, i, i + 1);
        if (c->value.data != NULL)
            insert(m, i, entry_create(c->key, c->value));
    }
    return true;
}

/* The index behind the last key with this prefix. */
static size_t prefix_end(const struct memory *m, struct slice prefix) {
    size_t i = lower_bound(m, prefix);
    while (i < m->count && slice_starts_with(m->entries[i].key, prefix))
        i++;
    return i;
}

/* Copies the entries of a scan, in the order of the array. */
static struct entry *range_copy(struct memory *m, struct slice prefix, struct slice from, bool reverse,
                                struct arena *arena, size_t *count) {
    LOCKED(m);
    size_t low = lower_bound(m, prefix), high = prefix_end(m, prefix);
    if (from.data != NULL) {
        size_t i = lower_bound(m, from);
        if (reverse) {
            i += is_at(m, i, from);
            high = i < high ? i : high;
        } else {
            low = i > low ? i : low;
        }
    }
    *count = high > low ? high - low : 0;
    struct entry *copy = arena_alloc(arena, *count * sizeof *copy);
    for (size_t i = 0; i < *count; i++) {
        const struct entry *e = &m->entries[low + i];
        copy[i] = (struct entry){arena_copy(arena, e->key), arena_copy(arena, e->value)};
    }
    return copy;
}

static bool memory_scan(struct store *s, struct slice prefix, struct slice from, bool reverse,
                        store_visit *visit, void *ctx, struct err *err) {
    (void)err;
    _cleanup_(arena_free) struct arena arena = {0};
    size_t count;
    struct entry *entries = range_copy(memory_of(s), prefix, from, reverse, &arena, &count);
    for (size_t i = 0; i < count; i++) {
        const struct entry *e = &entries[reverse ? count - 1 - i : i];
        if (!visit(ctx, e->key, e->value))
            break;
    }
    return true;
}

static bool memory_delete_prefix(struct store *s, struct slice prefix, struct err *err) {
    (void)err;
    struct memory *m = memory_of(s);
    LOCKED(m);
    erase(m, lower_bound(m, prefix), prefix_end(m, prefix));
    return true;
}

static bool memory_flush(struct store *s, struct err *err) {
    (void)s;
    (void)err;
    return true;
}

static void memory_metrics(struct store *s, struct store_metrics *metrics) {
    struct memory *m = memory_of(s);
    LOCKED(m);
    *metrics = (struct store_metrics){.keys = m->count, .bytes = m->bytes, .memory_bytes = m->bytes};
}

static void memory_close(struct store *s) {
    struct memory *m = memory_of(s);
    erase(m, 0, m->count);
    free(m->entries);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

struct store *store_create_memory(void) {
    static const struct store_ops ops = {
        .get = memory_get,
        .apply = memory_apply,
        .scan = memory_scan,
        .delete_prefix = memory_delete_prefix,
        .flush = memory_flush,
        .metrics = memory_metrics,
        .close = memory_close,
    };
    struct memory *m = xcalloc(1, sizeof *m);
    m->store.ops = &ops;
    pthread_mutex_init(&m->lock, NULL);
    return &m->store;
}
