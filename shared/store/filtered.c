/* Knows in memory which keys the store below may have, so that what is not there costs nothing to find out:
 * most of what a view is asked for are keys that it has never seen, and RocksDB looks for them in one file
 * after the other.
 *
 * A scan of what begins with "…/" is as quick where there is nothing: each key is remembered with all its
 * beginnings that end with a slash.
 *
 * What is remembered is also written to a file, as hashes one after the other, and is on the disk before the
 * keys are: at the next start that is read, a hundred times as fast as all keys would be. */
#include "base/cleanup.h"
#include "store/filter.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct filtered {
    struct store store;
    struct store *below;
    pthread_mutex_t lock; /* of the filter */
    struct filter filter;
    char *path;     /* of the file of hashes; NULL: none */
    int fd;         /* likewise; -1 */
    struct buf new; /* hashes that are not in the file yet */
};

static struct filtered *filtered_of(struct store *s) {
    return (struct filtered *)s;
}

static void remember_hash(struct filtered *f, uint64_t hash) {
    if (filter_add(&f->filter, hash) && f->fd >= 0)
        buf_append(&f->new, &hash, sizeof hash);
}

static void remember(struct filtered *f, struct slice key) {
    remember_hash(f, slice_hash(key));
    for (size_t end = 0; (end = filter_beginning(key, end)) > 0;)
        remember_hash(f, slice_hash((struct slice){key.data, end}));
}

/* ---- the file ---- */

static bool file_failed(const struct filtered *f, struct err *err) {
    return err_set(err, ERR_FATAL, "store %s: %s", f->path, strerror(errno));
}

/* What was remembered lately is on the disk when this returns. */
static bool file_append(struct filtered *f, struct err *err) {
    struct slice left = buf_slice(&f->new);
    if (left.size == 0)
        return true;
    while (left.size > 0) {
        ssize_t n = write(f->fd, left.data, left.size);
        if (n < 0 && errno != EINTR)
            return file_failed(f, err);
        left.data += n > 0 ? n : 0;
        left.size -= n > 0 ? (size_t)n : 0;
    }
    buf_clear(&f->new);
    return fdatasync(f->fd) == 0 || file_failed(f, err);
}

static bool file_read(struct filtered *f, struct err *err) {
    uint64_t hashes[4096];
    off_t whole = 0;
    for (;;) {
        ssize_t n = pread(f->fd, hashes, sizeof hashes, whole);
        if (n < 0 && errno != EINTR)
            return file_failed(f, err);
        size_t count = n > 0 ? (size_t)n / sizeof *hashes : 0;
        for (size_t i = 0; i < count; i++)
            filter_add(&f->filter, hashes[i]);
        whole += (off_t)(count * sizeof *hashes);
        if (n >= 0 && count == 0) /* what is left of a hash was cut off by a crash */
            return (ftruncate(f->fd, whole) == 0 && lseek(f->fd, whole, SEEK_SET) == whole) ||
                   file_failed(f, err);
    }
}

static bool remember_row(void *context, struct slice key, struct slice value) {
    (void)value;
    remember(context, key);
    return true;
}

static bool remember_all(struct filtered *f, struct err *err) {
    return store_scan(f->below, SLICE(""), SLICE_NONE, false, remember_row, f, err);
}

/* Where there is no file yet, it is made under another name: one that is there has all keys. */
static bool file_open(struct filtered *f, struct err *err) {
    f->fd = open(f->path, O_RDWR | O_CLOEXEC);
    if (f->fd >= 0)
        return file_read(f, err);
    _cleanup_(buf_free) struct buf other = {0};
    buf_printf(&other, "%s.new%c", f->path, 0);
    f->fd = open(other.data, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (f->fd < 0)
        return file_failed(f, err);
    return remember_all(f, err) && file_append(f, err) &&
           (rename(other.data, f->path) == 0 || file_failed(f, err));
}

/* ---- the store ---- */

static bool filtered_get(struct store *s, struct slice key, struct arena *arena, struct slice *value,
                         struct err *err) {
    struct filtered *f = filtered_of(s);
    pthread_mutex_lock(&f->lock);
    bool absent = !filter_may_have(&f->filter, slice_hash(key));
    pthread_mutex_unlock(&f->lock);
    if (!absent)
        return store_get(f->below, key, arena, value, err);
    *value = SLICE_NONE;
    return true;
}

static bool filtered_apply(struct store *s, const struct store_change *changes, size_t count,
                           struct err *err) {
    struct filtered *f = filtered_of(s);
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < count; i++)
        if (changes[i].value.data != NULL)
            remember(f, changes[i].key);
    pthread_mutex_unlock(&f->lock);
    return file_append(f, err) && store_apply(f->below, changes, count, err);
}

static bool filtered_scan(struct store *s, struct slice prefix, struct slice from, bool reverse,
                          store_visit *visit, void *ctx, struct err *err) {
    struct filtered *f = filtered_of(s);
    pthread_mutex_lock(&f->lock);
    bool absent = filter_lacks_beginning(&f->filter, prefix);
    pthread_mutex_unlock(&f->lock);
    return absent || store_scan(f->below, prefix, from, reverse, visit, ctx, err);
}

static bool filtered_delete_prefix(struct store *s, struct slice prefix, struct err *err) {
    return store_delete_prefix(filtered_of(s)->below, prefix, err);
}

static bool filtered_flush(struct store *s, struct err *err) {
    return store_flush(filtered_of(s)->below, err);
}

static void filtered_metrics(struct store *s, struct store_metrics *metrics) {
    store_metrics(filtered_of(s)->below, metrics);
}

static void filtered_close(struct store *s) {
    struct filtered *f = filtered_of(s);
    store_close(f->below);
    if (f->fd >= 0)
        close(f->fd);
    filter_free(&f->filter);
    buf_free(&f->new);
    free(f->path);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

bool store_create_filtered(struct store *below, const char *path, struct store **store, struct err *err) {
    static const struct store_ops ops = {
        .get = filtered_get,
        .apply = filtered_apply,
        .scan = filtered_scan,
        .delete_prefix = filtered_delete_prefix,
        .flush = filtered_flush,
        .metrics = filtered_metrics,
        .close = filtered_close,
    };
    struct filtered *f = xcalloc(1, sizeof *f);
    *f = (struct filtered){.store.ops = &ops, .below = below, .fd = -1};
    f->path = path == NULL ? NULL : xstrdup(path);
    pthread_mutex_init(&f->lock, NULL);
    if (path == NULL ? !remember_all(f, err) : !file_open(f, err)) {
        filtered_close(&f->store);
        return false;
    }
    *store = &f->store;
    return true;
}
