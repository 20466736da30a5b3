#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void err_fill(struct err *e, enum err_kind kind, const char *fmt, ...) {
    if (e == NULL)
        return;
    e->kind = kind;
    va_list args;
    va_start(args, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, args);
    va_end(args);
}

bool err_prefix(struct err *e, const char *fmt, ...) {
    if (e == NULL)
        return false;
    char text[sizeof e->text];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, ": %.*s", (int)(sizeof text - (size_t)n), e->text);
    memcpy(e->text, text, sizeof text);
    return false;
}

const char *err_kind_name(enum err_kind kind) {
    static const char *const names[] = {
        [ERR_NONE] = "none",       [ERR_RETRY] = "retry",   [ERR_ABORT] = "abort", [ERR_UNKNOWN] = "unknown",
        [ERR_REFUSED] = "refused", [ERR_POISON] = "poison", [ERR_INPUT] = "input", [ERR_FENCED] = "fenced",
        [ERR_CONFIG] = "config",   [ERR_FATAL] = "fatal",
    };
    return names[kind];
}
