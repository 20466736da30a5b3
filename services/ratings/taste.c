#include "taste.h"

#include <math.h>

static uint64_t mix(uint64_t x) { /* splitmix64 */
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static double unit(uint64_t x) { /* from 0 to below 1 */
    return (double)(x >> 11) * 0x1p-53;
}

static double draw(uint64_t *random) {
    return unit(mix(*random += UINT64_C(0x9e3779b97f4a7c15)));
}

/* Rank r has the weight ln((r + 1) / r), nearly 1 / r, because then its inverse is this simple. */
size_t taste_movie(uint64_t *random, size_t count) {
    size_t n = (size_t)(pow((double)count + 1, draw(random)) - 1);
    return n < count ? n : count - 1;
}

int32_t taste_tenths(uint64_t *random, int64_t movie_id) {
    double quality = 35 + 55 * unit(mix((uint64_t)movie_id + UINT64_C(0x9e3779b97f4a7c15)));
    double spread = draw(random) + draw(random) + draw(random) - 1.5; /* nearly normal */
    int32_t tenths = (int32_t)lround(quality + spread * 28);
    return tenths < 0 ? 0 : tenths > 100 ? 100 : tenths;
}
