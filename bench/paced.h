/* Orders through the gateway at a steady rate, whatever becomes of those before (an open loop), and how long
 * each takes. 503, 504 and broken connections are tried again with the same id, up to 20 times. One thread.
 */
#pragma once

#include "base/id.h"
#include "client.h"
#include "samples.h"

struct paced {
    double rate;   /* orders a second */
    size_t total;  /* how many, those of shop.h */
    size_t sample; /* of each so many orders one is followed to its outcome; 0: none */

    /* What came of it. Times count from when an order was due, not from when it was sent. */
    struct samples created_us, outcome_us;
    size_t created;
    size_t held_back; /* that were due and had to wait until others had ended */
    unsigned long long retries, validated, failed, given_up;
    char last_error[200];
    int64_t start_us, last_us; /* the last 201 */

    /* its own */
    struct client *client;
    char run[UUID_SIZE]; /* a prefix of ids that nobody else has */
    struct paced_order *orders;
    size_t first; /* orders before it have ended */
    size_t posting, waiting, ended;
};

/* Places them all and waits for what follows; `p` has its first three fields set, the rest is zero. */
void paced_run(struct paced *p, struct client *client);
void paced_finish(struct paced *p);
