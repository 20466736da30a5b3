/* Internal to events: a writer's schema as a registry has it, and as avro-c takes it. Any thread. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

/* The name of the one field, of type null and hence of no bytes, of a record that has none: avro-c wants one.
 */
extern const char schema_no_fields[];

/* Before the first schema is read: without memory the parsers of JSON and of Avro would go on without what
 * they could not keep, and come to another schema. From now on they end the process, as we do. */
void schema_end_without_memory(void);

/* `text` is one JSON value or several, one behind the other: the last is the schema, those before it define
 * types that it refers to. Appends the same schema in one value, and in what avro-c understands: each type in
 * full where it is first used and by a name without namespace afterwards, without all that a reader of bodies
 * does not need (defaults, logical types, aliases, documentation, orders). ERR_POISON: it is no Avro schema,
 * and why. */
WARN_UNUSED bool schema_plain(struct slice text, struct buf *out, struct err *err);

/* Of what the text says: blanks and the order of members make no difference. */
uint64_t schema_fingerprint(struct slice text);
