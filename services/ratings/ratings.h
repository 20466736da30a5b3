/* ratings: adds up the ratings of each movie, whether or not it is known yet, and keeps the rated movies. */
#pragma once

#include "http/server.h"
#include "schemas/schemas.gen.h"
#include "topology/topology.h"

extern const struct topology ratings_topology;
extern const struct view ratings_totals;  /* by movie id: count, sum, distribution */
extern const struct view ratings_history; /* by movie id: how they came about */
extern const struct view
    ratings_rated_movies; /* by movie id: the movies that there are, with count and sum */

/* Hydrates what HTTP reads; each instance has all of it. */
extern const struct topology ratings_view_topology;
extern const struct table ratings_movie_table, ratings_totals_table, ratings_history_table;

extern const struct http_route ratings_routes[];
