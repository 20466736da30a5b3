/* What a handler may do: state of the incoming key, look-ups in tables, and new events.
 *
 * A txn is a transaction that is open (transaction.h). It belongs to one stream and is used on its thread
 * only. Trouble with the store is kept in it and discards all that the handler did, so handlers need no error
 * paths: they read as rules. */
#pragma once

#include "topology/topology.h"

#include "base/buf.h"
#include "base/err.h"

/* The state of the incoming key, or of `sub` below it (SLICE_NONE: the key itself), into `value`, the
 * generated struct of the view's changelog. Sees what was put before. Returns whether there is any. */
bool txn_get(struct txn *txn, const struct view *v, struct slice sub, void *value);
/* Sets the state of the incoming key, or of `sub` below it; `value` is copied. */
void txn_put(struct txn *txn, const struct view *v, struct slice sub, const void *value);
/* Deletes it; harmless where there is none. */
void txn_delete(struct txn *txn, const struct view *v, struct slice sub);

/* Calls `each` for what is below the incoming key, by sub-key in the order of bytes, from `from` (SLICE_NONE:
 * the first) up to and without `to` (SLICE_NONE: to the last), as it was at the call: `each` may get, put,
 * delete and emit. It returns whether to go on; its slices live as long as the event's. */
void txn_each(struct txn *txn, const struct view *v, struct slice from, struct slice to,
              bool (*each)(void *context, struct slice sub, const void *value), void *context);

/* The row of `key` in a table, into `row`. Returns whether there is one. */
bool txn_lookup(struct txn *txn, const struct table *t, struct slice key, void *row);

/* A new event. It takes the input's timestamp and trace, and names the input in its header `caused-by`.
 * The topic must be declared as an output. A NULL value is a tombstone. */
void txn_emit(struct txn *txn, const struct topic *t, struct slice key, const void *value);

/* This record can never be processed: whatever the handler did is undone, and the record goes to the dead
 * letters with the reason. */
void txn_reject(struct txn *txn, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Memory for what a handler builds; valid until it returns. */
struct arena *txn_arena(struct txn *txn);

/* Writes one index key of a row; from a table_index only. */
void index_key(struct index *to, struct slice key);
