/* What each offset of a partition is. No offset is left out: what has no record is named. Pure; one thread.
 */
#pragma once

#include "fetch.h"

enum tape_kind {
    TAPE_RECORD,    /* what committed readers see */
    TAPE_MARKER,    /* the end of a transaction */
    TAPE_ABORTED,   /* a record that counts for nobody */
    TAPE_UNDECIDED, /* at or above the last stable offset: a transaction before it is still open */
    TAPE_COMPACTED, /* it was there, and a newer record of its key is enough */
};

struct tape_entry {
    enum tape_kind kind;
    int64_t offset;
    int64_t timestamp; /* not of what was compacted */
    int64_t producer;  /* -1: none */
    int16_t epoch;
    bool transactional;
    bool commits;               /* of a marker */
    struct batch_record record; /* of a record, aborted and undecided ones too */
};

/* False: no more. */
typedef bool tape_visit(void *context, const struct tape_entry *entry);

/* Reads what a compressed batch has, as far as it is wanted. The records live until the next call. */
typedef bool tape_unpack(void *context, const struct batch *b, struct batch_record **records, size_t *count,
                         struct err *e);

struct tape {
    int64_t next, to; /* where to go on; before what */
    bool stopped;     /* by the visitor */
    bool crowded;     /* others are in the answer too, so that nothing came for this partition says nothing */
    tape_visit *visit;
    tape_unpack *unpack;
    void *context;
};

/* Visits what an answer tells about [next, to), in order, and moves `next` behind it. The answer was fetched
 * from `next` on. Errors are those of `unpack`. */
WARN_UNUSED bool tape_take(struct tape *t, const struct fetch_part *part, bool committed, struct err *e);

const char *tape_kind_name(enum tape_kind kind);
