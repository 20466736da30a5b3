#include "base/json.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>

static void before_value(struct json *j) {
    if (j->comma)
        buf_append_byte(j->out, ',');
    j->comma = true;
}

static void open_with(struct json *j, char bracket) {
    before_value(j);
    buf_append_byte(j->out, (uint8_t)bracket);
    j->comma = false;
}

static void close_with(struct json *j, char bracket) {
    buf_append_byte(j->out, (uint8_t)bracket);
    j->comma = true;
}

void json_begin_object(struct json *j) {
    open_with(j, '{');
}

void json_end_object(struct json *j) {
    close_with(j, '}');
}

void json_begin_array(struct json *j) {
    open_with(j, '[');
}

void json_end_array(struct json *j) {
    close_with(j, ']');
}

static void append_escaped(struct buf *out, char c) {
    switch (c) {
    case '"':
    case '\\':
        buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)c);
        break;
    case '\n':
        buf_append_slice(out, SLICE("\\n"));
        break;
    case '\t':
        buf_append_slice(out, SLICE("\\t"));
        break;
    default:
        buf_printf(out, "\\u%04x", (unsigned)(uint8_t)c);
    }
}

static void append_quoted(struct buf *out, struct slice s) {
    buf_append_byte(out, '"');
    while (s.size > 0) {
        size_t plain = 0; /* most strings are one run of these */
        while (plain < s.size && s.data[plain] >= ' ' && s.data[plain] < 0x7f && s.data[plain] != '"' &&
               s.data[plain] != '\\')
            plain++;
        buf_append(out, s.data, plain);
        s = (struct slice){s.data + plain, s.size - plain};
        if (s.size == 0)
            break;
        size_t n = utf8_char(s);
        if (n == 0)
            buf_append_slice(out, SLICE("\xef\xbf\xbd"));
        else if (n == 1)
            append_escaped(out, s.data[0]);
        else
            buf_append(out, s.data, n);
        n = n == 0 ? 1 : n;
        s = (struct slice){s.data + n, s.size - n};
    }
    buf_append_byte(out, '"');
}

void json_key_slice(struct json *j, struct slice key) {
    json_put_string(j, key);
    buf_append_byte(j->out, ':');
    j->comma = false;
}

void json_key(struct json *j, const char *key) {
    json_key_slice(j, slice_of(key));
}

void json_put_string(struct json *j, struct slice s) {
    before_value(j);
    append_quoted(j->out, s);
}

void json_put_int(struct json *j, int64_t n) {
    static const int64_t exact = INT64_C(1) << 53; /* up to here a double has each */
    bool quoted = n > exact || n < -exact;
    before_value(j);
    if (quoted)
        buf_append_byte(j->out, '"');
    buf_append_int(j->out, n);
    if (quoted)
        buf_append_byte(j->out, '"');
}

void json_put_double(struct json *j, double d) {
    if (!isfinite(d)) {
        json_put_null(j);
        return;
    }
    before_value(j);
    char text[32]; /* the shortest that reads back as the same: 0.1, not 0.10000000000000001 */
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, d);
        double back = 0;
        if (sscanf(text, "%lf", &back) == 1 && back == d)
            break;
    }
    buf_append_slice(j->out, slice_of(text));
}

void json_put_bool(struct json *j, bool b) {
    before_value(j);
    buf_append_slice(j->out, b ? SLICE("true") : SLICE("false"));
}

void json_put_null(struct json *j) {
    before_value(j);
    buf_append_slice(j->out, SLICE("null"));
}

void json_put_raw(struct json *j, struct slice value) {
    before_value(j);
    buf_append_slice(j->out, value);
}
