#include "feeds/feeds.h"

#include "kafka/kafka.h"
#include "process/logger.h"
#include "tail/tail.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

struct feeds {
    struct instance *instance;
    struct table_shared **tables;
    size_t table_count;
    struct log *log;
    struct tail *tail; /* NULL: nobody has followed a log yet */
    pthread_t thread;
    bool running;
};

/* ---- a table ---- */

struct slice shared_changed(const struct table_shared *s, struct shared_name *name) {
    snprintf(name->text, sizeof name->text, "c%s", s->table->name);
    return slice_of(name->text);
}

struct slice shared_reread(const struct table_shared *s, struct shared_name *name) {
    snprintf(name->text, sizeof name->text, "x%s", s->table->name);
    return slice_of(name->text);
}

static void wake(void *shared) {
    struct table_shared *s = shared;
    struct shared_name name;
    http_wake(s->instance->http, shared_changed(s, &name));
}

int32_t feeds_partitions(const struct instance *i, const struct topic *t) {
    return t->partitions > 0 ? t->partitions : i->settings.partitions > 0 ? i->settings.partitions : 1;
}

static struct table_shared *shared_create(struct instance *i, const struct table *t) {
    struct table_shared *s = xcalloc(1, sizeof *s);
    s->instance = i;
    s->table = t;
    s->generation = 1;
    s->changes = changes_create(feeds_partitions(i, t->topic), wake, s);
    return s;
}

static void shared_destroy(struct table_shared *s) {
    changes_destroy(s->changes);
    arena_free(&s->cache);
    free(s);
}

/* ---- all of them, and the log ---- */

struct feeds *feeds_create(struct instance *i) {
    struct feeds *f = xcalloc(1, sizeof *f);
    f->instance = i;
    for (size_t k = 0; k < i->worker_count; k++) {
        const struct topology *topology = i->workers[k].topology;
        for (const struct table *const *t = topology == NULL ? NULL : topology->tables;
             t != NULL && *t != NULL; t++) {
            f->tables = xrealloc(f->tables, (f->table_count + 1) * sizeof(struct table_shared *));
            f->tables[f->table_count++] = shared_create(i, *t);
        }
    }
    return f;
}

struct table_shared *feeds_table(struct feeds *f, const struct table *t) {
    for (size_t k = 0; k < f->table_count; k++)
        if (f->tables[k]->table == t)
            return f->tables[k];
    return NULL;
}

void feeds_note(struct feeds *f, const struct table *t, struct slice key, int32_t partition, int64_t offset) {
    struct table_shared *s = f == NULL ? NULL : feeds_table(f, t);
    if (s != NULL)
        changes_note(s->changes, key, partition, offset);
}

void feeds_reset(struct feeds *f, const struct table *t) {
    struct table_shared *s = f == NULL ? NULL : feeds_table(f, t);
    struct shared_name name;
    if (s == NULL)
        return;
    atomic_fetch_add(&s->resets, 1);
    changes_reset(s->changes);
    http_wake(s->instance->http, shared_reread(s, &name));
}

static void on_tail(void *context, struct slice name) {
    struct feeds *f = context;
    http_wake(f->instance->http, name);
}

static void on_notice(void *context, const char *text) {
    (void)context;
    logger_write(LEVEL_WARN, "streams of events: %s", text);
}

void feeds_metrics(struct feeds *f, struct metrics *m) {
    if (f != NULL && f->tail != NULL)
        tail_metrics(f->tail, m);
}

static void *tail_main(void *context) {
    struct feeds *f = context;
    struct err e;
    prctl(PR_SET_NAME, "feeds");
    if (!tail_run(f->tail, &e))
        logger_write(LEVEL_ERROR, "streams of events: %s", e.text);
    return NULL;
}

struct tail *feeds_follow(struct feeds *f, struct log *log) {
    struct instance *i = f->instance;
    f->tail = tail_create(&(struct tail_options){.log = log,
                                                 .schemas = i->schemas,
                                                 .topic_count = i->topic_count,
                                                 .wake = on_tail,
                                                 .notice = on_notice,
                                                 .context = f});
    return f->tail;
}

struct tail *feeds_tail(struct feeds *f) {
    if (f->tail != NULL)
        return f->tail;
    struct instance *i = f->instance;
    struct err e;
    char identity[256];
    snprintf(identity, sizeof identity, "%s-%d-feeds", i->name, i->settings.slot);
    struct kafka_options kafka = {.brokers = i->settings.brokers,
                                  .properties = i->settings.properties,
                                  .identity = identity,
                                  .topic_count = i->topic_count};
    if (!kafka_create(&kafka, &f->log, &e))
        abort(); /* an eventfd: this process is at its end */
    feeds_follow(f, f->log);
    if (pthread_create(&f->thread, NULL, tail_main, f) != 0)
        abort();
    f->running = true;
    return f->tail;
}

void feeds_destroy(struct feeds *f) {
    if (f == NULL)
        return;
    if (f->running) {
        tail_stop(f->tail);
        pthread_join(f->thread, NULL);
        log_destroy(f->log);
    }
    tail_destroy(f->tail);
    for (size_t k = 0; k < f->table_count; k++)
        shared_destroy(f->tables[k]);
    free(f->tables);
    free(f);
}
