/* A page of a list as it is merged: the places of rows in it, each with the row's JSON or without, from here
 * and from other instances, which send theirs as lines. One thread's. */
#pragma once

#include "base/buf.h"

struct merge_item {
    struct slice place; /* what it is sorted by */
    struct slice key;   /* of a row that is here; data NULL: it is elsewhere */
    struct slice json;  /* data NULL: not known yet; or the row has left the list meanwhile */
};

struct merge {
    struct arena *arena; /* of what it holds */
    struct merge_item *items;
    size_t count, capacity;
};

/* The slices of the item are kept. */
void merge_add(struct merge *m, struct merge_item item);

/* By place, each once. */
void merge_sort(struct merge *m);

/* Appends the first `n` items as lines. */
void merge_write(const struct merge *m, size_t n, struct buf *lines);

/* Adds what another instance wrote, which may be of another version: what is no such line, or has no such
 * place, is left out. The items are of `lines`. */
void merge_read(struct merge *m, struct slice lines, bool (*is_place)(struct slice place));
