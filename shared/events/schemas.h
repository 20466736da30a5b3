/* What the wire carries: byte 0, the schema's id (4 bytes, big endian), the Avro body. Encodes with the ids
 * that the registry gave our schemas, decodes by the schema that the writer had.
 *
 * Any number of threads. What has been seen once costs neither a lock nor I/O; a new id is fetched under a
 * lock, within the registry's timeout. */
#pragma once

#include "events/registry.h"
#include "events/topic.h"

struct schemas;

/* What a registry has said: which schema it has by an id. */
struct schema_known {
    int32_t id;
    uint64_t fingerprint; /* of the text, see schema_fingerprint */
};

/* Borrows the registry, which must live longer. No I/O. */
struct schemas *schemas_create(struct registry *registry);

/* Takes NULL. */
void schemas_destroy(struct schemas *s);

/* Another clock than clock_mono_us(), for tests and simulations. Before anything else. */
void schemas_set_clock(struct schemas *s, int64_t (*now_us)(void));

/* What the registry has said of the ids by which this process encodes and decodes structs, up to `max` of
 * them; the number of them. To be kept with what was written by them. */
size_t schemas_known(struct schemas *s, struct schema_known *known, size_t max);
/* How many schemas_known() would give. */
size_t schemas_known_count(const struct schemas *s);

/* Whether the registry is the one that said this, before anything is read or written by what it says.
 * ERR_RETRY: it is away, or another one (lost and begun anew, a wrong address, an old backup), in which case
 * nothing is encoded either until it is back. ERR_FATAL: it is back, but this process has learned from the
 * other; start again.
 *
 * From then on, and after schemas_register, a new id is looked up only in a registry that still says the
 * same. */
WARN_UNUSED bool schemas_recognise(struct schemas *s, const struct schema_known *known, size_t n,
                                   struct err *err);

/* Registers the topic's schema as "<topic>-value", with compatibility BACKWARD, and remembers its id for
 * schemas_encode; what that writes, schemas_decode reads without asking. ERR_CONFIG with subject and the
 * registry's words when it is incompatible; ERR_RETRY when the registry is away. Again is harmless, and does
 * nothing. */
WARN_UNUSED bool schemas_register(struct schemas *s, const struct topic *topic, struct err *err);

/* Appends `value`, a struct of the topic's type, in wire format to `out`; the topic must be registered.
 * Errors as event_encode has them; ERR_RETRY while the registry is another one. */
WARN_UNUSED bool schemas_encode(struct schemas *s, const struct topic *topic, const void *value,
                                struct buf *out, struct err *err);

/* Reads `payload` into `out`, a struct of type `as`, whose strings point into `payload` and whose arrays
 * are in `arena`: it lives as long as both. ERR_POISON for bad bytes, with what and where, and for an id
 * that the registry does not know (it is asked again after some seconds only); ERR_RETRY when the registry
 * cannot be asked. `out` is untouched then. */
WARN_UNUSED bool schemas_decode(struct schemas *s, const struct event_type *as, struct slice payload,
                                struct arena *arena, void *out, struct err *err);

/* Appends any payload as JSON, by its writer's schema alone. Errors as schemas_decode. */
WARN_UNUSED bool schemas_json(struct schemas *s, struct slice payload, struct buf *out, struct err *err);

/* Gets to know the payload's schema, so that schemas_json() of it costs no I/O afterwards. Errors likewise.
 */
WARN_UNUSED bool schemas_know(struct schemas *s, struct slice payload, struct err *err);
