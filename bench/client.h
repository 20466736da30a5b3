/* An HTTP client for many requests at once, over connections that are kept. One thread; answers are told
 * inside client_wait. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct client;

struct answer {
    long status;       /* 0: none came */
    int retry_after_s; /* -1: it does not say */
    struct slice body;
    const char *error; /* why none came */
};

typedef void answered(void *context, const struct answer *a);

/* `url`: http://host:port, of what paths are appended to. No I/O yet. */
WARN_UNUSED bool client_create(const char *url, struct client **c, struct err *err);
void client_destroy(struct client *c); /* takes NULL; what is under way is dropped, untold */

/* Is it this machine that the URL means? */
bool url_is_loopback(const char *url);

/* `body` as application/json; data NULL: none. Copies path and body. */
void client_send(struct client *c, const char *method, const char *path, struct slice body, int timeout_ms,
                 answered *done, void *context);

/* Goes on with what is under way; returns when something happened, at the latest after `timeout_ms`. */
void client_wait(struct client *c, int timeout_ms);

/* How many are under way. */
size_t client_busy(const struct client *c);

/* One request and its answer, body appended. 503, 504 and silence are tried again for 15 s, as Retry-After
 * says; then it is ERR_RETRY. */
WARN_UNUSED bool client_ask(struct client *c, const char *method, const char *path, struct slice request,
                            long *status, struct buf *body, struct err *err);
