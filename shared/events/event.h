/* Record types as data: what the generated code says about a struct, and what every codec works from.
 *
 * codegen.py makes a C struct, its enums and one `struct event_type` of each Avro record. In the struct
 *   string, bytes       struct slice, of the payload it was decoded from (never copied)
 *   int, long, double   int32_t, int64_t, double; boolean: bool; enum: a generated enum
 *   [null, string]      struct slice, data == NULL for null; [null, int …]: struct optional_int …
 *   array of strings    struct slices; array of records R: struct r_array; both in the decoder's arena
 *   record              the nested struct
 * and members are called as the Avro fields are, in snake_case. All functions here are for any thread. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>

/* An int, or null: then `value` says nothing. */
struct optional_int {
    bool present;
    int32_t value;
};

/* A long, or null. */
struct optional_long {
    bool present;
    int64_t value;
};

/* A double, or null. */
struct optional_double {
    bool present;
    double value;
};

/* A boolean, or null. */
struct optional_boolean {
    bool present;
    bool value;
};

/* Strings, in memory that somebody else owns. */
struct slices {
    const struct slice *items;
    size_t count;
};

/* What a field is in Avro. */
enum event_kind {
    EVENT_STRING,
    EVENT_BYTES,
    EVENT_INT,
    EVENT_LONG,
    EVENT_DOUBLE,
    EVENT_BOOLEAN,
    EVENT_ENUM,
    EVENT_RECORD,
    EVENT_STRINGS, /* array of strings */
    EVENT_RECORDS, /* array of records */
};

/* An enum: its symbols by their values. */
struct event_enum {
    const char *name;
    const char *const *symbols;
    int count;
    int fallback; /* what a symbol that we do not know is read as; -1: it is an error */
};

/* A field of a record, which is a member of its struct. */
struct event_field {
    const char *name; /* as in Avro */
    enum event_kind kind;
    bool nullable;                    /* union of null (first) and kind */
    size_t offset, size;              /* of the member */
    const struct event_enum *symbols; /* EVENT_ENUM */
    const struct event_type *type;    /* EVENT_RECORD, EVENT_RECORDS */
    const void *fallback; /* a member's value, for a writer that lacks the field; NULL: an error */
};

/* A record, and its struct. */
struct event_type {
    const char *name;   /* of the record, without namespace */
    const char *schema; /* Avro, as normalised JSON */
    size_t size;        /* of the struct */
    const struct event_field *fields;
    size_t field_count;
};

/* Appends `value`'s Avro body (without the wire format's prefix) to `out`. ERR_POISON for what no reader
 * could decode: a string that is not UTF-8, an enum out of range, more than 1 MiB. */
WARN_UNUSED bool event_encode(const struct event_type *type, const void *value, struct buf *out,
                              struct err *err);

/* Appends `value` as a JSON object with the Avro names: null for an absent optional, bytes as code points
 * U+0000 to U+00FF (as Avro's own JSON has them), null for NaN. Always valid JSON, whatever the strings. */
void event_json(const struct event_type *type, const void *value, struct buf *out);

/* The symbol of `value`; "?" when it has none. */
const char *event_enum_name(const struct event_enum *symbols, int value);

/* False when there is no such symbol. */
bool event_enum_find(const struct event_enum *symbols, struct slice symbol, int *value);
