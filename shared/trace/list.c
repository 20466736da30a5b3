#include "trace/list.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/utf8.h"

#include <string.h>

static struct slice trim(struct slice s) {
    for (; s.size > 0 && *s.data == ' '; s.data++, s.size--)
        ;
    for (; s.size > 0 && s.data[s.size - 1] == ' '; s.size--)
        ;
    return s;
}

static bool is_plain(struct slice s) {
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] < ' ' || s.data[i] == 0x7f)
            return false;
    return true;
}

/* NUL-terminated, into `out`. False: a percent sign without its digits. */
static bool decode(struct slice s, struct buf *out) {
    buf_clear(out);
    for (size_t i = 0; i < s.size; i++) {
        int high = i + 2 < s.size ? hex_digit(s.data[i + 1]) : -1,
            low = high < 0 ? -1 : hex_digit(s.data[i + 2]);
        if (s.data[i] == '%' && low < 0)
            return false;
        buf_append_byte(out, s.data[i] == '%' ? (uint8_t)(high << 4 | low) : (uint8_t)s.data[i]);
        i += s.data[i] == '%' ? 2 : 0;
    }
    buf_append_byte(out, 0);
    return true;
}

static bool is_token(struct slice s) {
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] <= ' ' || s.data[i] > '~' || strchr("()<>@,;:\\\"/[]?={}", s.data[i]) != NULL)
            return false;
    return s.size > 0;
}

/* The first entry of `list`, which moves on; NULL list: there is none left. False: it is none. */
static bool next(const char **list, struct buf *name, struct buf *value) {
    const char *end = strchrnul(*list, ','), *sign = memchr(*list, '=', (size_t)(end - *list));
    struct slice n = {*list, (size_t)((sign == NULL ? end : sign) - *list)}, v = {end, 0};
    if (sign != NULL)
        v = (struct slice){sign + 1, (size_t)(end - sign - 1)};
    *list = *end == 0 ? NULL : end + 1;
    return sign != NULL && decode(trim(n), name) && decode(trim(v), value) && name->size > 1;
}

bool list_check(const char *list, bool header, size_t *wrong) {
    _cleanup_(buf_free) struct buf name = {0}, value = {0};
    for (*wrong = 1; list != NULL; ++*wrong) {
        if (!next(&list, &name, &value))
            return false;
        struct slice n = {name.data, name.size - 1}, v = {value.data, value.size - 1};
        if (!is_plain(n) || !is_plain(v) || !utf8_valid(n) || !utf8_valid(v) || (header && !is_token(n)))
            return false;
    }
    return true;
}

void list_each(const char *list, void (*each)(void *, const char *, const char *), void *context) {
    _cleanup_(buf_free) struct buf name = {0}, value = {0};
    while (list != NULL)
        if (next(&list, &name, &value))
            each(context, name.data, value.data);
}
