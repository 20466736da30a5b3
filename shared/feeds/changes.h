/* Which rows of a table have changed lately, each once, in the order of their last change: what all streams
 * of the table share. A row that changes a thousand times is one entry, so it is bounded, and a reader needs
 * nothing but the number of the last change that it has seen.
 *
 * changes_note() and changes_reset() are for the table's stream, all else for the HTTP thread. */
#pragma once

#include "topology/topology.h"

struct changes;

struct change {
    struct slice key;
    int32_t partition;
    int64_t offset; /* of the record */
    uint64_t number;
    /* For who shows the row: valid while they say so, see table.c. */
    uint64_t cached, rendered;
    struct event row;
    const void *renderer;
    struct slice text;

    struct change *older, *newer, *next_in_bucket;
};

/* `wake` is told on the stream's thread when there is something to take; once until it is taken. */
struct changes *changes_create(int32_t partitions, void (*wake)(void *context), void *context);
void changes_destroy(struct changes *c);

/* Costs next to nothing while nobody reads. */
void changes_note(struct changes *c, struct slice key, int32_t partition, int64_t offset);

/* Everything may have changed, without a note. */
void changes_reset(struct changes *c);

/* Somebody reads. False: nobody has for a while, so how far the table is *after* this call has to be said
 * with changes_start(). When nobody takes what is noted, that ends it. */
bool changes_begin(struct changes *c);
void changes_start(struct changes *c, const int64_t *positions);

/* Takes what was noted; returns the number of the newest change. Pointers to changes hold until the next
 * call. */
uint64_t changes_take(struct changes *c);

/* How far the changes go: every record before these offsets was taken. */
const int64_t *changes_positions(const struct changes *c);

/* Whether all changes behind this number are still known; behind these offsets. */
bool changes_known_since(const struct changes *c, uint64_t number);
bool changes_known_from(const struct changes *c, const int64_t *offsets);

uint64_t changes_floor(const struct changes *c); /* the least such number */

/* The first change behind this number; its `newer` leads to the others. NULL: there is none. */
struct change *changes_since(const struct changes *c, uint64_t number);

/* The change of this key, NULL: none is known. */
struct change *changes_find(const struct changes *c, struct slice key);
