/* Simulated ratings, for the page's dial: popular movies get most of them, each movie has a quality of its
 * own around which its ratings lie. Off until somebody asks. It belongs to this process and ends with it,
 * and ends by itself when nobody has asked again for SIMULATION_LEASE_MS: nothing is left on by a page that
 * was closed. */
#pragma once

#include "base/buf.h"

struct instance;

enum { SIMULATION_RATE_MAX = 20000, SIMULATION_LEASE_MS = 15000, SIMULATION_MOVIES_MAX = 2000 };

/* Asks for `rate` ratings a second (0: none) of these movies, the most popular first; copies the ids. Any
 * thread. */
void simulation_set(int rate, const int64_t *movies, size_t count);

struct simulation_state {
    int rate;     /* as asked for; 0: off */
    int64_t sent; /* since the process started */
    int lease_ms; /* until it ends by itself */
};
struct simulation_state simulation_state(void); /* any thread */

/* The thread that writes them, straight into the log; the service's `background`. */
void simulation_run(struct instance *i);
