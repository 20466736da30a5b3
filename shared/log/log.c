#include "log/log.h"

#include <stdio.h>

void log_moved_text(const struct log_record *r, char *text, size_t size) {
    const char *topic = r->topic->name;
    long long offset = r->offset, was = r->was;
    if (offset > was)
        snprintf(text, size,
                 "%s/%d: what came from %lld on is deleted; going on from %lld, where it begins now", topic,
                 r->partition, was, offset);
    else
        snprintf(text, size, "%s/%d: it was read up to %lld and ends at %lld; going on from there", topic,
                 r->partition, was, offset);
}
