/* The inside of a transaction (transaction.h), shared by
 *   txn.c          what a handler may do
 *   handle.c       an input through its handler, and what is due before it
 *   causes.c       traces, and what follows from what
 *   letters.c      dead letters and ticks
 *   transaction.c  what has come of it
 * One thread. */
#pragma once

#include "log/observer.h"
#include "transaction/keys.h"
#include "transaction/retention.h"
#include "transaction/transaction.h"

enum {
    CAUSES = 32,      /* how many inputs a changelog record names that stands for several */
    ROWS_KEPT = 10000 /* of tables, so that what is looked up again and again is not read again */
};

/* Kafka takes records of up to 1 MiB with all that belongs to them, and one that it refuses would abort its
 * transaction each time. A dead letter's headers have what is left. */
enum { RECORD_MAX = 1000 * 1000, LETTER_HEADERS_MAX = 40 * 1000 };

enum { TRACE_ID = 32 }; /* hex digits */

enum {
    ORIGINS = 8192, /* rows of joins of which it is remembered what made them */
    LINKS = 8,      /* of a record */
    STATE_MAX = 512 /* bytes of a tracestate that goes along */
};

struct origin {
    uint64_t row; /* its hash; 0: none */
    char span[SPAN_TEXT];
};

struct cause {
    const struct topic *topic;
    int32_t partition;
    int64_t offset;
};

/* What the changelog record of a changed key will say; beside the overlay's change of the same index. */
struct change {
    const struct view *view;
    int32_t partition;
    struct slice record_key;
    int64_t timestamp;
    char trace[TRACE_ID]; /* of the last cause, where it has one */
    bool has_trace, sampled;
    struct slice state; /* its tracestate; data NULL: none */
    size_t causes;
    struct cause only;  /* while there is one */
    struct cause *ring; /* of CAUSES, when there are more */
    uint64_t event;     /* the last that put it */
    struct room {
        char *data;
        size_t size;
    } room, spare; /* where the value is; where the one before the last event's was */
};

struct undo {
    size_t index;
    struct slice before;
    bool was_live;
};

struct txn {
    const struct topology *topology;
    struct schemas *schemas;
    struct overlay overlay;
    struct overlay cached_views;  /* their rows as the store has them, up to the end of the transaction */
    struct overlay cached_tables; /* their rows, as they were looked up */
    struct change *changes;
    size_t change_capacity, put_count; /* put_count: of the overlay's changes, those that were put here */

    const struct event *in;         /* during a handler */
    uint64_t event;                 /* its number */
    struct arena scratch;           /* what lives as long as it does */
    struct task_time *time;         /* of its task */
    int64_t now;                    /* stream time, with the event that is handled */
    const char *trace;              /* the trace id of the input; NULL: it has none */
    struct log_header *out_headers; /* of all that follows from the input; NULL: not made yet */
    size_t out_header_count;
    bool sampled; /* what follows from the input */

    const struct observer *observer; /* NULL: none */
    struct slice state;              /* the input's tracestate; data NULL: none */
    struct origin *origins;          /* by the row's hash; NULL: nothing was remembered yet */
    char links[LINKS][SPAN_TEXT];
    struct slice link_texts[LINKS];
    size_t link_count;

    struct err err; /* kind ERR_NONE: all is well */
    struct undo *undo;
    size_t undo_count, undo_capacity;

    struct emission *emissions;
    size_t emission_count, emission_capacity, emission_taken;
    bool shown;                    /* a view has changed that is not private */
    bool stale, stale_lookup;      /* of fresh tables; one was looked up all the same */
    struct buf key, bytes, header; /* scratch */
    size_t prefix;                 /* of key: bytes before the record's key */
    const struct view *key_of;     /* whose entry of the incoming key it is; NULL: another */
};

static inline bool txn_failed(const struct txn *txn) {
    return txn->err.kind != ERR_NONE;
}

/* Whether the changelog will say what has become of the key. */
static inline bool is_logged(const struct change *c) {
    return c->view != NULL && !c->view->events;
}

/* ---- txn.c ---- */

/* The key of a view's entry, in the scratch buffer: as it is in the store, and behind txn->prefix as it is in
 * the changelog ("key/sub"). Most handlers put what they just got. */
void txn_entry_key(struct txn *txn, const struct view *v, struct slice sub);

/* Our own state cannot be read, which is no fault of the record: it waits. False. */
bool txn_unreadable(struct txn *txn, const char *what, const char *name, struct slice key);

/* A row that the store has is read from it once in a transaction. That it has none, it mostly knows at once:
 * that is not remembered. */
bool txn_read(struct txn *txn, struct slice key, struct slice *value);

/* A change that can be undone. It is no view's, unless what is returned is filled in; NULL where the key was
 * changed before. */
struct change *txn_change(struct txn *txn, struct slice key, struct slice value);

/* Takes it back. */
void txn_undo(struct txn *txn, const struct undo *u);

/* An entry in a view's index of what is due. */
void txn_put_due(struct txn *txn, const struct view *v, int64_t stamp, struct slice record_key);

/* Room for one more. */
struct emission *txn_emission(struct txn *txn);

/* The row whose key is in the scratch buffer, as it is stored. */
void txn_put_row(struct txn *txn, const struct view *v, struct slice row);

/* An event whose value is encoded already, and lives as long as the transaction. */
void txn_emit_bytes(struct txn *txn, const struct topic *t, struct slice key, struct slice value);

/* ---- causes.c ---- */

/* Of what follows from an input: its trace with a span of ours. */
void txn_append_traceparent(struct txn *txn, const struct cause *in, const char *trace, bool sampled,
                            struct buf *out);

/* Of whatever follows from an input with this header. */
void txn_take_trace(struct txn *txn, const struct cause *in, struct slice traceparent);

/* "topic/partition/offset" */
void txn_append_cause(struct buf *out, const struct cause *in);

/* The headers of everything that is emitted for the input: its trace, and its place. */
const struct log_header *txn_headers(struct txn *txn);

/* The k-th of all causes; the last CAUSES are known. */
const struct cause *txn_cause_at(const struct change *c, size_t k);

/* The current input changed this key; it may have done so several times. */
void txn_add_cause(struct change *c, struct txn *txn);
