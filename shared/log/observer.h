/* Who wants to know what becomes of each input: for traces, say. Nobody, as a rule, and then it costs
 * nothing. All is called on the thread of the stream or the delivery; nothing of it may block. */
#pragma once

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>

struct log_record;

/* An input that was handled, or turned out to be a bad record. The slices live until the callback returns. */
struct handled {
    const char *group; /* the topology's or the delivery's name */
    const struct log_record *record;
    struct slice traceparent, tracestate; /* its headers; data NULL: none, or no valid one */
    struct slice span;                    /* the traceparent of all that follows from it */
    const struct slice
        *links; /* the same of other inputs that it was joined with, as far as they are known */
    size_t link_count;
    bool
        followed; /* by records or changes of state; else it is over, and its offset is committed some time */
    const char *error; /* why it is a bad record, or was not delivered; NULL: all is well */
};

/* Who it is. */
struct observer {
    void *context;
    /* Whether the trace is recorded, by the header of the input (data NULL: the trace begins here) and the 32
     * hex digits of its id. The same each time. */
    bool (*samples)(void *context, struct slice traceparent, const char *trace_id);
    /* An input is about to be handled. */
    void (*begins)(void *context);
    /* It was, and its trace is recorded; in a transaction that is still open. */
    void (*handled)(void *context, const struct handled *h);
    /* The transaction was committed; or all that was handled in it was for nothing, and comes again. */
    void (*ended)(void *context, bool committed);
};
