/* What the registry has said is kept with the state that was written by it: ids that mean something else now,
 * or nothing, would make other records of it, or none. */
#include "base/cleanup.h"
#include "stream/runtime.h"

enum { REMEMBERED = 256 }; /* ids, at the most */

static const struct slice memory_key = {"registry", 8};

bool stream_recognise_registry(struct store *store, struct schemas *schemas, struct err *e) {
    _cleanup_(arena_free) struct arena a = {0};
    struct schema_known known[REMEMBERED];
    struct slice memory;
    TRY(store_get(store, memory_key, &a, &memory, e));
    size_t n = memory.size / sizeof *known;
    n = n < REMEMBERED ? n : REMEMBERED;
    if (n > 0)
        memcpy(known, memory.data, n * sizeof *known);
    return schemas_recognise(schemas, known, n, e);
}

bool registry_recognise(struct stream *s, struct err *e) {
    if (s->recognised)
        return true;
    TRY(stream_recognise_registry(s->o.store, s->o.schemas, e));
    s->recognised = true;
    return true;
}

bool registry_remember(struct stream *s, struct err *e) {
    struct schema_known known[REMEMBERED];
    if (schemas_known_count(s->o.schemas) == s->remembered)
        return true;
    memset(known, 0, sizeof known); /* no stray bytes in the store */
    size_t n = schemas_known(s->o.schemas, known, REMEMBERED);
    struct slice memory = {(const char *)known, n * sizeof *known};
    TRY(store_apply(s->o.store, &(struct store_change){memory_key, memory}, 1, e));
    s->remembered = n;
    return true;
}
