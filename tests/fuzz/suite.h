/* The routes of the suite's services on a real HTTP server in this process: all that reads a request. What is
 * behind that is missing: there are no views, and nothing can be published. */
#pragma once

#include "base/slice.h"

#include <stddef.h>

/* Sends the bytes on a connection of their own, ends it on our side, and reads what comes back to its end.
 * Requires whole answers, and none of the kind that a mistake in a handler makes. Returns the status of the
 * first, 0: none. */
unsigned suite_ask(struct slice request);

/* Its routes, `count` of them. */
struct http_route;
const struct http_route *suite_route(size_t n, size_t *count);
