/* Gives each name a number: 0, 1, … in the order of arrival. There may be more than memory holds (spill.h).
 * One thread. */
#pragma once

#include "base/buf.h"
#include "spill.h"

struct names { /* zero-initialise */
    struct spill *texts, *places, *slots;
    size_t size; /* of texts */
    uint32_t count, slot_count;
};

#define NAMES_NONE UINT32_MAX

void names_free(struct names *n);

/* The number of `name`, a new one where it is new. Copies the name. */
uint32_t names_add(struct names *n, struct slice name);

/* NUL-terminated; as long as the names are. */
const char *names_text(const struct names *n, uint32_t number);

/* NAMES_NONE when there is no such name. */
uint32_t names_find(const struct names *n, struct slice name);
