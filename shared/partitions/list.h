/* A list of a served view's rows over all partitions, in the order of an index: each instance gives a page of
 * what it has, whoever was asked merges them. For routes, on the HTTP thread. */
#pragma once

#include "instance/page.h"

/* A list, or several that are shown as one. An index key of the table is a prefix, which says which list, and
 * then the row's place in it. */
struct list {
    const struct table *table;
    /* The lists. Those that rows leave for others come first: a row that moves meanwhile is found twice,
     * which makes one item, and never not at all. */
    const struct slice *prefixes;
    size_t prefix_count;
    /* Whether it can be a place: clients give them back as cursors, and other instances send them. No two
     * rows have the same, and no control character is in them. */
    bool (*is_place)(struct slice place);
    /* Appends the row as one JSON object on one line; or nothing: it belongs to the list no more. */
    void (*json)(void *context, const struct event *row, struct buf *out);
    void *context;
};

/* Writes the page of `p`, whose limit is not 0, as an array, and says in `p` where it ended. The cursor is a
 * place. On false return *result. Call it in each run of the handler. */
WARN_UNUSED bool list_page(struct instance *i, struct http_exchange *x, const struct list *l, struct page *p,
                           struct json *j, enum http_result *result);
