/* Server-sent events: an answer that goes on for as long as the client wants it. On the server's thread only.
 *
 *     struct buf *out = http_events(x);
 *     if (out == NULL)
 *         return HTTP_DONE;
 *     http_watch(x, key);
 *     buf_printf(out, "event: tick\ndata: {}\n\n");
 *     return HTTP_WAIT;
 *
 * What the handler appended leaves as fast as the client takes it. Only when all of it has left does the
 * handler run again: at once, until it appends nothing, and from then on when a watched key is woken. So a
 * slow client costs one buffer, as long as the handler appends a bounded part (EVENTS_PART or one event) in
 * each run. A line with a comment goes out when there was nothing for 15 s. HTTP_DONE ends the stream behind
 * what was appended, and so does the end of the server; a client that takes nothing for a minute is cut off.
 */
#pragma once

#include "http/exchange.h"

enum { EVENTS_PART = 64 * 1024 };

/* Begins the stream, in the handler's first run or a later one, and gives the buffer to append to: the same
 * one in each run, empty at its beginning. NULL after a 503: there are too many streams. */
struct buf *http_events(struct http_exchange *x);

/* After this run the handler does not run for `ms`, and then surely once. */
void http_events_pause(struct http_exchange *x, int64_t ms);

/* This run is because nothing was appended for 15 s. */
bool http_events_beat(const struct http_exchange *x);
