#include "trace/trace.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { STATE_MAX = 512 };

/* Lower-case hex digits; *zero: all of them are 0. */
static bool is_hex(const char *text, size_t size, bool *zero) {
    *zero = true;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        *zero = *zero && c == '0';
    }
    return true;
}

bool trace_context_read(struct slice s, struct trace_context *c) {
    const char *t = s.data;
    bool zero_trace, zero_span, zero;
    if (s.size < TRACEPARENT || t[2] != '-' || t[35] != '-' || t[52] != '-' || !is_hex(t, 2, &zero) ||
        memcmp(t, "ff", 2) == 0 || !is_hex(t + 3, TRACE_ID, &zero_trace) || zero_trace ||
        !is_hex(t + 36, SPAN_ID, &zero_span) || zero_span)
        return false;
    /* A later version may add fields. */
    if (s.size > TRACEPARENT && (memcmp(t, "00", 2) == 0 || t[TRACEPARENT] != '-'))
        return false;
    if (!is_hex(t + 53, 2, &zero))
        return false;
    memcpy(c->trace_id, t + 3, TRACE_ID);
    memcpy(c->span_id, t + 36, SPAN_ID);
    c->sampled = hex_digit(t[54]) & 1;
    return true;
}

void trace_context_write(const struct trace_context *c, char out[TRACEPARENT + 1]) {
    memcpy(out, "00-", 3);
    memcpy(out + 3, c->trace_id, TRACE_ID);
    out[35] = '-';
    memcpy(out + 36, c->span_id, SPAN_ID);
    memcpy(out + 52, c->sampled ? "-01" : "-00", 4);
}

static void random_hex(char *out, size_t digits) {
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[TRACE_ID / 2];
    size_t n = digits / 2;
    if (getrandom(bytes, n, 0) != (ssize_t)n) { /* early in a boot; ids need to differ, and no more */
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        for (size_t i = 0; i < n; i++)
            bytes[i] = (unsigned char)((uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15 >> 8 * (i % 8));
    }
    bytes[n - 1] |= 1; /* not zero */
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = hex[bytes[i] >> 4];
        out[2 * i + 1] = hex[bytes[i] & 15];
    }
}

void trace_id_make(char trace_id[TRACE_ID]) {
    random_hex(trace_id, TRACE_ID);
}

void span_id_make(char span_id[SPAN_ID]) {
    random_hex(span_id, SPAN_ID);
}

bool tracestate_valid(struct slice s) {
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] < ' ' || s.data[i] > '~')
            return false;
    return s.size > 0 && s.size <= STATE_MAX;
}
