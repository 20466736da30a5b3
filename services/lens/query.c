#include "query.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const int64_t BEYOND_OFFSETS = 100000000000; /* in 1973, as a time */

/* ---- places ---- */

static bool digits(struct slice s, int64_t *n) {
    int64_t value = 0;
    if (s.size == 0 || s.size > 19)
        return false;
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] < '0' || s.data[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, s.data[i] - '0', &value))
            return false;
    *n = value;
    return true;
}

/* Takes exactly `count` digits, and before them `separator` unless it is 0. */
static bool take(struct slice *s, char separator, size_t count, int64_t min, int64_t max, int64_t *n) {
    size_t skip = separator != 0;
    if (s->size < skip + count || (skip != 0 && *s->data != separator) ||
        !digits((struct slice){s->data + skip, count}, n) || *n < min || *n > max)
        return false;
    *s = (struct slice){s->data + skip + count, s->size - skip - count};
    return true;
}

static void take_fraction(struct slice *s, int64_t *ms) {
    int64_t scale = 100;
    *ms = 0;
    if (s->size < 2 || (*s->data != '.' && *s->data != ',') || s->data[1] < '0' || s->data[1] > '9')
        return;
    for (*s = (struct slice){s->data + 1, s->size - 1}; s->size > 0 && *s->data >= '0' && *s->data <= '9';
         *s = (struct slice){s->data + 1, s->size - 1}, scale /= 10)
        *ms += (*s->data - '0') * scale;
}

static bool take_zone(struct slice *s, int64_t *minutes) {
    int64_t hour, minute = 0;
    *minutes = 0;
    if (s->size == 0 || (s->size == 1 && (*s->data == 'Z' || *s->data == 'z'))) {
        s->size = 0;
        return true;
    }
    bool west = *s->data == '-';
    if (!take(s, west ? '-' : *s->data == ' ' ? ' ' : '+', 2, 0, 23, &hour)) /* a + that became a space */
        return false;
    if (s->size > 0 && !take(s, *s->data == ':' ? ':' : 0, 2, 0, 59, &minute))
        return false;
    *minutes = (west ? -1 : 1) * (60 * hour + minute);
    return s->size == 0;
}

static bool iso_time(struct slice s, int64_t *ms) {
    int64_t year, month, day, hour = 0, minute = 0, second = 0, fraction = 0, zone = 0;
    if (!take(&s, 0, 4, 1970, 9999, &year) || !take(&s, '-', 2, 1, 12, &month) ||
        !take(&s, '-', 2, 1, 31, &day))
        return false;
    if (s.size > 0) {
        char separator = *s.data == ' ' || *s.data == 't' ? *s.data : 'T';
        if (!take(&s, separator, 2, 0, 23, &hour) || !take(&s, ':', 2, 0, 59, &minute))
            return false;
        if (s.size > 0 && *s.data == ':' && !take(&s, ':', 2, 0, 60, &second))
            return false;
        take_fraction(&s, &fraction);
        if (!take_zone(&s, &zone))
            return false;
    }
    struct tm tm = {.tm_year = (int)year - 1900,
                    .tm_mon = (int)month - 1,
                    .tm_mday = (int)day,
                    .tm_hour = (int)hour,
                    .tm_min = (int)minute,
                    .tm_sec = (int)second};
    *ms = ((int64_t)timegm(&tm) - zone * 60) * 1000 + fraction;
    return tm.tm_mday == (int)day && *ms >= 0; /* no 31st of February */
}

bool place_parse(struct slice text, struct place *p) {
    int64_t n;
    if (slice_equal(text, SLICE("first")))
        *p = (struct place){.kind = PLACE_FIRST};
    else if (slice_equal(text, SLICE("last")))
        *p = (struct place){.kind = PLACE_LAST};
    else if (text.size > 1 && *text.data == '-' && digits((struct slice){text.data + 1, text.size - 1}, &n) &&
             n > 0)
        *p = (struct place){PLACE_BACK, n};
    else if (text.size > 1 && *text.data == '@' && digits((struct slice){text.data + 1, text.size - 1}, &n))
        *p = (struct place){PLACE_TIME, n};
    else if (digits(text, &n))
        *p = (struct place){n >= BEYOND_OFFSETS ? PLACE_TIME : PLACE_OFFSET, n};
    else if (iso_time(text, &n))
        *p = (struct place){PLACE_TIME, n};
    else
        return false;
    return true;
}

/* ---- terms ---- */

static const struct {
    const char *text;
    enum op op;
} operators[] = {/* the longer ones first */
                 {"!=", OP_UNEQUAL}, {"<=", OP_LESS_EQUAL}, {">=", OP_MORE_EQUAL},      {"=", OP_EQUAL},
                 {"<", OP_LESS},     {">", OP_MORE},        {" contains ", OP_CONTAINS}};

static struct slice trim(struct slice s) {
    for (; s.size > 0 && *s.data == ' '; s.data++)
        s.size--;
    while (s.size > 0 && s.data[s.size - 1] == ' ')
        s.size--;
    return s;
}

static struct slice from(struct slice s, size_t at) {
    return (struct slice){s.data + at, s.size - at};
}

/* Where the first of what is outside of quotes and starts with `word` is. */
static bool find(struct slice s, const char *word, size_t *at) {
    bool quoted = false;
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == '"')
            quoted = !quoted;
        else if (!quoted && slice_starts_with(from(s, i), slice_of(word))) {
            *at = i;
            return true;
        }
    }
    return false;
}

static bool unquote(struct slice *s, struct err *e) {
    size_t quotes = 0;
    for (size_t i = 0; i < s->size; i++)
        quotes += s->data[i] == '"';
    if (quotes == 0)
        return true;
    if (quotes != 2 || s->data[0] != '"' || s->data[s->size - 1] != '"')
        return err_set(e, ERR_INPUT, "a quote that does not begin or end a literal");
    *s = (struct slice){s->data + 1, s->size - 2};
    return true;
}

static bool is_field(struct slice s) {
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] == ' ' || s.data[i] == '"')
            return false;
    return true;
}

static bool term_parse(struct slice text, struct term *t, struct err *e) {
    size_t best = SIZE_MAX, which = 0, at = 0;
    for (size_t k = 0; k < sizeof operators / sizeof *operators; k++)
        if (find(text, operators[k].text, &at) && at < best) {
            best = at;
            which = k;
        }
    struct slice word = trim(text);
    if (best == SIZE_MAX) { /* also "contains x", which has nothing before it */
        static const struct slice contains = {"contains ", 9};
        *t = (struct term){.op = OP_CONTAINS,
                           .literal = slice_starts_with(word, contains) ? trim(from(word, 9)) : word};
    } else {
        *t = (struct term){trim((struct slice){text.data, best}), operators[which].op,
                           trim(from(text, best + strlen(operators[which].text)))};
    }
    if (!is_field(t->field))
        return err_set(e, ERR_INPUT, "\"" SLICE_FMT "\" is no field: names, with dots between",
                       SLICE_ARG(t->field));
    if (t->literal.size == 0)
        return err_set(e, ERR_INPUT, "nothing to compare with");
    return unquote(&t->literal, e);
}

bool terms_parse(struct slice text, struct terms *terms, struct err *e) {
    terms->count = 0;
    for (size_t at = 0; text.data != NULL;) {
        bool more = find(text, " and ", &at);
        if (terms->count == TERMS_MAX)
            return err_set(e, ERR_INPUT, "more than %d terms", TERMS_MAX);
        if (!term_parse(more ? (struct slice){text.data, at} : text, &terms->items[terms->count++], e))
            return false;
        text = more ? from(text, at + 5) : SLICE_NONE;
    }
    return true;
}

static bool integer(struct slice s, int64_t *n) {
    bool negative = s.size > 0 && *s.data == '-';
    if (!digits(negative ? from(s, 1) : s, n))
        return false;
    *n = negative ? -*n : *n;
    return true;
}

static bool number(struct slice s, double *d) {
    char text[64], *end;
    if (s.size == 0 || s.size >= sizeof text)
        return false;
    memcpy(text, s.data, s.size);
    text[s.size] = 0;
    if (strspn(text, "0123456789+-.eE") != s.size)
        return false;
    errno = 0;
    *d = strtod(text, &end);
    return *end == 0 && errno == 0;
}

static int compare(struct slice a, struct slice b) {
    int64_t m, n;
    double x, y;
    if (integer(a, &m) && integer(b, &n))
        return (m > n) - (m < n);
    if (number(a, &x) && number(b, &y))
        return (x > y) - (x < y);
    return slice_compare(a, b);
}

bool term_matches(const struct term *t, struct slice text) {
    int order;
    switch (t->op) {
    case OP_CONTAINS:
        return t->literal.size == 0 || memmem(text.data, text.size, t->literal.data, t->literal.size) != NULL;
    case OP_EQUAL:
        return compare(text, t->literal) == 0;
    case OP_UNEQUAL:
        return compare(text, t->literal) != 0;
    default:
        order = compare(text, t->literal);
        return t->op == OP_LESS         ? order < 0
               : t->op == OP_LESS_EQUAL ? order <= 0
               : t->op == OP_MORE       ? order > 0
                                        : order >= 0;
    }
}

static bool match_leaf(const struct term *t, json_t *v) {
    char text[64];
    switch (json_typeof(v)) {
    case JSON_STRING:
        return term_matches(t, (struct slice){json_string_value(v), json_string_length(v)});
    case JSON_INTEGER:
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
        return term_matches(t, slice_of(text));
    case JSON_REAL:
        snprintf(text, sizeof text, "%.17g", json_real_value(v));
        return term_matches(t, slice_of(text));
    default:
        return term_matches(t, json_is_true(v)    ? SLICE("true")
                               : json_is_false(v) ? SLICE("false")
                                                  : SLICE("null"));
    }
}

/* Any leaf below, without a field; with one the leaf that it leads to. */
static bool match(const struct term *t, struct slice field, json_t *v) {
    const char *name;
    json_t *child;
    size_t i;
    if (json_is_array(v)) {
        json_array_foreach(v, i, child) if (match(t, field, child)) return true;
        return false;
    }
    if (!json_is_object(v))
        return field.size == 0 && match_leaf(t, v);
    size_t dot = 0;
    while (dot < field.size && field.data[dot] != '.')
        dot++;
    json_object_foreach(v, name, child) {
        bool named = slice_equal(slice_of(name), (struct slice){field.data, dot});
        if ((t->field.size == 0 || named) &&
            match(t, named && dot < field.size ? from(field, dot + 1) : SLICE(""), child))
            return true;
    }
    return false;
}

bool terms_match_value(const struct terms *terms, json_t *value) {
    for (size_t i = 0; i < terms->count; i++)
        if (!match(&terms->items[i], terms->items[i].field, value))
            return false;
    return true;
}
