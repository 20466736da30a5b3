/* A store of stores: each part in a directory of its own, so that it goes as a whole, with its memory and its
 * disk, and at once however large it is. */
#include "base/cleanup.h"
#include "store/directory.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { PART = 'P' };

struct part {
    struct part *next;
    char *path;
    struct store *store;
    unsigned readers; /* calls under way */
    size_t prefix_size;
    char prefix[];
};

struct parts {
    struct store store;
    struct store *rest; /* the keys of no part */
    char *path;
    struct store_options options; /* of each part */
    struct buf passing;           /* of them */
    pthread_mutex_t lock;         /* of the list, for whoever does not write; and of the counts of readers */
    pthread_cond_t left;          /* a part has no reader any more */
    struct part *first;
};

static struct parts *parts_of(struct store *s) {
    return (struct parts *)s;
}

void store_part(struct buf *out, const char *name, uint16_t number) {
    buf_append_byte(out, PART);
    buf_append_byte(out, (uint8_t)strlen(name));
    buf_append(out, name, strlen(name));
    buf_append_byte(out, (uint8_t)(number >> 8));
    buf_append_byte(out, (uint8_t)number);
}

/* What a key of a part begins with; data NULL: it is of none. */
static struct slice prefix_of(struct slice key) {
    if (key.size < 2 || key.data[0] != PART || key.size < 4 + (size_t)(uint8_t)key.data[1])
        return SLICE_NONE;
    return (struct slice){key.data, 4 + (size_t)(uint8_t)key.data[1]};
}

static struct part *find(const struct parts *p, struct slice prefix) {
    struct part *part = p->first;
    while (part != NULL && !slice_equal((struct slice){part->prefix, part->prefix_size}, prefix))
        part = part->next;
    return part;
}

/* For reading, until part_leave(): it stays open so long. NULL: there is none. */
static struct part *part_enter(struct parts *p, struct slice prefix) {
    pthread_mutex_lock(&p->lock);
    struct part *part = find(p, prefix);
    if (part != NULL)
        part->readers++;
    pthread_mutex_unlock(&p->lock);
    return part;
}

static void part_leave(struct parts *p, struct part *part) {
    pthread_mutex_lock(&p->lock);
    if (--part->readers == 0)
        pthread_cond_broadcast(&p->left);
    pthread_mutex_unlock(&p->lock);
}

static void part_free(struct part *part) {
    store_close(part->store);
    free(part->path);
    free(part);
}

static struct part *part_create(const struct parts *p, struct slice prefix) {
    const uint8_t *number = (const uint8_t *)prefix.data + prefix.size - 2;
    struct part *part = xcalloc(1, sizeof *part + prefix.size);
    _cleanup_(buf_free) struct buf path = {0};
    buf_printf(&path, "%s/%.*s-%d%c", p->path, (int)prefix.size - 4, prefix.data + 2,
               number[0] << 8 | number[1], 0);
    part->path = xstrdup(path.data);
    part->prefix_size = prefix.size;
    memcpy(part->prefix, prefix.data, prefix.size);
    return part;
}

/* The part that a key belongs to is made where it is missing. The writing thread. */
static bool part_open(struct parts *p, struct slice prefix, struct err *err) {
    if (find(p, prefix) != NULL)
        return true;
    struct part *part = part_create(p, prefix);
    _cleanup_(buf_free) struct buf passing = {0};
    struct store_options options = p->options;
    if (options.passing.size > 0) {
        buf_append_slice(&passing, prefix);
        buf_append_slice(&passing, options.passing);
        options.passing = buf_slice(&passing);
    }
    if (!store_open_rocksdb(part->path, &options, &part->store, err)) {
        part_free(part);
        return false;
    }
    pthread_mutex_lock(&p->lock);
    part->next = p->first;
    p->first = part;
    pthread_mutex_unlock(&p->lock);
    return true;
}

/* Out of the list first: who comes now finds none, and who reads is waited for. The writing thread. */
static void part_remove(struct parts *p, struct part *part) {
    pthread_mutex_lock(&p->lock);
    struct part **at = &p->first;
    while (*at != part)
        at = &(*at)->next;
    *at = part->next;
    while (part->readers > 0)
        pthread_cond_wait(&p->left, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

/* Under another name first: what a crash leaves of it is no part any more. */
static bool part_delete(struct parts *p, struct part *part, struct err *err) {
    _cleanup_(buf_free) struct buf path = {0}, gone = {0}, damaged = {0};
    buf_printf(&path, "%s%c", part->path, 0);
    buf_printf(&gone, "%s.gone%c", part->path, 0);
    buf_printf(&damaged, "%s.damaged%c", part->path, 0);
    if (!directory_delete(gone.data, err) || !directory_delete(damaged.data, err))
        return false;
    part_remove(p, part);
    part_free(part);
    if (rename(path.data, gone.data) != 0)
        return err_set(err, ERR_FATAL, "store %s: cannot be deleted: %s", path.data, strerror(errno));
    return directory_delete(gone.data, err);
}

static bool parts_get(struct store *s, struct slice key, struct arena *arena, struct slice *value,
                      struct err *err) {
    struct parts *p = parts_of(s);
    struct slice prefix = prefix_of(key);
    if (prefix.data == NULL)
        return store_get(p->rest, key, arena, value, err);
    struct part *part = part_enter(p, prefix);
    if (part == NULL) {
        *value = SLICE_NONE;
        return true;
    }
    bool ok = store_get(part->store, key, arena, value, err);
    part_leave(p, part);
    return ok;
}

/* A batch is whole in each part; changes of different parts are different batches. */
static bool parts_apply(struct store *s, const struct store_change *changes, size_t count, struct err *err) {
    struct parts *p = parts_of(s);
    struct store_change *own = xmalloc((count + 1) * sizeof *own);
    bool *done = xcalloc(count + 1, sizeof *done), ok = true;
    for (size_t first = 0; ok && first < count; first++) {
        if (done[first])
            continue;
        struct slice prefix = prefix_of(changes[first].key);
        size_t n = 0;
        for (size_t i = first; i < count; i++) {
            bool same = prefix.data == NULL ? !done[i] && prefix_of(changes[i].key).data == NULL
                                            : !done[i] && slice_starts_with(changes[i].key, prefix);
            if (same)
                own[n++] = changes[i];
            done[i] = done[i] || same;
        }
        ok = prefix.data == NULL || part_open(p, prefix, err);
        ok = ok && store_apply(prefix.data == NULL ? p->rest : find(p, prefix)->store, own, n, err);
    }
    free(own);
    free(done);
    return ok;
}

static bool parts_scan(struct store *s, struct slice prefix, struct slice from, bool reverse,
                       store_visit *visit, void *ctx, struct err *err) {
    struct parts *p = parts_of(s);
    struct slice of = prefix_of(prefix);
    if (of.data == NULL)
        return store_scan(p->rest, prefix, from, reverse, visit, ctx, err);
    struct part *part = part_enter(p, of);
    if (part == NULL)
        return true;
    bool ok = store_scan(part->store, prefix, from, reverse, visit, ctx, err);
    part_leave(p, part);
    return ok;
}

static bool parts_delete_prefix(struct store *s, struct slice prefix, struct err *err) {
    struct parts *p = parts_of(s);
    struct slice of = prefix_of(prefix);
    if (of.data != NULL) {
        struct part *part = find(p, of);
        return part == NULL || (of.size == prefix.size ? part_delete(p, part, err)
                                                       : store_delete_prefix(part->store, prefix, err));
    }
    while (prefix.size == 0 && p->first != NULL)
        if (!part_delete(p, p->first, err))
            return false;
    return store_delete_prefix(p->rest, prefix, err);
}

static bool parts_flush(struct store *s, struct err *err) {
    struct parts *p = parts_of(s);
    for (struct part *part = p->first; part != NULL; part = part->next)
        if (!store_flush(part->store, err))
            return false;
    return store_flush(p->rest, err);
}

static bool parts_damaged(struct store *s) {
    struct parts *p = parts_of(s);
    bool damaged = store_damaged(p->rest);
    pthread_mutex_lock(&p->lock);
    for (struct part *part = p->first; part != NULL && !damaged; part = part->next)
        damaged = store_damaged(part->store);
    pthread_mutex_unlock(&p->lock);
    return damaged;
}

static void parts_metrics(struct store *s, struct store_metrics *metrics) {
    struct parts *p = parts_of(s);
    store_metrics(p->rest, metrics);
    pthread_mutex_lock(&p->lock);
    for (struct part *part = p->first; part != NULL; part = part->next) {
        struct store_metrics m;
        store_metrics(part->store, &m);
        metrics->keys += m.keys;
        metrics->bytes += m.bytes;
        metrics->memory_bytes += m.memory_bytes;
        metrics->index_bytes += m.index_bytes;
    }
    pthread_mutex_unlock(&p->lock);
}

static void parts_close(struct store *s) {
    struct parts *p = parts_of(s);
    for (struct part *part = p->first, *next; part != NULL; part = next) {
        next = part->next;
        part_free(part);
    }
    store_close(p->rest);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->left);
    free(p->path);
    buf_free(&p->passing);
    free(p);
}

/* Opens the parts that are there already, and ends what a crash has left of deletions. */
static bool parts_find(struct parts *p, struct err *err) {
    DIR *dir = opendir(p->path);
    struct dirent *entry;
    bool ok = true;
    while (ok && dir != NULL && (entry = readdir(dir)) != NULL) {
        _cleanup_(buf_free) struct buf prefix = {0}, gone = {0};
        char *dash = strrchr(entry->d_name, '-'), *end = NULL;
        unsigned long number = dash == NULL ? 0 : strtoul(dash + 1, &end, 10);
        if (dash == NULL || end == dash + 1 || number > UINT16_MAX)
            continue;
        if (strcmp(end, ".gone") == 0) {
            buf_printf(&gone, "%s/%s%c", p->path, entry->d_name, 0);
            ok = directory_delete(gone.data, err);
        } else if (*end == 0) {
            *dash = 0;
            store_part(&prefix, entry->d_name, (uint16_t)number);
            ok = part_open(p, buf_slice(&prefix), err);
        }
    }
    if (dir != NULL)
        closedir(dir);
    return ok;
}

bool store_delete_parts(const char *path, struct err *err) {
    _cleanup_(buf_free) struct buf below = {0};
    buf_printf(&below, "%s.parts%c", path, 0);
    DIR *dir = opendir(below.data);
    struct dirent *entry;
    bool ok = true;
    while (ok && dir != NULL && (entry = readdir(dir)) != NULL) {
        _cleanup_(buf_free) struct buf part = {0};
        buf_printf(&part, "%s/%s%c", below.data, entry->d_name, 0);
        ok = entry->d_name[0] == '.' || directory_delete(part.data, err);
    }
    if (dir != NULL)
        closedir(dir);
    return ok && directory_delete(below.data, err);
}

bool store_open_parts(const char *path, const struct store_options *options, const struct store_options *part,
                      struct store **store, struct err *err) {
    static const struct store_ops ops = {
        .get = parts_get,
        .apply = parts_apply,
        .scan = parts_scan,
        .delete_prefix = parts_delete_prefix,
        .flush = parts_flush,
        .damaged = parts_damaged,
        .metrics = parts_metrics,
        .close = parts_close,
    };
    struct store *rest;
    if (!store_open_rocksdb(path, options, &rest, err))
        return false;
    struct parts *p = xcalloc(1, sizeof *p);
    _cleanup_(buf_free) struct buf below = {0};
    buf_printf(&below, "%s.parts%c", path, 0);
    p->store.ops = &ops;
    p->rest = rest;
    p->path = xstrdup(below.data);
    p->options = part == NULL ? (struct store_options){0} : *part;
    buf_append_slice(&p->passing, p->options.passing);
    p->options.passing = buf_slice(&p->passing);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->left, NULL);
    if (!parts_find(p, err)) {
        parts_close(&p->store);
        return false;
    }
    *store = &p->store;
    return true;
}
