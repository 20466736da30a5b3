/* Measured times and their percentiles. One thread. */
#pragma once

#include "base/json.h"

struct samples { /* zero-initialise */
    int64_t *us;
    size_t count, capacity;
};

void samples_free(struct samples *s);
void samples_add(struct samples *s, int64_t us);

/* One line: name, p50, p90, p99, p99.9 and max in ms. Sorts. */
void samples_print(struct samples *s, const char *name);
/* The line over samples_print's columns. */
void samples_print_head(void);
/* {"p50": …, "p90": …, "p99": …, "p99.9": …, "max": …} in ms. Sorts. */
void samples_json(struct samples *s, struct json *j);
