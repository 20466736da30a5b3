#include "ratings.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "feeds/feed.h"
#include "http/body.h"
#include "ratings_rules.h"
#include "ratings_simulation.h"
#include "service/service.h"

#include <inttypes.h>
#include <stdlib.h>

enum { PAGE = 500, PAGE_MAX = 1000, CHUNK = 256, CURSOR_MAX = 300, SEARCH_MAX = 200 };

/* ---- rating ---- */

/* A rating has no id: whoever repeats one after a 503 may count twice. */
static enum http_result post_rating(struct http_exchange *x, void *context) {
    struct instance *i = context;
    struct raw_rating r;
    if (!http_body_int64(x, "movieId", &r.movie_id) ||
        !http_body_tenths(x, "rating", 0, RATING_MAX_TENTHS, &r.rating_tenths))
        return HTTP_DONE;
    http_deadline(x, INSTANCE_ANSWER_MS);
    struct slice key = arena_printf(http_arena(x), "%" PRId64, r.movie_id);
    enum publish published = instance_publish(i, x, &topic_raw_ratings, key, &r);
    if (published == PUBLISH_FAILED || http_timed_out(x))
        return instance_unavailable(x, "no answer in time: nobody knows whether the rating counts");
    if (published == PUBLISH_PENDING)
        return HTTP_WAIT;
    _cleanup_(buf_free) struct buf json = {0};
    struct json j = {.out = &json};
    json_begin_object(&j);
    json_key(&j, "movieId"), json_put_int(&j, r.movie_id);
    json_key(&j, "rating");
    json_put_raw(&j, arena_printf(http_arena(x), "%d.%d", r.rating_tenths / 10, r.rating_tenths % 10));
    json_end_object(&j);
    return http_reply_json(x, 202, buf_slice(&json));
}

/* ---- one movie ---- */

/* As it is with what the client has rated before; the other tables are of the same stream. On false the
 * exchange is answered or waits, as *result says. */
static bool find_movie(struct instance *i, struct http_exchange *x, struct event *row,
                       enum http_result *result) {
    struct slice id;
    *result = HTTP_DONE;
    return http_path_id(x, "id", &id) &&
           instance_fresh_row(i, x, &ratings_movie_table, id, "movie", row, result);
}

/* Title and year are the movie's; count and sum are those of the totals, which the distribution goes with. */
static enum http_result get_movie(struct http_exchange *x, void *context) {
    struct instance *i = context;
    enum http_result result;
    struct event row, totals;
    if (!find_movie(i, x, &row, &result))
        return result;
    if (!instance_row(i, x, &ratings_totals_table, row.key, &totals))
        return HTTP_DONE;
    static const struct rating_totals none;
    const struct rating_totals *t = totals.value == NULL ? &none : totals.value;
    struct rated_movie m = *(const struct rated_movie *)row.value;
    m.rating_count = t->rating_count;
    m.rating_sum_tenths = t->rating_sum_tenths;
    m.average_rating = rating_average(m.rating_count, m.rating_sum_tenths);
    _cleanup_(buf_free) struct buf json = {0};
    event_json(&rated_movie_type, &m, &json);
    json.size--; /* into the object */
    for (int n = 0; n < DISTRIBUTION_SIZE; n++)
        buf_printf(&json, "%s%" PRId64, n == 0 ? ",\"distribution\":[" : ",", totals_distribution(t, n));
    buf_append_slice(&json, SLICE("]}"));
    return http_reply_json(x, 200, buf_slice(&json));
}

static enum http_result get_history(struct http_exchange *x, void *context) {
    struct instance *i = context;
    enum http_result result;
    struct event row, history;
    if (!find_movie(i, x, &row, &result))
        return result;
    if (!instance_row(i, x, &ratings_history_table, row.key, &history))
        return HTTP_DONE;
    static const struct rating_history none = {.interval_ms = HISTORY_INTERVAL_MS};
    return instance_reply(x, 200, &rating_history_type, history.value == NULL ? &none : history.value);
}

/* ---- lists ---- */

struct query {
    enum movie_order order;
    int64_t limit;
    struct slice text; /* that titles contain; data NULL: any */
    struct buf after;  /* an index key, prefix included; empty: from the first */
    struct buf prefix;
};

static void query_free(struct query *q) {
    buf_free(&q->after);
    buf_free(&q->prefix);
}

/* As put_hex() writes them. */
static int lower_digit(char c) {
    return c >= 'A' && c <= 'F' ? -1 : hex_digit(c);
}

static bool from_hex(struct slice hex, struct buf *out) {
    if (hex.size == 0 || hex.size % 2 != 0 || hex.size > CURSOR_MAX)
        return false;
    for (size_t i = 0; i < hex.size; i += 2) {
        int high = lower_digit(hex.data[i]), low = lower_digit(hex.data[i + 1]);
        if (high < 0 || low < 0)
            return false;
        buf_append_byte(out, (uint8_t)(high << 4 | low));
    }
    return true;
}

static void put_hex(struct buf *out, struct slice s) {
    for (size_t i = 0; i < s.size; i++)
        buf_printf(out, "%02x", (unsigned char)s.data[i]);
}

static void put_percent(struct buf *out, struct slice s) {
    for (size_t i = 0; i < s.size; i++)
        buf_printf(out, "%%%02X", (unsigned char)s.data[i]);
}

static bool read_order(struct http_exchange *x, enum movie_order *order) {
    struct slice name;
    if (!http_query_string(x, "sort", &name))
        return false;
    for (int i = 0; i < MOVIE_ORDERS; i++)
        if (name.data == NULL || slice_equal(name, slice_of(movie_order_name((enum movie_order)i)))) {
            *order = (enum movie_order)i;
            return true;
        }
    http_reply_problem(x, 400, "sort", "must be rating, count, title or year");
    return false;
}

static bool read_query(struct http_exchange *x, struct query *q) {
    struct slice after;
    if (!read_order(x, &q->order) || !http_query_int64(x, "limit", 1, PAGE_MAX, PAGE, &q->limit) ||
        !http_query_string(x, "q", &q->text) || !http_query_string(x, "after", &after))
        return false;
    if (q->text.size > SEARCH_MAX) {
        http_reply_problem(x, 400, "q", "must be a string of at most %d bytes", SEARCH_MAX);
        return false;
    }
    movie_list_prefix(q->order, &q->prefix);
    if (after.data == NULL)
        return true;
    buf_append_slice(&q->after, buf_slice(&q->prefix));
    if (from_hex(after, &q->after))
        return true;
    http_reply_problem(x, 400, "after", "must be a cursor that an earlier page gave");
    return false;
}

struct entry {
    struct slice index_key, id;
    const struct rated_movie *movie;
};

/* A stretch of the index, and what of it is on the page. */
struct page {
    struct arena *arena;
    struct slice from;
    struct entry chunk[CHUNK];
    size_t in_chunk;
    struct entry *entries;
    size_t count, limit;
    bool more;
};

static bool take(void *context, struct slice index_key, struct slice id) {
    struct page *p = context;
    if (slice_equal(index_key, p->from))
        return true;
    p->chunk[p->in_chunk++] =
        (struct entry){.index_key = arena_copy(p->arena, index_key), .id = arena_copy(p->arena, id)};
    return p->in_chunk < CHUNK;
}

/* Goes along the index, a chunk at a time, until the page is full and one more was seen. On false the
 * exchange is answered. */
static bool fill(struct instance *i, struct http_exchange *x, const struct query *q, struct page *p) {
    p->from = q->after.size > 0 ? buf_slice(&q->after) : SLICE_NONE;
    do {
        p->in_chunk = 0;
        if (!instance_scan(i, x, &ratings_movie_table, buf_slice(&q->prefix), p->from, take, p))
            return false;
        for (size_t n = 0; n < p->in_chunk; n++) {
            struct entry *e = &p->chunk[n];
            struct event row;
            if (!instance_row(i, x, &ratings_movie_table, e->id, &row))
                return false;
            e->movie = row.value;
            if (e->movie == NULL || !title_matches(e->movie->title, q->text))
                continue;
            if (p->count == p->limit) {
                p->more = true;
                return true;
            }
            p->entries[p->count++] = *e;
        }
        p->from = p->in_chunk == 0 ? SLICE_NONE : p->chunk[p->in_chunk - 1].index_key;
    } while (p->in_chunk == CHUNK);
    return true;
}

static int by_key(const void *a, const void *b) {
    return slice_compare(((const struct entry *)a)->index_key, ((const struct entry *)b)->index_key);
}

/* Rows may have moved on since the index was read: what is shown is in the order of what is shown. */
static void sort_as_shown(struct page *p, enum movie_order order) {
    _cleanup_(buf_free) struct buf key = {0};
    for (size_t n = 0; n < p->count; n++) {
        buf_clear(&key);
        movie_list_key(order, p->entries[n].movie, &key);
        p->entries[n].index_key = arena_copy(p->arena, buf_slice(&key));
    }
    qsort(p->entries, p->count, sizeof *p->entries, by_key);
}

static void put_cursor(const struct query *q, struct slice last, struct json *j) {
    _cleanup_(buf_free) struct buf after = {0}, next = {0};
    if (last.data == NULL) {
        json_key(j, "next"), json_put_null(j);
        return;
    }
    put_hex(&after, (struct slice){last.data + q->prefix.size, last.size - q->prefix.size});
    buf_printf(&next, "/v1/movies?sort=%s&limit=%" PRId64 "&after=" SLICE_FMT, movie_order_name(q->order),
               q->limit, SLICE_ARG(buf_slice(&after)));
    if (q->text.size > 0) {
        buf_append_slice(&next, SLICE("&q="));
        put_percent(&next, q->text);
    }
    json_key(j, "next"), json_put_string(j, buf_slice(&next));
    json_key(j, "after"), json_put_string(j, buf_slice(&after));
}

static enum http_result list_movies(struct http_exchange *x, void *context) {
    struct instance *i = context;
    enum http_result result;
    _cleanup_(query_free) struct query q = {0};
    if (!read_query(x, &q))
        return HTTP_DONE;
    if (!instance_wait_fresh(i, x, &ratings_movie_table, &result))
        return result;
    struct page *p = arena_alloc(http_arena(x), sizeof *p);
    *p = (struct page){.arena = http_arena(x), .limit = (size_t)q.limit};
    p->entries = arena_alloc(p->arena, p->limit * sizeof *p->entries);
    if (!fill(i, x, &q, p))
        return HTTP_DONE;
    struct slice last = p->more ? p->entries[p->count - 1].index_key : SLICE_NONE;
    sort_as_shown(p, q.order);

    _cleanup_(buf_free) struct buf json = {0}, one = {0};
    struct json j = {.out = &json};
    json_begin_object(&j);
    json_key(&j, "movies"), json_begin_array(&j);
    for (size_t n = 0; n < p->count; n++) {
        buf_clear(&one);
        event_json(&rated_movie_type, p->entries[n].movie, &one);
        json_put_raw(&j, buf_slice(&one));
    }
    json_end_array(&j);
    put_cursor(&q, last, &j);
    json_end_object(&j);
    return http_reply_json(x, 200, buf_slice(&json));
}

/* ---- the simulation, and how far the views are ---- */

static enum http_result get_simulation(struct http_exchange *x, void *context) {
    (void)context;
    struct simulation_state s = simulation_state();
    return http_reply_json(x, 200,
                           arena_printf(http_arena(x),
                                        "{\"rate\":%d,\"maxRate\":%d,\"sent\":%" PRId64 ",\"leaseMs\":%d}",
                                        s.rate, SIMULATION_RATE_MAX, s.sent, s.lease_ms));
}

struct movie_ids {
    int64_t ids[SIMULATION_MOVIES_MAX];
    size_t count;
};

static bool take_id(void *context, const struct event *row) {
    struct movie_ids *m = context;
    m->ids[m->count++] = ((const struct rated_movie *)row->value)->movie_id;
    return m->count < SIMULATION_MOVIES_MAX;
}

/* The smaller the id, the more popular: the best known come first in the legacy table. */
static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static enum http_result put_simulation(struct http_exchange *x, void *context) {
    struct instance *i = context;
    int32_t rate;
    if (!http_body_int32(x, "rate", &rate))
        return HTTP_DONE;
    if (rate < 0 || rate > SIMULATION_RATE_MAX)
        return http_reply_problem(x, 400, "rate", "must be a whole number from 0 to %d", SIMULATION_RATE_MAX);
    struct movie_ids *m = arena_alloc(http_arena(x), sizeof *m);
    m->count = 0;
    if (!instance_scan_rows(i, x, &ratings_movie_table, SLICE_NONE, take_id, m))
        return HTTP_DONE;
    qsort(m->ids, m->count, sizeof *m->ids, ascending);
    simulation_set(rate, m->ids, m->count);
    return get_simulation(x, context);
}

/* Answers also while the views hydrate, unlike the others. */
static enum http_result get_status(struct http_exchange *x, void *context) {
    _cleanup_(buf_free) struct buf json = {0};
    instance_progress(context, &json);
    return http_reply_json(x, 200, buf_slice(&json));
}

static enum http_result get_events(struct http_exchange *x, void *context) {
    return instance_feed(
        context, x,
        (const struct feed[]){{.table = &ratings_movie_table, .event = "movie"}, {.topic = NULL}});
}

const struct http_route ratings_routes[] = {
    {"POST", "/v1/ratings", post_rating},
    {"GET", "/v1/ratings/status", get_status},
    {"GET", "/v1/ratings/simulation", get_simulation},
    {"PUT", "/v1/ratings/simulation", put_simulation},
    {"GET", "/v1/movies", list_movies},
    {"GET", "/v1/movies/{id}", get_movie},
    {"GET", "/v1/movies/{id}/history", get_history},
    {"GET", "/v1/events/movies", get_events},
    {0},
};
