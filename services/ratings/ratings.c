#include "ratings.h"

#include "base/cleanup.h"
#include "ratings_rules.h"
#include "stream/stream.h"
#include "transaction/txn.h"

static void on_rating(struct txn *txn, const struct event *in);
static void on_movie(struct txn *txn, const struct event *in);
static void index_movie(struct index *to, const struct event *row);

const struct view ratings_totals = {.name = "totals", .changelog = &topic_rating_totals};
const struct view ratings_history = {.name = "history", .changelog = &topic_rating_history};
const struct view ratings_rated_movies = {.name = "rated-movies", .changelog = &topic_rated_movies};

/* Ratings and movies are keyed by movie id: one task sees both, and count and sum are one state. */
const struct topology ratings_topology = {
    .name = "ratings",
    .sources =
        (const struct source[]){
            {.topic = &topic_raw_ratings, .handle = on_rating},
            {.topic = &topic_movies, .handle = on_movie},
            {.topic = &topic_rated_movies},
            {0},
        },
    .views = (const struct view *const[]){&ratings_totals, &ratings_history, &ratings_rated_movies, NULL},
    .dead_letters = &topic_dead_letters,
};

const struct table ratings_movie_table = {
    .name = "movies", .topic = &topic_rated_movies, .index = index_movie};
const struct table ratings_totals_table = {.name = "totals", .topic = &topic_rating_totals};
const struct table ratings_history_table = {.name = "history", .topic = &topic_rating_history};

const struct topology ratings_view_topology = {
    .name = "ratings-view",
    .tables = (const struct table *const[]){&ratings_movie_table, &ratings_totals_table,
                                            &ratings_history_table, NULL},
};

static bool key_is(struct slice key, int64_t movie_id) {
    int64_t id;
    return movie_id_parse(key, &id) && id == movie_id;
}

static void put_movie(struct txn *txn, struct rated_movie *m, const struct rating_totals *t) {
    m->rating_count = t->rating_count;
    m->rating_sum_tenths = t->rating_sum_tenths;
    m->average_rating = rating_average(t->rating_count, t->rating_sum_tenths);
    txn_put(txn, &ratings_rated_movies, SLICE_NONE, m);
}

static void add_to_history(struct txn *txn, struct rating_totals *t, int64_t timestamp) {
    struct rating_history h = {.interval_ms = HISTORY_INTERVAL_MS};
    txn_get(txn, &ratings_history, SLICE_NONE, &h);
    h = history_add(&h, t, timestamp, txn_arena(txn));
    t->next_point_at = timestamp + h.interval_ms;
    txn_put(txn, &ratings_history, SLICE_NONE, &h);
}

/* The rating of an unknown movie counts all the same: the totals wait for it. */
static void on_rating(struct txn *txn, const struct event *in) {
    const struct raw_rating *r = in->value;
    if (!key_is(in->key, r->movie_id)) {
        txn_reject(txn, "movieId: differs from the record's key");
        return;
    }
    if (r->rating_tenths < 0 || r->rating_tenths > RATING_MAX_TENTHS) {
        txn_reject(txn, "ratingTenths: %d is not within 0 and %d", r->rating_tenths, RATING_MAX_TENTHS);
        return;
    }
    struct rating_totals t = {0};
    txn_get(txn, &ratings_totals, SLICE_NONE, &t);
    totals_add(&t, r->rating_tenths);
    if (in->timestamp >= t.next_point_at)
        add_to_history(txn, &t, in->timestamp);
    txn_put(txn, &ratings_totals, SLICE_NONE, &t);

    struct rated_movie m;
    if (txn_get(txn, &ratings_rated_movies, SLICE_NONE, &m))
        put_movie(txn, &m, &t);
}

/* A movie that is deleted leaves its totals behind: should it return, they count again. */
static void on_movie(struct txn *txn, const struct event *in) {
    const struct movie *row = in->value;
    struct rated_movie m;
    if (row == NULL) {
        if (txn_get(txn, &ratings_rated_movies, SLICE_NONE, &m))
            txn_delete(txn, &ratings_rated_movies, SLICE_NONE);
        return;
    }
    if (!key_is(in->key, row->movie_id)) {
        txn_reject(txn, "movie_id: differs from the record's key");
        return;
    }
    struct rating_totals t = {0};
    txn_get(txn, &ratings_totals, SLICE_NONE, &t);
    m = (struct rated_movie){
        .movie_id = row->movie_id, .title = row->title, .release_year = row->release_year};
    put_movie(txn, &m, &t);
}

static void index_movie(struct index *to, const struct event *row) {
    _cleanup_(buf_free) struct buf key = {0};
    for (int order = 0; order < MOVIE_ORDERS; order++) {
        buf_clear(&key);
        movie_list_key((enum movie_order)order, row->value, &key);
        index_key(to, buf_slice(&key));
    }
}
