/* What the wire carries: byte 0, the schema's id (4 bytes, big endian), the Avro body. Encodes with the ids
 * that the registry gave our schemas, decodes by the schema that the writer had.
 *
 * Any number of threads. What has been seen once costs neither a lock nor I/O; a new id is fetched under a
 * lock, within the registry's timeout. */
#pragma once

#include "events/registry.h"
#include "events/topic.h"

struct schemas;

/* Borrows the registry, which must live longer. No I/O. */
struct schemas *schemas_create(struct registry *registry);

/* Takes NULL. */
void schemas_destroy(struct schemas *s);

/* Registers the topic's schema as "<topic>-value", with compatibility BACKWARD, and remembers its id for
 * schemas_encode. ERR_CONFIG with subject and the registry's words when it is incompatible; ERR_RETRY when
 * the registry is away. Again is harmless, and does nothing. */
WARN_UNUSED bool schemas_register(struct schemas *s, const struct topic *topic, struct err *err);

/* Appends `value`, a struct of the topic's type, in wire format to `out`; the topic must be registered.
 * Errors as event_encode has them. */
WARN_UNUSED bool schemas_encode(struct schemas *s, const struct topic *topic, const void *value,
                                struct buf *out, struct err *err);

/* Reads `payload` into `out`, a struct of type `as`, whose strings point into `payload` and whose arrays
 * are in `arena`: it lives as long as both. ERR_POISON for bad bytes, with what and where, and for an id
 * that the registry does not know; ERR_RETRY when the registry cannot be asked. `out` is untouched then. */
WARN_UNUSED bool schemas_decode(struct schemas *s, const struct event_type *as, struct slice payload,
                                struct arena *arena, void *out, struct err *err);

/* Appends any payload as JSON, by its writer's schema alone. Errors as schemas_decode. */
WARN_UNUSED bool schemas_json(struct schemas *s, struct slice payload, struct buf *out, struct err *err);

/* Gets to know the payload's schema, so that schemas_json() of it costs no I/O afterwards. Errors likewise.
 */
WARN_UNUSED bool schemas_know(struct schemas *s, struct slice payload, struct err *err);
