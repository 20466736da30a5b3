/* Knows in memory which keys the store below may have, so that what is not there costs nothing to find out:
 * most of what a view is asked for are keys that it has never seen, and RocksDB looks for them in one file
 * after the other.
 *
 * A scan of what begins with "…/" is as quick where there is nothing: each key is remembered with all its
 * beginnings that end with a slash. */
#include "store/filter.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct filtered {
    struct store store;
    struct store *below;
    pthread_mutex_t lock; /* of the filter */
    struct filter filter;
    atomic_bool complete; /* all keys are in the filter */
    bool loading;         /* there is a thread */
    atomic_bool closing;
    pthread_t loader;
};

static struct filtered *filtered_of(struct store *s) {
    return (struct filtered *)s;
}

static void remember(struct filtered *f, struct slice key) {
    filter_add(&f->filter, slice_hash(key));
    for (size_t i = 0; i < key.size; i++)
        if (key.data[i] == '/')
            filter_add(&f->filter, slice_hash((struct slice){key.data, i + 1}));
}

/* Is it certain that no key is this one, or begins so where it ends with a slash? */
static bool is_absent(struct filtered *f, struct slice key) {
    if (!atomic_load_explicit(&f->complete, memory_order_acquire))
        return false;
    pthread_mutex_lock(&f->lock);
    bool absent = !filter_may_have(&f->filter, slice_hash(key));
    pthread_mutex_unlock(&f->lock);
    return absent;
}

/* ---- what is there already ---- */

static bool load_key(void *context, struct slice key, struct slice value) {
    struct filtered *f = context;
    (void)value;
    pthread_mutex_lock(&f->lock);
    remember(f, key);
    pthread_mutex_unlock(&f->lock);
    return !atomic_load(&f->closing);
}

/* What is written meanwhile is remembered by whoever writes it. */
static void *load(void *context) {
    struct filtered *f = context;
    struct err damaged; /* whoever reads there is told */
    if (store_scan(f->below, SLICE(""), SLICE_NONE, false, load_key, f, &damaged) &&
        !atomic_load(&f->closing))
        atomic_store_explicit(&f->complete, true, memory_order_release);
    return NULL;
}

/* ---- the store ---- */

static bool filtered_get(struct store *s, struct slice key, struct arena *arena, struct slice *value,
                         struct err *err) {
    struct filtered *f = filtered_of(s);
    if (!is_absent(f, key))
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
    return store_apply(f->below, changes, count, err);
}

static bool filtered_scan(struct store *s, struct slice prefix, struct slice from, bool reverse,
                          store_visit *visit, void *ctx, struct err *err) {
    struct filtered *f = filtered_of(s);
    if (prefix.size > 0 && prefix.data[prefix.size - 1] == '/' && is_absent(f, prefix))
        return true;
    return store_scan(f->below, prefix, from, reverse, visit, ctx, err);
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
    atomic_store(&f->closing, true);
    if (f->loading)
        pthread_join(f->loader, NULL);
    store_close(f->below);
    filter_free(&f->filter);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static bool stop_at_first(void *context, struct slice key, struct slice value) {
    (void)key, (void)value;
    *(bool *)context = true;
    return false;
}

struct store *store_create_filtered(struct store *below, bool in_background) {
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
    *f = (struct filtered){.store.ops = &ops, .below = below};
    pthread_mutex_init(&f->lock, NULL);
    bool any = false;
    struct err damaged;
    if (!store_scan(below, SLICE(""), SLICE_NONE, false, stop_at_first, &any, &damaged))
        return &f->store; /* whoever reads there is told */
    if (any && in_background)
        f->loading = pthread_create(&f->loader, NULL, load, f) == 0;
    else
        load(f);
    return &f->store;
}
