#include "events/schema.h"

#include "base/cleanup.h"

#include <avro.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEPTH_MAX = 500 };

/* Defaults may have a NUL in them, which jansson refuses unless it is asked. */
enum { PARSE = JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY | JSON_ALLOW_NUL };

const char schema_no_fields[] = "no_fields_of_its_own";

struct plainer {
    json_t *referred; /* by full name: a definition in one of the texts before, and the namespace around it */
    json_t *defined;  /* by full name: its plain name, once the output has the definition */
    json_t *taken;    /* plain names, and what cannot be one */
    int depth;
    struct err *err;
};

static json_t *plain(struct plainer *p, json_t *schema, const char *space);

static void decref(json_t **j) {
    json_decref(*j);
}

/* NULL with the reason. */
#define REFUSE(p, ...) (err_fill((p)->err, ERR_POISON, __VA_ARGS__), NULL)

/* NULL where there is no string, or a NUL in it. */
static const char *string_of(const json_t *j) {
    const char *text = json_string_value(j);
    return text != NULL && strlen(text) == json_string_length(j) ? text : NULL;
}

static bool among(const char *name, const char *const *names) {
    while (*names != NULL && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

static bool is_primitive(const char *name) {
    static const char *const names[] = {"null",   "boolean", "int",    "long", "float",
                                        "double", "bytes",   "string", NULL};
    return among(name, names);
}

static bool is_record(const char *type) {
    static const char *const names[] = {"record", "error", NULL};
    return among(type, names);
}

static bool is_named(const char *type) {
    static const char *const names[] = {"enum", "fixed", NULL};
    return is_record(type) || among(type, names);
}

/* ---- names ---- */

/* "space.name", or a name that is full already. */
static void full_name(struct buf *out, const char *name, const char *space) {
    buf_clear(out);
    if (strchr(name, '.') == NULL && space[0] != 0)
        buf_printf(out, "%s.", space);
    buf_printf(out, "%s%c", name, 0);
}

/* The full name that a definition gives, and into `inner` the namespace in which its fields are. */
static bool definition_name(const json_t *schema, const char *space, struct buf *full, struct buf *inner) {
    const char *name = string_of(json_object_get(schema, "name"));
    const char *own = string_of(json_object_get(schema, "namespace"));
    if (name == NULL)
        return false;
    full_name(full, name, own != NULL ? own : space);
    const char *dot = strrchr(full->data, '.');
    buf_clear(inner);
    buf_printf(inner, "%.*s%c", dot == NULL ? 0 : (int)(dot - full->data), full->data, 0);
    return true;
}

/* One that no other type has; mostly the name without its namespace. */
static json_t *take_name(struct plainer *p, const char *full) {
    const char *dot = strrchr(full, '.'), *simple = dot == NULL ? full : dot + 1;
    _cleanup_(buf_free) struct buf name = {0};
    buf_printf(&name, "%s%c", simple, 0);
    for (size_t n = json_object_size(p->taken); json_object_get(p->taken, name.data) != NULL; n++) {
        buf_clear(&name);
        buf_printf(&name, "%s_%zu%c", simple, n, 0);
    }
    json_object_set_new(p->taken, name.data, json_true());
    return json_string(name.data);
}

/* Remembers where the types of a text are defined that others refer to. */
static void collect(struct plainer *p, json_t *schema, const char *space) {
    const char *type = string_of(json_object_get(schema, "type"));
    _cleanup_(buf_free) struct buf full = {0}, inner = {0};
    size_t i;
    json_t *each;
    if (p->depth == DEPTH_MAX || (!json_is_object(schema) && !json_is_array(schema)))
        return; /* what is wrong with it plain() will say */
    p->depth++;
    if (type != NULL && is_named(type) && definition_name(schema, space, &full, &inner)) {
        if (json_object_get(p->referred, full.data) == NULL)
            json_object_set_new(p->referred, full.data,
                                json_pack("{s:O,s:s}", "schema", schema, "space", space));
        space = inner.data;
    }
    json_array_foreach(schema, i, each) collect(p, each, space);
    json_array_foreach(json_object_get(schema, "fields"), i, each)
        collect(p, json_object_get(each, "type"), space);
    static const char *const inside[] = {"type", "items", "values"};
    for (i = 0; i < sizeof inside / sizeof *inside; i++)
        collect(p, json_object_get(schema, inside[i]), space);
    p->depth--;
}

/* ---- types ---- */

static json_t *plain_name(struct plainer *p, const char *name, const char *space) {
    if (is_primitive(name))
        return json_string(name);
    const char *const spaces[] = {space, ""}; /* some write a name without namespace from within one */
    for (int i = 0; i < 2; i++) {
        _cleanup_(buf_free) struct buf full = {0};
        full_name(&full, name, spaces[i]);
        json_t *defined = json_object_get(p->defined, full.data);
        if (defined != NULL)
            return json_incref(defined);
        const json_t *referred = json_object_get(p->referred, full.data);
        if (referred != NULL)
            return plain(p, json_object_get(referred, "schema"),
                         json_string_value(json_object_get(referred, "space")));
    }
    return REFUSE(p, "no type %.200s", name);
}

static json_t *plain_fields(struct plainer *p, const json_t *fields, const char *space) {
    if (!json_is_array(fields))
        return REFUSE(p, "a record without fields");
    _cleanup_(decref) json_t *all = json_array();
    size_t i;
    const json_t *field;
    json_array_foreach(fields, i, field) {
        const char *name = string_of(json_object_get(field, "name"));
        json_t *type = name == NULL ? REFUSE(p, "a field without a name")
                                    : plain(p, json_object_get(field, "type"), space);
        if (type == NULL)
            return NULL;
        json_array_append_new(all, json_pack("{s:s,s:o}", "name", name, "type", type));
    }
    if (json_array_size(all) == 0)
        json_array_append_new(all, json_pack("{s:s,s:s}", "name", schema_no_fields, "type", "null"));
    return json_incref(all);
}

static json_t *plain_definition(struct plainer *p, json_t *schema, const char *type, const char *space) {
    _cleanup_(buf_free) struct buf full = {0}, inner = {0};
    if (!definition_name(schema, space, &full, &inner))
        return REFUSE(p, "a type %s without a name", type);
    json_t *before = json_object_get(p->defined, full.data);
    if (before != NULL) /* it was needed earlier, and its definition drawn there */
        return json_object_get(json_object_get(p->referred, full.data), "schema") == schema
                   ? json_incref(before)
                   : REFUSE(p, "two types %.200s", full.data);
    json_t *name = take_name(p, full.data);
    json_object_set_new(p->defined, full.data, name);
    if (strcmp(type, "enum") == 0)
        return json_pack("{s:s,s:O,s:O?}", "type", "enum", "name", name, "symbols",
                         json_object_get(schema, "symbols"));
    if (strcmp(type, "fixed") == 0)
        return json_pack("{s:s,s:O,s:O?}", "type", "fixed", "name", name, "size",
                         json_object_get(schema, "size"));
    json_t *fields = plain_fields(p, json_object_get(schema, "fields"), inner.data);
    return fields == NULL ? NULL
                          : json_pack("{s:s,s:O,s:o}", "type", "record", "name", name, "fields", fields);
}

static json_t *plain_object(struct plainer *p, json_t *schema, const char *space) {
    json_t *inside = json_object_get(schema, "type");
    const char *type = string_of(inside);
    if (type == NULL)
        return plain(p, inside, space); /* {"type": {"type": …}} */
    if (is_named(type))
        return plain_definition(p, schema, type, space);
    const char *of = strcmp(type, "array") == 0 ? "items" : strcmp(type, "map") == 0 ? "values" : NULL;
    if (of == NULL)
        return plain_name(p, type, space);
    json_t *item = plain(p, json_object_get(schema, of), space);
    return item == NULL ? NULL : json_pack("{s:s,s:o}", "type", type, of, item);
}

static json_t *plain_union(struct plainer *p, const json_t *branches, const char *space) {
    _cleanup_(decref) json_t *all = json_array();
    size_t i;
    json_t *branch;
    json_array_foreach(branches, i, branch) {
        json_t *one = plain(p, branch, space);
        if (one == NULL)
            return NULL;
        json_array_append_new(all, one);
    }
    return json_incref(all);
}

/* A new reference; NULL: p->err says why. */
static json_t *plain(struct plainer *p, json_t *schema, const char *space) {
    if (p->depth == DEPTH_MAX)
        return REFUSE(p, "nested deeper than %d", DEPTH_MAX);
    p->depth++;
    json_t *result = NULL;
    if (json_is_object(schema))
        result = plain_object(p, schema, space);
    else if (json_is_array(schema))
        result = plain_union(p, schema, space);
    else if (string_of(schema) != NULL)
        result = plain_name(p, string_of(schema), space);
    else
        result = REFUSE(p, "a type that is neither a name, an object nor a union");
    p->depth--;
    return result;
}

/* ---- texts ---- */

/* The next value of the text; NULL: no JSON. */
static json_t *next_value(struct slice *text, struct err *err) {
    json_error_t error;
    json_t *value = json_loadb(text->data == NULL ? "" : text->data, text->size, PARSE, &error);
    if (value == NULL) {
        err_set(err, ERR_POISON, "no JSON: line %d: %.200s", error.line, error.text);
        return NULL;
    }
    size_t used = (size_t)error.position;
    // NOLINTNEXTLINE(clang-analyzer-*): a text without data has no size
    while (used < text->size && strchr(" \t\r\n", text->data[used]) != NULL && text->data[used] != 0)
        used++;
    *text = (struct slice){text->data + used, text->size - used};
    return value;
}

static void append_json(const json_t *value, size_t flags, struct buf *out) {
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | flags);
    if (text == NULL)
        abort(); /* out of memory */
    buf_append_slice(out, slice_of(text));
    free(text);
}

/* Names of types that could be taken for something else, so that they get another one. */
static json_t *reserved(void) {
    return json_pack("{s:b,s:b,s:b,s:b,s:b,s:b}", "record", 1, "error", 1, "enum", 1, "fixed", 1, "array", 1,
                     "map", 1);
}

static void *reallocate(void *context, void *old, size_t old_size, size_t size) {
    (void)context, (void)old_size;
    if (size > 0)
        return xrealloc(old, size);
    free(old);
    return NULL;
}

static void set_allocators(void) {
    json_malloc_t allocate;
    json_free_t release;
    json_get_alloc_funcs(&allocate, &release);
    json_set_alloc_funcs(xmalloc, release); /* which may wipe what was secret */
    avro_set_allocator(reallocate, NULL);
}

void schema_end_without_memory(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_allocators);
}

bool schema_plain(struct slice text, struct buf *out, struct err *err) {
    _cleanup_(decref) json_t *referred = json_object();
    _cleanup_(decref) json_t *defined = json_object();
    _cleanup_(decref) json_t *taken = reserved();
    struct plainer p = {referred, defined, taken, 0, err};
    for (;;) {
        _cleanup_(decref) json_t *value = next_value(&text, err);
        if (value == NULL)
            return false;
        if (text.size > 0) {
            collect(&p, value, "");
            continue;
        }
        _cleanup_(decref) json_t *result = plain(&p, value, "");
        if (result != NULL)
            append_json(result, 0, out);
        return result != NULL;
    }
}

uint64_t schema_fingerprint(struct slice text) {
    _cleanup_(buf_free) struct buf all = {0};
    struct slice rest = text;
    while (rest.size > 0) {
        _cleanup_(decref) json_t *value = next_value(&rest, NULL);
        if (value == NULL) {
            buf_append_slice(&all, rest);
            break;
        }
        append_json(value, JSON_SORT_KEYS, &all);
    }
    return slice_hash(buf_slice(&all));
}
