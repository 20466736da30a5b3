/* What the log says about ratings and movies, and whether count and sum are its fold (invariant 5). No I/O.
 * Topics may be told in any order; of one key the records come in the log's order. One thread. */
#pragma once

#include "audit_fold.h"

struct ratings_fold;

struct ratings_fold *ratings_fold_create(void);
void ratings_fold_destroy(struct ratings_fold *f); /* takes NULL */

/* Is this a rating that its reader has to take: the key is the id, the value in range? */
bool ratings_fold_accepts(struct slice key, const struct raw_rating *r);
/* Is this a row whose key is its id? */
bool ratings_fold_accepts_movie(struct slice key, const struct movie *row);

void ratings_fold_rating(struct ratings_fold *f, struct slice key, const struct raw_rating *r);
void ratings_fold_movie(struct ratings_fold *f, struct slice key,
                        const struct movie *row); /* NULL: deleted */
void ratings_fold_totals(struct ratings_fold *f, struct slice key, const struct rating_totals *t);
void ratings_fold_rated(struct ratings_fold *f, struct slice key,
                        const struct rated_movie *m); /* NULL: deleted */

/* Movies whose totals or row are not yet what the log of their ratings says; names some. */
uint64_t ratings_fold_in_flight(const struct ratings_fold *f, struct buf *names);

/* Invariant 5. While others write, count and sum must be those of some beginning of the ratings. */
void ratings_fold_judge(const struct ratings_fold *f, struct audit *a, bool quiescent);

/* ---- the views (7) ---- */

/* A row as HTTP shows it, in a list. `moving`: the log may have gone on since it was read. */
void ratings_fold_view(struct ratings_fold *f, struct audit *a, const struct rated_movie *m, bool moving);
/* The list's neighbours, as they follow each other by sort=rating. */
void ratings_fold_view_order(struct audit *a, const struct rated_movie *before,
                             const struct rated_movie *after);
void ratings_fold_view_end(struct ratings_fold *f, struct audit *a, bool moving);
/* One movie by itself, with its distribution of `n` numbers. */
void ratings_fold_view_one(struct ratings_fold *f, struct audit *a, const struct rated_movie *m,
                           const int64_t *distribution, size_t n, bool moving);

/* The movies that the view must have, by number, in no order; NULL behind the last. */
const char *ratings_fold_key(const struct ratings_fold *f, uint32_t n, bool *shown);
uint64_t ratings_fold_ratings(const struct ratings_fold *f);
