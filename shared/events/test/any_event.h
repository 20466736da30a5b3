/* For tests: values of any record type, made and compared by its description. */
#pragma once

#include "events/event.h"

struct random {
    uint64_t state; /* the seed; never 0 */
};

uint64_t random_next(struct random *r);

/* A random struct of `type` in `arena`: every symbol, null and not, empty and long, the largest numbers. */
void *any_event(struct random *r, const struct event_type *type, struct arena *arena);

bool any_event_equal(const struct event_type *type, const void *a, const void *b);
