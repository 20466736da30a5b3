#include "samples.h"

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    double rank;
} columns[] = {{"p50", 0.50}, {"p90", 0.90}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};
enum { COLUMNS = sizeof columns / sizeof *columns };

void samples_free(struct samples *s) {
    free(s->us);
    *s = (struct samples){0};
}

void samples_add(struct samples *s, int64_t us) {
    if (s->count == s->capacity) {
        s->capacity = s->capacity * 2 + 1024;
        s->us = xrealloc(s->us, s->capacity * sizeof *s->us);
    }
    s->us[s->count++] = us;
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sort(struct samples *s) {
    if (s->count > 0)
        qsort(s->us, s->count, sizeof *s->us, compare);
}

/* The smallest time that at least this share of the samples did not exceed; NaN of none. */
static double at(const struct samples *s, double rank) {
    if (s->count == 0)
        return __builtin_nan("");
    double exact = rank * (double)s->count;
    size_t n = (size_t)exact;
    n += (double)n < exact;
    return (double)s->us[n == 0 ? 0 : n - 1] / 1000;
}

void samples_print_head(void) {
    printf("%-20s", "ms");
    for (int i = 0; i < COLUMNS; i++)
        printf("%10s", columns[i].name);
    printf("\n");
}

void samples_print(struct samples *s, const char *name) {
    sort(s);
    printf("%-20s", name);
    for (int i = 0; i < COLUMNS; i++)
        printf("%10.2f", at(s, columns[i].rank));
    printf("\n");
}

void samples_json(struct samples *s, struct json *j) {
    sort(s);
    json_begin_object(j);
    for (int i = 0; i < COLUMNS; i++)
        json_key(j, columns[i].name), json_put_double(j, at(s, columns[i].rank));
    json_end_object(j);
}
