/* Vectors, lines and chance: what a plan (plan.h) is made of. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vec {
    double x, y;
};

static inline struct vec add(struct vec a, struct vec b) {
    return (struct vec){a.x + b.x, a.y + b.y};
}
static inline struct vec sub(struct vec a, struct vec b) {
    return (struct vec){a.x - b.x, a.y - b.y};
}
static inline struct vec mul(struct vec a, double k) {
    return (struct vec){a.x * k, a.y * k};
}
static inline double dot(struct vec a, struct vec b) {
    return a.x * b.x + a.y * b.y;
}
static inline double cross(struct vec a, struct vec b) {
    return a.x * b.y - a.y * b.x;
}
/* A quarter turn to the left. */
static inline struct vec left(struct vec a) {
    return (struct vec){-a.y, a.x};
}
double length(struct vec a);
static inline double distance(struct vec a, struct vec b) {
    return length(sub(a, b));
}
struct vec unit(struct vec a);

struct line { /* zero-initialise */
    struct vec *at;
    size_t count, capacity;
};
void line_add(struct line *l, struct vec p);
void line_reverse(struct line *l);
double line_length(const struct line *l);
bool line_contains(const struct line *closed, struct vec p);

/* A list of anything: `items` gets room for one more of `size` bytes at `count`. */
void *grow(void *items, size_t count, size_t size);

/* Of the seed and nothing else. */
void random_seed(uint64_t seed);
double random_unit(void); /* [0, 1) */
double random_between(double from, double to);
size_t random_below(size_t n);
struct vec random_place(double width, double height); /* around (0, 0) */
/* Smooth, between -1 and 1; `size`: how far apart its hills are. */
double noise(struct vec p, double size);
