#include "fraud_rules.h"

#include "base/num.h"

int64_t fraud_amount(int32_t quantity, int64_t price_cents) {
    int64_t amount = sat_mul(quantity, price_cents);
    return amount > 0 ? amount : 0;
}

static int64_t min(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t max(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static bool joins(const struct session *s, int64_t time) {
    return sat_sub(s->start, time) <= FRAUD_GAP_MS && sat_sub(time, s->end) <= FRAUD_GAP_MS;
}

/* One pass is enough: whatever is within the gap of the joined session is within the gap of the order or
 * of a session that already stood apart from it. */
struct fraud_sessions fraud_add(const struct fraud_sessions *old, int64_t time, int64_t amount,
                                struct arena *a, int64_t *total) {
    int64_t stream_time = max(old->stream_time, time);
    int64_t oldest = sat_sub(stream_time, FRAUD_KEEP_MS);
    struct session *kept = arena_alloc(a, (old->sessions.count + 1) * sizeof *kept);
    size_t count = 0;
    struct session own = {.start = time, .end = time, .total = amount};

    for (size_t i = 0; i < old->sessions.count; i++) {
        const struct session *s = &old->sessions.items[i];
        if (s->end < oldest)
            continue;
        if (joins(s, time)) {
            own.start = min(own.start, s->start);
            own.end = max(own.end, s->end);
            own.total = sat_add(own.total, s->total);
        } else {
            kept[count++] = *s;
        }
    }
    if (own.end >= oldest)
        kept[count++] = own;
    *total = own.total;
    return (struct fraud_sessions){.stream_time = stream_time, .sessions = {kept, count}};
}
