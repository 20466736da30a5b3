#include "ratings_fold.h"

#include "base/cleanup.h"
#include "names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SPREAD = 10 };

struct film {
    uint8_t *tenths; /* of each rating, in the log's order */
    size_t count, capacity;
    int64_t totals_count, totals_sum;
    bool in_table, in_rated, has_totals, is_shown;
    struct slice title, rated_title; /* in the fold's arena; data NULL: none */
    struct optional_int year, rated_year;
    int64_t rated_count, rated_sum;
    double rated_average;
};

struct ratings_fold {
    struct names keys;
    struct film *films;
    uint32_t capacity;
    uint64_t ratings;
    struct arena texts;
};

struct ratings_fold *ratings_fold_create(void) {
    return xcalloc(1, sizeof(struct ratings_fold));
}

void ratings_fold_destroy(struct ratings_fold *f) {
    if (f == NULL)
        return;
    for (uint32_t i = 0; i < f->keys.count; i++)
        free(f->films[i].tenths);
    free(f->films);
    names_free(&f->keys);
    arena_free(&f->texts);
    free(f);
}

static struct film *film_of(struct ratings_fold *f, struct slice key) {
    uint32_t n = names_add(&f->keys, key);
    if (n >= f->capacity) {
        uint32_t capacity = f->capacity * 2 + 64;
        f->films = xrealloc(f->films, capacity * sizeof *f->films);
        memset(f->films + f->capacity, 0, (capacity - f->capacity) * sizeof *f->films);
        f->capacity = capacity;
    }
    return &f->films[n];
}

static bool is_key_of(struct slice key, int64_t id) {
    char text[24];
    return slice_equal(key, (struct slice){text, (size_t)snprintf(text, sizeof text, "%" PRId64, id)});
}

bool ratings_fold_accepts(struct slice key, const struct raw_rating *r) {
    return is_key_of(key, r->movie_id) && r->rating_tenths >= 0 && r->rating_tenths <= 100;
}

bool ratings_fold_accepts_movie(struct slice key, const struct movie *row) {
    return row == NULL || is_key_of(key, row->movie_id);
}

/* Copied only where it is another text than before. */
static void keep(struct ratings_fold *f, struct slice *kept, struct slice text) {
    if (text.data == NULL || kept->data == NULL || !slice_equal(*kept, text))
        *kept = text.data == NULL ? SLICE_NONE : arena_copy(&f->texts, text);
}

void ratings_fold_rating(struct ratings_fold *f, struct slice key, const struct raw_rating *r) {
    struct film *film = film_of(f, key);
    if (film->count == film->capacity)
        film->tenths = xrealloc(film->tenths, film->capacity = film->capacity * 2 + 16);
    film->tenths[film->count++] = (uint8_t)r->rating_tenths;
    f->ratings++;
}

void ratings_fold_movie(struct ratings_fold *f, struct slice key, const struct movie *row) {
    struct film *film = film_of(f, key);
    film->in_table = row != NULL;
    if (row == NULL)
        return;
    keep(f, &film->title, row->title);
    film->year = row->release_year;
}

void ratings_fold_totals(struct ratings_fold *f, struct slice key, const struct rating_totals *t) {
    struct film *film = film_of(f, key);
    film->has_totals = t != NULL;
    film->totals_count = t == NULL ? 0 : t->rating_count;
    film->totals_sum = t == NULL ? 0 : t->rating_sum_tenths;
}

void ratings_fold_rated(struct ratings_fold *f, struct slice key, const struct rated_movie *m) {
    struct film *film = film_of(f, key);
    film->in_rated = m != NULL;
    if (m == NULL)
        return;
    keep(f, &film->rated_title, m->title);
    film->rated_year = m->release_year;
    film->rated_count = m->rating_count;
    film->rated_sum = m->rating_sum_tenths;
    film->rated_average = m->average_rating;
}

/* ---- judgement ---- */

/* The sum of the first `count` ratings; -1: there are not as many. */
static int64_t sum_of(const struct film *film, int64_t count) {
    int64_t sum = 0;
    if (count < 0 || (uint64_t)count > film->count)
        return -1;
    for (int64_t i = 0; i < count; i++)
        sum += film->tenths[i];
    return sum;
}

static bool same_year(struct optional_int a, struct optional_int b) {
    return a.present == b.present && (!a.present || a.value == b.value);
}

static bool same_text(struct slice a, struct slice b) {
    return a.data == NULL || b.data == NULL ? a.data == b.data : slice_equal(a, b);
}

static bool in_flight(const struct film *film) {
    if ((uint64_t)film->totals_count != film->count || film->in_rated != film->in_table)
        return true;
    return film->in_rated &&
           ((uint64_t)film->rated_count != film->count || !same_text(film->title, film->rated_title) ||
            !same_year(film->year, film->rated_year));
}

uint64_t ratings_fold_in_flight(const struct ratings_fold *f, struct buf *names) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < f->keys.count; i++)
        if (in_flight(&f->films[i]) && ++n <= AUDIT_EXAMPLES && names != NULL)
            buf_printf(names, "%smovie %s", names->size > 0 ? ", " : "", names_text(&f->keys, i));
    return n;
}

static bool average_is(double average, int64_t count, int64_t sum) {
    double wanted = count == 0 ? 0 : (double)sum / (double)count / 10;
    return average >= wanted - 1e-9 && average <= wanted + 1e-9;
}

static void judge_film(const struct film *film, const char *key, struct audit *a, bool quiescent) {
    if (film->has_totals && sum_of(film, film->totals_count) != film->totals_sum)
        audit_violation(a, AUDIT_RATINGS,
                        "movie %s: %s has count %" PRId64 ", sum %" PRId64
                        "; of %zu ratings as many give %" PRId64,
                        key, topic_rating_totals.name, film->totals_count, film->totals_sum, film->count,
                        sum_of(film, film->totals_count));
    if (film->in_rated && sum_of(film, film->rated_count) != film->rated_sum)
        audit_violation(a, AUDIT_RATINGS,
                        "movie %s: %s has count %" PRId64 ", sum %" PRId64
                        "; of %zu ratings as many give %" PRId64,
                        key, topic_rated_movies.name, film->rated_count, film->rated_sum, film->count,
                        sum_of(film, film->rated_count));
    else if (film->in_rated && !average_is(film->rated_average, film->rated_count, film->rated_sum))
        audit_violation(a, AUDIT_RATINGS, "movie %s: averageRating is %g for count %" PRId64 ", sum %" PRId64,
                        key, film->rated_average, film->rated_count, film->rated_sum);
    if (quiescent && in_flight(film))
        audit_violation(a, AUDIT_RATINGS,
                        "movie %s: %zu ratings in the log, %" PRId64 " in %s, %" PRId64
                        " in %s; %s in the legacy table, %s in %s",
                        key, film->count, film->totals_count, topic_rating_totals.name,
                        film->in_rated ? film->rated_count : 0, topic_rated_movies.name,
                        film->in_table ? "it is" : "it is not", film->in_rated ? "it is" : "it is not",
                        topic_rated_movies.name);
}

void ratings_fold_judge(const struct ratings_fold *f, struct audit *a, bool quiescent) {
    for (uint32_t i = 0; i < f->keys.count; i++)
        judge_film(&f->films[i], names_text(&f->keys, i), a, quiescent);
    audit_checked(a, AUDIT_RATINGS, f->keys.count);
}

/* ---- views ---- */

static struct film *shown_film(struct ratings_fold *f, int64_t id) {
    char key[24];
    return film_of(f, (struct slice){key, (size_t)snprintf(key, sizeof key, "%" PRId64, id)});
}

void ratings_fold_view(struct ratings_fold *f, struct audit *a, const struct rated_movie *m, bool moving) {
    struct film *film = shown_film(f, m->movie_id);
    const char *why = NULL;
    if (film->is_shown && !moving)
        why = "is shown twice";
    else if (!average_is(m->average_rating, m->rating_count, m->rating_sum_tenths))
        why = "has an average that its count and sum do not give";
    else if (!moving && (!film->in_rated || !same_text(film->rated_title, m->title) ||
                         !same_year(film->rated_year, m->release_year)))
        why = "is another movie in the log, or none";
    else if (moving ? m->rating_count < film->rated_count
                    : m->rating_count != film->rated_count || m->rating_sum_tenths != film->rated_sum)
        why = "has another count or sum in the log";
    film->is_shown = true;
    audit_checked(a, AUDIT_VIEWS, 1);
    if (why != NULL)
        audit_violation(a, AUDIT_VIEWS, "/v1/movies: %" PRId64 " (count %" PRId64 ", sum %" PRId64 ") %s",
                        m->movie_id, m->rating_count, m->rating_sum_tenths, why);
}

void ratings_fold_view_order(struct audit *a, const struct rated_movie *before,
                             const struct rated_movie *after) {
    __extension__ typedef __int128 wide;
    int64_t n = before->rating_count, m = after->rating_count;
    wide left = (wide)before->rating_sum_tenths * m, right = (wide)after->rating_sum_tenths * n;
    bool right_order = n == 0
                           ? m == 0 && before->movie_id < after->movie_id
                           : m == 0 || left > right ||
                                 (left == right && (n > m || (n == m && before->movie_id < after->movie_id)));
    if (!right_order)
        audit_violation(a, AUDIT_VIEWS,
                        "/v1/movies?sort=rating: %" PRId64 " stands before %" PRId64 ", and is rated lower",
                        before->movie_id, after->movie_id);
}

void ratings_fold_view_end(struct ratings_fold *f, struct audit *a, bool moving) {
    for (uint32_t i = 0; i < f->keys.count && !moving; i++)
        if (f->films[i].in_rated && !f->films[i].is_shown)
            audit_violation(a, AUDIT_VIEWS, "/v1/movies: %s is missing", names_text(&f->keys, i));
}

void ratings_fold_view_one(struct ratings_fold *f, struct audit *a, const struct rated_movie *m,
                           const int64_t *distribution, size_t n, bool moving) {
    const struct film *film = shown_film(f, m->movie_id);
    int64_t wanted[SPREAD] = {0}, shown = 0;
    for (size_t i = 0; i < film->count; i++)
        wanted[film->tenths[i] == 100 ? SPREAD - 1 : film->tenths[i] / 10]++;
    for (size_t i = 0; i < n; i++)
        shown += distribution[i];
    bool same = n == SPREAD && shown == m->rating_count &&
                (moving || memcmp(distribution, wanted, sizeof wanted) == 0) &&
                (moving || ((uint64_t)m->rating_count == film->count &&
                            m->rating_sum_tenths == sum_of(film, m->rating_count)));
    audit_checked(a, AUDIT_VIEWS, 1);
    if (!same)
        audit_violation(a, AUDIT_VIEWS,
                        "/v1/movies/%" PRId64 ": count %" PRId64 ", sum %" PRId64
                        " or the distribution is not what %zu ratings give",
                        m->movie_id, m->rating_count, m->rating_sum_tenths, film->count);
}

const char *ratings_fold_key(const struct ratings_fold *f, uint32_t n, bool *shown) {
    if (n >= f->keys.count)
        return NULL;
    *shown = f->films[n].in_rated;
    return names_text(&f->keys, n);
}

uint64_t ratings_fold_ratings(const struct ratings_fold *f) {
    return f->ratings;
}
