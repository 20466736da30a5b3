#include "fraud_rules.h"

#include "base/num.h"
#include "topology/window.h"

int64_t fraud_amount(int32_t quantity, int64_t price_cents) {
    int64_t amount = sat_mul(quantity, price_cents);
    return amount > 0 ? amount : 0;
}

struct fraud_sessions fraud_add(const struct fraud_sessions *old, int64_t time, int64_t amount,
                                struct arena *a, int64_t *total) {
    int64_t stream_time = old->stream_time > time ? old->stream_time : time;
    int64_t oldest = sat_sub(stream_time, FRAUD_KEEP_MS);
    struct session *kept = arena_alloc(a, (old->sessions.count + 1) * sizeof *kept);
    struct window *windows = arena_alloc(a, (old->sessions.count + 1) * sizeof *windows);
    bool *joins = arena_alloc(a, old->sessions.count + 1);
    size_t known = 0, count = 0;
    for (size_t i = 0; i < old->sessions.count; i++) {
        const struct session *s = &old->sessions.items[i];
        if (s->end < oldest)
            continue;
        kept[known] = *s;
        windows[known++] = (struct window){s->start, s->end};
    }
    struct window own = window_session(windows, known, time, FRAUD_GAP_MS, joins);
    *total = amount;
    for (size_t i = 0; i < known; i++)
        if (joins[i])
            *total = sat_add(*total, kept[i].total);
        else
            kept[count++] = kept[i];
    if (own.end >= oldest)
        kept[count++] = (struct session){.start = own.start, .end = own.end, .total = *total};
    return (struct fraud_sessions){.stream_time = stream_time, .sessions = {kept, count}};
}
