#include "topology/window.h"

#include "base/num.h"

#include <inttypes.h>

enum { TIME_DIGITS = 15 }; /* of milliseconds: enough for 30,000 years */

static int64_t min(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t max(int64_t a, int64_t b) {
    return a > b ? a : b;
}

struct window window_tumbling(int64_t time, int64_t size_ms) {
    int64_t into = time % size_ms;
    int64_t start = sat_sub(time, into < 0 ? into + size_ms : into);
    return (struct window){start, sat_add(start, size_ms)};
}

/* One pass is enough: whatever is within the gap of the joined session is within the gap of the event or of
 * a session that already stood apart from it. */
struct window window_session(const struct window *sessions, size_t count, int64_t time, int64_t gap_ms,
                             bool *joins) {
    struct window own = {time, time};
    for (size_t i = 0; i < count; i++) {
        const struct window *w = &sessions[i];
        joins[i] = sat_sub(w->start, time) <= gap_ms && sat_sub(time, w->end) <= gap_ms;
        if (joins[i])
            own = (struct window){min(own.start, w->start), max(own.end, w->end)};
    }
    return own;
}

struct slice time_sub(struct arena *a, int64_t time) {
    return arena_printf(a, "%0*" PRId64, TIME_DIGITS, min(max(time, 0), INT64_C(999999999999999)));
}

int64_t time_of_sub(struct slice sub) {
    int64_t time = 0;
    for (size_t i = 0; i < TIME_DIGITS; i++) {
        if (i >= sub.size || sub.data[i] < '0' || sub.data[i] > '9')
            return 0;
        time = time * 10 + sub.data[i] - '0';
    }
    return time;
}
