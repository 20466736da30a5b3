#include "lens.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "events/registry.h"
#include "process/settings.h"
#include "schemas/schemas.gen.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    REGISTRY_MS = 2000,
    RETRY_MS = 250,
    VIEW_MS = 5000,
    ANSWER_BYTES = 2 << 20,
    LOOK_BACK_MAX = 4096,
    LAG_COUNTED = 2000,
    VERSIONS_MAX = 12000000,
};

struct lens lens;
static struct registry_options registry_options; /* of the environment */

/* Empty: it is filled again when somebody asks. */
static bool open_history(const char *dir, struct err *e) {
    const struct store_options options = {.write_buffer_bytes = 2 << 20, .block_cache_bytes = 2 << 20};
    struct store *store;
    if (!store_open_rocksdb(dir, &options, &store, e))
        return false;
    if (!store_delete_prefix(store, SLICE(""), e)) {
        store_close(store);
        return false;
    }
    lens.history = history_create(store, VERSIONS_MAX);
    return true;
}

bool lens_start(const struct settings *s, struct err *e) {
    char dir[4096];
    char versions[4096];
    snprintf(dir, sizeof dir, "%s/views/lens-%d/index", s->data_dir, s->slot);
    snprintf(versions, sizeof versions, "%s/views/lens-%d/versions", s->data_dir, s->slot);
    registry_options = s->registry;
    registry_options.timeout_ms = REGISTRY_MS;
    lens.registry = registry_http_create(&registry_options);
    lens.schemas = schemas_create(lens.registry);
    return cluster_create(s->brokers, s->properties, &lens.cluster, e) &&
           index_create(lens.cluster, dir, &lens.index, e) && open_history(versions, e);
}

/* Others may ask until the process ends. */
static pthread_mutex_t life = PTHREAD_MUTEX_INITIALIZER;
static char registry_trouble[600] = "starting"; /* under it; "": none */

static bool stopping(void *context) {
    return instance_stopping(context);
}

/* Not to be had later is one thing: what was seen is decoded. At the start it is said. */
static void await_registry(struct instance *i) {
    _cleanup_(buf_free) struct buf schema = {0};
    bool found;
    struct err e;
    struct registry *own = registry_http_create(&registry_options); /* one is one thread's at a time */
    while (!instance_stopping(i) && !own->schema_by_id(own, 1, &found, &schema, &e)) {
        pthread_mutex_lock(&life);
        snprintf(registry_trouble, sizeof registry_trouble, "the schema registry is away: %s", e.text);
        pthread_mutex_unlock(&life);
        poll(NULL, 0, RETRY_MS);
    }
    registry_destroy(own);
    pthread_mutex_lock(&life);
    registry_trouble[0] = 0;
    pthread_mutex_unlock(&life);
}

void lens_run(struct instance *i) {
    jobs_start(i);
    await_registry(i);
    index_run(lens.index, stopping, i);
    jobs_join();
    pthread_mutex_lock(&life);
    index_destroy(lens.index);
    history_destroy(lens.history);
    cluster_destroy(lens.cluster);
    lens.index = NULL;
    pthread_mutex_unlock(&life);
}

bool lens_ready(char *why, size_t size) {
    pthread_mutex_lock(&life);
    snprintf(why, size, "%s", registry_trouble[0] != 0 ? registry_trouble : "stopping");
    bool ready = registry_trouble[0] == 0 && lens.index != NULL && index_ready(lens.index, why, size);
    pthread_mutex_unlock(&life);
    return ready;
}

/* ---- what the answers share ---- */

/* How many letters have to change, to tell what somebody may have meant; 99: too many. */
static size_t distance(struct slice a, struct slice b) {
    size_t row[64], cost = 99;
    if (a.size >= 64 || b.size >= 64)
        return 99;
    for (size_t k = 0; k <= b.size; k++)
        row[k] = k;
    for (size_t i = 1; i <= a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b.size; k++) {
            cost = diagonal + (a.data[i - 1] != b.data[k - 1]);
            diagonal = row[k];
            row[k] = cost < row[k] + 1 ? cost : row[k] + 1;
            row[k] = row[k] < row[k - 1] + 1 ? row[k] : row[k - 1] + 1;
        }
    }
    return row[b.size];
}

static void put_nearby(struct buf *out, const struct cluster_view *v, struct slice name) {
    size_t best = 99, shown = 0;
    for (size_t i = 0; i < v->topic_count; i++) {
        size_t d = distance(name, slice_of(v->topics[i].name));
        best = d < best ? d : best;
    }
    for (size_t i = 0; i < v->topic_count; i++) {
        struct slice one = slice_of(v->topics[i].name);
        bool near = best <= 3 ? distance(name, one) == best : true;
        if (near && shown++ < 40)
            buf_printf(out, "%s%s", shown > 1 ? ", " : "", v->topics[i].name);
    }
}

bool job_topic(struct job *j, const char **name, int32_t *partitions) {
    _cleanup_(buf_free) struct buf near = {0};
    struct cluster_view *v;
    struct err e;
    if (!cluster_view_get(lens.cluster, VIEW_MS, &v, &e))
        return job_failed(j, NULL, &e);
    const struct cluster_topic *t = cluster_view_topic(v, j->request.topic);
    if (t == NULL) { /* it may be new */
        cluster_view_release(lens.cluster, v);
        if (!cluster_view_get(lens.cluster, 500, &v, &e))
            return job_failed(j, NULL, &e);
        t = cluster_view_topic(v, j->request.topic);
    }
    if (t != NULL) {
        *name = arena_printf(&j->arena, "%s%c", t->name, 0).data;
        *partitions = t->count;
    } else {
        put_nearby(&near, v, j->request.topic);
    }
    cluster_view_release(lens.cluster, v);
    return t != NULL || job_problem(j, 404, "topic", "no topic " SLICE_FMT "; there is " SLICE_FMT,
                                    SLICE_ARG(j->request.topic), SLICE_ARG(buf_slice(&near)));
}

static bool offset_of(const char *topic, int32_t partition, int64_t spec, int64_t *offset, struct err *e) {
    struct cluster_offset o = {topic, partition, spec, -1};
    if (!cluster_offsets(lens.cluster, &o, 1, false, e))
        return false;
    *offset = o.offset;
    return true;
}

static bool note_last(void *context, const struct tape_entry *entry) {
    int64_t *last = context;
    if (entry->kind == TAPE_RECORD)
        *last = entry->offset;
    return true;
}

/* The last record, with whatever is behind it; where there is none near the end, the last offset. */
static bool last_record(struct job *j, const char *topic, int32_t partition, int64_t first, int64_t end,
                        int64_t *offset, struct err *e) {
    struct reader_bounds bounds;
    int64_t last = -1, next;
    for (int64_t back = 16; last < 0 && back <= LOOK_BACK_MAX; back *= 16) {
        int64_t from = end - back > first ? end - back : first;
        if (!reader_read(j->reader, topic, partition, from, end, note_last, &last, &bounds, &next, e))
            return false;
        if (from == first)
            break;
    }
    *offset = last >= 0 ? last : end > first ? end - 1 : end;
    return true;
}

bool job_place(struct job *j, const char *field, const char *topic, int32_t partition,
               const struct place *place, int64_t *offset) {
    int64_t first, end, record;
    struct err e;
    if (!offset_of(topic, partition, CLUSTER_FIRST, &first, &e) ||
        !offset_of(topic, partition, CLUSTER_END, &end, &e))
        return job_failed(j, field, &e);
    switch (place->kind) {
    case PLACE_OFFSET:
        if (place->n < first || place->n > end)
            return job_problem(j, 404, field,
                               "%s/%d has no offset %" PRId64 ": it has %" PRId64 " to %" PRId64, topic,
                               partition, place->n, first, end - 1);
        *offset = place->n;
        return true;
    case PLACE_FIRST: /* a compacted topic says 0 although its first record is a later one */
        if (!offset_of(topic, partition, 0, &record, &e))
            return job_failed(j, field, &e);
        *offset = record < 0 ? first : record;
        return true;
    case PLACE_LAST:
        return last_record(j, topic, partition, first, end, offset, &e) || job_failed(j, field, &e);
    case PLACE_BACK:
        *offset = end - first > place->n ? end - place->n : first;
        return true;
    case PLACE_TIME:
        if (!offset_of(topic, partition, place->n, &record, &e))
            return job_failed(j, field, &e);
        *offset = record < 0 ? end : record;
        return true;
    }
    __builtin_unreachable();
}

/* ---- a page of a partition ---- */

struct page {
    struct shower shower;
    struct json *json;
    const char *topic;
    int32_t partition;
};

static bool put_entry(void *context, const struct tape_entry *entry) {
    struct page *p = context;
    if (p->json->out->size > ANSWER_BYTES)
        return false;
    record_json(&p->shower, p->topic, p->partition, entry, SLICE(""), p->json);
    return true;
}

bool page_run(struct job *j) {
    static const struct place first = {.kind = PLACE_FIRST};
    const struct request *r = &j->request;
    _cleanup_(buf_free) struct buf records = {0};
    struct json inner = {.out = &records}, json = {.out = &j->body};
    struct page page = {{lens.schemas, r->full, false}, &inner, NULL, r->partition};
    struct reader_bounds bounds = {0};
    int32_t partitions = 0;
    int64_t from = 0, next = 0;
    struct err e;
    if (!job_topic(j, &page.topic, &partitions))
        return false;
    if (r->partition >= partitions)
        return job_problem(j, 404, "partition", "%s has partitions 0 to %d", page.topic, partitions - 1);
    if (!job_place(j, "from", page.topic, r->partition, r->has_from ? &r->from : &first, &from))
        return false;
    if (!reader_read(j->reader, page.topic, r->partition, from, from + r->limit, put_entry, &page, &bounds,
                     &next, &e))
        return job_failed(j, "from", &e);
    json_begin_object(&json);
    json_key(&json, "topic"), json_put_string(&json, slice_of(page.topic));
    json_key(&json, "partition"), json_put_int(&json, r->partition);
    json_key(&json, "first"), json_put_int(&json, bounds.first);
    json_key(&json, "stable"), json_put_int(&json, bounds.stable);
    json_key(&json, "end"), json_put_int(&json, bounds.end);
    json_key(&json, "from"), json_put_int(&json, from);
    json_key(&json, "next"), json_put_int(&json, next);
    json_key(&json, "records"), json_begin_array(&json);
    json_put_raw(&json, buf_slice(&records));
    json_end_array(&json);
    json_end_object(&json);
    return true;
}

/* ---- topics ---- */

static void put_names(struct json *j, const char *key, const char *const *names) {
    json_key(j, key), json_begin_array(j);
    for (; names != NULL && *names != NULL; names++)
        json_put_string(j, slice_of(*names));
    json_end_array(j);
}

static void put_known(struct json *j, const struct topic *t) {
    json_key(j, "known"), json_put_bool(j, t != NULL);
    if (t == NULL)
        return;
    json_key(j, "key"), json_put_string(j, slice_of(t->key));
    json_key(j, "value"), json_put_string(j, slice_of(t->value->name));
    json_key(j, "compacted"), json_put_bool(j, t->compacted);
    json_key(j, "internal"), json_put_bool(j, t->internal);
    put_names(j, "writers", t->writers);
    put_names(j, "readers", t->readers);
}

enum bound { BOUND_FIRST, BOUND_RECORD, BOUND_STABLE, BOUND_END, BOUNDS };

static void put_partition(struct json *j, const struct cluster_offset *const *bounds, size_t at) {
    struct index_figures f;
    const char *topic = bounds[0][at].topic;
    int64_t first = bounds[BOUND_RECORD][at].offset, end = bounds[BOUND_END][at].offset;
    first = first < 0 ? bounds[BOUND_FIRST][at].offset : first;
    json_begin_object(j);
    json_key(j, "partition"), json_put_int(j, bounds[0][at].partition);
    json_key(j, "first"), json_put_int(j, first);
    json_key(j, "last"), json_put_int(j, end - 1);
    json_key(j, "stable"), json_put_int(j, bounds[BOUND_STABLE][at].offset);
    json_key(j, "end"), json_put_int(j, end);
    if (index_figures(lens.index, topic, bounds[0][at].partition, &f)) {
        json_key(j, "records"), json_put_int(j, (int64_t)f.records);
        json_key(j, "bytes"), json_put_int(j, (int64_t)f.bytes);
        json_key(j, "rate"), json_put_double(j, f.rate);
    }
    json_end_object(j);
}

static bool bounds_of(const struct cluster_view *v, struct cluster_offset **bounds, struct err *e) {
    static const int64_t specs[BOUNDS] = {CLUSTER_FIRST, 0, CLUSTER_END, CLUSTER_END};
    for (int b = 0; b < BOUNDS; b++) {
        size_t n = 0;
        for (size_t i = 0; i < v->topic_count; i++)
            for (int32_t p = 0; p < v->topics[i].count; p++)
                bounds[b][n++] = (struct cluster_offset){v->topics[i].name, p, specs[b], -1};
        if (!cluster_offsets(lens.cluster, bounds[b], n, b == BOUND_STABLE, e))
            return false;
    }
    return true;
}

static void put_topics(struct json *j, const struct cluster_view *v,
                       const struct cluster_offset *const *bounds) {
    size_t n = 0;
    json_begin_object(j);
    json_key(j, "topics"), json_begin_array(j);
    for (size_t i = 0; i < v->topic_count; i++) {
        const struct cluster_topic *t = &v->topics[i];
        json_begin_object(j);
        json_key(j, "name"), json_put_string(j, slice_of(t->name));
        put_known(j, t->known);
        json_key(j, "partitions"), json_begin_array(j);
        for (int32_t p = 0; p < t->count; p++)
            put_partition(j, bounds, n++);
        json_end_array(j);
        json_end_object(j);
    }
    json_end_array(j);
    json_end_object(j);
}

bool topics_run(struct job *j) {
    struct json json = {.out = &j->body};
    struct cluster_offset *bounds[BOUNDS];
    struct cluster_view *v;
    struct err e;
    size_t n = 1;
    bool ok = false;
    for (int try = 0; try < 2 && !ok; try++) { /* a topic that has gone meanwhile */
        if (!cluster_view_get(lens.cluster, try == 0 ? VIEW_MS : 0, &v, &e))
            return job_failed(j, NULL, &e);
        for (size_t i = 0; i < v->topic_count; i++)
            n += (size_t)v->topics[i].count;
        for (int b = 0; b < BOUNDS; b++)
            bounds[b] = arena_alloc(&j->arena, n * sizeof *bounds[b]);
        ok = bounds_of(v, bounds, &e);
        if (ok)
            put_topics(&json, v, (const struct cluster_offset *const *)bounds);
        cluster_view_release(lens.cluster, v);
    }
    return ok || job_failed(j, NULL, &e);
}

/* ---- groups ---- */

struct lag {
    int64_t records, time; /* of the first; -1: none */
};

static bool count_lag(void *context, const struct tape_entry *entry) {
    struct lag *l = context;
    if (entry->kind == TAPE_RECORD && l->records++ == 0)
        l->time = entry->timestamp;
    return true;
}

/* Between position and end may be markers only: then it has read all that there is. */
static bool lag_of(struct job *j, const struct cluster_offset *end, int64_t position, struct lag *lag) {
    struct reader_bounds bounds;
    struct err e;
    int64_t next;
    *lag = (struct lag){0, -1};
    if (position >= end->offset)
        return true;
    int64_t to = end->offset - position > LAG_COUNTED ? position + LAG_COUNTED : end->offset;
    if (!reader_read(j->reader, end->topic, end->partition, position, to, count_lag, lag, &bounds, &next, &e))
        return e.kind == ERR_INPUT; /* it is gone: nothing to read */
    if (lag->records > 0 && to < end->offset)
        lag->records = end->offset - position;
    return true;
}

static void put_member(struct json *j, const struct cluster_member *m) {
    json_begin_object(j);
    json_key(j, "id"), json_put_string(j, slice_of(m->id));
    json_key(j, "instance"), json_put_string(j, slice_of(m->instance));
    json_key(j, "host"), json_put_string(j, slice_of(m->host));
    json_key(j, "partitions"), json_put_int(j, (int64_t)m->partitions);
    json_end_object(j);
}

static bool put_group(struct job *j, struct json *json, const struct cluster_group *g,
                      const struct cluster_offset *ends) {
    int64_t total = 0, oldest = -1, now = clock_wall_ms();
    json_begin_object(json);
    json_key(json, "name"), json_put_string(json, slice_of(g->name));
    json_key(json, "state"), json_put_string(json, slice_of(g->state == NULL ? "Unknown" : g->state));
    json_key(json, "members"), json_begin_array(json);
    for (size_t i = 0; i < g->member_count; i++)
        put_member(json, &g->members[i]);
    json_end_array(json);
    json_key(json, "partitions"), json_begin_array(json);
    for (size_t i = 0; i < g->position_count; i++) {
        const struct cluster_position *p = &g->positions[i];
        struct lag lag;
        if (ends[i].offset < 0)
            continue; /* its topic is gone */
        if (!lag_of(j, &ends[i], p->offset, &lag))
            return false;
        total += lag.records;
        oldest = lag.time >= 0 && (oldest < 0 || lag.time < oldest) ? lag.time : oldest;
        json_begin_object(json);
        json_key(json, "topic"), json_put_string(json, slice_of(p->topic));
        json_key(json, "partition"), json_put_int(json, p->partition);
        json_key(json, "position"), json_put_int(json, p->offset);
        json_key(json, "end"), json_put_int(json, ends[i].offset);
        json_key(json, "lag"), json_put_int(json, lag.records);
        json_key(json, "lagMs"), json_put_int(json, lag.time < 0 || lag.time > now ? 0 : now - lag.time);
        json_end_object(json);
    }
    json_end_array(json);
    json_key(json, "lag"), json_put_int(json, total);
    json_key(json, "lagMs"), json_put_int(json, oldest < 0 || oldest > now ? 0 : now - oldest);
    json_end_object(json);
    return true;
}

/* Of the topics that there are: a group may know others. */
static bool group_ends(struct job *j, const struct cluster_group *groups, size_t count,
                       struct cluster_offset *ends, struct err *e) {
    struct cluster_view *v;
    size_t n = 0, asked = 0, at = 0;
    for (size_t i = 0; i < count; i++)
        n += groups[i].position_count;
    struct cluster_offset *ask = arena_alloc(&j->arena, (n + 1) * sizeof *ask);
    if (!cluster_view_get(lens.cluster, VIEW_MS, &v, e))
        return false;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < groups[i].position_count; k++) {
            const struct cluster_position *p = &groups[i].positions[k];
            const struct cluster_topic *t = cluster_view_topic(v, slice_of(p->topic));
            ends[at] = (struct cluster_offset){p->topic, p->partition, CLUSTER_END, -1};
            bool known = t == NULL || p->partition >= t->count;
            for (size_t a = 0; a < asked && !known; a++) /* several groups read a topic */
                // NOLINTNEXTLINE(clang-analyzer-*): all that is asked has a topic
                known = ask[a].partition == p->partition && strcmp(ask[a].topic, p->topic) == 0;
            if (!known)
                ask[asked++] = ends[at];
            at++;
        }
    cluster_view_release(lens.cluster, v);
    if (!cluster_offsets(lens.cluster, ask, asked, true, e))
        return false;
    for (size_t i = 0; i < n; i++)
        for (size_t a = 0; a < asked; a++)
            // NOLINTNEXTLINE(clang-analyzer-*): likewise
            if (ask[a].partition == ends[i].partition && strcmp(ask[a].topic, ends[i].topic) == 0)
                ends[i].offset = ask[a].offset;
    return true;
}

bool groups_run(struct job *j) {
    struct json json = {.out = &j->body};
    struct cluster_group *groups;
    struct err e;
    size_t count, n = 0, at = 0;
    if (!cluster_groups(lens.cluster, &groups, &count, &e))
        return job_failed(j, NULL, &e);
    for (size_t i = 0; i < count; i++)
        n += groups[i].position_count;
    struct cluster_offset *ends = arena_alloc(&j->arena, (n + 1) * sizeof *ends);
    bool ok = group_ends(j, groups, count, ends, &e);
    json_begin_object(&json);
    json_key(&json, "groups"), json_begin_array(&json);
    for (size_t i = 0; ok && i < count; i++) {
        if (!put_group(j, &json, &groups[i], ends + at))
            ok = err_set(&e, ERR_RETRY, "Kafka is away");
        at += groups[i].position_count;
    }
    json_end_array(&json);
    json_end_object(&json);
    cluster_groups_free(groups, count);
    return ok || job_failed(j, NULL, &e);
}
