/* The keys of what a topology has in its store. */
#pragma once

#include "base/buf.h"
#include "topology/topology.h"

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
