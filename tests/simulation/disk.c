/* What outlives an instance, in memory, as long as the world: killing the process loses what its store's
 * buffer had (world.c), a loss of power the latest batches too. */
#include "instance.h"

#include <stdlib.h>

struct batch {
    struct store_change *changes; /* NULL: the deletion of a prefix */
    size_t count;
    struct slice prefix;
};

struct disk {
    struct store *image;
    bool journaled;
    struct arena arena; /* of the journal */
    struct batch *journal;
    size_t count, capacity;
};

struct opened {
    struct store store;
    struct disk *disk;
    struct client *client;
};

struct disk *disk_create(bool journal) {
    struct disk *d = xcalloc(1, sizeof *d);
    d->image = store_create_memory();
    d->journaled = journal;
    return d;
}

void disk_destroy(struct disk *d) {
    if (d == NULL)
        return;
    store_close(d->image);
    arena_free(&d->arena);
    free(d->journal);
    free(d);
}

struct store *disk_image(struct disk *d) {
    return d->image;
}

static bool batch_apply(struct disk *d, const struct batch *b, struct err *e) {
    return b->changes == NULL ? store_delete_prefix(d->image, b->prefix, e)
                              : store_apply(d->image, b->changes, b->count, e);
}

static void journal_add(struct disk *d, const struct store_change *changes, size_t count,
                        struct slice prefix) {
    if (d->count == d->capacity)
        d->journal = xrealloc(d->journal, (d->capacity = d->capacity * 2 + 16) * sizeof *d->journal);
    struct batch *b = &d->journal[d->count++];
    *b = (struct batch){.count = count, .prefix = arena_copy(&d->arena, prefix)};
    if (changes == NULL)
        return;
    b->changes = arena_alloc(&d->arena, count * sizeof *b->changes);
    for (size_t i = 0; i < count; i++)
        b->changes[i] = (struct store_change){arena_copy(&d->arena, changes[i].key),
                                              arena_copy(&d->arena, changes[i].value)};
}

void disk_power_loss(struct disk *d, size_t batches) {
    struct err e = {0};
    d->count -= batches < d->count ? batches : d->count;
    store_close(d->image);
    d->image = store_create_memory();
    for (size_t i = 0; i < d->count; i++)
        if (!batch_apply(d, &d->journal[i], &e))
            abort();
}

static bool gone(struct err *e) {
    return err_set(e, ERR_FATAL, "the process is dead");
}

static bool disk_get(struct store *s, struct slice key, struct arena *arena, struct slice *value,
                     struct err *e) {
    struct opened *o = (struct opened *)s;
    return o->client->dead ? gone(e) : store_get(o->disk->image, key, arena, value, e);
}

static bool change(struct opened *o, const struct batch *b, const char *what, struct err *e) {
    if (!client_point(o->client, what))
        return gone(e);
    if (!batch_apply(o->disk, b, e))
        return false;
    o->client->instance->looked = o->client->instance->looked || b->changes == NULL;
    if (o->disk->journaled)
        journal_add(o->disk, b->changes, b->count, b->prefix);
    return client_point(o->client, "store, done") || gone(e);
}

static bool disk_apply(struct store *s, const struct store_change *changes, size_t count, struct err *e) {
    return change((struct opened *)s,
                  &(struct batch){.changes = (struct store_change *)changes, .count = count}, "store apply",
                  e);
}

static bool disk_delete_prefix(struct store *s, struct slice prefix, struct err *e) {
    return change((struct opened *)s, &(struct batch){.prefix = prefix}, "store delete", e);
}

static bool disk_scan(struct store *s, struct slice prefix, struct slice from, bool reverse,
                      store_visit *visit, void *ctx, struct err *e) {
    struct opened *o = (struct opened *)s;
    return o->client->dead ? gone(e) : store_scan(o->disk->image, prefix, from, reverse, visit, ctx, e);
}

static bool disk_flush(struct store *s, struct err *e) {
    return !((struct opened *)s)->client->dead || gone(e);
}

static void disk_metrics(struct store *s, struct store_metrics *m) {
    store_metrics(((struct opened *)s)->disk->image, m);
}

static void disk_close(struct store *s) {
    free(s);
}

struct store *disk_open(struct disk *d, struct client *c) {
    static const struct store_ops ops = {.get = disk_get,
                                         .apply = disk_apply,
                                         .scan = disk_scan,
                                         .delete_prefix = disk_delete_prefix,
                                         .flush = disk_flush,
                                         .metrics = disk_metrics,
                                         .close = disk_close};
    struct opened *o = xcalloc(1, sizeof *o);
    *o = (struct opened){{&ops}, d, c};
    return &o->store;
}
