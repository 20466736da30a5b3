#include "base/address.h"

#include "base/utf8.h"

enum { ADDRESS_MAX = 254, NAME_MAX = 64, LABEL_MAX = 63 };

static bool is_alnum(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_beyond_ascii(char c) {
    return (unsigned char)c >= 0x80;
}

/* What stands between dots is made of letters, digits and these signs. */
static bool is_dotted(struct slice s, const char *signs, size_t part_max) {
    size_t part = 0;
    for (size_t i = 0; i < s.size; i++) {
        char c = s.data[i];
        if (c == '.' && part == 0)
            return false;
        if (c != '.' && !is_alnum(c) && !is_beyond_ascii(c) && (c == 0 || strchr(signs, c) == NULL))
            return false;
        part = c == '.' ? 0 : part + 1;
        if (part > part_max)
            return false;
    }
    return part > 0;
}

static bool hyphens_are_inside(struct slice domain) {
    for (size_t i = 0; i < domain.size; i++)
        if (domain.data[i] == '-' &&
            (i == 0 || i + 1 == domain.size || domain.data[i - 1] == '.' || domain.data[i + 1] == '.'))
            return false;
    return true;
}

bool address_valid(struct slice a) {
    const char *at = a.size == 0 || a.size > ADDRESS_MAX ? NULL : memchr(a.data, '@', a.size);
    if (at == NULL || !utf8_valid(a))
        return false;
    struct slice name = {a.data, (size_t)(at - a.data)};
    struct slice domain = {at + 1, a.size - name.size - 1};
    return name.size <= NAME_MAX && is_dotted(name, "!#$%&'*+-/=?^_`{|}~", NAME_MAX) &&
           is_dotted(domain, "-", LABEL_MAX) && hyphens_are_inside(domain);
}

bool address_is_international(struct slice a) {
    for (size_t i = 0; i < a.size; i++)
        if (is_beyond_ascii(a.data[i]))
            return true;
    return false;
}
