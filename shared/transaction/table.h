/* The rows of tables in a store, and their index keys. A row keeps where it comes from, for readers. */
#pragma once

#include "events/schemas.h"
#include "log/log.h"
#include "topology/topology.h"
#include "transaction/overlay.h"

/* Puts a record's row, or takes it away for a tombstone, with its index keys; `partitions` is how many the
 * topic has. ERR_POISON: skip the record; ERR_RETRY: the registry is away. */
WARN_UNUSED bool table_put(const struct table *t, struct overlay *o, struct schemas *schemas,
                           const struct log_record *r, int32_t partitions, struct err *e);

/* The key of the row to which an entry of an index belongs. */
struct slice table_index_row(struct slice index_key, struct slice value);

/* Puts the index keys of a row that is stored as `after` instead of `before` (data NULL: none), and takes
 * those away that it has no more. ERR_POISON: it has too many; ERR_RETRY: the registry is away, or what is
 * stored cannot be read. */
WARN_UNUSED bool table_reindex(const struct table *t, struct overlay *o, struct schemas *schemas,
                               int32_t partition, struct slice key, struct slice before, struct slice after,
                               struct err *e);

/* A stored row's payload in wire format. */
struct slice table_row_payload(const struct table *t, struct slice stored);

/* Decodes a stored row; `key` and `stored` must live as long as `row`. */
WARN_UNUSED bool table_row(const struct table *t, struct schemas *schemas, struct slice key,
                           struct slice stored, struct arena *a, struct event *row, struct err *e);
