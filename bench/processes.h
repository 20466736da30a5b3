/* The memory of the suite's services, from /proc. One thread. */
#pragma once

#include "base/json.h"

#include <sys/types.h>

struct process {
    char name[16];
    pid_t pid;
    int64_t rss_bytes, peak_bytes; /* now; the most so far */
};

enum { PROCESSES_MAX = 64 };

/* Processes that are called as one of `names` (NULL-terminated) and have KAFKA_BROKERS=`brokers` in their
 * environment, up to PROCESSES_MAX. Those of other users are not seen. */
size_t processes_find(const char *const *names, const char *brokers, struct process *out);

/* Starts the peaks anew, where the kernel lets us. */
void processes_reset_peaks(const struct process *p, size_t n);
