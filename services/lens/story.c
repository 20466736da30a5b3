/* Everything with a key, and everything that follows from that, over all topics. */
#include "lens.h"

#include "base/cleanup.h"
#include "base/utf8.h"
#include "causes.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    FRESH_MS = 3000,
    NEAR = 300,  /* offsets that one read takes along */
    ENDS = 5000, /* offsets behind the last record in which the end of its transaction is looked for */
};

struct node {
    struct index_place place;
    bool read;
    int64_t timestamp;
    int64_t written; /* when its transaction was committed, which is when it could be read; 0: not known */
    struct slice causes;
    struct tape_entry entry; /* its slices are in the job's arena */
};

struct story {
    struct job *job;
    struct node *nodes;
    size_t count, max;
    bool more;
    struct node **sorted;           /* by place: those to read now */
    size_t sorted_count, first, at; /* of a stretch: its end, its first, the next one that is to come */
    size_t open;                    /* of those before, the ones whose transaction has not ended */
};

static bool has(const struct story *s, const struct index_place *p) {
    for (size_t i = 0; i < s->count; i++)
        if (s->nodes[i].place.offset == p->offset && s->nodes[i].place.partition == p->partition &&
            s->nodes[i].place.topic == p->topic)
            return true;
    return false;
}

static void add(struct story *s, const struct index_place *places, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (has(s, &places[i]))
            continue;
        if (s->count == s->max) {
            s->more = true;
            return;
        }
        s->nodes[s->count++] = (struct node){.place = places[i]};
    }
}

static int by_place(const void *a, const void *b) {
    const struct index_place *p = &(*(struct node *const *)a)->place, *q = &(*(struct node *const *)b)->place;
    int d = strcmp(p->topic, q->topic);
    return d != 0                         ? d
           : p->partition != q->partition ? (p->partition > q->partition) - (p->partition < q->partition)
                                          : (p->offset > q->offset) - (p->offset < q->offset);
}

static struct slice keep(struct arena *a, struct slice s) {
    return s.data == NULL ? SLICE_NONE : s.size == 0 ? SLICE("") : arena_copy(a, s);
}

/* The end of a transaction: whatever of it came before in this stretch was written then. */
static void take_end(struct story *s, const struct tape_entry *marker) {
    for (size_t i = s->first; i < s->at; i++) {
        struct node *n = s->sorted[i];
        if (n->read && n->written == 0 && n->entry.producer == marker->producer) {
            n->written = marker->timestamp;
            s->open--;
        }
    }
}

static void take_record(struct story *s, struct node *n, const struct tape_entry *entry) {
    struct arena *a = &s->job->arena;
    struct slice value = entry->record.value;
    bool large = value.size > RECORD_LARGE; /* it is not shown: what begins it, the schema's id, is enough */
    n->read = true;
    n->entry = *entry;
    n->entry.record.key = keep(a, entry->record.key);
    n->entry.record.headers = keep(a, entry->record.headers);
    n->entry.record.value = keep(a, (struct slice){value.data, large ? 8 : value.size});
    n->entry.record.value.size = value.size;
    n->causes = record_header(&n->entry.record, "caused-by");
    n->timestamp = entry->timestamp;
    if (entry->transactional)
        s->open++;
    else
        n->written = entry->timestamp;
}

static bool take(void *context, const struct tape_entry *entry) {
    struct story *s = context;
    while (s->at < s->sorted_count && s->sorted[s->at]->place.offset < entry->offset)
        s->at++;
    if (s->at < s->sorted_count && s->sorted[s->at]->place.offset == entry->offset)
        take_record(s, s->sorted[s->at++], entry);
    else if (entry->kind == TAPE_MARKER)
        take_end(s, entry);
    return s->at < s->sorted_count || s->open > 0;
}

/* Reads the records of all nodes from `from` on, those of one stretch of a partition together. */
static bool read_nodes(struct story *s, size_t from, struct err *e) {
    struct node **sorted = s->sorted = arena_alloc(&s->job->arena, (s->count + 1) * sizeof(struct node *));
    size_t n = s->sorted_count = s->count - from;
    struct reader_bounds bounds;
    int64_t next;
    for (size_t i = 0; i < n; i++)
        sorted[i] = &s->nodes[from + i];
    qsort(sorted, n, sizeof *sorted, by_place);
    for (size_t i = 0, end; i < n; i = end) {
        const struct index_place *p = &sorted[i]->place;
        for (end = i + 1; end < n && sorted[end]->place.topic == p->topic &&
                          sorted[end]->place.partition == p->partition &&
                          sorted[end]->place.offset - sorted[end - 1]->place.offset < NEAR;)
            end++;
        s->at = s->first = i;
        s->sorted_count = end;
        s->open = 0;
        if (!reader_read(s->job->reader, p->topic, p->partition, p->offset,
                         sorted[end - 1]->place.offset + ENDS, take, s, &bounds, &next, e) &&
            e->kind != ERR_INPUT) /* what is gone meanwhile is left out */
            return false;
    }
    return true;
}

/* Hashes of keys may be equal. */
static void forget_others(struct story *s, struct slice key) {
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct node *n = &s->nodes[i];
        bool other = n->read && n->entry.kind == TAPE_RECORD && !slice_equal(n->entry.record.key, key);
        if (n->read && !other)
            s->nodes[kept++] = *n;
    }
    s->count = kept;
}

static bool expand(struct story *s, struct err *e) {
    struct index_place *found = arena_alloc(&s->job->arena, s->max * sizeof *found);
    for (size_t i = 0; i < s->count; i++) {
        size_t n = 0;
        bool more = false;
        const struct index_place *p = &s->nodes[i].place;
        if (!index_effects(lens.index, p->topic, p->partition, p->offset, found, s->max, &n, &more, e))
            return false;
        s->more = s->more || more;
        add(s, found, n);
    }
    return true;
}

static void put_node(struct story *s, struct shower *shower, const struct node *n, struct json *j) {
    _cleanup_(buf_free) struct buf more = {0};
    struct slice key = s->job->request.key;
    bool by_key = n->entry.kind == TAPE_RECORD && slice_equal(n->entry.record.key, key);
    buf_printf(&more, ",\"byKey\":%s", by_key ? "true" : "false");
    if (n->written != 0)
        buf_printf(&more, ",\"written\":%" PRId64, n->written);
    record_json(shower, n->place.topic, n->place.partition, &n->entry, buf_slice(&more), j);
}

static void put_story(struct story *s, bool complete) {
    struct job *job = s->job;
    struct json json = {.out = &job->body};
    struct shower shower = {lens.schemas, false, false};
    struct caused *records = arena_alloc(&job->arena, (s->count + 1) * sizeof *records);
    size_t *order = arena_alloc(&job->arena, (s->count + 1) * sizeof *order), n = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (!s->nodes[i].read)
            continue;
        s->nodes[n] = s->nodes[i];
        const struct node *node = &s->nodes[n];
        records[n++] = (struct caused){slice_of(node->place.topic), node->place.partition, node->place.offset,
                                       node->written != 0 ? node->written : node->timestamp, node->causes};
    }
    causal_order(records, n, order);
    json_begin_object(&json);
    json_key(&json, "key"), json_put_string(&json, job->request.key);
    json_key(&json, "complete"), json_put_bool(&json, complete);
    json_key(&json, "more"), json_put_bool(&json, s->more);
    json_key(&json, "records"), json_begin_array(&json);
    for (size_t i = 0; i < n; i++)
        put_node(s, &shower, &s->nodes[order[i]], &json);
    json_end_array(&json);
    json_end_object(&json);
}

bool story_run(struct job *j) {
    struct story s = {.job = j, .max = (size_t)j->request.limit};
    struct err e;
    size_t n = 0;
    s.nodes = arena_alloc(&j->arena, s.max * sizeof *s.nodes);
    struct index_place *found = arena_alloc(&j->arena, s.max * sizeof *found);
    bool complete = index_wait(lens.index, FRESH_MS);
    if (!index_find(lens.index, j->request.key, found, s.max, &n, &s.more, &e))
        return job_failed(j, NULL, &e);
    add(&s, found, n);
    if (!read_nodes(&s, 0, &e))
        return job_failed(j, NULL, &e);
    forget_others(&s, j->request.key);
    size_t keyed = s.count;
    if (keyed == 0 && !complete)
        return job_problem(j, 503, NULL,
                           "the index has not read all of the log yet, and nothing with this key so far");
    if (keyed == 0)
        return job_problem(j, 404, "key",
                           "no record has this key; GET /v1/log/topics says which keys each topic has");
    if (!expand(&s, &e) || !read_nodes(&s, keyed, &e))
        return job_failed(j, NULL, &e);
    put_story(&s, complete);
    return true;
}
