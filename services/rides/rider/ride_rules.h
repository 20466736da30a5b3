/* What becomes of a ride when somebody commands something. Plain functions of plain values. */
#pragma once

#include "schemas/schemas.gen.h"

enum { RIDE_LEFT_TO_PEOPLE_MS = 20 * 1000 };

struct ride_verdict {
    int status;      /* as HTTP has it: 200, 201 (made), 409 */
    const char *why; /* of 409 */
    bool changed;    /* d->ride is another one now */
};

/* Decides on a ride that there is, or, where `exists` is false, on a HAIL; *d is then filled. `at` is when
 * the command came. What is done already is 200 to who did it. */
struct ride_verdict ride_decide(struct ride_decision *d, bool exists, const struct ride_command *c,
                                int64_t at);

bool ride_has_driver(const struct ride *r, struct slice driver_id); /* until it ends */
bool ride_has_rider(const struct ride *r, struct slice rider_id);   /* until it ends */
