/* Gives each name a number: 0, 1, … in the order of arrival. One thread. */
#pragma once

#include "base/buf.h"

struct names { /* zero-initialise */
    struct arena arena;
    const char **text; /* by number, NUL-terminated */
    uint32_t count, capacity;
    uint32_t *slots; /* number + 1, or 0: free; a power of two of them */
    uint32_t slot_count;
};

#define NAMES_NONE UINT32_MAX

void names_free(struct names *n);

/* The number of `name`, a new one where it is new. Copies the name. */
uint32_t names_add(struct names *n, struct slice name);

/* NAMES_NONE when there is no such name. */
uint32_t names_find(const struct names *n, struct slice name);
