#include "history.h"

#include "base/cleanup.h"

#include <stdlib.h>

/* Keys of the store: 'v' TOPIC 0 key 0 1 partition offset, a version (its value: empty, or "x" of a
 * tombstone), where a 0 in a key is 0 255, so that keys are in their order; 'p' TOPIC 0 partition, how far it
 * is read; 'c' TOPIC 0 partition, the first offset that compaction had taken. */
enum { PARTITION = 4, OFFSET = 8 };

struct kept {
    char *topic;
    uint64_t versions, used;
};

struct history {
    struct store *store;
    uint64_t max, versions, uses;
    struct kept *topics;
    size_t count;

    /* What is taken and not settled. */
    struct arena arena;
    struct store_change *changes;
    size_t change_count, change_capacity;
    int64_t compacted; /* -1: none */
};

static void put_topic(struct buf *b, char kind, const char *topic) {
    buf_append_byte(b, (uint8_t)kind);
    buf_append_slice(b, slice_of(topic));
    buf_append_byte(b, 0);
}

static void put_of_partition(struct buf *b, char kind, const char *topic, int32_t partition) {
    put_topic(b, kind, topic);
    buf_append_be(b, (uint32_t)partition, PARTITION);
}

/* What a key's versions begin with, and those of keys that begin so. */
static void put_key(struct buf *b, const char *topic, struct slice key) {
    put_topic(b, 'v', topic);
    for (size_t i = 0; i < key.size; i++) {
        buf_append_byte(b, (uint8_t)key.data[i]);
        if (key.data[i] == 0)
            buf_append_byte(b, 255);
    }
}

struct slice history_begin(const char *topic, struct slice key, struct arena *a) {
    _cleanup_(buf_free) struct buf from = {0};
    put_key(&from, topic, key);
    return arena_copy(a, buf_slice(&from));
}

/* What the versions of a key in a partition begin with. */
static void put_versions(struct buf *b, const char *topic, struct slice key, int32_t partition) {
    put_key(b, topic, key);
    buf_append_byte(b, 0), buf_append_byte(b, 1);
    buf_append_be(b, (uint32_t)partition, PARTITION);
}

/* The key of what begins with put_topic() and ends with 0 1 and the partition. */
static struct slice key_of(struct slice versions, const char *topic, struct arena *a) {
    size_t begin = strlen(topic) + 2, end = versions.size - PARTITION - 2, n = 0;
    char *key = arena_alloc(a, end - begin + 1);
    for (size_t i = begin; i < end; i++) {
        key[n++] = versions.data[i];
        i += versions.data[i] == 0;
    }
    return (struct slice){key, n};
}

struct history *history_create(struct store *store, uint64_t max) {
    struct history *h = xcalloc(1, sizeof *h);
    *h = (struct history){.store = store, .max = max, .compacted = -1};
    return h;
}

void history_destroy(struct history *h) {
    if (h == NULL)
        return;
    for (size_t i = 0; i < h->count; i++)
        free(h->topics[i].topic);
    free(h->topics);
    free(h->changes);
    arena_free(&h->arena);
    store_close(h->store);
    free(h);
}

static struct kept *kept_of(struct history *h, const char *topic) {
    size_t i = 0;
    while (i < h->count && strcmp(h->topics[i].topic, topic) != 0)
        i++;
    if (i == h->count) {
        h->topics = xrealloc(h->topics, ++h->count * sizeof *h->topics);
        h->topics[i] = (struct kept){.topic = xstrdup(topic)};
    }
    h->topics[i].used = ++h->uses;
    return &h->topics[i];
}

/* A number that is kept for a partition; -1: none is. */
static bool number_of(struct history *h, char kind, const char *topic, int32_t partition, int64_t *n,
                      struct err *e) {
    _cleanup_(buf_free) struct buf key = {0};
    _cleanup_(arena_free) struct arena a = {0};
    struct slice value;
    put_of_partition(&key, kind, topic, partition);
    if (!store_get(h->store, buf_slice(&key), &a, &value, e))
        return false;
    *n = value.size == OFFSET ? (int64_t)be_get(value.data, OFFSET) : -1;
    return true;
}

bool history_next(struct history *h, const char *topic, int32_t partition, int64_t *next, struct err *e) {
    kept_of(h, topic);
    if (!number_of(h, 'p', topic, partition, next, e))
        return false;
    *next = *next < 0 ? 0 : *next;
    return true;
}

bool history_thinned(struct history *h, const char *topic, int32_t partition, int64_t *first, struct err *e) {
    return number_of(h, 'c', topic, partition, first, e);
}

/* ---- filling ---- */

static void change(struct history *h, struct slice key, struct slice value) {
    if (h->change_count == h->change_capacity) {
        h->change_capacity = h->change_capacity == 0 ? 256 : 2 * h->change_capacity;
        h->changes = xrealloc(h->changes, h->change_capacity * sizeof *h->changes);
    }
    h->changes[h->change_count++] = (struct store_change){
        arena_copy(&h->arena, key), value.size == 0 ? SLICE("") : arena_copy(&h->arena, value)};
}

void history_take(struct history *h, const char *topic, int32_t partition, const struct tape_entry *entry) {
    _cleanup_(buf_free) struct buf key = {0};
    if (entry->kind == TAPE_COMPACTED && h->compacted < 0)
        h->compacted = entry->offset;
    if (entry->kind != TAPE_RECORD || entry->record.key.data == NULL)
        return;
    put_versions(&key, topic, entry->record.key, partition);
    buf_append_be(&key, (uint64_t)entry->offset, OFFSET);
    change(h, buf_slice(&key), entry->record.value.data == NULL ? SLICE("x") : SLICE(""));
}

bool history_forget(struct history *h, const char *topic, struct err *e) {
    struct kept *k = kept_of(h, topic);
    for (const char *kind = "pcv"; *kind != 0; kind++) {
        _cleanup_(buf_free) struct buf prefix = {0};
        put_topic(&prefix, *kind, topic);
        if (!store_delete_prefix(h->store, buf_slice(&prefix), e))
            return false;
    }
    h->versions -= k->versions;
    k->versions = 0;
    return true;
}

static bool make_room(struct history *h, const char *topic, struct err *e) {
    struct kept *own = kept_of(h, topic);
    while (h->versions > h->max) {
        struct kept *oldest = NULL;
        for (size_t i = 0; i < h->count; i++)
            if (&h->topics[i] != own && h->topics[i].versions > 0 &&
                (oldest == NULL || h->topics[i].used < oldest->used))
                oldest = &h->topics[i];
        if (oldest == NULL)
            return history_forget(h, topic, e) &&
                   err_set(e, ERR_INPUT, "%s has more records than the %llu of which the lens keeps versions",
                           topic, (unsigned long long)h->max);
        uint64_t used = oldest->used;
        if (!history_forget(h, oldest->topic, e))
            return false;
        oldest->used = used; /* that was no use of it */
    }
    return true;
}

bool history_settle(struct history *h, const char *topic, int32_t partition, int64_t next, struct err *e) {
    _cleanup_(buf_free) struct buf position = {0}, compacted = {0}, value = {0};
    struct kept *k = kept_of(h, topic);
    int64_t before = -1;
    bool ok = number_of(h, 'c', topic, partition, &before, e);
    size_t versions = h->change_count;
    if (ok && h->compacted >= 0 && before < 0) {
        put_of_partition(&compacted, 'c', topic, partition);
        buf_append_be(&value, (uint64_t)h->compacted, OFFSET);
        change(h, buf_slice(&compacted), buf_slice(&value));
        buf_clear(&value);
    }
    put_of_partition(&position, 'p', topic, partition);
    buf_append_be(&value, (uint64_t)next, OFFSET);
    change(h, buf_slice(&position), buf_slice(&value));
    ok = ok && store_apply(h->store, h->changes, h->change_count, e);
    h->change_count = 0;
    h->compacted = -1;
    arena_reset(&h->arena);
    if (ok)
        k->versions += versions, h->versions += versions;
    return ok && make_room(h, topic, e);
}

/* ---- walking ---- */

struct first { /* of a scan: its key, into `key`, and whether the value is a tombstone's */
    struct buf key;
    bool found, deleted;
};

static bool take_first(void *context, struct slice key, struct slice value) {
    struct first *f = context;
    buf_clear(&f->key);
    buf_append_slice(&f->key, key);
    f->found = true;
    f->deleted = value.size > 0;
    return false;
}

static void first_free(struct first *f) {
    buf_free(&f->key);
}

static bool latest(struct history *h, struct slice versions, int64_t before, int64_t *offset, struct err *e) {
    _cleanup_(buf_free) struct buf from = {0};
    _cleanup_(first_free) struct first f = {0};
    *offset = -1;
    if (before <= 0)
        return true;
    buf_append_slice(&from, versions);
    buf_append_be(&from, (uint64_t)before - 1, OFFSET);
    if (!store_scan(h->store, versions, buf_slice(&from), true, take_first, &f, e))
        return false;
    if (f.found && !f.deleted)
        *offset = (int64_t)be_get(f.key.data + f.key.size - OFFSET, OFFSET);
    return true;
}

bool history_latest(struct history *h, const char *topic, struct slice key, int32_t partition, int64_t before,
                    int64_t *offset, struct err *e) {
    _cleanup_(buf_free) struct buf versions = {0};
    put_versions(&versions, topic, key, partition);
    return latest(h, buf_slice(&versions), before, offset, e);
}

bool history_walk(struct history *h, const char *topic, const int64_t *then, const int64_t *now,
                  int32_t partitions, struct slice after, size_t most, history_visit *visit, void *context,
                  struct arena *a, struct slice *last, struct err *e) {
    _cleanup_(buf_free) struct buf prefix = {0}, from = {0};
    _cleanup_(first_free) struct first f = {0};
    put_topic(&prefix, 'v', topic);
    buf_append_slice(&from, after.data == NULL ? buf_slice(&prefix) : after);
    *last = SLICE_NONE;
    for (size_t n = 0;; n++) {
        f.found = false;
        if (!store_scan(h->store, buf_slice(&prefix), buf_slice(&from), false, take_first, &f, e))
            return false;
        if (!f.found)
            break;
        if (n == most) {
            *last = arena_copy(a, buf_slice(&from));
            break;
        }
        struct slice versions = {f.key.data, f.key.size - OFFSET};
        struct history_row row = {.partition =
                                      (int32_t)be_get(versions.data + versions.size - PARTITION, PARTITION)};
        bool known = row.partition < partitions;
        if (!latest(h, versions, known ? then[row.partition] : 0, &row.then, e) ||
            !latest(h, versions, known ? now[row.partition] : 0, &row.now, e))
            return false;
        row.key = key_of(versions, topic, a);
        if ((row.then >= 0 || row.now >= 0) && !visit(context, &row)) {
            *last = arena_copy(a, buf_slice(&from));
            break;
        }
        buf_clear(&from);
        buf_append_slice(&from, versions);
        for (int i = 0; i <= OFFSET; i++) /* behind all of its offsets */
            buf_append_byte(&from, 255);
    }
    return true;
}
