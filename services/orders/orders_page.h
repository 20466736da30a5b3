/* A page of orders as it is gathered: the places of orders in a list, each with the order's JSON or without,
 * from here and from other instances, which send theirs as lines. HTTP thread only. */
#pragma once

#include "base/buf.h"

struct orders_item {
    struct slice place; /* orders_list_place() */
    struct slice
        json; /* data NULL: not known yet; or it went on meanwhile, and belongs to another list now */
};

struct orders_page {
    struct arena *arena; /* of what it holds */
    struct orders_item *items;
    size_t count, capacity;
};

struct orders_item *orders_page_add(struct orders_page *p);

/* By place, each once. */
void orders_page_sort(struct orders_page *p);

/* Appends the first `n` items as lines. */
void orders_page_write(const struct orders_page *p, size_t n, struct buf *lines);

/* Adds what another instance wrote, which may be of another version: what is no such line is left out. The
 * items are of `lines`. */
void orders_page_read(struct orders_page *p, struct slice lines);
