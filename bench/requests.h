/* GETs, and POSTs of small JSON bodies, many thousands a second, at little cost: over connections that are
 * kept, one after the other on each. For load; client.h is for everything else. One thread. */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>

struct requests;

/* `status` 0: no answer came. `due_us` is what requests_send was given. */
typedef void requests_done(void *context, int status, int64_t due_us);

/* `url`: http://host:port. Connects. ERR_RETRY when nobody is there. */
WARN_UNUSED bool requests_create(const char *url, size_t connections, requests_done *done, void *context,
                                 struct requests **out, struct err *e);
void requests_destroy(struct requests *p); /* takes NULL; what is under way is dropped, untold */

/* A POST; `body` with data NULL: a GET. False when all connections are busy. */
bool requests_send(struct requests *p, const char *path, struct slice body, int64_t due_us);

/* Takes what has been answered; waits up to `timeout_ms` for the first. */
void requests_wait(struct requests *p, int timeout_ms);
