/* A page of a table's rows, by key, from the query's `limit` and `after`. For routes, on the HTTP thread. */
#pragma once

#include "instance/instance.h"

struct json;

/* Which rows a client wants, and where they ended. */
struct page {
    int64_t limit;      /* 0: all */
    struct slice after; /* the key before the first; data NULL: from the beginning */
    struct slice last;  /* the last key that was given out */
    bool more;          /* there are keys behind it */
};

/* `fallback`: the limit of a query without one; 0: all rows, unless it has `after`: then `max`. On false 400
 * has been answered. */
WARN_UNUSED bool page_query(struct http_exchange *x, int64_t fallback, int64_t max, struct page *p);

/* Calls `each` for the page's rows, in the order of keys. On false a 503 has been sent. */
WARN_UNUSED bool page_rows(struct instance *i, struct http_exchange *x, const struct table *t, struct page *p,
                           void (*each)(void *context, const struct event *row), void *context);

/* The same for the first `max` rows whose index key begins with `prefix`, in the order of the index; without
 * those that are gone meanwhile. */
WARN_UNUSED bool page_index(struct instance *i, struct http_exchange *x, const struct table *t,
                            struct slice prefix, size_t max,
                            void (*each)(void *context, const struct event *row), void *context);

/* Such an `each`, whose context is a struct json: puts the row into its array. */
void page_put_row(void *json, const struct event *row);

/* Writes `next`, the address of the page after this one, or null; and where there is one `after`, its cursor.
 * `filters` is what else the query has: "&name=value", encoded, or data NULL. */
void page_put_next(const struct page *p, const char *path, struct slice filters, struct json *j);
