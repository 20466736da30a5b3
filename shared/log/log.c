#include "log/log.h"
#include "log/partitions.h"

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

bool record_well_formed(const struct log_record *r, int32_t partitions, struct err *e) {
    if (r->key.data == NULL || r->key.size == 0)
        return err_set(e, ERR_POISON, "no key");
    if (r->value.data == NULL && !r->topic->tombstones)
        return err_set(e, ERR_POISON, "a tombstone, in a topic that has none");
    int32_t home = partition_of(r->key, partitions);
    if (home != r->partition)
        return err_set(e, ERR_POISON, "key \"" SLICE_FMT "\" belongs to partition %d of %d (murmur2), not %d",
                       SLICE_ARG(r->key), home, partitions, r->partition);
    return true;
}
