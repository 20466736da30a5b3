#include "http/body.h"
#include "http/internal.h"

#include "base/clock.h"
#include "base/id.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <malloc.h>
#include <math.h>
#include <stdlib.h>

static size_t skip_back(struct slice text, size_t i, const char *over) {
    while (i > 0 && text.data[i - 1] != 0 && strchr(over, text.data[i - 1]) != NULL)
        i--;
    return i;
}

/* Where the string begins that `at` is in the middle of; `at` where it is in none. */
static size_t string_around(struct slice text, size_t at) {
    size_t begin = 0;
    bool inside = false;
    for (size_t i = 0; i < at && i < text.size; i++) {
        if (inside && text.data[i] == '\\') {
            i++;
        } else if (text.data[i] == '"') {
            inside = !inside;
            begin = i;
        }
    }
    return inside ? begin : at;
}

/* The parser names the place where it stopped, a person wants the field: whatever value ends at `end`, the
 * field is the string before its colon; a string that is no value is the field itself, a duplicate key say.
 * Empty when unclear. */
static struct slice field_before(struct slice text, size_t end) {
    static const char literal[] = "+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const char blank[] = " \t\r\n";
    end = string_around(text, end < text.size ? end : text.size);
    size_t i = skip_back(text, skip_back(text, end, literal), blank);
    for (;;) {
        if (i > 0 && text.data[i - 1] == ':')
            i = skip_back(text, i - 1, blank);
        if (i == 0 || text.data[i - 1] != '"')
            return SLICE("");
        size_t close = --i;
        while (i > 0 && text.data[i - 1] != '"')
            i--;
        if (i == 0)
            return SLICE("");
        size_t before = skip_back(text, i - 1, blank);
        if (before == 0 || text.data[before - 1] != ':')
            return (struct slice){text.data + i, close - i};
        i = before;
    }
}

/* What a client sent may be a secret in the wrong place: no answer repeats it, but for what can only be the
 * name of a field. */
static bool is_name(struct slice text) {
    for (size_t i = 0; i < text.size; i++)
        if (!isalpha((unsigned char)text.data[i]))
            return false;
    return true;
}

/* The parser ends its text with the input that it did not expect. */
static int without_quotation(const char *text) {
    const char *near = strstr(text, " near ");
    return (int)(near != NULL ? near - text : (ptrdiff_t)strlen(text));
}

bool body_parse(struct http_exchange *x) {
    x->parsed = true;
    if (x->body.size == 0)
        return true; /* missing fields will be named by those who ask for them */
    json_error_t e;
    json_t *json = json_loadb(x->body.data, x->body.size, JSON_REJECT_DUPLICATES, &e);
    if (json == NULL) {
        char field[64] = "";
        struct slice at = field_before(buf_slice(&x->body), (size_t)e.position);
        if (at.size < sizeof field && is_name(at))
            memcpy(field, at.data, at.size);
        http_reply_problem(x, 400, field[0] != 0 ? field : NULL, "line %d, column %d: %.*s", e.line, e.column,
                           without_quotation(e.text), e.text);
        return false;
    }
    if (!json_is_object(json)) {
        json_decref(json);
        http_reply_problem(x, 400, NULL, "a JSON object is expected");
        return false;
    }
    buf_wipe(&x->body);
    x->json = json;
    return true;
}

static void wipe_and_free(void *memory) {
    if (memory != NULL)
        explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

void body_init(void) {
    json_set_alloc_funcs(xmalloc, wipe_and_free);
}

void body_append(struct buf *body, struct slice piece) {
    if (body->capacity - body->size < piece.size) {
        struct buf larger = {0};
        buf_reserve(&larger, body->size * 2 + piece.size);
        buf_append_slice(&larger, buf_slice(body));
        buf_wipe(body);
        *body = larger;
    }
    buf_append_slice(body, piece);
}

void body_free(json_t *json) {
    json_decref(json);
}

/* NULL when absent. */
static json_t *lookup(const struct http_exchange *x, const char *name) {
    json_t *v = x->json;
    for (const char *p = name; v != NULL;) {
        const char *dot = strchr(p, '.');
        char key[64];
        size_t n = dot == NULL ? strlen(p) : (size_t)(dot - p);
        if (n >= sizeof key)
            return NULL;
        memcpy(key, p, n);
        key[n] = 0;
        v = json_object_get(v, key); /* NULL for what is no object */
        if (dot == NULL)
            break;
        p = dot + 1;
    }
    return v;
}

static bool expected(struct http_exchange *x, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static bool expected(struct http_exchange *x, const char *name, const char *fmt, ...) {
    char what[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    http_reply_problem(x, 400, name, "%s %s", lookup(x, name) == NULL ? "missing:" : "must be", what);
    return false;
}

bool http_body_has(struct http_exchange *x, const char *name) {
    json_t *v = lookup(x, name);
    return v != NULL && !json_is_null(v);
}

static struct slice string_of(const json_t *v) {
    return (struct slice){json_string_value(v), json_string_length(v)};
}

bool http_body_id(struct http_exchange *x, const char *name, struct slice *id) {
    struct slice s = string_of(lookup(x, name));
    if (!id_valid(s))
        return expected(x, name, "a string that matches " ID_PATTERN);
    if (!id_is_no_secret(x, name, s))
        return false;
    *id = s;
    return true;
}

bool http_body_id_or_new(struct http_exchange *x, const char *name, struct slice *id) {
    static const char owner;
    char *made = http_state(x, &owner, UUID_SIZE, NULL);
    if (http_body_has(x, name))
        return http_body_id(x, name, id);
    if (made[0] == 0)
        uuid_make(made, clock_wall_ms());
    *id = (struct slice){made, UUID_SIZE};
    return true;
}

bool http_body_string(struct http_exchange *x, const char *name, size_t max, struct slice *text) {
    struct slice s = string_of(lookup(x, name));
    if (s.data == NULL || s.size > max)
        return expected(x, name, "a string of at most %zu bytes", max);
    *text = s;
    return true;
}

static bool whole_number(struct http_exchange *x, const char *name, int64_t min, int64_t max,
                         int64_t *value) {
    json_t *v = lookup(x, name);
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
        return expected(x, name, "a whole number from %" PRId64 " to %" PRId64, min, max);
    *value = json_integer_value(v);
    return true;
}

bool http_body_int32(struct http_exchange *x, const char *name, int32_t *value) {
    int64_t n = 0;
    if (!whole_number(x, name, INT32_MIN, INT32_MAX, &n))
        return false;
    *value = (int32_t)n;
    return true;
}

bool http_body_int64(struct http_exchange *x, const char *name, int64_t *value) {
    return whole_number(x, name, INT64_MIN, INT64_MAX, value);
}

bool http_body_double(struct http_exchange *x, const char *name, double min, double max, double *value) {
    json_t *v = lookup(x, name);
    if (!json_is_number(v) || !(json_number_value(v) >= min && json_number_value(v) <= max))
        return expected(x, name, "a number from %g to %g", min, max);
    *value = json_number_value(v);
    return true;
}

/* On the grid is what reads as the same double as a tenth written out: 0.3 and 7.1 are, 7.15 and 0.30000001
 * are not. */
bool http_body_tenths(struct http_exchange *x, const char *name, int32_t min, int32_t max, int32_t *tenths) {
    json_t *v = lookup(x, name);
    double n = json_number_value(v); /* 0 for what is no number */
    double whole = round(n * 10);
    if (!json_is_number(v) || !(whole >= min && whole <= max) || n != whole / 10)
        return expected(x, name, "a number from %.1f to %.1f in steps of 0.1", min / 10.0, max / 10.0);
    *tenths = (int32_t)whole;
    return true;
}

bool http_body_bool(struct http_exchange *x, const char *name, bool *value) {
    json_t *v = lookup(x, name);
    if (!json_is_boolean(v))
        return expected(x, name, "true or false");
    *value = json_is_true(v);
    return true;
}
