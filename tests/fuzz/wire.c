/* The wire format: a byte that says which topic's reader it is for, and a payload, by any schema of the suite
 * or one that the registry does not have. What can be read can be shown, and written and read again as the
 * same. */
#include "fuzz.h"

#include "events/schemas.h"
#include "schemas/schemas.gen.h"

#include <jansson.h>

static struct schemas *schemas;

static void start(void) {
    struct err e;
    schemas = schemas_create(registry_memory_create()); /* both for ever */
    for (size_t i = 0; i < topics_count; i++)
        require(schemas_register(schemas, topics[i], &e), "%s", e.text);
}

static void require_json(const struct buf *text) {
    json_error_t why;
    json_t *json = json_loadb(text->data, text->size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    require(json != NULL, "%s: %.*s", why.text, (int)text->size, text->data);
    json_decref(json);
}

static void require_same_again(const struct topic *topic, const void *value, const struct buf *shown) {
    struct buf bytes = {0}, again = {0};
    struct arena arena = {0};
    struct err e;
    void *copy = xcalloc(1, topic->value->size);
    require(schemas_encode(schemas, topic, value, &bytes, &e), "%s", e.text);
    require(schemas_decode(schemas, topic->value, buf_slice(&bytes), &arena, copy, &e), "%s", e.text);
    event_json(topic->value, copy, &again);
    require(slice_equal(buf_slice(shown), buf_slice(&again)), "%.*s", (int)again.size, again.data);
    free(copy);
    arena_free(&arena);
    buf_free(&again);
    buf_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice in = {(const char *)data, size};
    struct arena arena = {0};
    struct buf shown = {0}, raw = {0};
    struct err e = {0};
    if (schemas == NULL)
        start();
    const struct topic *topic = topics[take_byte(&in) % topics_count];
    void *value = xcalloc(1, topic->value->size);
    bool read = schemas_decode(schemas, topic->value, in, &arena, value, &e);
    require(read || e.kind == ERR_POISON, "%s", e.text);
    require(arena_size(&arena) <= 4096 + 1024 * in.size, "%zu bytes of %zu", arena_size(&arena), in.size);
    if (read) {
        event_json(topic->value, value, &shown);
        require_json(&shown);
        require_same_again(topic, value, &shown);
    }
    bool can_be_shown = schemas_json(schemas, in, &raw, &e);
    require(can_be_shown || !read, "%s", e.text);
    if (can_be_shown)
        require_json(&raw);
    free(value);
    buf_free(&raw);
    buf_free(&shown);
    arena_free(&arena);
    return 0;
}
