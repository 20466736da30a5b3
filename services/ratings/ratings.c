#include "ratings.h"

#include "base/cleanup.h"
#include "ratings_rules.h"
#include "stream/stream.h"
#include "transaction/step.h"

static void on_rating(struct step *s, const struct event *in);
static void on_movie(struct step *s, const struct event *in);
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

static void put_movie(struct step *s, struct rated_movie *m, const struct rating_totals *t) {
    m->rating_count = t->rating_count;
    m->rating_sum_tenths = t->rating_sum_tenths;
    m->average_rating = rating_average(t->rating_count, t->rating_sum_tenths);
    step_put(s, &ratings_rated_movies, SLICE_NONE, m);
}

static void add_to_history(struct step *s, struct rating_totals *t, int64_t timestamp) {
    struct rating_history h = {.interval_ms = HISTORY_INTERVAL_MS};
    step_get(s, &ratings_history, SLICE_NONE, &h);
    h = history_add(&h, t, timestamp, step_arena(s));
    t->next_point_at = timestamp + h.interval_ms;
    step_put(s, &ratings_history, SLICE_NONE, &h);
}

/* The rating of an unknown movie counts all the same: the totals wait for it. */
static void on_rating(struct step *s, const struct event *in) {
    const struct raw_rating *r = in->value;
    if (!key_is(in->key, r->movie_id)) {
        step_reject(s, "movieId: differs from the record's key");
        return;
    }
    if (r->rating_tenths < 0 || r->rating_tenths > RATING_MAX_TENTHS) {
        step_reject(s, "ratingTenths: %d is not within 0 and %d", r->rating_tenths, RATING_MAX_TENTHS);
        return;
    }
    struct rating_totals t = {0};
    step_get(s, &ratings_totals, SLICE_NONE, &t);
    totals_add(&t, r->rating_tenths);
    if (in->timestamp >= t.next_point_at)
        add_to_history(s, &t, in->timestamp);
    step_put(s, &ratings_totals, SLICE_NONE, &t);

    struct rated_movie m;
    if (step_get(s, &ratings_rated_movies, SLICE_NONE, &m))
        put_movie(s, &m, &t);
}

/* A movie that is deleted leaves its totals behind: should it return, they count again. */
static void on_movie(struct step *s, const struct event *in) {
    const struct movie *row = in->value;
    struct rated_movie m;
    if (row == NULL) {
        if (step_get(s, &ratings_rated_movies, SLICE_NONE, &m))
            step_delete(s, &ratings_rated_movies, SLICE_NONE);
        return;
    }
    if (!key_is(in->key, row->movie_id)) {
        step_reject(s, "movie_id: differs from the record's key");
        return;
    }
    struct rating_totals t = {0};
    step_get(s, &ratings_totals, SLICE_NONE, &t);
    m = (struct rated_movie){
        .movie_id = row->movie_id, .title = row->title, .release_year = row->release_year};
    put_movie(s, &m, &t);
}

static void index_movie(struct index *to, const struct event *row) {
    _cleanup_(buf_free) struct buf key = {0};
    for (int order = 0; order < MOVIE_ORDERS; order++) {
        buf_clear(&key);
        movie_list_key((enum movie_order)order, row->value, &key);
        index_key(to, buf_slice(&key));
    }
}
