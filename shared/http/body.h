/* Checked access to the JSON object in a request's body. Fields nobody asks for are ignored.
 *
 * On false a 400 has been sent that names the field and says what is expected there; outputs are untouched.
 * Names may have dots: "pickup.lat". Slices live as long as the exchange. The server's thread only. */
#pragma once

#include "http/exchange.h"

/* Whether the field is there and not null: for optional fields, `http_body_has(…) && !http_body_id(…)`. */
bool http_body_has(struct http_exchange *x, const char *name);

/* An id: ID_PATTERN (base/id.h). */
WARN_UNUSED bool http_body_id(struct http_exchange *x, const char *name, struct slice *id);

/* The same, or where there is none a new UUID, in each run of the handler that one; one for an exchange. */
WARN_UNUSED bool http_body_id_or_new(struct http_exchange *x, const char *name, struct slice *id);

/* At most `max` bytes; may be empty. */
WARN_UNUSED bool http_body_string(struct http_exchange *x, const char *name, size_t max, struct slice *text);

/* A whole number written as such: neither 2.5 nor 1e3. */
WARN_UNUSED bool http_body_int32(struct http_exchange *x, const char *name, int32_t *value);
/* The same in 64 bits. */
WARN_UNUSED bool http_body_int64(struct http_exchange *x, const char *name, int64_t *value);

/* A number from `min` to `max`. */
WARN_UNUSED bool http_body_double(struct http_exchange *x, const char *name, double min, double max,
                                  double *value);

/* A number in steps of 0.1, in tenths: 7.5 is 75; so are `min` and `max`. */
WARN_UNUSED bool http_body_tenths(struct http_exchange *x, const char *name, int32_t min, int32_t max,
                                  int32_t *tenths);

/* True or false. */
WARN_UNUSED bool http_body_bool(struct http_exchange *x, const char *name, bool *value);
