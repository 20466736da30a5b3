/* Views that are served (struct view, served): each instance has some partitions, and any of them
 * answers for any key, by asking one that has it. For routes, on the HTTP thread. */
#pragma once

#include "log/partitions.h"
#include "service/service.h"

/* Whether this instance has the key's partition. If not, the request is passed on, with `body` where it has
 * one, to an instance that has: on false return *result. The request must be one that can be repeated. Call
 * http_deadline() before, and this in each run of the handler; instance_find() does so itself. */
WARN_UNUSED bool instance_here(struct instance *i, struct http_exchange *x, struct slice key,
                               struct slice body, enum http_result *result);

/* What it takes to answer for all partitions. This instance looks into those that it has `here`, fresh; for
 * each of the others there is the answer to the same request, made there for another instance, with `asked` =
 * that partition, so in whatever form suits the two. On false return *result. */
struct gathered {
    int32_t asked; /* only for this partition, by another instance; -1: for the client */
    int32_t count; /* of partitions */
    struct partitions here;
    const struct slice *others; /* by partition; data NULL: none */
};
/* Gathers them. On false return *result, as with instance_here(). */
WARN_UNUSED bool instance_gather(struct instance *i, struct http_exchange *x, const struct table *t,
                                 struct gathered *gathered, enum http_result *result);

/* instance_scan() of one partition of a view. */
WARN_UNUSED bool
instance_scan_partition(struct instance *i, struct http_exchange *x, const struct table *t, int32_t partition,
                        struct slice prefix, struct slice from,
                        bool (*each)(void *context, struct slice index_key, struct slice key), void *context);

/* What another instance answers to GET `target`, which is about this key, for a handler that needs to know
 * of several keys. HERE: look into the table. PENDING: the exchange runs again. ANSWERED: `body` is that of a
 * 200, or data NULL, until the next call. */
enum ask { ASK_HERE, ASK_PENDING, ASK_ANSWERED };
/* Asks it: see enum ask. */
enum ask instance_ask(struct instance *i, struct http_exchange *x, struct slice key, struct slice target,
                      struct slice *body);
