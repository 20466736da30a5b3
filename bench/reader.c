#include "reader.h"

#include "base/buf.h"
#include "base/clock.h"
#include "kafka/kafka.h"

#include <stdlib.h>
#include <time.h>

enum { BATCH = 1000, OPEN_MS = 10000, STALL_MS = 30000 };

struct lane { /* one partition */
    const struct topic *topic;
    int32_t partition;
    int64_t position, aim;
    bool reading;
};

struct reader {
    struct log *log;
    struct registry *registry;
    struct schemas *schemas;
    struct lane *lanes;
    size_t lane_count;
    struct log_record records[BATCH];
};

static bool add_topic(struct reader *r, const struct topic *t, int64_t deadline_us, struct err *err) {
    int32_t count;
    while (!r->log->ops->partitions(r->log, t, &count, err)) {
        if (err->kind != ERR_RETRY || clock_mono_us() > deadline_us)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    r->lanes = xrealloc(r->lanes, (r->lane_count + (size_t)count) * sizeof *r->lanes);
    for (int32_t p = 0; p < count; p++)
        r->lanes[r->lane_count++] = (struct lane){.topic = t, .partition = p};
    return true;
}

bool reader_create(const struct where *suite, const struct topic *const *topics, size_t topic_count,
                   struct reader **out, struct err *err) {
    struct reader *r = xcalloc(1, sizeof *r);
    int64_t deadline_us = clock_mono_us() + OPEN_MS * INT64_C(1000);
    bool ok = kafka_create(&(struct kafka_options){.brokers = suite->brokers,
                                                   .properties = suite->properties,
                                                   .identity = "reader",
                                                   .topic_count = topic_count},
                           &r->log, err);
    for (; ok && *topics != NULL; topics++)
        ok = add_topic(r, *topics, deadline_us, err);
    if (!ok) {
        reader_destroy(r);
        return false;
    }
    r->registry = registry_http_create(&suite->registry);
    r->schemas = schemas_create(r->registry);
    *out = r;
    return true;
}

void reader_destroy(struct reader *r) {
    if (r == NULL)
        return;
    log_destroy(r->log);
    schemas_destroy(r->schemas);
    registry_destroy(r->registry);
    free(r->lanes);
    free(r);
}

bool reader_aim(struct reader *r, const struct topic *t, bool open, struct err *err) {
    size_t n = 0;
    struct log_position *ends = xcalloc(r->lane_count, sizeof *ends);
    for (size_t i = 0; i < r->lane_count; i++)
        if (r->lanes[i].topic == t)
            ends[n++] = (struct log_position){t, r->lanes[i].partition, -1};
    int64_t until = clock_mono_us() + OPEN_MS * (int64_t)1000; /* leaders may be moving */
    bool ok;
    do
        ok = r->log->ops->ends(r->log, ends, n, !open, err);
    while (!ok && err->kind == ERR_RETRY && clock_mono_us() < until);
    for (size_t i = 0, k = 0; i < r->lane_count && ok; i++)
        if (r->lanes[i].topic == t)
            r->lanes[i].aim = ends[k++].offset;
    free(ends);
    return ok;
}

int64_t reader_aim_sum(const struct reader *r, const struct topic *t) {
    int64_t sum = 0;
    for (size_t i = 0; i < r->lane_count; i++)
        if (r->lanes[i].topic == t)
            sum += r->lanes[i].aim;
    return sum;
}

void reader_skip(struct reader *r, const struct topic *t) {
    for (size_t i = 0; i < r->lane_count; i++)
        if (r->lanes[i].topic == t)
            r->lanes[i].position = r->lanes[i].aim;
}

int32_t reader_partitions(const struct reader *r, const struct topic *t) {
    int32_t count = 0;
    for (size_t i = 0; i < r->lane_count; i++)
        count += r->lanes[i].topic == t;
    return count;
}

static struct lane *lane_of(struct reader *r, const struct log_record *record) {
    for (size_t i = 0; i < r->lane_count; i++)
        if (r->lanes[i].topic == record->topic && r->lanes[i].partition == record->partition)
            return &r->lanes[i];
    abort(); /* nobody else started a read */
}

static bool start(struct reader *r, size_t *left, struct err *err) {
    *left = 0;
    for (size_t i = 0; i < r->lane_count; i++) {
        struct lane *l = &r->lanes[i];
        if (l->position >= l->aim)
            continue;
        struct log_position from = {l->topic, l->partition, l->position > 0 ? l->position : -1};
        if (!r->log->ops->read(r->log, LOG_TABLES, &from, err))
            return false;
        l->reading = true;
        ++*left;
    }
    return true;
}

/* What comes after the aim is for another time. An end before the aim: an open transaction is in between. */
static bool take(struct reader *r, const struct log_record *record, size_t *left, reader_each *each,
                 void *context, struct err *err) {
    struct lane *l = lane_of(r, record);
    if (!l->reading || record->offset < l->position)
        return true;
    if (record->offset >= l->aim) {
        l->position = l->aim;
    } else if (!log_is_news(record)) {
        if (!each(context, record, err))
            return false;
        l->position = record->offset + 1;
    }
    if (l->position >= l->aim) {
        r->log->ops->unread(r->log, LOG_TABLES, l->topic, l->partition);
        l->reading = false;
        --*left;
    }
    return true;
}

bool reader_read(struct reader *r, reader_each *each, void *context, struct err *err) {
    size_t left, n;
    if (!start(r, &left, err))
        return false;
    int64_t progress_us = clock_mono_us();
    while (left > 0) {
        if (!r->log->ops->poll(r->log, false, r->records, BATCH, 100, &n, err))
            return false;
        bool ok = true;
        for (size_t i = 0; i < n && ok; i++)
            ok = take(r, &r->records[i], &left, each, context, err);
        r->log->ops->release(r->log, r->records, n);
        if (!ok)
            return false;
        if (n > 0)
            progress_us = clock_mono_us();
        else if (clock_mono_us() - progress_us > STALL_MS * INT64_C(1000))
            return err_set(err, ERR_RETRY, "Kafka has sent nothing for %d s", STALL_MS / 1000);
    }
    return true;
}

bool reader_follow(struct reader *r, const struct topic *t, int timeout_ms, reader_each *each, void *context,
                   struct err *err) {
    size_t left = 0, n;
    bool ok = true;
    for (size_t i = 0; i < r->lane_count && ok; i++) {
        struct lane *l = &r->lanes[i];
        if (l->topic != t || l->reading)
            continue;
        struct log_position from = {t, l->partition, l->position > 0 ? l->position : -1};
        ok = r->log->ops->read(r->log, LOG_TABLES, &from, err);
        l->reading = true;
        l->aim = INT64_MAX;
    }
    if (!ok || !r->log->ops->poll(r->log, false, r->records, BATCH, timeout_ms, &n, err))
        return false;
    for (size_t i = 0; i < n && ok; i++)
        ok = take(r, &r->records[i], &left, each, context, err);
    r->log->ops->release(r->log, r->records, n);
    return ok;
}

bool reader_has_header(struct reader *r, const struct log_record *record, const char *name) {
    return r->log->ops->header(record, name).data != NULL;
}

struct schemas *reader_schemas(struct reader *r) {
    return r->schemas;
}
