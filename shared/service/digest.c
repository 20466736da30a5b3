/* What a view comes to, to be compared with a copy of it that was made from the log: /digest/{topic}. */
#include "service/health.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "instance/inside.h"

#include <inttypes.h>
#include <stdio.h>

enum { ROWS_A_RUN = 4000, TRIES = 20, ANSWER_MS = 15000 };

/* An exchange's; partitions one after the other. */
struct walk {
    struct stream *stream; /* NULL: not found yet */
    int32_t partition;     /* that is added up now */
    struct stream_digest digest;
    struct buf body; /* of those before */
    bool some;
};

static void walk_end(void *state) {
    struct walk *w = state;
    buf_free(&w->digest.next);
    buf_free(&w->body);
}

/* The stream with a view over the topic; NULL: none. */
static struct stream *find_stream(struct instance *i, struct slice topic) {
    for (size_t k = 0; k < i->worker_count; k++) {
        struct stream *s = atomic_load(&i->workers[k].stream);
        struct stream_place at;
        for (size_t n = 0; s != NULL && stream_place(s, n, &at); n++)
            if (strcmp(at.what, "view") == 0 && slice_equal(slice_of(at.topic), topic))
                return s;
    }
    return NULL;
}

/* The next partition from `from` on that is here; -1: none. */
static int32_t next_partition(struct stream *s, struct slice topic, int32_t from) {
    struct stream_place at;
    int32_t next = -1;
    for (size_t n = 0; stream_place(s, n, &at); n++)
        if (strcmp(at.what, "view") == 0 && slice_equal(slice_of(at.topic), topic) && at.position >= 0 &&
            at.partition >= from && (next < 0 || at.partition < next))
            next = at.partition;
    return next;
}

static void put_partition(struct walk *w) {
    struct json j = {.out = &w->body, .comma = w->some};
    char digest[33];
    snprintf(digest, sizeof digest, "%016" PRIx64 "%016" PRIx64, w->digest.sum[0], w->digest.sum[1]);
    json_begin_object(&j);
    json_key(&j, "partition"), json_put_int(&j, w->digest.partition);
    json_key(&j, "position"), json_put_int(&j, w->digest.position < 0 ? 0 : w->digest.position);
    json_key(&j, "rows"), json_put_int(&j, w->digest.rows);
    json_key(&j, "digest"), json_put_string(&j, slice_of(digest));
    json_end_object(&j);
    w->some = true;
}

static enum http_result answer(struct http_exchange *x, const struct walk *w) {
    _cleanup_(buf_free) struct buf body = {0};
    buf_printf(&body, "{\"partitions\":[" SLICE_FMT "]}", SLICE_ARG(buf_slice(&w->body)));
    return http_reply_json(x, 200, buf_slice(&body));
}

/* A part in each run, so that others are served meanwhile. */
static enum http_result get_digest(struct http_exchange *x, void *context) {
    static const char owner;
    struct instance *i = context;
    struct walk *w = http_state(x, &owner, sizeof *w, walk_end);
    struct slice topic = http_path_string(x, "topic");
    char name[256], key[32];
    struct err e;
    if (w->stream == NULL) {
        w->stream = find_stream(i, topic);
        if (w->stream == NULL || topic.size >= sizeof name)
            return http_reply_problem(x, 404, "topic", "%s has no view over " SLICE_FMT, i->name,
                                      SLICE_ARG(topic));
        w->partition = -1;
    }
    http_deadline(x, ANSWER_MS);
    if (w->partition < 0 || w->digest.done) {
        if (w->partition >= 0)
            put_partition(w);
        w->partition = next_partition(w->stream, topic, w->partition + 1);
        if (w->partition < 0)
            return answer(x, w);
        struct buf next = w->digest.next;
        buf_clear(&next);
        w->digest = (struct stream_digest){.partition = w->partition, .next = next};
    }
    snprintf(name, sizeof name, SLICE_FMT, SLICE_ARG(topic));
    if (!stream_digest(w->stream, name, ROWS_A_RUN, &w->digest, &e) || w->digest.tries > TRIES ||
        http_timed_out(x))
        return instance_unavailable(x,
                                    w->digest.tries > TRIES ? "it changes too quickly" : "it is not at rest");
    struct slice address = instance_address_key(key, sizeof key, 'd', w);
    http_watch(x, address);
    instance_wake(i, address);
    return HTTP_WAIT;
}

const struct http_route digest_routes[] = {{"GET", "/digest/{topic}", get_digest}, {0}};
