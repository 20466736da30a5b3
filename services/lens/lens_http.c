#include "lens.h"

#include "base/clock.h"
#include "feeds/feed.h"
#include "http/events.h"
#include "schemas/schemas.gen.h"

#include <inttypes.h>

enum {
    PAGE = 100,
    PAGE_MAX = 1000,
    FOUND = 100,
    STORY = 300,
    TAIL_A_SECOND = 200,
    ROWS = 50,
    ROWS_MAX = 200,
    TELL_MS = 500
};

static bool query_place(struct http_exchange *x, const char *name, struct place *place, bool *has) {
    struct slice text;
    if (!http_query_string(x, name, &text))
        return false;
    *has = text.data != NULL;
    if (!*has || place_parse(text, place))
        return true;
    http_reply_problem(
        x, 400, name,
        "must be an offset, first, last, -n from the end, or a time (ISO 8601, or milliseconds since 1970)");
    return false;
}

static bool query_full(struct http_exchange *x, bool *full) {
    struct slice text;
    if (!http_query_string(x, "full", &text))
        return false;
    *full = slice_equal(text, SLICE("true"));
    if (text.data == NULL || *full || slice_equal(text, SLICE("false")))
        return true;
    http_reply_problem(x, 400, "full", "must be true or false");
    return false;
}

static enum http_result get_topics(struct http_exchange *x, void *context) {
    return job_answer(context, x, JOB_QUICK, topics_run, &(struct request){0});
}

static enum http_result get_groups(struct http_exchange *x, void *context) {
    return job_answer(context, x, JOB_QUICK, groups_run, &(struct request){0});
}

static enum http_result get_page(struct http_exchange *x, void *context) {
    struct request r = {.topic = http_path_string(x, "topic")};
    int64_t partition;
    if (!http_path_int64(x, "partition", 0, INT32_MAX, &partition) ||
        !query_place(x, "from", &r.from, &r.has_from) ||
        !http_query_int64(x, "limit", 1, PAGE_MAX, PAGE, &r.limit) || !query_full(x, &r.full))
        return HTTP_DONE;
    r.partition = (int32_t)partition;
    return job_answer(context, x, JOB_QUICK, page_run, &r);
}

static enum http_result get_key(struct http_exchange *x, void *context) {
    struct request r = {.key = http_path_string(x, "key")};
    if (!http_query_int64(x, "limit", 1, PAGE_MAX, STORY, &r.limit))
        return HTTP_DONE;
    return job_answer(context, x, JOB_QUICK, story_run, &r);
}

static enum http_result get_search(struct http_exchange *x, void *context) {
    struct request r = {0};
    int64_t partition;
    if (!http_query_string(x, "topic", &r.topic) || !http_query_string(x, "key", &r.key) ||
        !http_query_string(x, "value", &r.value) || !http_query_string(x, "header", &r.header) ||
        !http_query_string(x, "after", &r.after) || !query_place(x, "from", &r.from, &r.has_from) ||
        !query_place(x, "to", &r.to, &r.has_to) ||
        !http_query_int64(x, "partition", 0, INT32_MAX, -1, &partition) ||
        !http_query_int64(x, "limit", 1, PAGE_MAX, FOUND, &r.limit) || !query_full(x, &r.full))
        return HTTP_DONE;
    r.partition = (int32_t)partition;
    return job_answer(context, x, JOB_SLOW, search_run, &r);
}

static enum http_result get_view(struct http_exchange *x, void *context) {
    struct request r = {.topic = http_path_string(x, "topic")};
    struct slice changed;
    if (!http_query_string(x, "at", &r.at) || !http_query_string(x, "after", &r.after) ||
        !http_query_string(x, "key", &r.key) || !http_query_string(x, "changed", &changed) ||
        !http_query_int64(x, "limit", 1, ROWS_MAX, ROWS, &r.limit))
        return HTTP_DONE;
    r.changed = slice_equal(changed, SLICE("true"));
    if (changed.data != NULL && !r.changed && !slice_equal(changed, SLICE("false")))
        return http_reply_problem(x, 400, "changed", "must be true or false");
    return job_answer(context, x, JOB_SLOW, view_run, &r);
}

static enum http_result get_digest(struct http_exchange *x, void *context) {
    struct request r = {.topic = http_path_string(x, "topic")};
    if (!http_query_string(x, "at", &r.at))
        return HTTP_DONE;
    return job_answer(context, x, JOB_SLOW, digest_run, &r);
}

/* ---- the live tail: a feed of the log, of which a browser gets as much as it can show ---- */

struct follower {
    int32_t partition; /* -1: all */
    int64_t second_us, told_us;
    int64_t sent, left_out; /* in this second; not told of yet */
};

static enum feed_verdict sample(void *context, const struct feed_record *r) {
    struct follower *f = context;
    int64_t now = clock_mono_us();
    if (f->partition >= 0 && r->partition != f->partition)
        return FEED_SKIP;
    if (now - f->second_us >= 1000000) {
        f->second_us = now;
        f->sent = 0;
    }
    if (f->sent >= TAIL_A_SECOND) {
        f->left_out++;
        return FEED_SKIP;
    }
    f->sent++;
    return FEED_SEND;
}

static enum http_result follow(struct http_exchange *x, void *context) {
    static const char owner;
    struct follower *f = http_state(x, &owner, sizeof *f, NULL);
    struct slice name = http_path_string(x, "topic"), key;
    int64_t partition;
    if (!http_query_int64(x, "partition", 0, INT32_MAX, -1, &partition) || !http_query_string(x, "key", &key))
        return HTTP_DONE;
    const struct topic *topic = topic_find(topics, topics_count, name);
    if (topic == NULL)
        return http_reply_problem(x, 404, "topic",
                                  "no topic " SLICE_FMT " in the catalogue; GET /v1/log/topics has all",
                                  SLICE_ARG(name));
    f->partition = (int32_t)partition;
    struct feed feeds[] = {{.topic = topic, .select = sample, .key = key, .context = f}, {0}};
    enum http_result result = instance_feed(context, x, feeds);
    if (result == HTTP_WAIT && f->left_out > 0) {
        int64_t now = clock_mono_us();
        if (now - f->told_us >= TELL_MS * 1000) {
            struct buf *out = http_events(x);
            buf_printf(out, "event: left-out\ndata: {\"records\":%" PRId64 "}\n\n", f->left_out);
            f->told_us = now;
            f->left_out = 0;
        } else {
            http_events_pause(x, TELL_MS);
        }
    }
    return result;
}

const struct http_route lens_routes[] = {
    {"GET", "/v1/log/topics", get_topics},
    {"GET", "/v1/log/topics/{topic}/{partition}", get_page},
    {"GET", "/v1/log/keys/{key}", get_key},
    {"GET", "/v1/log/search", get_search},
    {"GET", "/v1/log/groups", get_groups},
    {"GET", "/v1/log/views/{topic}", get_view},
    {"GET", "/v1/log/views/{topic}/digest", get_digest},
    {"GET", "/v1/events/log/{topic}", follow},
    {0},
};
