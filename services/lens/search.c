/* Search: reads on from where it is told, as far as its share of time and bytes goes, and says where it
 * stopped; whoever wants more asks again with that. So an answer comes soon, whoever leaves costs nothing
 * more, and there is a limit to what all searches together take from the broker. On the pool's one thread for
 * what takes long. */
#include "lens.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "feeds/vector.h"
#include "log/partitions.h"
#include "topology/topology.h"

#include <jansson.h>
#include <poll.h>
#include <stdlib.h>

enum {
    SHARE_MS = 1000,
    BYTES_A_SECOND = 16 << 20,
    STRETCH = 2000, /* offsets of one partition, before the next one has its turn */
    ANSWER_BYTES = 1 << 20,
    VIEW_MS = 5000,
};

struct stretch { /* what is to be read of a partition */
    const char *topic;
    int32_t partition;
    int64_t from, to;
};

struct search {
    struct job *job;
    struct stretch *parts;
    size_t part_count, found;
    struct terms key, value, header;
    struct slice exact; /* the key, where that is all that is asked of it */
    struct shower shower;
    struct json json;
    const struct stretch *reading;
    int64_t read;
    bool over;
};

/* ---- which records ---- */

static bool key_matches(const struct search *s, const struct batch_record *r) {
    if (s->exact.data != NULL)
        return slice_equal(r->key, s->exact);
    for (size_t i = 0; i < s->key.count; i++)
        if (r->key.data == NULL || !term_matches(&s->key.items[i], r->key))
            return false;
    return true;
}

static bool header_matches(const struct term *t, const struct batch_record *r) {
    struct slice rest = r->headers;
    struct batch_header h;
    for (size_t n = 0; n < r->header_count && batch_header_next(&rest, &h); n++) {
        bool named = t->field.size == 0 || slice_equal(t->field, h.name);
        if ((named && term_matches(t, h.value)) || (t->field.size == 0 && term_matches(t, h.name)))
            return true;
    }
    return false;
}

static bool value_matches(struct search *s, const struct batch_record *r) {
    _cleanup_(buf_free) struct buf text = {0};
    struct err e;
    if (s->value.count == 0)
        return true;
    if (r->value.data == NULL || !record_value(&s->shower, r->value, &text, &e))
        return false;
    json_t *value = json_loadb(text.data, text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool matches = value != NULL && terms_match_value(&s->value, value);
    json_decref(value);
    return matches;
}

static bool record_matches(struct search *s, const struct batch_record *r) {
    for (size_t i = 0; i < s->header.count; i++)
        if (!header_matches(&s->header.items[i], r))
            return false;
    return key_matches(s, r) && value_matches(s, r);
}

static bool take(void *context, const struct tape_entry *entry) {
    struct search *s = context;
    if (s->found >= (size_t)s->job->request.limit || s->json.out->size > ANSWER_BYTES) {
        s->over = true;
        return false;
    }
    if (entry->kind == TAPE_RECORD && record_matches(s, &entry->record)) {
        record_json(&s->shower, s->reading->topic, s->reading->partition, entry, SLICE(""), &s->json);
        s->found++;
    }
    s->read++;
    return true;
}

/* ---- which part of the log ---- */

static void resume(void *context, struct slice topic, int32_t partition, int64_t offset) {
    struct search *s = context;
    for (size_t i = 0; i < s->part_count; i++) {
        struct stretch *p = &s->parts[i];
        if (p->partition == partition && slice_equal(slice_of(p->topic), topic)) {
            p->from = offset > p->from ? offset : p->from;
            p->to = -1 - p->to; /* negative: it is in the vector */
        }
    }
}

/* Partitions that the vector lacks are through. */
static bool take_vector(struct search *s) {
    struct slice after = s->job->request.after;
    if (after.data == NULL)
        return true;
    if (!vector_parse(after, resume, s))
        return job_problem(s->job, 400, "after", "is no vector of offsets: topic/partition:offset,…");
    for (size_t i = 0; i < s->part_count; i++) {
        struct stretch *p = &s->parts[i];
        if (p->to < 0)
            p->to = -1 - p->to;
        else
            p->from = p->to;
    }
    return true;
}

static bool list_parts(struct search *s) {
    const struct request *r = &s->job->request;
    struct cluster_view *v;
    const char *only = NULL;
    int32_t count;
    size_t n = 0;
    struct err e;
    if (r->topic.data != NULL && !job_topic(s->job, &only, &count))
        return false;
    if (!cluster_view_get(lens.cluster, VIEW_MS, &v, &e))
        return job_failed(s->job, NULL, &e);
    for (size_t i = 0; i < v->topic_count; i++)
        n += (size_t)v->topics[i].count;
    s->parts = arena_alloc(&s->job->arena, (n + 1) * sizeof *s->parts);
    for (size_t i = 0; i < v->topic_count; i++) {
        const struct cluster_topic *t = &v->topics[i];
        if (only != NULL && strcmp(only, t->name) != 0)
            continue;
        const char *name = arena_printf(&s->job->arena, "%s%c", t->name, 0).data;
        for (int32_t p = 0; p < t->count; p++) {
            bool hashed = s->exact.data != NULL && partition_of(s->exact, t->count) != p;
            if (!hashed && (r->partition < 0 || r->partition == p))
                s->parts[s->part_count++] = (struct stretch){name, p, 0, 0};
        }
    }
    cluster_view_release(lens.cluster, v);
    return true;
}

/* One of the bounds of all parts; -1 where a time has no record. */
static bool ask_bound(struct search *s, int64_t spec, int64_t *bounds, struct err *e) {
    struct cluster_offset *offsets = arena_alloc(&s->job->arena, (s->part_count + 1) * sizeof *offsets);
    for (size_t i = 0; i < s->part_count; i++)
        offsets[i] = (struct cluster_offset){s->parts[i].topic, s->parts[i].partition, spec, -1};
    if (!cluster_offsets(lens.cluster, offsets, s->part_count, true, e))
        return false;
    for (size_t i = 0; i < s->part_count; i++)
        bounds[i] = offsets[i].offset;
    return true;
}

static int64_t within(int64_t n, int64_t min, int64_t max) {
    return n < min ? min : n > max ? max : n;
}

/* A place in each part; `at` has the answer. */
static bool places(struct search *s, const struct place *p, const int64_t *first, const int64_t *end,
                   int64_t *at, struct err *e) {
    if (p->kind == PLACE_TIME && !ask_bound(s, p->n, at, e))
        return false;
    for (size_t i = 0; i < s->part_count; i++) {
        int64_t n = p->kind == PLACE_FIRST    ? first[i]
                    : p->kind == PLACE_LAST   ? end[i] - 1
                    : p->kind == PLACE_BACK   ? end[i] - p->n
                    : p->kind == PLACE_OFFSET ? p->n
                    : at[i] < 0               ? end[i]
                                              : at[i];
        at[i] = within(n, first[i], end[i]);
    }
    return true;
}

static bool bound_parts(struct search *s) {
    const struct request *r = &s->job->request;
    size_t size = (s->part_count + 1) * sizeof(int64_t);
    int64_t *first = arena_alloc(&s->job->arena, size), *end = arena_alloc(&s->job->arena, size);
    int64_t *from = arena_alloc(&s->job->arena, size), *to = arena_alloc(&s->job->arena, size);
    struct place all = {.kind = PLACE_FIRST};
    struct err e;
    if (!ask_bound(s, CLUSTER_FIRST, first, &e) || !ask_bound(s, CLUSTER_END, end, &e) ||
        !places(s, r->has_from ? &r->from : &all, first, end, from, &e) ||
        (r->has_to && !places(s, &r->to, first, end, to, &e)))
        return job_failed(s->job, NULL, &e);
    for (size_t i = 0; i < s->part_count; i++) {
        s->parts[i].from = from[i];
        s->parts[i].to = r->has_to ? to[i] : end[i];
    }
    return take_vector(s);
}

/* ---- reading ---- */

void search_budget(uint64_t bytes) {
    static int64_t free_at_us;
    int64_t now = clock_mono_us();
    free_at_us = (free_at_us > now ? free_at_us : now) + (int64_t)(bytes * 1000000 / BYTES_A_SECOND);
    if (free_at_us > now)
        poll(NULL, 0, (int)((free_at_us - now) / 1000));
}

static bool search(struct search *s, struct err *e) {
    int64_t until = clock_mono_us() + SHARE_MS * INT64_C(1000), next;
    struct reader_bounds bounds;
    for (size_t i = 0; i < s->part_count && !s->over;) {
        struct stretch *p = &s->parts[i];
        if (p->from >= p->to) {
            i++;
            continue;
        }
        uint64_t before = reader_bytes(s->job->reader);
        int64_t to = p->to - p->from > STRETCH ? p->from + STRETCH : p->to;
        s->reading = p;
        if (!reader_read(s->job->reader, p->topic, p->partition, p->from, to, take, s, &bounds, &next, e)) {
            if (e->kind != ERR_INPUT)
                return false;
            next = p->to; /* it went meanwhile */
        }
        p->from = next;
        search_budget(reader_bytes(s->job->reader) - before);
        s->over = s->over || clock_mono_us() > until || job_is_abandoned(s->job);
    }
    return true;
}

static void put_end(struct search *s, struct json *j) {
    _cleanup_(buf_free) struct buf vector = {0};
    int64_t left = 0;
    for (size_t i = 0; i < s->part_count; i++) {
        const struct stretch *p = &s->parts[i];
        if (p->from >= p->to)
            continue;
        left += p->to - p->from;
        vector_put(&vector, 0, p->topic, p->partition, p->from);
    }
    json_key(j, "read"), json_put_int(j, s->read);
    json_key(j, "of"), json_put_int(j, s->read + left);
    json_key(j, "complete"), json_put_bool(j, left == 0);
    json_key(j, "next");
    if (left == 0)
        json_put_null(j);
    else
        json_put_string(j, buf_slice(&vector));
}

static bool parse(struct search *s, const char *field, struct slice text, struct terms *terms) {
    struct err e;
    return terms_parse(text, terms, &e) || job_problem(s->job, 400, field, "%s", e.text);
}

bool search_run(struct job *j) {
    _cleanup_(buf_free) struct buf records = {0};
    struct search s = {.job = j, .shower = {lens.schemas, j->request.full, false}, .json = {.out = &records}};
    struct json json = {.out = &j->body};
    struct err e;
    if (!parse(&s, "key", j->request.key, &s.key) || !parse(&s, "value", j->request.value, &s.value) ||
        !parse(&s, "header", j->request.header, &s.header))
        return false;
    /* a key alone is the key itself, in the partition that it hashes to */
    bool contains = slice_starts_with(j->request.key, SLICE("contains "));
    if (s.key.count == 1 && s.key.items[0].field.size == 0 && s.key.items[0].op == OP_CONTAINS && !contains)
        s.exact = s.key.items[0].literal;
    if (!list_parts(&s) || !bound_parts(&s))
        return false;
    if (!search(&s, &e))
        return job_failed(j, NULL, &e);
    json_begin_object(&json);
    json_key(&json, "records"), json_begin_array(&json);
    json_put_raw(&json, buf_slice(&records));
    json_end_array(&json);
    put_end(&s, &json);
    json_end_object(&json);
    return true;
}
