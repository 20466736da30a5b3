/* What a batch of inputs comes to, before it is committed: a transaction of Kafka and of the store, as its
 * topology's handlers make it. It is made once and used for one transaction after the other.
 *
 * txn.h is what a handler sees: `struct txn`, state by key, look-ups, new events. This header is the other
 * side, for the runtime (stream/), deliveries and the test driver: each input goes through its handler
 * (txn_run), which leaves changes of views and events, or nothing at all; then the runtime writes the events
 * (txn_emissions) and the changelogs (txn_changelogs), commits, applies the changes to the store
 * (txn_overlay), and clears.
 *
 * Below it: overlay.h, changes over a store that can be undone; keys.h, where things are in the store;
 * retention.h, rows that expire; table.h, rows of tables with their index; join.h, what is made of these. The
 * runtime owns the transaction, and a transaction all that it hands out, up to the next clear. Nothing here
 * does I/O but the store's and, for a schema that is not known yet, the registry's. One thread. */
#pragma once

#include "events/schemas.h"
#include "log/log.h"
#include "transaction/overlay.h"
#include "transaction/txn.h"

/* A record that is to be written. Lives until txn_clear. */
struct emission {
    const struct topic *topic;
    int32_t partition; /* -1: by key */
    int64_t timestamp;
    struct slice key, value; /* value.data NULL: tombstone */
    const struct log_header *headers;
    size_t header_count;
    const struct view *view; /* of a changelog record */
};

struct observer;
struct txn;
struct task_time;

struct txn *txn_create(const struct topology *t, struct schemas *schemas, struct store *store);
void txn_destroy(struct txn *txn);

/* From now on the observer's decision about a trace holds, and tracestate goes along with it. Without one the
 * input's decision does, and a trace that begins here is sampled. */
void txn_observe(struct txn *txn, const struct observer *o);

/* The tracestate of the input to come; data NULL: none. Only where there is an observer. */
void txn_tracestate(struct txn *txn, struct slice state);

enum { SPAN_TEXT = 56 };

/* The traceparent, with a NUL, of what follows from a record that was handled. False: it is not sampled. */
bool txn_span(struct txn *txn, const struct log_record *record, struct slice traceparent,
              char out[SPAN_TEXT]);

/* Whether anything follows from the last record: records, or changes of state. */
bool txn_followed(const struct txn *txn);

/* The same of those that the last record was joined with. Returns how many. */
size_t txn_links(const struct txn *txn, const struct slice **links);

/* The present input made this row of a view, or finds its partner in that one. What made a row is remembered
 * as long as there is room, and no longer than the process lives; without an observer nothing is. */
void txn_made(struct txn *txn, const struct view *v, struct slice sub);
void txn_joins(struct txn *txn, const struct view *v, struct slice sub);

/* Decodes the record, runs the handler and keeps what follows. False: nothing of it is kept, and the error
 * says why: ERR_POISON (dead-letter it), ERR_RETRY (the registry is away, or our own state cannot be
 * read), ERR_FATAL (the store is broken).
 * Stream time moves with a record that a handler has seen, also where that rejects it, and with no other.
 * Nothing points into `record` afterwards. */
WARN_UNUSED bool txn_run(struct txn *txn, const struct source *source, const struct log_record *record,
                         struct slice traceparent, int32_t partition_count, struct task_time *time,
                         struct err *e);

/* Whether txn_run would give the record to a handler: it can be decoded and is in its own partition. Errors
 * as above, but for poison. */
WARN_UNUSED bool txn_handles(struct txn *txn, const struct source *source, const struct log_record *record,
                             int32_t partition_count, bool *handles, struct err *e);

/* What a portion of expiry came to. */
struct expiry {
    size_t rows, rejected; /* that are gone; of these, whose handler rejected it */
    bool more;             /* is due: call again */
    bool silent;           /* set by the caller: these rows go without their handler */
};

/* What is due once this record has made time pass goes before it: about `limit` rows of each view. Errors as
 * above, but for poison. time->now stays: it moves with the record, in txn_run. */
WARN_UNUSED bool txn_expire(struct txn *txn, const struct log_record *record, struct slice traceparent,
                            size_t limit, struct task_time *time, struct expiry *x, struct err *e);

/* The dead letter of a record, headers kept as far as there is room. */
void txn_dead_letter(struct txn *txn, const struct log_record *record, const struct log_header *headers,
                     size_t header_count, const char *reason);

/* Whether a record with these headers was written by this topology: the span in its trace follows
 * from its (last) cause and the topology's name. */
bool txn_wrote(const struct topology *t, struct slice traceparent, struct slice caused_by);

/* A tick of topology->ticks for a partition of `partitions`, in ms since 1970. ERR_RETRY: the registry is
 * away. */
WARN_UNUSED bool txn_tick(struct txn *txn, int32_t partition, int32_t partitions, int64_t time,
                          struct err *e);

/* What has been emitted since the last call, and how much that would be. */
struct emission *txn_emissions(struct txn *txn, size_t *count);
size_t txn_pending(const struct txn *txn);

/* Whether somebody may wait for what has followed since the last clear: it is more than changes of private
 * views. */
bool txn_awaited(const struct txn *txn);

/* Memory of all that follows from the inputs since the last clear. */
size_t txn_bytes(const struct txn *txn);

/* Calls `each` for the changelog record of every key of a partition that changed; stops at false. */
bool txn_changelogs(struct txn *txn, int32_t partition,
                    bool (*each)(void *context, const struct emission *record), void *context);

/* Puts the index keys of the rows that views serve, and takes those of before away: the last thing before the
 * changes are applied. ERR_FATAL: the store is broken; ERR_RETRY: the registry is away. */
WARN_UNUSED bool txn_index(struct txn *txn, struct err *e);
/* The keys of these rows, until txn_clear(). */
void txn_served(const struct txn *txn,
                void (*each)(void *context, const struct table *t, struct slice key, int32_t partition),
                void *context);

/* Rows of tables that were looked up may have changed. To be called outside of txn_run. */
void txn_tables_changed(struct txn *txn);

/* A task has gone: from now on another may change the rows that its inputs have looked at. */
void txn_task_gone(struct txn *txn);

/* Whether fresh tables are as far as their topics (they are at first). While they are not, an event whose
 * handler looks one up comes to ERR_RETRY, and txn_looked_up_stale() says that this was why. */
void txn_tables_fresh(struct txn *txn, bool fresh);
bool txn_looked_up_stale(const struct txn *txn);

/* The pending changes, for the runtime to add its positions to and to apply. */
struct overlay *txn_overlay(struct txn *txn);

/* Forgets everything since the last clear: after the commit and its overlay_apply, or after an abort. */
void txn_clear(struct txn *txn);
