/* POSTs of small JSON bodies, thousands a second, at little cost: over connections that are kept, one after
 * the other on each. For load; client.h is for everything else. One thread. */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>

struct posts;

/* `status` 0: no answer came. `due_us` is what posts_send was given. */
typedef void posts_done(void *context, int status, int64_t due_us);

/* `url`: http://host:port. Connects. ERR_RETRY when nobody is there. */
WARN_UNUSED bool posts_create(const char *url, size_t connections, posts_done *done, void *context,
                              struct posts **out, struct err *e);
void posts_destroy(struct posts *p); /* takes NULL; what is under way is dropped, untold */

/* False when all connections are busy. */
bool posts_send(struct posts *p, const char *path, struct slice body, int64_t due_us);

/* Takes what has been answered; waits up to `timeout_ms` for the first. */
void posts_wait(struct posts *p, int timeout_ms);
