/* Which of a worker's statuses are worth a line in the log: that it is well again, and until then each once.
 * What is tried over and over fails in turns, now for this topic, now for that. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOLD_MAX = 64 }; /* what was told before these may be told again */

struct told { /* zero-initialise */
    uint64_t hashes[TOLD_MAX];
    size_t count;
    uint64_t last;
};

/* Whether to log it. `well`: ready, and no trouble. */
bool is_news(struct told *t, bool well, const char *status);
