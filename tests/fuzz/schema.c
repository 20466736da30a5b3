/* A writer's schema that somebody else has registered, byte 0 behind it, and a record by it: read into one of
 * our structs, and shown. */
#include "fuzz.h"

#include "events/plan.h"
#include "events/schema.h"
#include "schemas/schemas.gen.h"

static struct slice before(struct slice *in) {
    const char *at = in->size == 0 ? NULL : memchr(in->data, 0, in->size);
    struct slice schema = {in->data, at == NULL ? in->size : (size_t)(at - in->data)};
    *in = at == NULL ? SLICE("") : (struct slice){at + 1, in->size - schema.size - 1};
    return schema;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice in = {(const char *)data, size};
    const struct event_type *type = topics[take_byte(&in) % topics_count]->value;
    struct slice schema = before(&in);
    struct arena arena = {0};
    struct buf shown = {0};
    struct err e;
    void *value = xcalloc(1, type->size);
    struct plan *into = plan_create(schema, type), *alone = plan_create(schema, NULL);
    bool read = plan_decode(into, in, 0, &arena, value, &e);
    require(arena_size(&arena) <= 4096 + 1024 * in.size, "%zu bytes of %zu", arena_size(&arena), in.size);
    if (read)
        event_json(type, value, &shown);
    if (!plan_json(alone, in, 0, &shown, &e))
        require(!read, "%s", e.text);
    require(schema_fingerprint(schema) == schema_fingerprint(schema), "it changes");
    plan_destroy(into);
    plan_destroy(alone);
    free(value);
    buf_free(&shown);
    arena_free(&arena);
    return 0;
}
