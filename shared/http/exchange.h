/* One request and its answer, as a handler sees them. On the server's thread only; whatever slices come out
 * of it live as long as the exchange.
 *
 * The accessors that return bool have, on false, answered 400 and named the field; the handler returns
 * HTTP_DONE. Their outputs are then untouched:
 *
 *     struct slice id;
 *     if (!http_path_id(x, "id", &id))
 *         return HTTP_DONE;
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

struct http_exchange;

/* What a handler returns. */
enum http_result {
    HTTP_DONE, /* answered */
    HTTP_WAIT, /* run the handler again when a watched key is woken, or at the deadline */
};

/* --- The request --- */

/* A path parameter, percent-decoded, that must be an id (ID_PATTERN, base/id.h) without a card number in it,
 * as everywhere. */
WARN_UNUSED bool http_path_id(struct http_exchange *x, const char *name, struct slice *id);
/* Any text, percent-decoded UTF-8. */
struct slice http_path_string(struct http_exchange *x, const char *name);
/* A path parameter that must be a whole number from `min` to `max`. */
WARN_UNUSED bool http_path_int64(struct http_exchange *x, const char *name, int64_t min, int64_t max,
                                 int64_t *value);

/* One that names what others than the suite have made, and called as they like. 400 for "." and "..". */
WARN_UNUSED bool http_path_key(struct http_exchange *x, const char *name, struct slice *key);

/* A query parameter, percent-decoded, that must be an id; data == NULL when absent. */
WARN_UNUSED bool http_query_id(struct http_exchange *x, const char *name, struct slice *id);
/* Any text; data == NULL when absent. */
WARN_UNUSED bool http_query_string(struct http_exchange *x, const char *name, struct slice *text);
/* A whole number from `min` to `max`; `fallback` when absent. */
WARN_UNUSED bool http_query_int64(struct http_exchange *x, const char *name, int64_t min, int64_t max,
                                  int64_t fallback, int64_t *value);

/* As the route has it; HEAD is "GET". */
const char *http_method(const struct http_exchange *x);

/* Path and query as they came, still encoded. */
struct slice http_target(const struct http_exchange *x);

/* A request header; data == NULL when absent. */
struct slice http_header(struct http_exchange *x, const char *name);

/* The W3C traceparent header; data == NULL when absent or invalid. */
struct slice http_traceparent(struct http_exchange *x);

/* Memory that lives as long as the exchange; once it is a stream of events, until the handler returns. */
struct arena *http_arena(struct http_exchange *x);

/* Zeroed memory that stays from run to run of the handler, one for each `owner` (any address that is the
 * caller's own). `finish`, unless NULL, is called with it when the exchange ends, answered or not. */
void *http_state(struct http_exchange *x, const void *owner, size_t size, void (*finish)(void *state));

/* --- The answer: exactly one, then return HTTP_DONE (which these do) --- */

/* Adds a header to the answer. Before http_reply_…(). Without a Cache-Control it is no-store. */
void http_reply_header(struct http_exchange *x, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Answers with JSON, which is copied. */
enum http_result http_reply_json(struct http_exchange *x, unsigned status, struct slice json);
/* Answers with text, which is copied. */
enum http_result http_reply_text(struct http_exchange *x, unsigned status, const char *content_type,
                                 struct slice text);
/* 200 with `text`, which the client may keep for `max_age_s` and then ask whether it still is that: 304. */
enum http_result http_reply_kept(struct http_exchange *x, const char *content_type, struct slice text,
                                 int max_age_s);
/* Answers without a body. */
enum http_result http_reply_empty(struct http_exchange *x, unsigned status);

/* problem+json (RFC 9457) with `field`, unless NULL, and a detail for people. 503 carries Retry-After. */
enum http_result http_reply_problem(struct http_exchange *x, unsigned status, const char *field,
                                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* --- Waiting --- */

/* Runs the handler again when `key` (copied) is woken by http_wake(). Call it *before* looking at the state,
 * so that a change in between is not lost. Holds until the exchange ends; calling it again is harmless. */
void http_watch(struct http_exchange *x, struct slice key);

/* The wait ends `ms` after the handler's first run; the first call counts. Without one it is 30 s. */
void http_deadline(struct http_exchange *x, int64_t ms);

/* Milliseconds since the handler's first run. This one and the next three are for a request that goes another
 * way. */
int64_t http_elapsed(const struct http_exchange *x);
/* It has waited elsewhere before, which its deadline counts, set or still to be set. */
void http_waited(struct http_exchange *x, int64_t ms);
/* Its deadline, if it has one, is so much later. */
void http_postpone(struct http_exchange *x, int64_t ms);
/* Milliseconds until the deadline. */
int64_t http_remaining(const struct http_exchange *x);

/* The deadline has passed: answer now. An HTTP_WAIT is then answered 504. */
bool http_timed_out(const struct http_exchange *x);
