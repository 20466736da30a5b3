#include "feeds/changes.h"

#include "base/buf.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { CHANGES_MAX = 32768, BUCKETS = 8192, INBOX_MAX = 4 << 20 };

struct changes {
    int32_t partitions;
    void (*wake)(void *context);
    void *context;

    atomic_bool active;
    pthread_mutex_t lock; /* of the two below */
    struct buf inbox;     /* struct note, key, … */
    bool overflow;

    size_t count;
    bool started;
    struct buf taken;
    struct change *oldest, *newest, **buckets;
    uint64_t number, floor;     /* of the newest; of the newest that was forgotten */
    int64_t *positions, *known; /* from where on all changes are known */
};

struct note {
    int64_t offset;
    int32_t partition;
    uint32_t size;
};

struct changes *changes_create(int32_t partitions, void (*wake)(void *), void *context) {
    struct changes *c = xcalloc(1, sizeof *c);
    c->partitions = partitions;
    c->wake = wake;
    c->context = context;
    c->positions = xcalloc((size_t)partitions, sizeof *c->positions);
    c->known = xcalloc((size_t)partitions, sizeof *c->known);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void changes_note(struct changes *c, struct slice key, int32_t partition, int64_t offset) {
    if (!atomic_load_explicit(&c->active, memory_order_relaxed) || partition >= c->partitions)
        return;
    struct note n = {offset, partition, (uint32_t)key.size};
    pthread_mutex_lock(&c->lock);
    bool first = c->inbox.size == 0 && !c->overflow;
    if (c->inbox.size + sizeof n + key.size >
        INBOX_MAX) { /* nobody reads: start anew with the next who does */
        c->overflow = true;
        buf_free(&c->inbox);
        atomic_store(&c->active, false);
    } else {
        buf_append(&c->inbox, &n, sizeof n);
        buf_append_slice(&c->inbox, key);
    }
    pthread_mutex_unlock(&c->lock);
    if (first)
        c->wake(c->context);
}

void changes_reset(struct changes *c) {
    pthread_mutex_lock(&c->lock);
    c->overflow = true;
    buf_free(&c->inbox);
    atomic_store(&c->active, false);
    pthread_mutex_unlock(&c->lock);
    c->wake(c->context);
}

static struct change **bucket_of(const struct changes *c, struct slice key) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < key.size; i++)
        h = (h ^ (uint8_t)key.data[i]) * 16777619u;
    return &c->buckets[(h ^ h >> 16) % BUCKETS];
}

struct change *changes_find(const struct changes *c, struct slice key) {
    struct change *x = c->buckets == NULL ? NULL : *bucket_of(c, key);
    while (x != NULL && !slice_equal(x->key, key))
        x = x->next_in_bucket;
    return x;
}

static void unlink_change(struct changes *c, struct change *x) {
    *(x->older == NULL ? &c->oldest : &x->older->newer) = x->newer;
    *(x->newer == NULL ? &c->newest : &x->newer->older) = x->older;
}

static void forget_oldest(struct changes *c) {
    struct change *x = c->oldest, **at = bucket_of(c, x->key);
    assert(x->older == NULL);
    unlink_change(c, x);
    while (*at != x)
        at = &(*at)->next_in_bucket;
    *at = x->next_in_bucket;
    c->floor = x->number;
    if (c->known[x->partition] <= x->offset)
        c->known[x->partition] = x->offset + 1;
    c->count--;
    free(x);
}

static void take(struct changes *c, const struct note *n, struct slice key) {
    struct change *x = changes_find(c, key);
    if (x != NULL) {
        unlink_change(c, x);
    } else {
        if (c->count == CHANGES_MAX)
            forget_oldest(c);
        x = xcalloc(1, sizeof *x + key.size);
        memcpy(x + 1, key.data, key.size);
        x->key = (struct slice){(char *)(x + 1), key.size};
        struct change **bucket = bucket_of(c, key);
        x->next_in_bucket = *bucket;
        *bucket = x;
        c->count++;
    }
    x->partition = n->partition;
    x->offset = n->offset;
    x->number = ++c->number;
    x->cached = 0;
    x->older = c->newest;
    x->newer = NULL;
    *(x->older == NULL ? &c->oldest : &x->older->newer) = x;
    c->newest = x;
    if (c->positions[n->partition] <= n->offset)
        c->positions[n->partition] = n->offset + 1;
}

static void forget_all(struct changes *c) {
    while (c->oldest != NULL)
        forget_oldest(c);
    c->floor = ++c->number; /* whoever has seen less has to look at the table */
    c->started = false;
}

uint64_t changes_take(struct changes *c) {
    pthread_mutex_lock(&c->lock);
    struct buf taken = c->inbox;
    c->inbox = c->taken;
    buf_clear(&c->inbox);
    c->taken = taken;
    bool overflow = c->overflow;
    c->overflow = false;
    pthread_mutex_unlock(&c->lock);
    for (size_t at = 0; at < taken.size && c->started && !overflow;) {
        struct note n;
        memcpy(&n, taken.data + at, sizeof n);
        take(c, &n, (struct slice){taken.data + at + sizeof n, n.size});
        at += sizeof n + n.size;
    }
    if (overflow)
        forget_all(c);
    if (c->taken.capacity > 64 * 1024)
        buf_free(&c->taken);
    return c->number;
}

bool changes_begin(struct changes *c) {
    if (c->buckets == NULL)
        c->buckets = xcalloc(BUCKETS, sizeof(struct change *));
    changes_take(c);
    atomic_store(&c->active, true);
    return c->started;
}

void changes_start(struct changes *c, const int64_t *positions) {
    memcpy(c->positions, positions, (size_t)c->partitions * sizeof *positions);
    memcpy(c->known, positions, (size_t)c->partitions * sizeof *positions);
    c->started = true;
}

const int64_t *changes_positions(const struct changes *c) {
    return c->positions;
}

bool changes_known_since(const struct changes *c, uint64_t number) {
    return c->started && number >= c->floor;
}

uint64_t changes_floor(const struct changes *c) {
    return c->floor;
}

bool changes_known_from(const struct changes *c, const int64_t *offsets) {
    for (int32_t p = 0; p < c->partitions; p++)
        if (offsets[p] < c->known[p])
            return false;
    return c->started;
}

struct change *changes_since(const struct changes *c, uint64_t number) {
    struct change *x = c->newest, *first = NULL;
    for (; x != NULL && x->number > number; x = x->older)
        first = x;
    return first;
}

void changes_destroy(struct changes *c) {
    if (c == NULL)
        return;
    while (c->oldest != NULL)
        forget_oldest(c);
    pthread_mutex_destroy(&c->lock);
    buf_free(&c->inbox);
    buf_free(&c->taken);
    free(c->buckets);
    free(c->positions);
    free(c->known);
    free(c);
}
