#include "base/utf8.h"

#include <stdint.h>

size_t utf8_char(struct slice s) {
    if (s.size == 0)
        return 0;
    const uint8_t *p = (const uint8_t *)s.data;
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xc2 && p[0] < 0xe0   ? 2
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;
    if (n == 0 || s.size < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] >= 0xa0;
    bool beyond = p[0] == 0xf4 && p[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : n;
}

/* How many bytes at the beginning are ASCII: nearly all of what we see is, so eight at a time. */
static size_t ascii_prefix(struct slice s) {
    size_t n = 0;
    for (uint64_t word; n + sizeof word <= s.size; n += sizeof word) {
        memcpy(&word, s.data + n, sizeof word);
        if ((word & UINT64_C(0x8080808080808080)) != 0)
            break;
    }
    while (n < s.size && (uint8_t)s.data[n] < 0x80)
        n++;
    return n;
}

bool utf8_valid(struct slice s) {
    while (s.size > 0) {
        size_t n = ascii_prefix(s);
        if (n == 0)
            n = utf8_char(s);
        if (n == 0)
            return false;
        s = (struct slice){s.data + n, s.size - n};
    }
    return true;
}
