/* What is near: the rows of a table with index keys by place. HTTP thread only. */
#pragma once

#include "geo.h"
#include "service/service.h"

enum { NEAR_MAX = 1000 }; /* rows of one answer */

/* Calls `each` for the rows in the cells that the box touches (so some may lie outside of it) until it
 * returns false; the key lives during the call. On false a 503 has been sent. */
WARN_UNUSED bool near_scan(struct instance *i, struct http_exchange *x, const struct table *t,
                           const struct geo_box *box, bool (*each)(void *context, struct slice key),
                           void *context);

/* The box of a request: ?bbox=, or ?lat=&lon=&radius=, or `around` (NULL: one of them is required). On false
 * a 400 has been sent. */
WARN_UNUSED bool near_box(struct http_exchange *x, const struct geo_point *around, struct geo_box *box);
