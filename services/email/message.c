#include "message.h"

#include "base/utf8.h"

#include <time.h>

enum {
    WORD_BYTES = 45, /* of text in an encoded word: 60 letters, 72 with what is around them; 75 are allowed */
    PLAIN_MAX = 200, /* of a header that is written as it is */
    BODY_LINE = 57,  /* bytes in a line of base64: 76 letters */
    TEXT_LINE_MAX = 900,
};

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_base64(struct slice s, struct buf *out) {
    for (size_t i = 0; i < s.size; i += 3) {
        uint32_t three = 0;
        size_t n = s.size - i < 3 ? s.size - i : 3;
        for (size_t k = 0; k < 3; k++)
            three = three << 8 | (k < n ? (unsigned char)s.data[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            buf_append_byte(out, k <= n ? (uint8_t)base64[three >> (18 - 6 * k) & 63] : '=');
    }
}

static bool is_plain(struct slice s) {
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] < ' ' || s.data[i] > '~')
            return false;
    return s.size <= PLAIN_MAX && memmem(s.data, s.size, "=?", 2) == NULL;
}

/* How much of `s` fits into one encoded word, in whole characters. */
static size_t word_size(struct slice s) {
    size_t n = 0;
    while (n < s.size) {
        size_t c = utf8_char((struct slice){s.data + n, s.size - n});
        if (n + c > WORD_BYTES)
            break;
        n += c;
    }
    return n;
}

/* Control characters become spaces; `s` is UTF-8, as all strings of events are. */
static void put_encoded(struct slice s, struct buf *out) {
    char word[WORD_BYTES];
    for (size_t n; s.size > 0; s.data += n, s.size -= n) {
        n = word_size(s);
        for (size_t i = 0; i < n; i++)
            word[i] = (char)((unsigned char)s.data[i] < ' ' || s.data[i] == 0x7f ? ' ' : s.data[i]);
        buf_append_slice(out, SLICE("=?UTF-8?B?"));
        put_base64((struct slice){word, n}, out);
        buf_append_slice(out, n < s.size ? SLICE("?=\r\n ") : SLICE("?="));
    }
}

static void put_text(struct slice s, struct buf *out) {
    if (is_plain(s))
        buf_append_slice(out, s);
    else
        put_encoded(s, out);
}

static void put_mailbox(struct slice name, struct slice address, struct buf *out) {
    if (name.size > 0 && is_plain(name) && memchr(name.data, '"', name.size) == NULL &&
        memchr(name.data, '\\', name.size) == NULL)
        buf_printf(out, "\"" SLICE_FMT "\" ", SLICE_ARG(name));
    else if (name.size > 0)
        put_encoded(name, out), buf_append_slice(out, SLICE("\r\n "));
    buf_printf(out, "<" SLICE_FMT ">", SLICE_ARG(address));
}

/* An id's other characters are written as =XX, so that two ids never make one. */
static void put_message_id(struct slice order_id, struct buf *out) {
    buf_append_byte(out, '<');
    for (size_t i = 0; i < order_id.size; i++) {
        unsigned char c = (unsigned char)order_id.data[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
                     c == '_';
        buf_printf(out, plain ? "%c" : "=%02X", c);
    }
    buf_append_slice(out, SLICE("@insideout>"));
}

static void put_date(int64_t time, struct buf *out) {
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(time / 1000);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year < 0 || tm.tm_year > 8099)
        tm = (struct tm){.tm_mday = 1, .tm_year = 70, .tm_wday = 4};
    buf_printf(out, "%s, %d %s %d %02d:%02d:%02d +0000", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
               tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static bool body_is_plain(struct slice s) {
    size_t line = 0;
    for (size_t i = 0; i < s.size; i++) {
        line = s.data[i] == '\n' ? 0 : line + 1;
        if ((s.data[i] < ' ' && s.data[i] != '\n') || s.data[i] > '~' || line > TEXT_LINE_MAX)
            return false;
    }
    return true;
}

/* The text's line ends as CRLF. */
static void put_lines(struct slice s, struct buf *out) {
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] == '\n' && (i == 0 || s.data[i - 1] != '\r'))
            buf_append_slice(out, SLICE("\r\n"));
        else
            buf_append_byte(out, (uint8_t)s.data[i]);
}

static void put_body(struct slice s, struct buf *out) {
    if (body_is_plain(s)) {
        buf_append_slice(out, SLICE("Content-Transfer-Encoding: 7bit\r\n\r\n"));
        put_lines(s, out);
        if (s.size == 0 || s.data[s.size - 1] != '\n')
            buf_append_slice(out, SLICE("\r\n"));
        return;
    }
    struct buf text = {0};
    put_lines(s, &text);
    buf_append_slice(out, SLICE("Content-Transfer-Encoding: base64\r\n\r\n"));
    for (size_t i = 0; i < text.size; i += BODY_LINE) {
        put_base64((struct slice){text.data + i, text.size - i < BODY_LINE ? text.size - i : BODY_LINE}, out);
        buf_append_slice(out, SLICE("\r\n"));
    }
    buf_free(&text);
}

void message_write(const struct email *m, struct slice from, int64_t time, struct buf *out) {
    buf_append_slice(out, SLICE("Date: "));
    put_date(time, out);
    buf_append_slice(out, SLICE("\r\nFrom: "));
    put_mailbox(SLICE("insideout"), from, out);
    buf_append_slice(out, SLICE("\r\nTo: "));
    put_mailbox(m->name, m->to, out);
    buf_append_slice(out, SLICE("\r\nSubject: "));
    put_text(m->subject, out);
    buf_append_slice(out, SLICE("\r\nMessage-ID: "));
    put_message_id(m->order_id, out);
    buf_append_slice(out, SLICE("\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"));
    put_body(m->body, out);
}
