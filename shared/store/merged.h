/* A scan of a store into which changes that are not in it yet are merged, in the order of keys: where both
 * have a key the change counts. */
#pragma once

#include "store/store.h"

/* Changes in the order of the scan, and who is told of what comes of it. */
struct merged {
    bool reverse;
    /* The next change, or NULL: there is none. What it points to lives up to the next call. */
    const struct store_change *(*next)(void *context);
    store_visit *visit;
    void *context, *visitor;           /* of these */
    const struct store_change *change; /* the one to come; merged_scan() sets it */
    bool stopped;                      /* by the visitor */
    bool part;                         /* these are not all changes: the scan ends with the last of them */
};

/* Scans what is below with the changes merged in; see store_scan(). */
WARN_UNUSED bool merged_scan(struct merged *m, struct store *below, struct slice prefix, struct slice from,
                             struct err *e);
