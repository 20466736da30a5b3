#include "events/node.h"
#include "events/schema.h"

#include "base/cleanup.h"

#include <assert.h>
#include <avro.h>
#include <stdlib.h>

enum { SCHEMA_DEPTH_MAX = 512 };

/* A record that is skipped is compiled once, so that a schema that refers to itself ends. */
struct seen {
    struct seen *next;
    avro_schema_t record;
    const struct node *fields;
};

struct compiler {
    struct arena *arena;
    struct seen *seen;
};

static void compile(struct compiler *c, struct node *n, avro_schema_t w, const struct event_field *to,
                    int depth);

static void *zalloc(struct compiler *c, size_t size) {
    return memset(arena_alloc(c->arena, size), 0, size);
}

static const char *copy(struct compiler *c, const char *text) {
    return arena_copy(c->arena, (struct slice){text, strlen(text) + 1}).data;
}

static void mismatch(struct compiler *c, struct node *n, const char *what, const char *of) {
    n->op = NODE_MISMATCH;
    n->why = arena_printf(c->arena, "%s %s%c", what, of, 0).data;
}

static void compile_enum(struct compiler *c, struct node *n, avro_schema_t w, const struct event_field *to) {
    assert(to == NULL || to->symbols != NULL); /* fits() */
    n->op = NODE_ENUM;
    n->count = (size_t)avro_schema_enum_number_of_symbols(w);
    const char **symbols = zalloc(c, n->count * sizeof *symbols);
    int *map = zalloc(c, n->count * sizeof *map);
    for (size_t i = 0; i < n->count; i++) {
        symbols[i] = copy(c, avro_schema_enum_get(w, (int)i));
        if (to != NULL && !event_enum_find(to->symbols, slice_of(symbols[i]), &map[i]))
            map[i] = to->symbols->fallback;
    }
    n->symbols = symbols;
    n->map = map;
}

static void compile_union(struct compiler *c, struct node *n, avro_schema_t w, const struct event_field *to,
                          int depth) {
    n->op = NODE_UNION;
    n->count = avro_schema_union_size(w);
    struct node *branches = zalloc(c, n->count * sizeof *branches);
    for (size_t i = 0; i < n->count; i++)
        compile(c, &branches[i], avro_schema_union_branch(w, (int)i), to, depth);
    n->children = branches;
}

static void compile_items(struct compiler *c, struct node *n, avro_schema_t items,
                          const struct event_field *to, int depth) {
    struct node *item = zalloc(c, sizeof *item);
    n->children = item;
    if (to == NULL) {
        compile(c, item, items, NULL, depth);
        return;
    }
    struct event_field member = {.kind = EVENT_STRING, .type = to->type};
    n->size = sizeof(struct slice);
    if (to->kind == EVENT_RECORDS) {
        member.kind = EVENT_RECORD;
        n->size = to->type->size;
    }
    compile(c, item, items, &member, depth);
}

/* The reader's field of this name; NULL when it has none. */
static const struct event_field *field_of(const struct event_type *type, const char *name) {
    for (size_t i = 0; i < type->field_count; i++) {
        if (strcmp(type->fields[i].name, name) == 0)
            return &type->fields[i];
    }
    return NULL;
}

/* What the struct holds before the writer's fields are read: defaults for those that the writer lacks. */
static bool compile_image(struct compiler *c, struct node *n, avro_schema_t w,
                          const struct event_type *type) {
    char *image = zalloc(c, type->size);
    for (const struct event_field *f = type->fields; f < type->fields + type->field_count; f++) {
        if (avro_schema_record_field_get_index(w, f->name) >= 0)
            continue;
        if (f->fallback == NULL) {
            mismatch(c, n, "the writer has no field, and the reader no default for", f->name);
            return false;
        }
        memcpy(image + f->offset, f->fallback, f->size);
    }
    n->image = image;
    n->size = type->size;
    return true;
}

static const struct node *find_seen(struct compiler *c, avro_schema_t record) {
    for (struct seen *s = c->seen; s != NULL; s = s->next) {
        if (s->record == record)
            return s->fields;
    }
    return NULL;
}

static void compile_record(struct compiler *c, struct node *n, avro_schema_t w, const struct event_type *type,
                           int depth) {
    n->op = NODE_RECORD;
    n->count = avro_schema_record_field_get_index(w, schema_no_fields) >= 0 ? 0 : avro_schema_record_size(w);
    if (type == NULL && (n->children = find_seen(c, w)) != NULL)
        return;
    if (type != NULL && !compile_image(c, n, w, type))
        return;
    struct node *fields = zalloc(c, n->count * sizeof *fields);
    n->children = fields;
    if (type == NULL) {
        struct seen *s = zalloc(c, sizeof *s);
        *s = (struct seen){c->seen, w, fields};
        c->seen = s;
    }
    for (size_t i = 0; i < n->count; i++) {
        const char *name = avro_schema_record_field_name(w, (int)i);
        const struct event_field *to = type == NULL ? NULL : field_of(type, name);
        compile(c, &fields[i], avro_schema_record_field_get_by_index(w, (int)i), to, depth);
        fields[i].name = copy(c, name);
    }
}

/* One bit for each kind of member that can take what the writer wrote. */
static unsigned takers(avro_type_t written) {
    switch (written) {
    case AVRO_STRING:
    case AVRO_BYTES:
        return 1u << EVENT_STRING | 1u << EVENT_BYTES;
    case AVRO_INT32:
        return 1u << EVENT_INT | 1u << EVENT_LONG | 1u << EVENT_DOUBLE;
    case AVRO_INT64:
        return 1u << EVENT_LONG | 1u << EVENT_DOUBLE;
    case AVRO_FLOAT:
    case AVRO_DOUBLE:
        return 1u << EVENT_DOUBLE;
    case AVRO_BOOLEAN:
        return 1u << EVENT_BOOLEAN;
    case AVRO_ENUM:
        return 1u << EVENT_ENUM;
    case AVRO_RECORD:
        return 1u << EVENT_RECORD;
    case AVRO_ARRAY:
        return 1u << EVENT_STRINGS | 1u << EVENT_RECORDS;
    default:
        return 0;
    }
}

static bool fits(avro_schema_t w, const struct event_field *to) {
    avro_type_t written = avro_typeof(w);
    if (to == NULL || written == AVRO_UNION)
        return true;
    return written == AVRO_NULL ? to->nullable : (takers(written) >> to->kind & 1) != 0;
}

/* Fills `n` for a value written as `w` that goes to the member `to` (NULL: nowhere). */
static void compile(struct compiler *c, struct node *n, avro_schema_t w, const struct event_field *to,
                    int depth) {
    static const enum node_op primitives[] = {
        [AVRO_STRING] = NODE_STRING, [AVRO_BYTES] = NODE_BYTES,     [AVRO_INT32] = NODE_INT,
        [AVRO_INT64] = NODE_LONG,    [AVRO_FLOAT] = NODE_FLOAT,     [AVRO_DOUBLE] = NODE_DOUBLE,
        [AVRO_NULL] = NODE_NULL,     [AVRO_BOOLEAN] = NODE_BOOLEAN,
    };
    while (avro_typeof(w) == AVRO_LINK)
        w = avro_schema_link_target(w);
    n->to = to == NULL ? NODE_SKIP : (int)to->kind;
    if (to != NULL) {
        n->present = n->value = (uint32_t)to->offset;
        n->optional = to->nullable && to->kind != EVENT_STRING && to->kind != EVENT_BYTES &&
                      avro_typeof(w) != AVRO_NULL && avro_typeof(w) != AVRO_UNION;
        if (to->nullable && avro_typeof(w) != AVRO_UNION)
            n->value += (uint32_t)event_optional_value(to->kind);
    }
    if (depth == 0) {
        mismatch(c, n, "the writer's schema is nested too deeply:", avro_schema_type_name(w));
        return;
    }
    if (!fits(w, to)) {
        mismatch(c, n, "the reader's type cannot take", avro_schema_type_name(w));
        return;
    }
    switch (avro_typeof(w)) {
    case AVRO_FIXED:
        n->op = NODE_FIXED;
        n->count = (size_t)avro_schema_fixed_size(w);
        break;
    case AVRO_ENUM:
        compile_enum(c, n, w, to);
        break;
    case AVRO_UNION:
        compile_union(c, n, w, to, depth - 1);
        break;
    case AVRO_ARRAY:
        n->op = NODE_ARRAY;
        compile_items(c, n, avro_schema_array_items(w), to, depth - 1);
        break;
    case AVRO_MAP:
        n->op = NODE_MAP;
        compile_items(c, n, avro_schema_map_values(w), to, depth - 1);
        break;
    case AVRO_RECORD:
        compile_record(c, n, w, to == NULL ? NULL : to->type, depth - 1);
        break;
    default:
        n->op = primitives[avro_typeof(w)];
    }
}

struct plan *plan_create(struct slice schema, const struct event_type *reader) {
    schema_end_without_memory();
    struct plan *p = xcalloc(1, sizeof *p);
    struct compiler c = {.arena = &p->arena};
    _cleanup_(buf_free) struct buf plain = {0};
    struct err why;
    avro_schema_t writer;
    if (!schema_plain(schema, &plain, &why)) {
        mismatch(&c, &p->root, "the writer's schema is no Avro schema:", why.text);
        return p;
    }
    if (avro_schema_from_json_length(plain.data, plain.size, &writer) != 0) {
        mismatch(&c, &p->root, "the writer's schema is no Avro schema:", "not understood");
        return p;
    }
    struct event_field whole = {.kind = EVENT_RECORD, .type = reader};
    p->size = reader == NULL ? 0 : reader->size;
    compile(&c, &p->root, writer, reader == NULL ? NULL : &whole, SCHEMA_DEPTH_MAX);
    avro_schema_decref(writer);
    return p;
}

void plan_destroy(struct plan *p) {
    if (p == NULL)
        return;
    arena_free(&p->arena);
    free(p);
}
