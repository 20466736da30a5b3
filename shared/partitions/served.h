/* Views that are served (struct view, served): each instance has some partitions, and any of them answers for
 * any key, by asking one that has it. For routes, on the HTTP thread.
 *
 * Each instance publishes what it has and reads what the others have published (assignments.h), and the same
 * rules over that say to all of them who shall have a partition, who may delete it, and whom to ask
 * (placement.h, pure). A request about a key of another's partition is passed on as it is (relay.h), one
 * about all partitions is asked for in each (instance_gather), and a list is merged of what comes back
 * (list.h, merge.h).
 *
 * Who owns what: the instance owns the assignments, they own the relay, an exchange its calls. Threads: what
 * is here runs on the HTTP thread and never blocks. The relay has a thread, which wakes the exchange when
 * there is an answer. Assignments have a lock: streams' threads tell them that tasks or rows have changed,
 * the main thread looks once a second, the relay's thread asks them whom to ask. */
#pragma once

#include "instance/instance.h"
#include "log/partitions.h"

/* The whole of a GET of one row, but for a 200 from `row`: as the log had it when the client asked, or later,
 * at whichever instance, so that reads never go back; 503 where nobody knows in time. With ?timeout=ms it
 * waits for the row to appear (at most 60 s), 504 after. On false return *result. `what` the key is of goes
 * into the answers: "order". */
WARN_UNUSED bool instance_find(struct instance *i, struct http_exchange *x, const struct table *t,
                               struct slice key, const char *what, struct event *row,
                               enum http_result *result);

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

/* What another instance answers to GET `target`, which is about this key, for a handler that needs to know
 * of several keys. HERE: look into the table. PENDING: the exchange runs again. ANSWERED: `body` is that of a
 * 200, or data NULL, until the next call. */
enum ask { ASK_HERE, ASK_PENDING, ASK_ANSWERED };
/* Asks it: see enum ask. */
enum ask instance_ask(struct instance *i, struct http_exchange *x, struct slice key, struct slice target,
                      struct slice *body);
