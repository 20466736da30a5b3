/* Requests that are passed on to another instance of the service, which has the partition that they are
 * about. One thread for all of them, so that a long poll costs none.
 *
 * A call asks one holder after the other: when one cannot be reached, ends in the middle, or answers 503, the
 * next one gets the same request, and after the last the first again, until nobody waits any more. So a
 * request must be one that can be repeated. */
#pragma once

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relay;
struct call;
struct metrics;

enum { RELAY_ADDRESS_SIZE = 272, RELAY_HOLDERS_MAX = 8 };

/* Headers that mark a request as passed on: of which partition, and how many ms it has waited so far. */
#define RELAY_PARTITION "Insideout-Partition"
#define RELAY_WAITED "Insideout-Waited"

struct relay_options {
    void *context;
    /* Whom to ask for a partition, best first, as host:port; returns how many. On the relay's thread. */
    size_t (*holders)(void *context, int32_t partition, char (*addresses)[RELAY_ADDRESS_SIZE]);
    /* There is an answer. On the relay's thread; the call is alive during it. */
    void (*answered)(void *context, const struct call *call);
};

struct relay_request { /* copied */
    int32_t partition;
    const char *method;                                 /* GET or POST */
    struct slice target, body, traceparent, tracestate; /* data NULL: none */
    int64_t waited_ms, left_ms; /* so far; until nobody waits for an answer any more */
    bool waits; /* it may rightly take all this time; else whoever does not answer soon is passed over */
    const void *waiter; /* the caller's own mark, for call_waiter() */
};

struct relay_answer {
    unsigned status;                   /* 0: nobody answers */
    struct slice type, location, body; /* data NULL: none; as long as the call */
};

struct relay *relay_create(const struct relay_options *options);
/* Takes NULL. All calls have been released. */
void relay_destroy(struct relay *r);

/* The caller releases it. Any thread, as all of these. */
struct call *relay_call(struct relay *r, const struct relay_request *request);
/* False: not yet. */
bool call_answer(const struct call *c, struct relay_answer *answer);
/* Who waits for it, as the request said. */
const void *call_waiter(const struct call *c);
/* Takes NULL. Who is still asked hears that nobody waits any more. */
void call_release(struct call *c);

/* Calls about several keys, for who comes back again and again for the answers: one is under way until its
 * answer was taken, or for 10 s where nobody takes it. Zero is none. One thread's at a time. */
struct calls {
    struct called *first;
    size_t count;
    struct call *taken;
};

/* Asks about the key, unless that is under way. False: not answered yet, or too much is asked already. The
 * answer, given once, stays until the next call of this. */
bool calls_answer(struct calls *all, struct relay *r, struct slice key, const struct relay_request *request,
                  struct relay_answer *answer);
void calls_release(struct calls *all);

void relay_metrics(struct relay *r, struct metrics *m);
