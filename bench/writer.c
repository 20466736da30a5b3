#include "writer.h"

#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { UNACKNOWLEDGED_MAX = 30000, IDLE_MS = 10000 };

struct writer {
    struct producer *producer;
    struct schemas *schemas;
    size_t sent;
    atomic_size_t acknowledged, lost;
    struct buf payload;
};

static void pause_ms(long ms) {
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void on_done(void *context, void *ticket, int64_t offset) {
    struct writer *w = context;
    (void)ticket;
    if (offset < 0)
        atomic_fetch_add(&w->lost, 1);
    atomic_fetch_add(&w->acknowledged, 1);
}

bool writer_create(const struct where *suite, struct schemas *schemas, size_t topic_count,
                   struct writer **out, struct err *e) {
    struct writer *w = xcalloc(1, sizeof *w);
    w->schemas = schemas;
    if (!producer_create(&(struct producer_options){.brokers = suite->brokers,
                                                    .properties = suite->properties,
                                                    .topic_count = topic_count,
                                                    .done = on_done,
                                                    .context = w},
                         &w->producer, e)) {
        free(w);
        return false;
    }
    *out = w;
    return true;
}

void writer_destroy(struct writer *w) {
    if (w == NULL)
        return;
    producer_destroy(w->producer);
    buf_free(&w->payload);
    free(w);
}

bool writer_prepare(struct writer *w, const struct topic *t, const struct topic *schema, struct err *e) {
    return schemas_register(w->schemas, schema, e) && producer_prepare(w->producer, t, e);
}

bool writer_write(struct writer *w, const struct topic *t, const struct topic *schema, struct slice key,
                  const void *value, int64_t timestamp, struct err *e) {
    buf_clear(&w->payload);
    if (!schemas_encode(w->schemas, schema, value, &w->payload, e))
        return false;
    struct log_message m = {.topic = t, .timestamp = timestamp, .key = key, .value = buf_slice(&w->payload)};
    while (w->sent - atomic_load(&w->acknowledged) >= UNACKNOWLEDGED_MAX)
        pause_ms(1);
    int64_t deadline = clock_mono_us() + IDLE_MS * INT64_C(1000);
    while (!producer_send(w->producer, &m, NULL, e)) {
        if (e->kind != ERR_RETRY || clock_mono_us() > deadline)
            return false;
        pause_ms(5);
    }
    w->sent++;
    return true;
}

bool writer_flush(struct writer *w, struct err *e) {
    while (atomic_load(&w->acknowledged) < w->sent)
        pause_ms(1);
    return atomic_load(&w->lost) == 0 ||
           err_set(e, ERR_RETRY, "%zu records were not written", atomic_load(&w->lost));
}

int writer_run(const char *program, size_t topic_count, double count,
               bool (*write)(void *context, struct writer *w, struct err *e), void *context) {
    struct err err = {0};
    struct writer *w = NULL;
    struct registry *registry = NULL;
    struct schemas *schemas = NULL;
    const struct where *suite = where_suite_is(&err);
    if (suite != NULL) {
        registry = registry_http_create(&suite->registry);
        schemas = schemas_create(registry);
    }
    int64_t start = clock_mono_us();
    bool ok =
        suite != NULL && writer_create(suite, schemas, topic_count, &w, &err) && write(context, w, &err);
    if (ok)
        printf("{\"perSecond\":%.0f}\n", count * 1e6 / (double)(clock_mono_us() - start));
    else
        fprintf(stderr, "%s: %s\n", program, err.text);
    writer_destroy(w);
    schemas_destroy(schemas);
    registry_destroy(registry);
    return ok ? 0 : 1;
}
