/* How ratings add up, and who stands before whom. Plain functions of plain values, exact: integers only. */
#pragma once

#include "base/buf.h"
#include "schemas/schemas.gen.h"

enum { RATING_MAX_TENTHS = 100, DISTRIBUTION_SIZE = 10 };

/* A history has at most this many points; one more, and every second goes and the interval doubles. */
enum { HISTORY_POINTS_MAX = 128, HISTORY_INTERVAL_MS = 1000 };

/* A movie's key is its id in decimal, as Connect writes it: no sign but a minus, no zeros before it. */
bool movie_id_parse(struct slice key, int64_t *id);

/* Adds one rating of 0 to 100 tenths. */
void totals_add(struct rating_totals *t, int32_t tenths);

/* The number of ratings from n.0 up to the next whole number; 10.0 counts with the nines. */
int64_t totals_distribution(const struct rating_totals *t, int n);

/* In 0.0 … 10.0; the double next to the true value while the sum is below 2^53. 0.0 for no ratings. */
double rating_average(int64_t count, int64_t sum_tenths);

/* `t`, as it stands after a rating at `timestamp`, becomes a point. The result's points are in the arena. */
struct rating_history history_add(const struct rating_history *h, const struct rating_totals *t,
                                  int64_t timestamp, struct arena *a);

/* Index keys: byte strings that sort as the lists do, each with its list's name as a prefix. The id comes
 * last, so that each movie has its own place. */
enum movie_order { BY_RATING, BY_COUNT, BY_TITLE, BY_YEAR, MOVIE_ORDERS };
const char *movie_order_name(enum movie_order order); /* as in ?sort= */

/* Appends what all keys of a list begin with. */
void movie_list_prefix(enum movie_order order, struct buf *out);

/* Appends a movie's key in a list, prefix included. BY_RATING: higher averages first, compared as fractions
 * without rounding; then more ratings; then smaller ids; those nobody rated last. BY_COUNT: more ratings
 * first. BY_TITLE: as a reader would look for it, by ASCII letters of either case. BY_YEAR: the newest first.
 */
void movie_list_key(enum movie_order order, const struct rated_movie *m, struct buf *out);

/* Does the title contain the text? ASCII letters of either case are the same. */
bool title_matches(struct slice title, struct slice text);
