#include "events/registry.h"

#include <stdlib.h>

struct memory {
    struct registry base;
    char **schemas; /* [id - 1] */
    int32_t count;
};

static bool memory_add(struct registry *r, const char *subject, const char *schema, int32_t *id,
                       struct err *err) {
    (void)subject, (void)err;
    struct memory *m = (struct memory *)r;
    int32_t i = 0;
    while (i < m->count && strcmp(m->schemas[i], schema) != 0)
        i++;
    if (i == m->count) {
        m->schemas = xrealloc(m->schemas, ((size_t)m->count + 1) * sizeof *m->schemas);
        m->schemas[m->count++] = xstrdup(schema);
    }
    *id = i + 1;
    return true;
}

static bool memory_schema_by_id(struct registry *r, int32_t id, bool *found, struct buf *schema,
                                struct err *err) {
    (void)err;
    struct memory *m = (struct memory *)r;
    *found = id >= 1 && id <= m->count;
    if (*found)
        buf_append_slice(schema, slice_of(m->schemas[id - 1]));
    return true;
}

static bool memory_set_compatibility(struct registry *r, const char *subject, const char *level, bool *found,
                                     struct err *err) {
    (void)r, (void)subject, (void)level, (void)err;
    *found = true;
    return true;
}

static void memory_destroy(struct registry *r) {
    struct memory *m = (struct memory *)r;
    for (int32_t i = 0; i < m->count; i++)
        free(m->schemas[i]);
    free(m->schemas);
    free(m);
}

struct registry *registry_memory_create(void) {
    struct memory *m = xcalloc(1, sizeof *m);
    m->base = (struct registry){memory_add, memory_schema_by_id, memory_set_compatibility, memory_destroy};
    return &m->base;
}
