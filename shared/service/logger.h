/* A service's log on standard error: one JSON object a line, or plain text on a terminal. Any thread. */
#pragma once

enum log_level { LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR };

void logger_init(const char *service, int slot);
void logger_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
