#include "service/worker.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "feeds/feeds.h"
#include "instance/traces.h"
#include "kafka/kafka.h"
#include "partitions/assignments.h"
#include "process/logger.h"
#include "service/service.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { RETRY_MS = 250, LETTERS_A_SECOND = 5 };

int exit_code_of(const struct err *e) {
    return e->kind == ERR_CONFIG ? EXIT_BAD_CONFIG : e->kind == ERR_FENCED ? EXIT_FENCED : EXIT_FAILURE;
}

/* Calls `step` until it succeeds, as long as what it needs is merely away. */
static bool persist(struct worker *w, bool (*step)(struct worker *, struct err *), struct err *e) {
    while (!step(w, e)) {
        if (e->kind != ERR_RETRY || atomic_load(&w->instance->stopping))
            return false;
        status_trouble(&w->status, e->text);
        poll(NULL, 0, RETRY_MS);
    }
    return true;
}

/* A store that was damaged is read from the log again: it is a cache. */
static void store_mended(void *context, const char *what) {
    struct worker *w = context;
    counter_add_shared(&w->store_repairs, 1);
    logger_write(LEVEL_WARN, "%s: %s", w->name, what);
}

static bool open_store(struct worker *w, struct err *e) {
    char path[4096];
    const struct instance *i = w->instance;
    snprintf(path, sizeof path, "%s/views/%s-%d/%s", i->settings.data_dir, i->service->name, i->settings.slot,
             w->name);
    const struct table *served = w->topology == NULL ? NULL : topology_served(w->topology);
    const struct store_options options = {.knows_keys = w->topology != NULL && w->topology->views != NULL,
                                          .mended = store_mended,
                                          .context = w};
    _cleanup_(buf_free) struct buf passing = {0};
    if (served == NULL)
        return store_delete_parts(path, e) && store_open_rocksdb(path, &options, &w->store, e);
    /* What a store has in memory and in its cache, shared among the partitions of a view. Its rows are
     * listed, which costs a look into each file. */
    size_t share = i->settings.partitions < 8 ? (size_t)i->settings.partitions : 8;
    stream_passing(served, &passing);
    struct store_options part = {.knows_keys = true,
                                 .merge_files = 16,
                                 .write_buffer_bytes = (4 << 20) / share,
                                 .block_cache_bytes = (4 << 20) / share,
                                 .passing = buf_slice(&passing),
                                 .mended = store_mended,
                                 .context = w};
    return store_open_parts(path, &options, &part, &w->store, e);
}

static bool register_all(struct schemas *s, const struct topic *const *topics, struct err *e) {
    for (; topics != NULL && *topics != NULL; topics++)
        if (!schemas_register(s, *topics, e))
            return false;
    return true;
}

static bool register_topology(struct schemas *s, const struct topology *t, struct err *e) {
    if (!register_all(s, t->outputs, e))
        return false;
    for (const struct view *const *v = t->views; v != NULL && *v != NULL; v++)
        if (!schemas_register(s, (*v)->changelog, e))
            return false;
    if (t->ticks != NULL && !schemas_register(s, t->ticks, e))
        return false;
    return t->dead_letters == NULL || schemas_register(s, t->dead_letters, e);
}

static bool register_schemas(struct worker *w, struct err *e) {
    struct instance *i = w->instance;
    if (w->topology != NULL && !register_topology(i->schemas, w->topology, e))
        return false;
    if (w->delivery != NULL && (!schemas_register(i->schemas, w->delivery->later, e) ||
                                !schemas_register(i->schemas, w->delivery->undelivered, e)))
        return false;
    if (w == i->workers) { /* the first one does it for the routes */
        if (!register_all(i->schemas, i->service->publishes, e))
            return false;
        for (const struct topic *const *t = i->service->publishes; t != NULL && *t != NULL; t++)
            if (!producer_prepare(i->producer, *t, e))
                return false;
        const struct table *rows = i->service->assignments;
        if (rows != NULL &&
            (!schemas_register(i->schemas, rows->topic, e) || !producer_prepare(i->producer, rows->topic, e)))
            return false;
        atomic_store(&i->publishes_registered, true);
    }
    return true;
}

static void worker_path(const struct worker *w, const char *suffix, char *path, size_t size) {
    const struct settings *s = &w->instance->settings;
    snprintf(path, size, "%s/views/%s-%d/%s.%s", s->data_dir, w->instance->service->name, s->slot, w->name,
             suffix);
}

/* Left behind by a process that was fenced, for the one after it: who it was in its group, and how often that
 * happened. Where the group still has the dead process as this member, nobody needs to wait until its session
 * is over. */
static const char fenced[] = "fenced", fencings[] = "fencings";

static bool identity_free(struct worker *w, struct err *e) {
    char path[4096], predecessor[256] = "";
    worker_path(w, fenced, path, sizeof path);
    FILE *mark = fopen(path, "re");
    if (mark == NULL)
        return true;
    if (fgets(predecessor, sizeof predecessor, mark) == NULL)
        predecessor[0] = 0; /* it was no member yet */
    fclose(mark);
    if (!kafka_identity_free(w->log, predecessor, e))
        return false;
    unlink(path);
    return true;
}

void worker_count_fencings(struct worker *w) {
    char path[4096];
    unsigned long long n;
    worker_path(w, fencings, path, sizeof path);
    FILE *f = fopen(path, "re");
    if (f != NULL && fscanf(f, "%llu", &n) == 1)
        atomic_store(&w->fencings, n);
    if (f != NULL)
        fclose(f);
}

static void mark_fenced(struct worker *w) {
    char path[4096];
    worker_path(w, fenced, path, sizeof path);
    FILE *f = fopen(path, "we");
    if (f == NULL)
        return; /* without it the next one fences once more */
    fputs(kafka_member_id(w->log), f);
    fclose(f);
    counter_add(&w->fencings, 1);
    worker_path(w, fencings, path, sizeof path);
    if ((f = fopen(path, "we")) == NULL)
        return;
    fprintf(f, "%llu\n", (unsigned long long)counter_get(&w->fencings));
    fclose(f);
}

/* A view is of one log. Where Kafka has become another one (its data lost, the service's kept), it starts
 * anew. */
static bool same_cluster(struct worker *w, struct err *e) {
    static const char key[] = "cluster";
    _cleanup_(arena_free) struct arena a = {0};
    char id[128];
    struct slice known, name = {key, sizeof key - 1};
    if (!kafka_cluster(w->log, id, sizeof id, e) || !store_get(w->store, name, &a, &known, e))
        return false;
    if (slice_equal(known, slice_of(id)))
        return true;
    if (known.data != NULL) {
        logger_write(LEVEL_WARN, "%s: Kafka is another cluster now; its view starts anew", w->name);
        if (!store_delete_prefix(w->store, SLICE(""), e))
            return false;
    }
    return store_apply(w->store, &(struct store_change){name, slice_of(id)}, 1, e);
}

static bool open_log(struct worker *w, struct err *e) {
    const struct instance *i = w->instance;
    char identity[256];
    snprintf(identity, sizeof identity, "%s-%d", w->name, i->settings.slot);
    bool member = w->delivery != NULL || w->topology->sources != NULL;
    struct kafka_options kafka = {.brokers = i->settings.brokers,
                                  .properties = i->settings.properties,
                                  .group = member ? w->name : NULL,
                                  .identity = identity,
                                  .topic_count = i->topic_count,
                                  .patient = i->service->patient};
    return kafka_create(&kafka, &w->log, e);
}

/* ---- what its stream tells ---- */

static void row_changed(void *worker, const struct table *t, struct slice key, int32_t partition,
                        int64_t offset) {
    struct instance *i = ((struct worker *)worker)->instance;
    instance_wake_row(i, t, key);
    if (t == i->service->assignments)
        assignments_update(i->assignments);
    else
        feeds_note(i->feeds, t, key, partition, offset);
}

static void table_reread(void *worker, const struct table *t) {
    feeds_reset(((struct worker *)worker)->instance->feeds, t);
}

static void refreshed(void *worker) {
    instance_wake_fresh(worker);
}

static struct stream *owner_of(void *worker, const struct table *t) {
    return instance_stream(((struct worker *)worker)->instance, t);
}

/* Whoever shows a view looks again. */
static void advanced(void *worker) {
    const struct worker *w = worker;
    const struct instance *i = w->instance;
    for (size_t k = 0; k < i->worker_count && i->workers[k].topology != NULL; k++) {
        const struct table *const *t = i->workers[k].topology->tables;
        while (t != NULL && *t != NULL && ((*t)->view == NULL || !topology_has_view(w->topology, (*t)->view)))
            t++;
        struct stream *s = atomic_load(&i->workers[k].stream);
        if (t != NULL && *t != NULL && s != NULL)
            stream_wake(s);
    }
}

static void moved(void *worker) {
    assignments_update(((struct worker *)worker)->instance->assignments);
}

/* Whoever floods a topic with garbage does not flood the log too. */
static void dead_letter(void *context, const struct log_record *r, const char *reason,
                        struct slice traceparent) {
    struct worker *w = context;
    int64_t now = clock_mono_us();
    if (now - w->letters_since > 1000 * 1000) {
        if (w->letters > LETTERS_A_SECOND)
            logger_write(LEVEL_WARN, "%s: and %d more bad records", w->name, w->letters - LETTERS_A_SECOND);
        w->letters_since = now;
        w->letters = 0;
    }
    if (++w->letters <= LETTERS_A_SECOND)
        logger_write_trace(LEVEL_WARN, traceparent, "%s: bad record %s/%d/%lld: %s", w->name, r->topic->name,
                           r->partition, (long long)r->offset, reason);
}

static void notice(void *context, const char *text) {
    logger_write(LEVEL_WARN, "%s: %s", ((struct worker *)context)->name, text);
}

struct stream_options worker_stream_options(struct worker *w) {
    struct instance *i = w->instance;
    return (struct stream_options){.topology = w->topology,
                                   .partitions = i->settings.partitions,
                                   .schemas = i->schemas,
                                   .store = w->store,
                                   .log = w->log,
                                   .context = w,
                                   .changed = row_changed,
                                   .reread = table_reread,
                                   .refreshed = refreshed,
                                   .dead_letter = dead_letter,
                                   .stale_ms = i->settings.stale_hours * INT64_C(3600000),
                                   .divided = i->assignments != NULL,
                                   .moved = moved,
                                   .owner = owner_of,
                                   .advanced = advanced,
                                   .notice = notice,
                                   .observer = traces_observer(w)};
}

static bool same_registry(struct worker *w, struct err *e) {
    return stream_recognise_registry(w->store, w->instance->schemas, e);
}

/* Nothing is registered before it is known who is asked. */
static bool run_stream(struct worker *w, struct err *e) {
    struct instance *i = w->instance;
    if (!persist(w, open_store, e) || !persist(w, same_cluster, e) || !persist(w, same_registry, e) ||
        !persist(w, register_schemas, e) || !persist(w, identity_free, e))
        return false;
    struct stream_options options = worker_stream_options(w);
    atomic_store(&w->stream, stream_create(&options));
    advanced(w); /* who asked for it before has found none */
    return atomic_load(&i->stopping) || stream_run(atomic_load(&w->stream), e);
}

static bool run_delivery(struct worker *w, struct err *e) {
    struct instance *i = w->instance;
    struct delivery_options options = {.delivery = w->delivery,
                                       .partitions = i->settings.partitions,
                                       .schemas = i->schemas,
                                       .log = w->log,
                                       .notice = notice,
                                       .context = w,
                                       .observer = traces_observer(w)};
    if (!persist(w, register_schemas, e) || !persist(w, identity_free, e))
        return false;
    atomic_store(&w->deliverer, deliverer_create(&options));
    return atomic_load(&i->stopping) || deliverer_run(atomic_load(&w->deliverer), e);
}

static bool work(struct worker *w, struct err *e) {
    if (!open_log(w, e))
        return false;
    return w->topology != NULL ? run_stream(w, e) : run_delivery(w, e);
}

void *worker_main(void *context) {
    struct worker *w = context;
    char name[16];
    snprintf(name, sizeof name, "%.15s", w->name);
    prctl(PR_SET_NAME, name);
    if (!work(w, &w->err) && !atomic_load(&w->instance->stopping))
        w->exit_code = exit_code_of(&w->err);
    if (w->exit_code == EXIT_FENCED)
        mark_fenced(w);
    atomic_store(&w->ended, true);
    eventfd_write(w->instance->wake_fd, 1);
    return NULL;
}

void worker_destroy(struct worker *w) {
    log_destroy(w->log); /* before the stream: it may still call back */
    stream_destroy(atomic_load(&w->stream));
    deliverer_destroy(atomic_load(&w->deliverer));
    traced_free(w->traced);
    store_close(w->store);
    status_finish(&w->status);
}
