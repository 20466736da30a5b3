#include "shapes.h"

#include <math.h>
#include <stdlib.h>

static uint64_t state, noise_seed;

static uint64_t mix(uint64_t z) { /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void random_seed(uint64_t seed) {
    state = mix(seed + 1);
    noise_seed = mix(seed + 2);
}

static uint64_t random_next(void) {
    return mix(state += UINT64_C(0x9e3779b97f4a7c15));
}

double random_unit(void) {
    return (double)(random_next() >> 11) * 0x1p-53;
}

double random_between(double from, double to) {
    return from + (to - from) * random_unit();
}

struct vec random_place(double width, double height) {
    double x = random_between(-width / 2, width / 2); /* one after the other: C leaves the order open */
    return (struct vec){x, random_between(-height / 2, height / 2)};
}

size_t random_below(size_t n) {
    return (size_t)(random_unit() * (double)n);
}

double length(struct vec a) {
    return sqrt(dot(a, a));
}

struct vec unit(struct vec a) {
    double l = length(a);
    return l == 0 ? (struct vec){1, 0} : mul(a, 1 / l);
}

void *grow(void *items, size_t count, size_t size) {
    if ((count & (count - 1)) != 0) /* room for a power of two */
        return items;
    void *more = realloc(items, (count == 0 ? 1 : 2 * count) * size);
    if (more == NULL)
        abort();
    return more;
}

void line_add(struct line *l, struct vec p) {
    l->at = grow(l->at, l->count, sizeof *l->at);
    l->at[l->count++] = p;
}

void line_reverse(struct line *l) {
    for (size_t i = 0; i < l->count / 2; i++) {
        struct vec p = l->at[i];
        l->at[i] = l->at[l->count - 1 - i];
        l->at[l->count - 1 - i] = p;
    }
}

bool line_contains(const struct line *l, struct vec p) {
    bool inside = false;
    for (size_t i = 0, j = l->count - 1; i < l->count; j = i++) {
        struct vec a = l->at[i], b = l->at[j];
        if ((a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x)
            inside = !inside;
    }
    return inside;
}

double line_length(const struct line *l) {
    double sum = 0;
    for (size_t i = 0; i + 1 < l->count; i++)
        sum += distance(l->at[i], l->at[i + 1]);
    return sum;
}

static double lattice(int64_t x, int64_t y) {
    uint64_t h = mix(noise_seed ^ mix((uint64_t)x * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)y));
    return (double)(h >> 11) * 0x1p-52 - 1;
}

double noise(struct vec p, double size) {
    double x = p.x / size + 1000, y = p.y / size + 1000; /* positive */
    int64_t ix = (int64_t)x, iy = (int64_t)y;
    double fx = x - (double)ix, fy = y - (double)iy;
    double sx = fx * fx * (3 - 2 * fx), sy = fy * fy * (3 - 2 * fy);
    double top = lattice(ix, iy) * (1 - sx) + lattice(ix + 1, iy) * sx;
    double bottom = lattice(ix, iy + 1) * (1 - sx) + lattice(ix + 1, iy + 1) * sx;
    return top * (1 - sy) + bottom * sy;
}
