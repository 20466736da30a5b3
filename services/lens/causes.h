/* What follows from what: the header caused-by, "topic/partition/offset,…", and the order it gives. Pure. */
#pragma once

#include "base/slice.h"

struct cause {
    struct slice topic;
    int32_t partition;
    int64_t offset;
};

/* Takes the first one off `text`; `*text` is empty behind the last. False: that one is nonsense. */
bool cause_next(struct slice *text, struct cause *cause);

struct caused { /* a record */
    struct slice topic;
    int32_t partition;
    int64_t offset, timestamp; /* or when it was written, where that is known */
    struct slice causes;       /* its header; data NULL: none */
};

/* An order in which each record comes behind its causes and behind those before it in its partition; among
 * what is unrelated the earlier timestamp is first. Of a circle (anybody may write anything in a header) some
 * record is first. order[i] is the place in `records` of the i-th. */
void causal_order(const struct caused *records, size_t n, size_t *order);
