/* Internal to events: how a body that was written by one schema is read into a struct of ours.
 *
 * A plan is compiled once a writer's schema and reader's type, and never changes: any thread runs it.
 * Everything in a body is checked: lengths and counts against the bytes that are left, varints, enum and
 * union indexes, UTF-8, depth, that nothing is left over. */
#pragma once

#include "base/json.h"
#include "events/event.h"

enum { EVENT_SIZE_MAX = 1 << 20, EVENT_DEPTH_MAX = 64 };

struct event_array { /* what every generated r_array looks like */
    const char *items;
    size_t count;
};

struct plan;

/* `schema` is the writer's, as JSON; `reader` may be NULL: then it serves plan_json alone. Never fails: what
 * cannot be read makes plan_decode say so, for each record. */
struct plan *plan_create(struct slice schema, const struct event_type *reader);

/* Takes NULL. */
void plan_destroy(struct plan *p);

/* Reads payload's bytes from `from` on. Offsets in messages count from the payload's first byte. Strings
 * point into `payload`, arrays are in `arena`. ERR_POISON; `out` is untouched then. */
WARN_UNUSED bool plan_decode(const struct plan *p, struct slice payload, size_t from, struct arena *arena,
                             void *out, struct err *err);

/* Appends the body as JSON, as its writer's schema has it. ERR_POISON; `out` is untouched then. */
WARN_UNUSED bool plan_json(const struct plan *p, struct slice payload, size_t from, struct buf *out,
                           struct err *err);

/* Is this nullable member null? */
bool event_is_null(const struct event_field *f, const void *member);

/* Where in a nullable member the value is. */
size_t event_optional_value(enum event_kind kind);

/* Bytes as a JSON string, each a code point. */
void event_json_bytes(struct json *j, struct slice bytes);
