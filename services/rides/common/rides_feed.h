/* Streams of events for pages: what is in view, and one's own ride wherever it is. HTTP thread only. */
#pragma once

#include "rides_http.h"

enum watcher { WATCHER_RIDER, WATCHER_DRIVER, WATCHER_CITY };

/* GET /v1/events/{riders|drivers}/{id}?bbox= and /v1/events/rides?bbox=. Events (see service/feed.h for
 * `reset` and `…-deleted`): ride     a rider's: their own; a driver's: their own, and hails in view; the
 * city's: all that are not over, in view driver   for a rider and the city: positions in view, and whoever
 * comes to this rider rider    for a driver and the city: likewise In view is what is in `bbox`, or without
 * one, for a rider or a driver within 5 km, for the city everything. An own ride that is over is told for ten
 * minutes. */
enum http_result rides_feed(struct http_exchange *x, struct instance *i, enum watcher watcher);
