/* Knows in memory which keys the store below may have, so that what is not there costs nothing to find out:
 * most of what a view is asked for are keys that it has never seen, and RocksDB looks for them in one file
 * after the other.
 *
 * A scan of what begins with "…/" is as quick where there is nothing: each key is remembered with all its
 * beginnings that end with a slash.
 *
 * What is remembered is also written to a file, as hashes one after the other behind a head, and is on the
 * disk before the keys are: at the next start that is read, a hundred times as fast as all keys would be.
 *
 * A filter forgets nothing. When much of what it has may have been deleted, another one is learned from the
 * keys below, in a thread of its own, and takes its place. */
#include "base/cleanup.h"
#include "store/filter.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RELEARN_MIN = 64 << 10 }; /* of fewer deletions nothing is made */

static const uint64_t MAGIC = 0x3173657968736168;

struct head {
    uint64_t magic, count; /* of hashes */
    uint64_t removed;      /* of them, whose keys may be deleted by now */
    uint64_t sum;          /* of all before it, and of the hashes */
};

struct memory {
    struct filter filter;
    uint64_t count, removed, sum; /* as in the head; the sum is of the hashes that are in the file */
    int fd;                       /* of the file; -1: none */
    struct buf new;               /* hashes that are not in it yet */
};

struct filtered {
    struct store store;
    struct store *below;
    char *path;           /* of the file; NULL: none */
    pthread_mutex_t lock; /* of both filters */
    struct memory now, next;
    bool learning; /* the thread was made and not joined; of the writing thread */
    pthread_t thread;
    atomic_bool learned, closing; /* the thread is at its end; it should be */
    bool learned_all;             /* set by the thread, as its error */
    struct err learn_err;
};

static struct filtered *filtered_of(struct store *s) {
    return (struct filtered *)s;
}

static void remember_hash(struct memory *m, uint64_t hash) {
    if (!filter_add(&m->filter, hash))
        return;
    m->count++;
    if (m->fd >= 0)
        buf_append(&m->new, &hash, sizeof hash);
}

static void remember(struct memory *m, struct slice key) {
    remember_hash(m, slice_hash(key));
    for (size_t end = 0; (end = filter_beginning(key, end)) > 0;)
        remember_hash(m, slice_hash((struct slice){key.data, end}));
}

/* It stays in the filter, and may have been the last one with its beginnings. */
static void note_removed(struct memory *m, struct slice key) {
    if (!filter_may_have(&m->filter, slice_hash(key)))
        return;
    m->removed++;
    for (size_t end = 0; (end = filter_beginning(key, end)) > 0;)
        m->removed++;
}

static void forget(struct memory *m) {
    filter_free(&m->filter);
    buf_free(&m->new);
    if (m->fd >= 0)
        close(m->fd);
    *m = (struct memory){.fd = -1};
}

/* ---- the file ---- */

static bool file_failed(const struct filtered *f, struct err *err) {
    return err_set(err, ERR_FATAL, "store %s: %s", f->path, strerror(errno));
}

/* Any other word gives another sum. */
static uint64_t sum_up(uint64_t sum, uint64_t word) {
    sum = (sum ^ word) * 0x100000001b3;
    return sum ^ sum >> 32;
}

static uint64_t sum_of(const struct head *head, uint64_t hashes) {
    return sum_up(sum_up(sum_up(hashes, head->magic), head->count), head->removed);
}

static bool write_all(int fd, const void *data, size_t size, off_t at) {
    while (size > 0) {
        ssize_t n = pwrite(fd, data, size, at);
        if (n < 0 && errno != EINTR)
            return false;
        size_t written = n > 0 ? (size_t)n : 0;
        data = (const char *)data + written;
        size -= written;
        at += (off_t)written;
    }
    return true;
}

/* What was remembered lately is on the disk when this returns. The head is written last: what a crash left
 * behind what it counts, the store below never had. */
static bool file_write(const struct filtered *f, struct memory *m, struct err *err) {
    struct head head = {.magic = MAGIC, .count = m->count, .removed = m->removed};
    const uint64_t *hashes = (const uint64_t *)m->new.data;
    size_t n = m->new.size / sizeof *hashes;
    uint64_t sum = m->sum;
    for (size_t i = 0; i < n; i++)
        sum = sum_up(sum, hashes[i]);
    head.sum = sum_of(&head, sum);
    off_t end = (off_t)(sizeof head + (m->count - n) * sizeof *hashes);
    if (!write_all(m->fd, hashes, m->new.size, end) || !write_all(m->fd, &head, sizeof head, 0) ||
        fdatasync(m->fd) != 0)
        return file_failed(f, err);
    m->sum = sum;
    buf_clear(&m->new);
    return true;
}

static bool file_append(const struct filtered *f, struct memory *m, struct err *err) {
    return m->new.size == 0 || file_write(f, m, err);
}

/* *well: it has what was written. */
static bool file_read(const struct filtered *f, struct memory *m, bool *well, struct err *err) {
    struct head head = {0};
    uint64_t hashes[4096];
    off_t at = sizeof head;
    *well = false;
    if (pread(m->fd, &head, sizeof head, 0) < 0)
        return file_failed(f, err);
    for (uint64_t left = head.magic == MAGIC ? head.count : 0; left > 0;) {
        size_t n = left < sizeof hashes / sizeof *hashes ? (size_t)left : sizeof hashes / sizeof *hashes;
        ssize_t size = pread(m->fd, hashes, n * sizeof *hashes, at);
        if (size < 0 && errno != EINTR)
            return file_failed(f, err);
        if (size >= 0 && size < (ssize_t)sizeof *hashes)
            return true;
        n = size > 0 ? (size_t)size / sizeof *hashes : 0;
        for (size_t i = 0; i < n; i++) {
            filter_add_again(&m->filter, hashes[i]);
            m->sum = sum_up(m->sum, hashes[i]);
        }
        left -= n;
        at += (off_t)(n * sizeof *hashes);
    }
    m->count = head.count;
    m->removed = head.removed;
    *well = head.magic == MAGIC && head.sum == sum_of(&head, m->sum);
    return true;
}

/* Under another name: one that has the right name has all keys. */
static bool file_begin(const struct filtered *f, struct memory *m, struct err *err) {
    _cleanup_(buf_free) struct buf other = {0};
    buf_printf(&other, "%s.new%c", f->path, 0);
    m->fd = open(other.data, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return m->fd >= 0 || file_failed(f, err);
}

static bool file_end(const struct filtered *f, struct memory *m, struct err *err) {
    _cleanup_(buf_free) struct buf other = {0};
    buf_printf(&other, "%s.new%c", f->path, 0);
    return file_write(f, m, err) && (rename(other.data, f->path) == 0 || file_failed(f, err));
}

/* ---- learning ---- */

struct learner {
    struct filtered *f;
    struct memory *memory;
};

static bool learn_row(void *context, struct slice key, struct slice value) {
    struct learner *l = context;
    (void)value;
    pthread_mutex_lock(&l->f->lock);
    remember(l->memory, key);
    pthread_mutex_unlock(&l->f->lock);
    return !atomic_load(&l->f->closing);
}

static bool learn_all(struct filtered *f, struct memory *m, struct err *err) {
    return store_scan(f->below, SLICE(""), SLICE_NONE, false, learn_row, &(struct learner){f, m}, err);
}

/* From the file, and where there is none that can be used, from the store below. */
static bool learn(struct filtered *f, bool *damaged, struct err *err) {
    struct memory *m = &f->now;
    bool well;
    m->fd = f->path == NULL ? -1 : open(f->path, O_RDWR | O_CLOEXEC);
    if (m->fd < 0 && f->path != NULL && errno != ENOENT)
        return file_failed(f, err);
    *damaged = m->fd >= 0;
    if (m->fd >= 0 && !file_read(f, m, &well, err))
        return false;
    if (m->fd >= 0 && well) {
        *damaged = false;
        return true;
    }
    forget(m);
    if (f->path == NULL)
        return learn_all(f, m, err);
    return file_begin(f, m, err) && learn_all(f, m, err) && file_end(f, m, err);
}

static void *learning_main(void *context) {
    struct filtered *f = context;
    f->learned_all = learn_all(f, &f->next, &f->learn_err);
    atomic_store(&f->learned, true);
    return NULL;
}

/* What is written from now on both remember. */
static bool relearn_begin(struct filtered *f, struct err *err) {
    f->now.removed = 0;
    if (f->path != NULL && !file_begin(f, &f->next, err))
        return false;
    atomic_store(&f->learned, false);
    f->learning = pthread_create(&f->thread, NULL, learning_main, f) == 0;
    if (!f->learning)
        forget(&f->next); /* there will be more deletions, and then another try */
    return true;
}

static bool relearn_end(struct filtered *f, struct err *err) {
    pthread_join(f->thread, NULL);
    f->learning = false;
    if (!f->learned_all)
        return err_set(err, f->learn_err.kind, "%s", f->learn_err.text);
    if (f->path != NULL && !file_end(f, &f->next, err))
        return false;
    pthread_mutex_lock(&f->lock);
    struct memory old = f->now;
    f->now = f->next;
    pthread_mutex_unlock(&f->lock);
    f->next = (struct memory){.fd = -1};
    forget(&old);
    return true;
}

static bool relearn(struct filtered *f, struct err *err) {
    if (f->learning)
        return !atomic_load(&f->learned) || relearn_end(f, err);
    return f->now.removed < RELEARN_MIN || f->now.removed < f->now.count / 2 || relearn_begin(f, err);
}

/* ---- the store ---- */

static bool filtered_get(struct store *s, struct slice key, struct arena *arena, struct slice *value,
                         struct err *err) {
    struct filtered *f = filtered_of(s);
    pthread_mutex_lock(&f->lock);
    bool absent = !filter_may_have(&f->now.filter, slice_hash(key));
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
    for (size_t i = 0; i < count; i++) {
        if (changes[i].value.data == NULL)
            note_removed(&f->now, changes[i].key);
        else
            remember(&f->now, changes[i].key);
        if (changes[i].value.data != NULL && f->learning)
            remember(&f->next, changes[i].key);
    }
    pthread_mutex_unlock(&f->lock);
    return file_append(f, &f->now, err) && store_apply(f->below, changes, count, err) && relearn(f, err);
}

static bool filtered_scan(struct store *s, struct slice prefix, struct slice from, bool reverse,
                          store_visit *visit, void *ctx, struct err *err) {
    struct filtered *f = filtered_of(s);
    pthread_mutex_lock(&f->lock);
    bool absent = filter_lacks_beginning(&f->now.filter, prefix);
    pthread_mutex_unlock(&f->lock);
    return absent || store_scan(f->below, prefix, from, reverse, visit, ctx, err);
}

static bool filtered_delete_prefix(struct store *s, struct slice prefix, struct err *err) {
    struct filtered *f = filtered_of(s);
    f->now.removed = f->now.count; /* at the most */
    return store_delete_prefix(f->below, prefix, err);
}

static bool filtered_flush(struct store *s, struct err *err) {
    return store_flush(filtered_of(s)->below, err);
}

static bool filtered_damaged(struct store *s) {
    return store_damaged(filtered_of(s)->below);
}

static void filtered_metrics(struct store *s, struct store_metrics *metrics) {
    struct filtered *f = filtered_of(s);
    store_metrics(f->below, metrics);
    pthread_mutex_lock(&f->lock);
    metrics->index_bytes += filter_bytes(&f->now.filter) + filter_bytes(&f->next.filter);
    pthread_mutex_unlock(&f->lock);
}

static void filtered_close(struct store *s) {
    struct filtered *f = filtered_of(s);
    atomic_store(&f->closing, true);
    if (f->learning)
        pthread_join(f->thread, NULL);
    store_close(f->below);
    forget(&f->now);
    forget(&f->next);
    free(f->path);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

bool store_create_filtered(struct store *below, const char *path, struct store **store, bool *damaged,
                           struct err *err) {
    static const struct store_ops ops = {
        .get = filtered_get,
        .apply = filtered_apply,
        .scan = filtered_scan,
        .delete_prefix = filtered_delete_prefix,
        .flush = filtered_flush,
        .damaged = filtered_damaged,
        .metrics = filtered_metrics,
        .close = filtered_close,
    };
    struct filtered *f = xcalloc(1, sizeof *f);
    bool unused;
    *f = (struct filtered){.store.ops = &ops, .below = below, .now.fd = -1, .next.fd = -1};
    f->path = path == NULL ? NULL : xstrdup(path);
    pthread_mutex_init(&f->lock, NULL);
    if (!learn(f, damaged != NULL ? damaged : &unused, err)) {
        filtered_close(&f->store);
        return false;
    }
    *store = &f->store;
    return true;
}
