/* What the lens is asked for: places in a partition, and which records. A fixed grammar, no script; pure.
 *
 *     terms   = term { " and " term }
 *     term    = [ field ] op literal | literal
 *     op      = "=" | "!=" | "<" | "<=" | ">" | ">=" | " contains "
 *     literal = up to the next " and ", or "in quotes"
 *
 * A field is a name, or names with dots between; of an array any element will do. A term without a field is
 * about any field; a literal alone means contains. Where both sides are numbers they are compared as such,
 * else as text. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

struct json_t;

struct place {
    enum { PLACE_OFFSET, PLACE_FIRST, PLACE_LAST, PLACE_BACK, PLACE_TIME } kind;
    int64_t n; /* offset; how many from the end; milliseconds since 1970 */
};

/* An offset, `first`, `last`, `-n`, or a time: ISO 8601 ("2026-11-29T12:03:07.250Z", with an offset, UTC
 * where it has none), or milliseconds since 1970, which are known by being larger than any offset (10^11), or
 * by an @. */
bool place_parse(struct slice text, struct place *place);

enum op { OP_EQUAL, OP_UNEQUAL, OP_LESS, OP_LESS_EQUAL, OP_MORE, OP_MORE_EQUAL, OP_CONTAINS };

struct term {
    struct slice field; /* size 0: any */
    enum op op;
    struct slice literal;
};

enum { TERMS_MAX = 16 };

struct terms {
    struct term items[TERMS_MAX];
    size_t count;
};

/* Slices are of `text`. ERR_INPUT says what is wrong with it. */
WARN_UNUSED bool terms_parse(struct slice text, struct terms *terms, struct err *e);

/* Does this text pass the term? */
bool term_matches(const struct term *t, struct slice text);

/* Does this value, a JSON object, pass all terms? */
bool terms_match_value(const struct terms *terms, struct json_t *value);
