/* What a process answers about itself. Its routes' context is the instance. */
#pragma once

#include "http/server.h"

/* Routes /livez, /readyz, /progress and /metrics. */
extern const struct http_route health_routes[];
/* Route /digest/{topic}. */
extern const struct http_route digest_routes[];

enum http_result metrics_answer(struct http_exchange *x, void *instance);

/* Asks /readyz of the process that runs with the same settings, and prints the answer. Returns an exit code:
 * 0 is ready. */
int health_ask(void);
