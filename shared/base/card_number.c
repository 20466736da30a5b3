#include "base/card_number.h"

enum { DIGITS_MIN = 13, DIGITS_MAX = 19, UUID_CHARS = 36, HEX_STEP = 8, HEX_MIN = 16 };

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static bool is_sign(char c) {
    return !is_digit(c) && !is_letter(c);
}

/* Luhn: from the right, every other digit twice, and its digits added up. */
static bool is_checked(const char *digits, size_t n) {
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        int d = (digits[n - 1 - i] - '0') << (i % 2);
        sum += d > 9 ? d - 9 : d;
    }
    return sum % 10 == 0;
}

/* An article's number, of 13 or 14 digits: from the right, every other digit three times. */
static bool is_article(const char *digits, size_t n) {
    int sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (digits[n - 1 - i] - '0') * (i % 2 == 0 ? 1 : 3);
    return n <= 14 && sum % 10 == 0;
}

/* The ranges of the networks: 2221 to 2720, 30, 34 to 39, 4, 5 and 6. */
static bool begins_as_card(const char *digits) {
    int two = (digits[0] - '0') * 10 + digits[1] - '0',
        four = two * 100 + (digits[2] - '0') * 10 + digits[3] - '0';
    return (four >= 2221 && four <= 2720) || two == 30 || (two >= 34 && two <= 69);
}

static size_t hex_at(struct slice s, size_t i) {
    size_t n = 0;
    while (i + n < s.size && is_hex(s.data[i + n]))
        n++;
    return n;
}

/* The length of what a machine made that begins here, at the beginning of a word; 0: nothing such. */
static size_t machine_made(struct slice s, size_t i) {
    static const size_t parts[] = {8, 4, 4, 4, 12};
    size_t n = hex_at(s, i), at = i;
    bool ends = i + n == s.size || is_sign(s.data[i + n]), letter = false;
    for (size_t k = i; k < i + n; k++)
        letter = letter || !is_digit(s.data[k]);
    if (ends && letter && n >= HEX_MIN && n % HEX_STEP == 0)
        return n;
    for (size_t p = 0; p < 5; p++) {
        if (hex_at(s, at) != parts[p])
            return 0;
        at += parts[p];
        if (p < 4 && (at == s.size || s.data[at++] != '-'))
            return 0;
    }
    return at == s.size || is_sign(s.data[at]) ? UUID_CHARS : 0;
}

/* Whether one begins with this digit, before which there is none. */
static bool card_at(struct slice s, size_t i) {
    char digits[DIGITS_MAX];
    size_t n = 0, groups = 0;
    for (; i < s.size && !is_letter(s.data[i]) && n < DIGITS_MAX; i++) {
        bool begins = i == 0 || is_sign(s.data[i - 1]), ends = i + 1 == s.size || !is_digit(s.data[i + 1]);
        if (is_sign(s.data[i]))
            continue;
        if (begins && machine_made(s, i) > 0)
            return false;
        digits[n++] = s.data[i];
        groups += ends;
        if (ends && n >= DIGITS_MIN && begins_as_card(digits) && is_checked(digits, n) &&
            !(groups == 1 && is_article(digits, n)))
            return true;
    }
    return false;
}

bool has_card_number(struct slice s) {
    for (size_t i = 0; i < s.size; i++) {
        bool begins = i == 0 || is_sign(s.data[i - 1]);
        size_t made = begins && !is_sign(s.data[i]) ? machine_made(s, i) : 0;
        if (made > 0)
            i += made - 1;
        else if (is_digit(s.data[i]) && (i == 0 || !is_digit(s.data[i - 1])) && card_at(s, i))
            return true;
    }
    return false;
}
