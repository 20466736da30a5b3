/* A service's log on standard error: one JSON object a line, or on a terminal a short line for people, with
 * colours unless NO_COLOR is set. Any thread. */
#pragma once

#include "base/slice.h"

/* How much it matters. */
enum log_level { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR };

/* "debug", "info", "warn", "error"; false for anything else, and for NULL. */
bool logger_level_of(const char *name, enum log_level *level);

/* Before there are other threads. Less than `least` is not written. */
void logger_init(const char *service, int slot, enum log_level least);

/* Whether a line of this level would be written. */
bool logger_wants(enum log_level level);

/* Writes a line. */
void logger_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same about a request or a record, with the id of its trace; `traceparent` is its header, and data NULL,
 * or one that is none, leaves the id out. */
void logger_write_trace(enum log_level level, struct slice traceparent, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
