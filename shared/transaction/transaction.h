/* The inside of a step (step.h): what a transaction collects before it is committed. For the runtime and the
 * test driver; handlers see step.h only. One thread. */
#pragma once

#include "events/schemas.h"
#include "log/log.h"
#include "transaction/overlay.h"
#include "transaction/step.h"

/* A record that a step wants to be written. Lives until step_clear. */
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
struct step;
struct task_time;

struct step *step_create(const struct topology *t, struct schemas *schemas, struct store *store);
void step_destroy(struct step *s);

/* From now on the observer's decision about a trace holds, and tracestate goes along with it. Without one the
 * input's decision does, and a trace that begins here is sampled. */
void step_observe(struct step *s, const struct observer *o);

/* The tracestate of the input to come; data NULL: none. Only where there is an observer. */
void step_tracestate(struct step *s, struct slice state);

enum { SPAN_TEXT = 56 };

/* The traceparent, with a NUL, of what follows from a record that was handled. False: it is not sampled. */
bool step_span(struct step *s, const struct log_record *record, struct slice traceparent,
               char out[SPAN_TEXT]);

/* Whether anything follows from the last record: records, or changes of state. */
bool step_followed(const struct step *s);

/* The same of those that the last record was joined with. Returns how many. */
size_t step_links(const struct step *s, const struct slice **links);

/* The present input made this row of a view, or finds its partner in that one. What made a row is remembered
 * as long as there is room, and no longer than the process lives; without an observer nothing is. */
void step_made(struct step *s, const struct view *v, struct slice sub);
void step_joins(struct step *s, const struct view *v, struct slice sub);

/* Decodes the record, runs the handler and keeps what follows. False: nothing of it is kept, and the error
 * says why: ERR_POISON (dead-letter it), ERR_RETRY (the registry is away, or our own state cannot be
 * read), ERR_FATAL (the store is broken).
 * Stream time moves with a record that a handler has seen, also where that rejects it, and with no other.
 * Nothing points into `record` afterwards. */
WARN_UNUSED bool step_run(struct step *s, const struct source *source, const struct log_record *record,
                          struct slice traceparent, int32_t partition_count, struct task_time *time,
                          struct err *e);

/* Whether step_run would give the record to a handler: it can be decoded and is in its own partition. Errors
 * as above, but for poison. */
WARN_UNUSED bool step_handles(struct step *s, const struct source *source, const struct log_record *record,
                              int32_t partition_count, bool *handles, struct err *e);

/* What a portion of expiry came to. */
struct expiry {
    size_t rows, rejected; /* that are gone; of these, whose handler rejected it */
    bool more;             /* is due: call again */
    bool silent;           /* set by the caller: these rows go without their handler */
};

/* What is due once this record has made time pass goes before it: about `limit` rows of each view. Errors as
 * above, but for poison. time->now stays: it moves with the record, in step_run. */
WARN_UNUSED bool step_expire(struct step *s, const struct log_record *record, struct slice traceparent,
                             size_t limit, struct task_time *time, struct expiry *x, struct err *e);

/* What every reader asks of a record before it decodes it: a key, in its own partition of `partitions`, and
 * no tombstone where there are none. ERR_POISON says what is missing. */
WARN_UNUSED bool record_well_formed(const struct log_record *r, int32_t partitions, struct err *e);

/* The dead letter of a record, headers kept as far as there is room. */
void step_dead_letter(struct step *s, const struct log_record *record, const struct log_header *headers,
                      size_t header_count, const char *reason);

/* Whether a record with these headers was written by a step of this topology: the span in its trace follows
 * from its (last) cause and the topology's name. */
bool step_wrote(const struct topology *t, struct slice traceparent, struct slice caused_by);

/* A tick of topology->ticks for a partition of `partitions`, in ms since 1970. ERR_RETRY: the registry is
 * away. */
WARN_UNUSED bool step_tick(struct step *s, int32_t partition, int32_t partitions, int64_t time,
                           struct err *e);

/* What has been emitted since the last call, and how much that would be. */
struct emission *step_emissions(struct step *s, size_t *count);
size_t step_pending(const struct step *s);

/* Whether somebody may wait for what has followed since the last clear: it is more than changes of private
 * views. */
bool step_awaited(const struct step *s);

/* Memory of all that follows from the inputs since the last clear. */
size_t step_bytes(const struct step *s);

/* Calls `each` for the changelog record of every key of a partition that changed; stops at false. */
bool step_changelogs(struct step *s, int32_t partition,
                     bool (*each)(void *context, const struct emission *record), void *context);

/* Puts the index keys of the rows that views serve, and takes those of before away: the last thing before the
 * changes are applied. ERR_FATAL: the store is broken; ERR_RETRY: the registry is away. */
WARN_UNUSED bool step_index(struct step *s, struct err *e);
/* The keys of these rows, until step_clear(). */
void step_served(const struct step *s,
                 void (*each)(void *context, const struct table *t, struct slice key, int32_t partition),
                 void *context);

/* Rows of tables that were looked up may have changed. To be called outside of step_run. */
void step_tables_changed(struct step *s);

/* A task has gone: from now on another may change the rows that its inputs have looked at. */
void step_task_gone(struct step *s);

/* Whether fresh tables are as far as their topics (they are at first). While they are not, an event whose
 * handler looks one up comes to ERR_RETRY, and step_looked_up_stale() says that this was why. */
void step_tables_fresh(struct step *s, bool fresh);
bool step_looked_up_stale(const struct step *s);

/* The pending changes, for the runtime to add its positions to and to apply. */
struct overlay *step_overlay(struct step *s);

/* Forgets everything since the last clear: after the commit and its overlay_apply, or after an abort. */
void step_clear(struct step *s);

/* Where things are in the store: "v" view partition key, "d" view partition stamp key of what is due, "t"
 * table key, "i" table index key, "p" positions, "a" their ages, "s" where the inputs of a task are. All of a
 * partition of a view that is served is in a part of the store (store_part), rows as a table's. */
void store_key_view(struct buf *out, const struct view *v, int32_t partition, struct slice record_key);
void store_key_index_of_view(struct buf *out, const struct view *v, int32_t partition);
void store_key_row(struct buf *out, const struct table *t, int32_t partition, struct slice record_key);
void store_key_index(struct buf *out, const struct table *t, int32_t partition, struct slice index_key);
void store_key_part(struct buf *out, const struct table *t, int32_t partition);
void store_key_positions(struct buf *out, const char *name); /* what those of all partitions begin with */
void store_key_position(struct buf *out, const char *name, int32_t partition);
void store_key_table_position(struct buf *out, const struct table *t, int32_t partition);
/* What their positions begin with, whatever the version of the index. */
void store_key_table_positions(struct buf *out, const struct table *t, int32_t partition);
void store_key_view_positions(struct buf *out, const struct view *v, int32_t partition);
void store_key_view_position(struct buf *out, const struct view *v, int32_t partition);
void store_key_age(struct buf *out, const char *name, int32_t partition);
void store_key_view_age(struct buf *out, const struct view *v, int32_t partition);
/* Beside the state of this view: those that are not served have one place together. */
void store_key_inputs(struct buf *out, const struct topology *t, const struct view *v, int32_t partition);
