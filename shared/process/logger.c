#include "process/logger.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static const char *service_name = "";
static int service_slot;
static enum log_level least_level = LEVEL_INFO;

bool logger_level_of(const char *name, enum log_level *level) {
    for (int i = LEVEL_DEBUG; i <= LEVEL_ERROR; i++)
        if (name != NULL && strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    return false;
}

void logger_init(const char *service, int slot, enum log_level least) {
    service_name = service;
    service_slot = slot;
    least_level = least;
}

bool logger_wants(enum log_level level) {
    return level >= least_level;
}

/* In "00-<32 hex digits>-<16>-<2>". */
static struct slice trace_id(struct slice traceparent) {
    static const char digits[] = "0123456789abcdef";
    struct slice id = {traceparent.data + 3, 32};
    if (traceparent.size != 55 || traceparent.data[2] != '-' || traceparent.data[35] != '-')
        return SLICE_NONE;
    for (size_t i = 0; i < id.size; i++)
        if (memchr(digits, id.data[i], 16) == NULL)
            return SLICE_NONE;
    return id;
}

/* What would move the cursor, or more, in a terminal: a message can have what a stranger sent. */
static void append_visible(struct buf *line, const char *text) {
    for (; *text != 0; text++)
        buf_append_byte(line, (unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : (uint8_t)*text);
}

static void for_people(struct buf *line, enum log_level level, const char *time, struct slice trace,
                       const char *message) {
    static const char *const colours[] = {"\033[2m", "", "\033[33m", "\033[31m"};
    const char *no_color = getenv("NO_COLOR");
    bool plain = no_color != NULL && *no_color != 0;
    buf_printf(line, "%s%s %-5s %s-%d%s  ", plain ? "" : colours[level], time, level_names[level],
               service_name, service_slot, plain ? "" : "\033[0m");
    append_visible(line, message);
    if (trace.data != NULL)
        buf_printf(line, "%s  trace " SLICE_FMT "%s", plain ? "" : "\033[2m", SLICE_ARG(trace),
                   plain ? "" : "\033[0m");
    buf_append_byte(line, '\n');
}

static void for_programs(struct buf *line, enum log_level level, const char *time, struct slice trace,
                         const char *message) {
    struct json j = {.out = line};
    json_begin_object(&j);
    json_key(&j, "time"), json_put_string(&j, slice_of(time));
    json_key(&j, "level"), json_put_string(&j, slice_of(level_names[level]));
    json_key(&j, "service"), json_put_string(&j, slice_of(service_name));
    json_key(&j, "instance"), json_put_int(&j, service_slot);
    if (trace.data != NULL)
        json_key(&j, "trace_id"), json_put_string(&j, trace);
    json_key(&j, "message"), json_put_string(&j, slice_of(message));
    json_end_object(&j);
    buf_append_byte(line, '\n');
}

static void write_line(enum log_level level, struct slice traceparent, const char *fmt, va_list args) {
    char message[1024], day[32], time[64];
    struct timespec now;
    struct tm utc;
    _cleanup_(buf_free) struct buf line = {0};
    if (!logger_wants(level))
        return;
    vsnprintf(message, sizeof message, fmt, args);
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    bool people = isatty(STDERR_FILENO);
    strftime(day, sizeof day, people ? "%H:%M:%S" : "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(time, sizeof time, "%s.%03ld%s", day, now.tv_nsec / 1000000, people ? "" : "Z");
    (people ? for_people : for_programs)(&line, level, time, trace_id(traceparent), message);
    /* One write a line, so that the lines of threads do not mix. */
    if (write(STDERR_FILENO, line.data, line.size) < 0)
        return; /* nowhere to complain */
}

void logger_write(enum log_level level, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    write_line(level, SLICE_NONE, fmt, args);
    va_end(args);
}

void logger_write_trace(enum log_level level, struct slice traceparent, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    write_line(level, traceparent, fmt, args);
    va_end(args);
}
