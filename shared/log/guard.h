/* Calls to Kafka that can fail, and that can hang: how the loops of a stream and of a delivery make them. Not
 * for users of the library. */
#pragma once

#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>

enum {
    CALL_DEADLINE_MS = 25 * 1000
}; /* of a guarded call; more than the longest may take, see kafka/transactions.c */

#define TRY(call)                                                                                            \
    do {                                                                                                     \
        if (!(call))                                                                                         \
            return false;                                                                                    \
    } while (0)

/* A call that can block says until when it may, in `deadline` of whoever makes it. */
#define GUARDED(owner, call) (guard_begin(&(owner)->deadline), guard_end(&(owner)->deadline, call))

static inline void guard_begin(atomic_int_least64_t *deadline) {
    atomic_store(deadline, clock_mono_us() + CALL_DEADLINE_MS * (int64_t)1000);
}

static inline bool guard_end(atomic_int_least64_t *deadline, bool ok) {
    atomic_store(deadline, 0);
    return ok;
}
