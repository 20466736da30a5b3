/* An ordered map of bytes to bytes: what a view is kept in.
 *
 * Two implementations: RocksDB, and memory for tests. Keys sort as bytes (slice_compare); a key is not
 * empty, a value may be. Any thread may read at any time; one thread at a time writes.
 *
 * Of the RocksDB store: what was applied lately is in memory until it goes to the disk as one sorted file.
 * Killing the process, or a loss of power, loses a tail of the latest batches, each of them as a whole and in
 * order. That is enough, because the log is the truth: a batch carries the offset up to which it is the
 * log's state, and what was lost is read from there again. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

/* An implementation begins with it. */
struct store {
    const struct store_ops *ops;
};

/* One key's new value. */
struct store_change {
    struct slice key, value; /* value.data == NULL: delete */
};

/* Approximate, for metrics. */
struct store_metrics {
    uint64_t keys;         /* estimate; deleted and overwritten ones may still count */
    uint64_t bytes;        /* on disk, or for the memory store of keys and values */
    uint64_t memory_bytes; /* of it not yet in files: RocksDB's memtables */
    uint64_t index_bytes;  /* of memory, for what tells where keys are: filters, and indexes of files; grows
                              with the keys */
};

/* Called for each key in turn; the slices live as long as the call. Returns whether to continue. */
typedef bool store_visit(void *ctx, struct slice key, struct slice value);

/* What an implementation provides; each as the function store_… below. */
struct store_ops {
    bool (*get)(struct store *, struct slice key, struct arena *, struct slice *value, struct err *);
    bool (*apply)(struct store *, const struct store_change *changes, size_t count, struct err *);
    bool (*scan)(struct store *, struct slice prefix, struct slice from, bool reverse, store_visit *visit,
                 void *ctx, struct err *);
    bool (*delete_prefix)(struct store *, struct slice prefix, struct err *);
    bool (*flush)(struct store *, struct err *);
    bool (*damaged)(struct store *); /* NULL: never */
    void (*metrics)(struct store *, struct store_metrics *metrics);
    void (*close)(struct store *);
};

/* Copies the value of `key` into `arena`; value->data is NULL when there is none (an empty value has
 * data). Any thread, each with its own arena. ERR_FATAL: it cannot be read (store_damaged() says more). */
WARN_UNUSED static inline bool store_get(struct store *s, struct slice key, struct arena *arena,
                                         struct slice *value, struct err *err) {
    return s->ops->get(s, key, arena, value, err);
}

/* Makes all changes or none, in their order: the last one of a key counts. The writing thread.
 * ERR_FATAL: nothing can be written any more, the process should end. */
WARN_UNUSED static inline bool store_apply(struct store *s, const struct store_change *changes, size_t count,
                                           struct err *err) {
    return s->ops->apply(s, changes, count, err);
}

/* Visits the keys that begin with `prefix` (empty: all), ascending from `from` on, itself included, or
 * with `reverse` descending from `from`; SLICE_NONE starts at the first, or the last. `from` need not
 * exist or begin with `prefix`. What is changed meanwhile, by the visitor too, may be seen as before or as
 * after. Any thread. ERR_FATAL: it cannot be read; some keys may have been visited. */
WARN_UNUSED static inline bool store_scan(struct store *s, struct slice prefix, struct slice from,
                                          bool reverse, store_visit *visit, void *ctx, struct err *err) {
    return s->ops->scan(s, prefix, from, reverse, visit, ctx, err);
}

/* Deletes the keys that begin with `prefix` (empty: all), at once. The writing thread; errors as apply. */
WARN_UNUSED static inline bool store_delete_prefix(struct store *s, struct slice prefix, struct err *err) {
    return s->ops->delete_prefix(s, prefix, err);
}

/* After it, what was applied survives the process. The writing thread; errors as apply. */
WARN_UNUSED static inline bool store_flush(struct store *s, struct err *err) {
    return s->ops->flush(s, err);
}

/* Whether a call came to files that are not what was written: then the process should end, and the next
 * who opens the store finds it empty. Any thread. */
static inline bool store_damaged(struct store *s) {
    return s->ops->damaged != NULL && s->ops->damaged(s);
}

/* Its figures. Any thread. */
static inline void store_metrics(struct store *s, struct store_metrics *metrics) {
    s->ops->metrics(s, metrics);
}

/* Flushes. Takes NULL. No other call may be under way. */
static inline void store_close(struct store *s) {
    if (s != NULL)
        s->ops->close(s);
}

/* How a store is kept. Zero: the default. */
struct store_options {
    size_t write_buffer_bytes; /* of changes in memory. 4 MiB */
    size_t block_cache_bytes;  /* for blocks, indexes and filters read from files. 6 MiB */
    bool knows_keys;           /* in memory beside the cache, some bytes a key: that a key is not there is
                                  known at once (store_create_filtered) */
    unsigned merge_files;      /* how many files there are until they are merged: each is a place where a scan
                                  looks. 64 */
    /* What keys begin with that are deleted soon after they were put (of a part: behind what it begins with):
     * a scan of them costs what is there, and not what ever was. */
    struct slice passing;
    /* Something was damaged and has been mended: what, and how. NULL: nobody needs to know. */
    void (*mended)(void *context, const char *what);
    void *context;
};

/* Opens the store in directory `path`, which is made with its parents where missing. `options` may be
 * NULL. The caller closes *store. ERR_RETRY: another process has it open, and the text says which
 * one; ERR_FATAL: it cannot be opened, and the text has the path.
 *
 * Where its files are missing, cut off, or not what was written, now or when somebody read them before, the
 * directory is renamed to "<path>.damaged", in place of an earlier one, and an empty store takes its place: a
 * store is a cache. What is around them (no space, no permission) is no such reason. */
WARN_UNUSED bool store_open_rocksdb(const char *path, const struct store_options *options,
                                    struct store **store, struct err *err);

/* Begins the keys of one part of a store that has parts. The name is short and has no '/'. */
void store_part(struct buf *out, const char *name, uint16_t number);

/* The same, and what begins with a store_part() is a store of its own, with the options `part`, in a
 * directory beside: made with its first key, and gone with its files when what begins so is deleted. A batch
 * is whole within each part, a scan sees one part, or what is in none. */
WARN_UNUSED bool store_open_parts(const char *path, const struct store_options *options,
                                  const struct store_options *part, struct store **store, struct err *err);

/* Deletes what store_open_parts() had beside the store at `path`, for who opens it without. ERR_FATAL: it
 * cannot be deleted. */
WARN_UNUSED bool store_delete_parts(const char *path, struct err *err);

/* Keeps changes in memory until they are `limit` bytes, then applies them to the store `below`, which it
 * owns, sorted and each key once. */
struct store *store_create_buffered(struct store *below, size_t limit);

/* Keeps a filter in memory of the keys that `below` has: a get of one that is not there, or a scan of what
 * begins with a prefix that ends with '/', need not look. It is kept in the file `path` too, for the next
 * time; NULL, or where that file is not there or *damaged (may be NULL): learned from a scan of all that is
 * below. Whoever writes to `below` without it must delete the file first. Owns `below`, which is closed where
 * this fails, with ERR_FATAL. */
WARN_UNUSED bool store_create_filtered(struct store *below, const char *path, struct store **store,
                                       bool *damaged, struct err *err);

/* A store that lives until it is closed. */
struct store *store_create_memory(void);
