/* What people think of films, made up: whoever needs ratings that look like real ones draws them here. Plain
 * functions; `random` is the state of a generator, any number to begin with. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Which of `count` films, the most popular first: by Zipf's law. */
size_t taste_movie(uint64_t *random, size_t count);

/* A rating of 0 to 100 tenths. Each film has a quality of its own, around which its ratings lie. */
int32_t taste_tenths(uint64_t *random, int64_t movie_id);
