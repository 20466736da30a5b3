/* The store in RocksDB, below a buffer, which is all the memtable and the log that there is: each batch
 * becomes a sorted file of its own, which RocksDB takes in as a whole. Set up to be small: a service has
 * several, and a fresh one should weigh nothing. */
#include "base/cleanup.h"
#include "store/directory.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct rocks {
    struct store store;
    rocksdb_t *db;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write; /* of deletions of ranges */
    rocksdb_options_t *options;
    rocksdb_envoptions_t *env;
    rocksdb_ingestexternalfileoptions_t *ingest;
    char *path;
    char *incoming;  /* the file that is being made */
    char *mark_path; /* of the file that says that the store is damaged */
    atomic_bool damaged;
    struct buf passing, passing_end; /* what keys that come and go begin with, and what is behind them */
    size_t passed, live; /* of them deleted since, and left at, the last time that they were renewed */
};

static struct rocks *rocks_of(struct store *s) {
    return (struct rocks *)s;
}

/* ---- damage ---- */

/* Are the files not what was written? Otherwise something around them is in the way, and they may be well. */
static bool is_damage(const char *message) {
    static const int around[] = {EACCES, EPERM, EROFS, ENOSPC, EDQUOT, EFBIG, EMFILE, ENFILE, ENOMEM};
    for (size_t i = 0; i < sizeof around / sizeof *around; i++)
        if (strstr(message, strerror(around[i])) != NULL)
            return false;
    return strncmp(message, "Corruption", strlen("Corruption")) == 0 ||
           strstr(message, strerror(ENOENT)) != NULL || strstr(message, strerror(EIO)) != NULL;
}

/* A file of the store for the next who opens it: it is damaged, and how. */
static const char mark[] = "damaged";

static void mark_damaged(const char *mark_path, const char *message) {
    FILE *f = fopen(mark_path, "we");
    if (f == NULL)
        return; /* whoever comes to the damage again tries again */
    fputs(message, f);
    fclose(f);
}

static bool fatal(const char *path, char *message, struct err *err) {
    err_set(err, ERR_FATAL, "store %s: %s", path, message);
    rocksdb_free(message);
    return false;
}

/* Takes over RocksDB's message. After an error in the background (a full disk, say) every write fails
 * and the C API has no way to resume: hence fatal. */
static bool failed(struct rocks *r, char *message, struct err *err) {
    if (is_damage(message) && !atomic_exchange(&r->damaged, true))
        mark_damaged(r->mark_path, message);
    return fatal(r->path, message, err);
}

static bool rocks_damaged(struct store *s) {
    return atomic_load(&rocks_of(s)->damaged);
}

/* ---- the store ---- */

static bool rocks_get(struct store *s, struct slice key, struct arena *arena, struct slice *value,
                      struct err *err) {
    struct rocks *r = rocks_of(s);
    char *message = NULL;
    rocksdb_pinnableslice_t *found = rocksdb_get_pinned(r->db, r->read, key.data, key.size, &message);
    if (message != NULL)
        return failed(r, message, err);
    if (found == NULL) {
        *value = SLICE_NONE;
        return true;
    }
    size_t size;
    const char *data = rocksdb_pinnableslice_value(found, &size);
    *value = arena_copy(arena, (struct slice){data != NULL ? data : "", size});
    rocksdb_pinnableslice_destroy(found);
    return true;
}

/* With `renewed` the file also deletes all that passes, of what was before it. */
static bool write_file(struct rocks *r, const struct store_change *changes, size_t count, bool renewed,
                       char **message) {
    rocksdb_sstfilewriter_t *writer = rocksdb_sstfilewriter_create(r->env, r->options);
    rocksdb_sstfilewriter_open(writer, r->incoming, message);
    if (*message == NULL && renewed)
        rocksdb_sstfilewriter_delete_range(writer, r->passing.data, r->passing.size, r->passing_end.data,
                                           r->passing_end.size, message);
    for (const struct store_change *c = changes; *message == NULL && c < changes + count; c++)
        if (c->value.data != NULL)
            rocksdb_sstfilewriter_put(writer, c->key.data, c->key.size, c->value.data, c->value.size,
                                      message);
        else
            rocksdb_sstfilewriter_delete(writer, c->key.data, c->key.size, message);
    if (*message == NULL)
        rocksdb_sstfilewriter_finish(writer, message);
    rocksdb_sstfilewriter_destroy(writer);
    return *message == NULL;
}

static bool rocks_flush(struct store *s, struct err *err) {
    (void)s;
    (void)err;
    return true;
}

/* The least key above all that begin with `prefix`; empty when there is none (all bytes 0xff). */
static void prefix_end(struct slice prefix, struct buf *end) {
    size_t n = prefix.size;
    while (n > 0 && (uint8_t)prefix.data[n - 1] == 0xff)
        n--;
    buf_append(end, prefix.data, n);
    if (n > 0)
        end->data[n - 1]++;
}

static void iterator_start(rocksdb_iterator_t *it, struct slice from, bool reverse) {
    if (from.data != NULL)
        (reverse ? rocksdb_iter_seek_for_prev : rocksdb_iter_seek)(it, from.data, from.size);
    else
        (reverse ? rocksdb_iter_seek_to_last : rocksdb_iter_seek_to_first)(it);
}

static bool rocks_scan(struct store *s, struct slice prefix, struct slice from, bool reverse,
                       store_visit *visit, void *ctx, struct err *err) {
    struct rocks *r = rocks_of(s);
    _cleanup_(buf_free) struct buf end = {0};
    prefix_end(prefix, &end);
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    if (prefix.size > 0)
        rocksdb_readoptions_set_iterate_lower_bound(options, prefix.data, prefix.size);
    if (end.size > 0)
        rocksdb_readoptions_set_iterate_upper_bound(options, end.data, end.size);
    rocksdb_iterator_t *it = rocksdb_create_iterator(r->db, options);
    for (iterator_start(it, from, reverse); rocksdb_iter_valid(it);
         (reverse ? rocksdb_iter_prev : rocksdb_iter_next)(it)) {
        struct slice key, value;
        key.data = rocksdb_iter_key(it, &key.size);
        value.data = rocksdb_iter_value(it, &value.size);
        if (!visit(ctx, key, value))
            break;
    }
    char *message = NULL;
    rocksdb_iter_get_error(it, &message);
    rocksdb_iter_destroy(it);
    rocksdb_readoptions_destroy(options);
    return message == NULL || failed(r, message, err);
}

/* RocksDB links the file to a name of its own and removes the name that it had: one that is there still may
 * be a file of the store, so nothing is ever written to it. */
static bool add_file(struct rocks *r, const struct store_change *changes, size_t count, bool renewed,
                     struct err *err) {
    const char *files[] = {r->incoming};
    char *message = NULL;
    if (unlink(r->incoming) != 0 && errno != ENOENT)
        return err_set(err, ERR_FATAL, "store %s: cannot remove %s: %s", r->path, r->incoming,
                       strerror(errno));
    if (write_file(r, changes, count, renewed, &message))
        rocksdb_ingest_external_file(r->db, files, 1, r->ingest, &message);
    return message == NULL || failed(r, message, err);
}

/* ---- keys that come and go ---- */

/* A deletion leaves a mark, and a scan passes all marks one by one, until files are merged with the oldest:
 * of keys that come and go there would be as many as there ever were. So after a while a batch deletes all of
 * them with one mark, and has those again that are left. */
enum { PASSED_MAX = 2048 };

static bool passes(const struct rocks *r, struct slice key) {
    return r->passing.size > 0 && slice_starts_with(key, buf_slice(&r->passing));
}

struct renewal {
    const struct store_change *next, *end; /* of the batch, what passes */
    struct store_change *changes;
    size_t count, capacity;
    struct arena arena;
};

static void renewal_add(struct renewal *n, struct slice key, struct slice value) {
    if (n->count == n->capacity)
        n->changes = xrealloc(n->changes, (n->capacity = n->capacity * 2 + 64) * sizeof *n->changes);
    n->changes[n->count++] = (struct store_change){key, value};
}

/* Those of the batch that are below `key`, or all; what it deletes is deleted already. */
static void renewal_add_batch(struct renewal *n, struct slice key) {
    for (; n->next < n->end && (key.data == NULL || slice_compare(n->next->key, key) < 0); n->next++)
        if (n->next->value.data != NULL)
            renewal_add(n, n->next->key, n->next->value);
}

static bool renew_row(void *context, struct slice key, struct slice value) {
    struct renewal *n = context;
    renewal_add_batch(n, key);
    if (n->next < n->end && slice_equal(n->next->key, key))
        return true; /* the batch says what becomes of it */
    renewal_add(n, arena_copy(&n->arena, key), arena_copy(&n->arena, value));
    return true;
}

/* A batch of which changes[first] to changes[end - 1] pass. */
static bool add_renewed(struct rocks *r, const struct store_change *changes, size_t count, size_t first,
                        size_t end, struct err *err) {
    struct renewal n = {.next = changes + first, .end = changes + end};
    for (size_t i = 0; i < first; i++)
        renewal_add(&n, changes[i].key, changes[i].value);
    bool ok = rocks_scan(&r->store, buf_slice(&r->passing), SLICE_NONE, false, renew_row, &n, err);
    renewal_add_batch(&n, SLICE_NONE);
    size_t live = n.count - first;
    for (size_t i = end; i < count; i++)
        renewal_add(&n, changes[i].key, changes[i].value);
    ok = ok && add_file(r, n.changes, n.count, true, err);
    if (ok) {
        r->passed = 0;
        r->live = live;
    }
    free(n.changes);
    arena_free(&n.arena);
    return ok;
}

/* Sorted, each key once, as the buffer gives them; on the disk when this returns. */
static bool rocks_apply(struct store *s, const struct store_change *changes, size_t count, struct err *err) {
    struct rocks *r = rocks_of(s);
    size_t first = 0, end, passed = 0;
    if (atomic_load(&r->damaged))
        return err_set(err, ERR_FATAL, "store %s: is damaged", r->path);
    while (first < count && !passes(r, changes[first].key))
        first++;
    for (end = first; end < count && passes(r, changes[end].key); end++)
        passed += changes[end].value.data == NULL;
    r->passed += passed;
    bool renew = passed > 0 && r->passed >= PASSED_MAX && r->passed >= r->live;
    return renew ? add_renewed(r, changes, count, first, end, err) : add_file(r, changes, count, false, err);
}

/* ---- the rest ---- */

/* Puts the key just behind the one visited into a buf. */
static bool visit_end(void *ctx, struct slice key, struct slice value) {
    (void)value;
    buf_append_slice(ctx, key);
    buf_append_byte(ctx, 0);
    return false;
}

static bool rocks_delete_prefix(struct store *s, struct slice prefix, struct err *err) {
    _cleanup_(buf_free) struct buf end = {0};
    prefix_end(prefix, &end);
    /* A range needs an end: without an upper bound, the last key there is. */
    if (end.size == 0 && !rocks_scan(s, prefix, SLICE_NONE, true, visit_end, &end, err))
        return false;
    if (end.size == 0)
        return true;
    struct rocks *r = rocks_of(s);
    char *message = NULL;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    rocksdb_writebatch_delete_range(batch, prefix.size > 0 ? prefix.data : "", prefix.size, end.data,
                                    end.size);
    rocksdb_write(r->db, r->write, batch, &message);
    rocksdb_writebatch_destroy(batch);
    rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
    if (message == NULL)
        rocksdb_flush(r->db, flush, &message);
    rocksdb_flushoptions_destroy(flush);
    return message == NULL || failed(r, message, err);
}

static uint64_t property(struct rocks *r, const char *name) {
    uint64_t value = 0;
    return rocksdb_property_int(r->db, name, &value) == 0 ? value : 0;
}

static void rocks_metrics(struct store *s, struct store_metrics *metrics) {
    struct rocks *r = rocks_of(s);
    *metrics = (struct store_metrics){
        .keys = property(r, "rocksdb.estimate-num-keys"),
        .bytes = property(r, "rocksdb.total-sst-files-size"),
        .memory_bytes = property(r, "rocksdb.cur-size-all-mem-tables"),
        .index_bytes = property(r, "rocksdb.estimate-table-readers-mem"),
    };
}

static void rocks_close(struct store *s) {
    struct rocks *r = rocks_of(s);
    if (r->db != NULL)
        rocksdb_close(r->db);
    rocksdb_readoptions_destroy(r->read);
    rocksdb_writeoptions_destroy(r->write);
    rocksdb_ingestexternalfileoptions_destroy(r->ingest);
    rocksdb_envoptions_destroy(r->env);
    rocksdb_options_destroy(r->options);
    free(r->path);
    free(r->incoming);
    free(r->mark_path);
    buf_free(&r->passing);
    buf_free(&r->passing_end);
    free(r);
}

/* Of a large store, indexes and filters in pieces: whole, those of one file are larger than a shard of so
 * small a cache, and each get would read them anew (measured: 400 us instead of 17). */
static void set_pieces(rocksdb_block_based_table_options_t *table) {
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_block_based_options_set_index_type(table,
                                               rocksdb_block_based_table_index_type_two_level_index_search);
    rocksdb_block_based_options_set_partition_filters(table, 1);
    rocksdb_block_based_options_set_pin_top_level_index_and_filter(table, 1);
}

static void set_table_options(rocksdb_options_t *o, const struct store_options *wanted) {
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_lru_cache_options_t *lru = rocksdb_lru_cache_options_create();
    rocksdb_lru_cache_options_set_capacity(
        lru, wanted != NULL && wanted->block_cache_bytes > 0 ? wanted->block_cache_bytes : 6 << 20);
    rocksdb_lru_cache_options_set_num_shard_bits(lru, 2);
    rocksdb_cache_t *cache = rocksdb_cache_create_lru_opts(lru);
    rocksdb_lru_cache_options_destroy(lru);
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_cache_destroy(cache); /* the options hold it now */
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10));
    if (wanted == NULL || !wanted->knows_keys)
        set_pieces(table);
    rocksdb_options_set_block_based_table_factory(o, table);
    rocksdb_block_based_options_destroy(table);
}

static rocksdb_options_t *options_create(const struct store_options *wanted) {
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_write_buffer_size(o, 64 << 10); /* unused but for deletions of ranges */
    /* A view is written far more than it is read, and its log is what lasts: merge rarely, do not compress.
     */
    rocksdb_options_set_compaction_style(o, rocksdb_universal_compaction);
    rocksdb_options_set_level0_file_num_compaction_trigger(
        o, wanted != NULL && wanted->merge_files > 0 ? (int)wanted->merge_files : 64);
    rocksdb_options_set_level0_slowdown_writes_trigger(o, 96);
    rocksdb_options_set_level0_stop_writes_trigger(o, 128);
    rocksdb_options_set_compression(o, rocksdb_no_compression);
    rocksdb_options_set_max_open_files(o, 128);
    /* In 64 shards, as by default, few files have room, and close each other again and again. */
    rocksdb_options_set_table_cache_numshardbits(o, 0);
    rocksdb_options_set_max_file_opening_threads(o, 1);
    rocksdb_options_set_max_background_jobs(o, 2);
    rocksdb_options_set_manifest_preallocation_size(o, 64 << 10);
    rocksdb_options_set_info_log_level(o, 4 /* fatal only */);
    rocksdb_options_set_keep_log_file_num(o, 1);
    rocksdb_options_set_stats_dump_period_sec(o, 0); /* no thread that wakes up to write statistics */
    rocksdb_options_set_stats_persist_period_sec(o, 0);
    set_table_options(o, wanted);
    return o;
}

/* Whether another process has it open, and which one, where that is known. */
static bool locked(const char *path, pid_t *by) {
    _cleanup_(buf_free) struct buf file = {0};
    buf_printf(&file, "%s/LOCK%c", path, 0);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(file.data, O_RDWR | O_CLOEXEC);
    bool known = fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0;
    if (fd >= 0)
        close(fd);
    *by = known ? lock.l_pid : 0;
    return known && lock.l_type != F_UNLCK;
}

static bool locked_failed(const char *path, pid_t by, struct err *err) {
    if (by > 0)
        return err_set(err, ERR_RETRY, "store %s: process %d has it open", path, (int)by);
    return err_set(err, ERR_RETRY, "store %s: another process has it open", path);
}

/* Takes over RocksDB's message about an open that failed, and finds out who has the lock, if that is why. */
static bool open_failed(const char *path, char *message, struct err *err) {
    /* Closing any descriptor of a file gives up this process' locks on it: look only if they are not ours. */
    if (strstr(message, "lock hold by current process") != NULL) {
        rocksdb_free(message);
        return err_set(err, ERR_RETRY, "store %s: is open already, in this process (%d)", path,
                       (int)getpid());
    }
    pid_t by;
    if (!locked(path, &by) && strstr(message, "While lock file") == NULL)
        return fatal(path, message, err);
    rocksdb_free(message);
    return locked_failed(path, by, err);
}

static char *file_in(const char *path, const char *name) {
    _cleanup_(buf_free) struct buf file = {0};
    buf_printf(&file, "%s/%s%c", path, name, 0);
    return xstrdup(file.data);
}

static struct rocks *rocks_create(const char *path, const struct store_options *wanted, rocksdb_t *db,
                                  rocksdb_options_t *options) {
    static const struct store_ops ops = {
        .get = rocks_get,
        .apply = rocks_apply,
        .scan = rocks_scan,
        .delete_prefix = rocks_delete_prefix,
        .flush = rocks_flush,
        .damaged = rocks_damaged,
        .metrics = rocks_metrics,
        .close = rocks_close,
    };
    struct rocks *r = xcalloc(1, sizeof *r);
    *r = (struct rocks){.store.ops = &ops, .db = db, .options = options, .path = xstrdup(path)};
    r->incoming = file_in(path, "incoming");
    r->mark_path = file_in(path, mark);
    r->read = rocksdb_readoptions_create();
    r->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(r->write, 1);
    r->env = rocksdb_envoptions_create();
    r->ingest = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(r->ingest, 1);
    if (wanted != NULL) {
        buf_append_slice(&r->passing, wanted->passing);
        prefix_end(wanted->passing, &r->passing_end);
    }
    r->passed = PASSED_MAX; /* nobody knows how many there are */
    return r;
}

static void free_text(char **text) {
    free(*text);
}

/* Whether somebody has found damage, and what. */
static bool is_marked(const char *path, const char *mark_path, struct err *err) {
    char text[256];
    FILE *f = fopen(mark_path, "re");
    if (f == NULL)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    err_set(err, ERR_FATAL, "store %s: %s", path, text);
    return true;
}

static bool found_damage(const char *path, const char *mark_path, const char *what, struct err *err) {
    mark_damaged(mark_path, what);
    return err_set(err, ERR_FATAL, "store %s: %s", path, what);
}

/* Fails with a mark where it is damaged. Without CURRENT, or with a manifest that was cut off at its
 * beginning, RocksDB would have an empty store without a word; one file may be a first batch that a kill
 * ended. */
static bool open_files(const char *path, const struct store_options *options, const char *mark_path,
                       struct rocks **rocks, struct err *err) {
    _cleanup_(free_text) char *current = file_in(path, "CURRENT");
    size_t files = directory_count(path, ".sst");
    if (files > 0 && access(current, F_OK) != 0 && errno == ENOENT)
        return found_damage(path, mark_path, "has files, and no CURRENT", err);
    rocksdb_options_t *o = options_create(options);
    char *message = NULL;
    rocksdb_t *db = rocksdb_open(o, path, &message);
    if (message != NULL) {
        if (is_damage(message))
            mark_damaged(mark_path, message);
        rocksdb_options_destroy(o);
        return open_failed(path, message, err);
    }
    struct rocks *r = rocks_create(path, options, db, o);
    if (files > 1 && property(r, "rocksdb.total-sst-files-size") == 0) {
        rocks_close(&r->store);
        return found_damage(path, mark_path, "has files, and its manifest has none", err);
    }
    *rocks = r;
    return true;
}

static void tell_mended(const struct store_options *options, const char *what, const char *how) {
    struct err text;
    if (options == NULL || options->mended == NULL)
        return;
    err_set(&text, ERR_NONE, "%s; %s", what, how);
    options->mended(options->context, text.text);
}

/* The filter's file is right as long as nobody writes without it. */
static bool open_filter(const char *path, const struct store_options *options, struct store **store,
                        struct err *err) {
    _cleanup_(free_text) char *keys = file_in(path, "keys");
    bool damaged;
    if (options == NULL || !options->knows_keys) {
        if (unlink(keys) == 0 || errno == ENOENT)
            return true;
        err_set(err, ERR_FATAL, "store %s: cannot remove its filter: %s", path, strerror(errno));
        store_close(*store);
        return false;
    }
    if (!store_create_filtered(*store, keys, store, &damaged, err))
        return false;
    if (damaged)
        tell_mended(options, keys, "the file of its keys was damaged and is made anew");
    return true;
}

static bool open_marked(const char *path, const struct store_options *options, const char *mark_path,
                        struct store **store, struct err *err) {
    struct rocks *r;
    if (is_marked(path, mark_path, err) || !open_files(path, options, mark_path, &r, err))
        return false;
    *store = &r->store;
    return open_filter(path, options, store, err);
}

bool store_open_rocksdb(const char *path, const struct store_options *options, struct store **store,
                        struct err *err) {
    _cleanup_(free_text) char *mark_path = file_in(path, mark);
    struct store *opened;
    struct err why;
    if (!directory_make(path, err))
        return false;
    if (!open_marked(path, options, mark_path, &opened, &why)) {
        pid_t by;
        if (access(mark_path, F_OK) != 0)
            return err_set(err, why.kind, "%s", why.text);
        if (locked(path, &by))
            return locked_failed(path, by, err);
        if (!directory_set_aside(path, err) || !directory_make(path, err) ||
            !open_marked(path, options, mark_path, &opened, err))
            return false;
        tell_mended(options, why.text, "it is moved aside, and read from the log again");
    }
    bool sized = options != NULL && options->write_buffer_bytes > 0;
    *store = store_create_buffered(opened, sized ? options->write_buffer_bytes : 4 << 20);
    return true;
}
