/* Time travel: the content of a topic by key (which is a view, where the topic is its changelog) at any
 * moment, and what has changed since; and a digest of it, by which a view beside it is compared. On the
 * pool's one thread for what takes long, which is the only one that uses the history. */
#include "lens.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "feeds/vector.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SHARE_MS = 1500,
    DIGEST_MS = 15000,
    STRETCH = 4000, /* offsets, before what they say is settled */
    LOOKED_AT = 5000,
    NEAR = 200, /* offsets that one read takes along */
};

struct shown { /* a record, as JSON once it is read */
    int32_t partition;
    int64_t offset;
    struct slice json; /* data NULL: it is gone */
};

struct row {
    struct slice key;
    int32_t partition;
    size_t then, now; /* in `shown`; 0: there is none */
};

struct views {
    struct job *job;
    const char *topic;
    int32_t partitions;
    int64_t *at, *end; /* the two moments */
    int64_t read, left;
    struct row *rows;
    struct shown *shown; /* the first is none */
    size_t count, shown_count;
    struct slice next;
    struct shower shower;

    int32_t partition; /* that is read now */
    struct shown **sorted;
    size_t sorted_at, sorted_end;

    uint64_t digest[2]; /* of a partition: a sum, so that no order matters */
    int64_t row_count;
    struct err err;
};

/* ---- the moment ---- */

static void note_offset(void *context, struct slice topic, int32_t partition, int64_t offset) {
    struct views *v = context;
    if (slice_equal(topic, slice_of(v->topic)) && partition < v->partitions)
        v->at[partition] = offset;
}

/* Of all partitions; -1 where a time has no record. */
static bool ask(struct views *v, int64_t spec, int64_t *answers) {
    struct cluster_offset *o = arena_alloc(&v->job->arena, (size_t)v->partitions * sizeof *o);
    struct err e;
    for (int32_t p = 0; p < v->partitions; p++)
        o[p] = (struct cluster_offset){v->topic, p, spec, -1};
    if (!cluster_offsets(lens.cluster, o, (size_t)v->partitions, true, &e))
        return job_failed(v->job, NULL, &e);
    for (int32_t p = 0; p < v->partitions; p++)
        answers[p] = o[p].offset;
    return true;
}

static bool find_moment(struct views *v) {
    struct slice at = v->job->request.at;
    struct place place;
    v->at = arena_alloc(&v->job->arena, (size_t)v->partitions * sizeof *v->at);
    v->end = arena_alloc(&v->job->arena, (size_t)v->partitions * sizeof *v->end);
    if (!ask(v, CLUSTER_END, v->end))
        return false;
    memcpy(v->at, v->end, (size_t)v->partitions * sizeof *v->at);
    if (at.data == NULL)
        return true;
    if (place_parse(at, &place) && place.kind == PLACE_TIME) {
        if (!ask(v, place.n, v->at))
            return false;
    } else if (!vector_parse(at, note_offset, v)) {
        return job_problem(v->job, 400, "at",
                           "must be a vector of offsets (topic/partition:offset,…) or a time");
    }
    for (int32_t p = 0; p < v->partitions; p++) {
        if (v->at[p] > v->end[p])
            return job_problem(v->job, 404, "at", "%s/%d ends at %" PRId64, v->topic, p, v->end[p]);
        v->at[p] = v->at[p] < 0 ? v->end[p] : v->at[p]; /* a time behind the last record */
    }
    return true;
}

/* ---- what is not known yet is read ---- */

static bool take(void *context, const struct tape_entry *entry) {
    struct views *v = context;
    history_take(lens.history, v->topic, v->partition, entry);
    v->read++;
    return true;
}

static bool catch_up_part(struct views *v, int64_t until_us) {
    struct reader_bounds bounds;
    struct err e;
    int64_t next;
    if (!history_next(lens.history, v->topic, v->partition, &next, &e))
        return job_failed(v->job, NULL, &e);
    if (next > v->end[v->partition] && /* another topic of this name */
        (!history_forget(lens.history, v->topic, &e) ||
         !history_next(lens.history, v->topic, v->partition, &next, &e)))
        return job_failed(v->job, NULL, &e);
    while (next < v->end[v->partition] && clock_mono_us() < until_us && !job_is_abandoned(v->job)) {
        int64_t to = v->end[v->partition] - next > STRETCH ? next + STRETCH : v->end[v->partition];
        uint64_t before = reader_bytes(v->job->reader);
        if (!reader_read(v->job->reader, v->topic, v->partition, next, to, take, v, &bounds, &next, &e)) {
            int64_t first = -1;
            struct cluster_offset begin = {v->topic, v->partition, CLUSTER_FIRST, -1};
            if (e.kind != ERR_INPUT || !cluster_offsets(lens.cluster, &begin, 1, false, &e))
                return job_failed(v->job, "topic", &e);
            first = begin.offset; /* what is before it was deleted */
            if (first <= next)
                return job_problem(v->job, 404, "topic", "%s is gone", v->topic);
            next = first;
        }
        if (!history_settle(lens.history, v->topic, v->partition, next, &e))
            return e.kind == ERR_INPUT ? job_problem(v->job, 413, "topic", "%s", e.text)
                                       : job_failed(v->job, NULL, &e);
        search_budget(reader_bytes(v->job->reader) - before);
    }
    v->left += v->end[v->partition] - next;
    return true;
}

static bool catch_up(struct views *v, int64_t ms) {
    int64_t until_us = clock_mono_us() + ms * 1000;
    for (v->partition = 0; v->partition < v->partitions; v->partition++)
        if (!catch_up_part(v, until_us))
            return false;
    return true;
}

/* ---- a page of rows ---- */

static size_t show(struct views *v, int32_t partition, int64_t offset) {
    if (offset < 0)
        return 0;
    v->shown[v->shown_count] = (struct shown){partition, offset, SLICE_NONE};
    return v->shown_count++;
}

static bool take_row(void *context, const struct history_row *row) {
    struct views *v = context;
    if (v->job->request.changed && row->then == row->now)
        return true;
    if (row->then < 0 && !v->job->request.changed) /* it was not there */
        return true;
    if (v->count == (size_t)v->job->request.limit)
        return false;
    size_t then = show(v, row->partition, row->then);
    size_t now = row->then == row->now ? then : show(v, row->partition, row->now);
    v->rows[v->count++] = (struct row){row->key, row->partition, then, now};
    return true;
}

static int by_place(const void *a, const void *b) {
    const struct shown *s = *(struct shown *const *)a, *t = *(struct shown *const *)b;
    return s->partition != t->partition ? (s->partition > t->partition) - (s->partition < t->partition)
                                        : (s->offset > t->offset) - (s->offset < t->offset);
}

static bool take_shown(void *context, const struct tape_entry *entry) {
    struct views *v = context;
    struct shown *s = v->sorted[v->sorted_at];
    if (entry->offset < s->offset)
        return true;
    if (entry->offset == s->offset) {
        _cleanup_(buf_free) struct buf text = {0};
        struct json j = {.out = &text};
        record_json(&v->shower, v->topic, s->partition, entry, SLICE(""), &j);
        s->json = arena_copy(&v->job->arena, buf_slice(&text));
    }
    return ++v->sorted_at < v->sorted_end;
}

/* Those near to each other by one question. */
static bool read_shown(struct views *v) {
    struct reader_bounds bounds;
    struct err e;
    int64_t next;
    size_t n = v->shown_count - 1;
    v->sorted = arena_alloc(&v->job->arena, v->shown_count * sizeof *v->sorted);
    for (size_t i = 0; i < n; i++)
        v->sorted[i] = &v->shown[i + 1];
    qsort(v->sorted, n, sizeof *v->sorted, by_place);
    for (size_t i = 0, end; i < n; i = end) {
        const struct shown *first = v->sorted[i];
        for (end = i + 1; end < n && v->sorted[end]->partition == first->partition &&
                          v->sorted[end]->offset - v->sorted[end - 1]->offset < NEAR;)
            end++;
        v->sorted_at = i, v->sorted_end = end;
        if (!reader_read(v->job->reader, v->topic, first->partition, first->offset,
                         v->sorted[end - 1]->offset + 1, take_shown, v, &bounds, &next, &e) &&
            e.kind != ERR_INPUT) /* gone meanwhile */
            return job_failed(v->job, NULL, &e);
    }
    return true;
}

static bool unhex(struct slice hex, struct arena *a, struct slice *bytes) {
    unsigned byte;
    char *out = arena_alloc(a, hex.size / 2 + 1), pair[3] = {0};
    for (size_t i = 0; i + 1 < hex.size; i += 2) {
        memcpy(pair, hex.data + i, 2);
        if (strspn(pair, "0123456789abcdef") != 2 || sscanf(pair, "%2x", &byte) != 1)
            return false;
        out[i / 2] = (char)byte;
    }
    *bytes = (struct slice){out, hex.size / 2};
    return hex.size % 2 == 0 && hex.size > 0;
}

static void put_vector(struct views *v, struct json *j, const char *name, const int64_t *moment) {
    _cleanup_(buf_free) struct buf vector = {0};
    for (int32_t p = 0; p < v->partitions; p++)
        vector_put(&vector, 0, v->topic, p, moment[p]);
    json_key(j, name), json_put_string(j, buf_slice(&vector));
}

static void put_shown(struct views *v, struct json *j, const char *name, size_t which) {
    json_key(j, name);
    if (which == 0)
        json_put_null(j);
    else
        json_put_raw(j, v->shown[which].json.data == NULL ? SLICE("{\"kind\":\"compacted\"}")
                                                          : v->shown[which].json);
}

static void put_row(struct views *v, struct json *j, const struct row *row) {
    json_begin_object(j);
    json_key(j, "key"), json_put_string(j, row->key);
    json_key(j, "partition"), json_put_int(j, row->partition);
    json_key(j, "changed"), json_put_bool(j, row->then != row->now);
    put_shown(v, j, "then", row->then);
    if (row->then != row->now)
        put_shown(v, j, "now", row->now);
    json_end_object(j);
}

/* Whether a key's record of then may be gone because a later one was enough. */
static bool is_thinned(struct views *v) {
    for (int32_t p = 0; p < v->partitions; p++) {
        int64_t first;
        if (!history_thinned(lens.history, v->topic, p, &first, &v->err))
            return true;
        if (first >= 0 && first < v->at[p] && v->at[p] < v->end[p])
            return true;
    }
    return false;
}

static void put_page(struct views *v) {
    struct json json = {.out = &v->job->body}, *j = &json;
    json_begin_object(j);
    json_key(j, "topic"), json_put_string(j, slice_of(v->topic));
    put_vector(v, j, "at", v->at);
    put_vector(v, j, "end", v->end);
    json_key(j, "read"), json_put_int(j, v->read);
    json_key(j, "left"), json_put_int(j, v->left);
    json_key(j, "complete"), json_put_bool(j, v->left == 0);
    json_key(j, "thinned"), json_put_bool(j, is_thinned(v));
    json_key(j, "rows"), json_begin_array(j);
    for (size_t i = 0; i < v->count; i++)
        put_row(v, j, &v->rows[i]);
    json_end_array(j);
    json_key(j, "next");
    if (v->next.data == NULL) {
        json_put_null(j);
    } else {
        _cleanup_(buf_free) struct buf hex = {0};
        for (size_t i = 0; i < v->next.size; i++)
            buf_printf(&hex, "%02x", (unsigned char)v->next.data[i]);
        json_put_string(j, buf_slice(&hex));
    }
    json_end_object(j);
}

bool view_run(struct job *j) {
    struct views v = {.job = j, .shown_count = 1, .shower = {lens.schemas, false, false}};
    struct slice after = SLICE_NONE;
    struct err e;
    if (j->request.after.data != NULL && !unhex(j->request.after, &j->arena, &after))
        return job_problem(j, 400, "after", "is not what an answer gave as next");
    if (!job_topic(j, &v.topic, &v.partitions) || !find_moment(&v) || !catch_up(&v, SHARE_MS))
        return false;
    if (after.data == NULL && j->request.key.data != NULL)
        after = history_begin(v.topic, j->request.key, &j->arena);
    v.rows = arena_alloc(&j->arena, (size_t)j->request.limit * sizeof *v.rows);
    v.shown = arena_alloc(&j->arena, ((size_t)j->request.limit * 2 + 1) * sizeof *v.shown);
    v.shown[0] = (struct shown){0};
    if (v.left == 0) {
        if (!history_walk(lens.history, v.topic, v.at, v.end, v.partitions, after, LOOKED_AT, take_row, &v,
                          &j->arena, &v.next, &e))
            return job_failed(j, NULL, &e);
        if (!read_shown(&v))
            return false;
    }
    put_page(&v);
    return true;
}

/* ---- a digest: what a view beside it must come to ---- */

static bool add_to_digest(void *context, const struct tape_entry *entry) {
    struct views *v = context;
    int64_t latest;
    v->read++;
    if (entry->kind != TAPE_RECORD || entry->record.key.data == NULL || entry->record.value.data == NULL)
        return true;
    if (!history_latest(lens.history, v->topic, entry->record.key, v->partition, v->at[v->partition], &latest,
                        &v->err))
        return false;
    if (latest != entry->offset)
        return true;
    row_digest(entry->record.key, entry->record.value, v->digest);
    v->row_count++;
    return true;
}

static bool digest_part(struct views *v, int64_t until_us) {
    struct reader_bounds bounds;
    struct err e;
    int64_t next = 0;
    struct cluster_offset begin = {v->topic, v->partition, CLUSTER_FIRST, -1};
    if (!cluster_offsets(lens.cluster, &begin, 1, false, &e))
        return job_failed(v->job, NULL, &e);
    v->err = (struct err){0};
    v->digest[0] = v->digest[1] = 0;
    v->row_count = 0;
    for (next = begin.offset; next < v->at[v->partition];) {
        int64_t to = v->at[v->partition] - next > STRETCH ? next + STRETCH : v->at[v->partition], from = next;
        if (!reader_read(v->job->reader, v->topic, v->partition, from, to, add_to_digest, v, &bounds, &next,
                         &e))
            return job_failed(v->job, "topic", &e);
        if (v->err.kind != 0)
            return job_failed(v->job, NULL, &v->err);
        if (clock_mono_us() > until_us || job_is_abandoned(v->job))
            return job_problem(v->job, 413, "topic", "%s is too long to be read within %d s", v->topic,
                               DIGEST_MS / 1000);
    }
    return true;
}

bool digest_run(struct job *j) {
    struct views v = {.job = j};
    struct json json = {.out = &j->body};
    int64_t since_us = clock_mono_us(), until_us = since_us + DIGEST_MS * INT64_C(1000);
    if (!job_topic(j, &v.topic, &v.partitions) || !find_moment(&v) || !catch_up(&v, DIGEST_MS / 2))
        return false;
    if (v.left > 0)
        return job_problem(j, 413, "topic", "%s is too long to be read within %d s", v.topic,
                           DIGEST_MS / 1000);
    json_begin_object(&json);
    json_key(&json, "topic"), json_put_string(&json, slice_of(v.topic));
    put_vector(&v, &json, "at", v.at);
    json_key(&json, "partitions"), json_begin_array(&json);
    v.read = 0;
    for (v.partition = 0; v.partition < v.partitions; v.partition++) {
        char digest[33];
        if (!digest_part(&v, until_us))
            return false;
        snprintf(digest, sizeof digest, "%016" PRIx64 "%016" PRIx64, v.digest[0], v.digest[1]);
        json_begin_object(&json);
        json_key(&json, "partition"), json_put_int(&json, v.partition);
        json_key(&json, "position"), json_put_int(&json, v.at[v.partition]);
        json_key(&json, "rows"), json_put_int(&json, v.row_count);
        json_key(&json, "digest"), json_put_string(&json, slice_of(digest));
        json_end_object(&json);
    }
    json_end_array(&json);
    json_key(&json, "read"), json_put_int(&json, v.read);
    json_key(&json, "ms"), json_put_int(&json, (clock_mono_us() - since_us) / 1000);
    json_end_object(&json);
    return true;
}
