#include "service/logger.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char *service_name = "";
static int service_slot;

void logger_init(const char *service, int slot) {
    service_name = service;
    service_slot = slot;
}

void logger_write(enum log_level level, const char *fmt, ...) {
    static const char *const levels[] = {"info", "warn", "error"};
    char message[1024], when[32];
    struct timespec now;
    struct tm utc;
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);

    _cleanup_(buf_free) struct buf line = {0};
    if (isatty(STDERR_FILENO)) {
        buf_printf(&line, "%s.%03ld %-5s %s-%d: %s\n", when, now.tv_nsec / 1000000, levels[level],
                   service_name, service_slot, message);
    } else {
        struct json j = {.out = &line};
        char stamp[48];
        snprintf(stamp, sizeof stamp, "%s.%03ldZ", when, now.tv_nsec / 1000000);
        json_begin_object(&j);
        json_key(&j, "time"), json_put_string(&j, slice_of(stamp));
        json_key(&j, "level"), json_put_string(&j, slice_of(levels[level]));
        json_key(&j, "service"), json_put_string(&j, slice_of(service_name));
        json_key(&j, "instance"), json_put_int(&j, service_slot);
        json_key(&j, "message"), json_put_string(&j, slice_of(message));
        json_end_object(&j);
        buf_append_byte(&line, '\n');
    }
    /* One write a line, so that the lines of threads do not mix. */
    if (write(STDERR_FILENO, line.data, line.size) < 0)
        return; /* nowhere to complain */
}
