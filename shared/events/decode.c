#include "events/node.h"

#include "base/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

enum { FIELDS_MIN = 1 << 14, FIELDS_A_BYTE = 4, SHOWN_MAX = 16 << 20 };

/* A body being read. */
struct in {
    const uint8_t *begin, *at, *end;
    struct arena *arena;
    size_t items;     /* how many may still come, of arrays, … */
    size_t fields;    /* … and of records: bounds the work that is made of no bytes */
    size_t shown_max; /* what the JSON may grow to */
    int depth;
    struct err *err;
};

/* Macros, so that compilers and analysers know that they are false. */
#define FAIL(in, ...) fail_at(in, (in)->at, __VA_ARGS__)
#define fail_at(in, at, ...) (fail_fill(in, at, __VA_ARGS__), false)

__attribute__((format(printf, 3, 4), cold)) static void fail_fill(struct in *in, const uint8_t *at,
                                                                  const char *fmt, ...) {
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    err_set(in->err, ERR_POISON, "byte %td: %s", at - in->begin, text);
}

static size_t left(const struct in *in) {
    return (size_t)(in->end - in->at);
}

/* --- What both walks read --- */

/* A number of ten bytes, or one that is none. */
__attribute__((cold, noinline)) static bool read_long_odd(struct in *in, int64_t *value) {
    uint64_t n = 0;
    for (size_t i = 0; i < 10; i++) {
        if (i == left(in))
            return FAIL(in, "truncated in a number");
        uint8_t byte = in->at[i];
        if (i == 9 && byte > 1)
            break;
        n |= (uint64_t)(byte & 0x7f) << 7 * i;
        if (byte < 0x80) {
            in->at += i + 1;
            *value = (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
            return true;
        }
    }
    return FAIL(in, "a number of more than 64 bits");
}

static inline bool read_long(struct in *in, int64_t *value) {
    const uint8_t *at = in->at, *stop = left(in) < 9 ? in->end : at + 9;
    uint64_t n = 0, byte;
    int shift = 0;
    do {
        if (at == stop)
            return read_long_odd(in, value);
        byte = *at++;
        n |= (byte & 0x7f) << shift;
        shift += 7;
    } while (byte >= 0x80);
    in->at = at;
    *value = (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
    return true;
}

static bool read_int(struct in *in, int64_t *value) {
    const uint8_t *at = in->at;
    int64_t n;
    if (!read_long(in, &n))
        return false;
    if (n < INT32_MIN || n > INT32_MAX)
        return fail_at(in, at, "%" PRId64 " is no int", n);
    *value = n;
    return true;
}

static bool read_bytes(struct in *in, size_t size, struct slice *bytes) {
    if (size > left(in))
        return FAIL(in, "truncated: %zu bytes wanted, %zu left", size, left(in));
    *bytes = (struct slice){(const char *)in->at, size};
    in->at += size;
    return true;
}

static bool read_slice(struct in *in, bool text, struct slice *s) {
    const uint8_t *at = in->at;
    int64_t size;
    if (!read_long(in, &size))
        return false;
    if (size < 0)
        return fail_at(in, at, "a length of %" PRId64, size);
    struct slice bytes;
    if (!read_bytes(in, (size_t)size, &bytes))
        return false;
    if (text && !utf8_valid(bytes))
        return fail_at(in, at, "a string that is not UTF-8");
    *s = bytes;
    return true;
}

static bool read_float(struct in *in, double *value) {
    struct slice b = SLICE_NONE;
    if (!read_bytes(in, 4, &b))
        return false;
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++)
        bits |= (uint32_t)(uint8_t)b.data[i] << 8 * i;
    float f;
    memcpy(&f, &bits, sizeof f);
    *value = (double)f;
    return true;
}

static bool read_double(struct in *in, double *value) {
    struct slice b = SLICE_NONE;
    if (!read_bytes(in, 8, &b))
        return false;
    uint64_t bits = 0;
    for (size_t i = 0; i < 8; i++)
        bits |= (uint64_t)(uint8_t)b.data[i] << 8 * i;
    memcpy(value, &bits, sizeof bits);
    return true;
}

static bool read_boolean(struct in *in, bool *value) {
    if (in->at == in->end)
        return FAIL(in, "truncated before a boolean");
    if (*in->at > 1)
        return FAIL(in, "a boolean of %d", *in->at);
    *value = *in->at++ == 1;
    return true;
}

/* The index of a symbol or of a branch. */
static bool read_index(struct in *in, const char *what, size_t count, size_t *index) {
    const uint8_t *at = in->at;
    int64_t n;
    if (!read_long(in, &n))
        return false;
    if (n < 0 || (uint64_t)n >= count)
        return fail_at(in, at, "%s %" PRId64 " of %zu", what, n, count);
    *index = (size_t)n;
    return true;
}

/* Where a reader is in the blocks of an array or a map. Zero: before the first. */
struct block {
    size_t count, left; /* of the block's items; count 0: that was the last block */
    const uint8_t *end; /* as it says itself; NULL when it does not */
};

static bool read_block(struct in *in, struct block *block) {
    const uint8_t *at = in->at;
    int64_t count, size = 0;
    if (!read_long(in, &count))
        return false;
    if (count == INT64_MIN)
        return fail_at(in, at, "a block of %" PRId64 " items", count);
    bool sized = count < 0;
    if (sized && !read_long(in, &size))
        return false;
    if (size < 0 || (uint64_t)size > left(in))
        return fail_at(in, at, "a block of %" PRId64 " bytes in the %zu that are left", size, left(in));
    count = sized ? -count : count;
    if ((uint64_t)count > left(in) || (uint64_t)count > in->items)
        return fail_at(in, at, "a block of %" PRId64 " items in %zu bytes", count, left(in));
    in->items -= (size_t)count;
    *block = (struct block){(size_t)count, (size_t)count, sized ? in->at + size : NULL};
    return true;
}

/* Goes to the next item, and past a map's key. *any false: that was the last. */
static bool next_item(struct in *in, const struct node *n, struct block *block, struct slice *key,
                      bool *any) {
    if (block->left == 0 && block->end != NULL && block->end != in->at)
        return FAIL(in, "a block is not as long as it says");
    if (block->left == 0 && !read_block(in, block))
        return false;
    *any = block->left > 0;
    if (!*any)
        return true;
    block->left--;
    return n->op != NODE_MAP || read_slice(in, true, key);
}

static bool enter(struct in *in) {
    if (in->depth == EVENT_DEPTH_MAX)
        return FAIL(in, "deeper than %d", EVENT_DEPTH_MAX);
    in->depth++;
    return true;
}

/* Records of records of nulls have no bytes: one in which the next one is twice, and so on, is as long as a
 * schema likes. */
static bool enter_record(struct in *in, size_t fields) {
    if (!enter(in))
        return false;
    if (fields > in->fields)
        return FAIL(in, "more fields than %zu bytes may have", (size_t)(in->end - in->begin));
    in->fields -= fields;
    return true;
}

/* --- Into a struct --- */

static bool decode(struct in *in, const struct node *n, char *base);
static inline bool decode_field(struct in *in, const struct node *n, char *base);

static bool store_number(const struct node *n, void *value, int64_t number) {
    switch (n->to) {
    case EVENT_INT:
        *(int32_t *)value = (int32_t)number;
        break;
    case EVENT_LONG:
        *(int64_t *)value = number;
        break;
    case EVENT_DOUBLE:
        *(double *)value = (double)number;
        break;
    default:; /* NODE_SKIP */
    }
    return true;
}

static bool decode_enum(struct in *in, const struct node *n, int *value) {
    const uint8_t *at = in->at;
    size_t symbol;
    if (!read_index(in, "symbol", n->count, &symbol))
        return false;
    if (n->to == NODE_SKIP)
        return true;
    if (n->map[symbol] < 0)
        return fail_at(in, at, "the reader does not know the symbol %.64s", n->symbols[symbol]);
    *value = n->map[symbol];
    return true;
}

static bool decode_record(struct in *in, const struct node *n, char *record) {
    if (!enter_record(in, n->count))
        return false;
    assert(n->image == NULL || record != NULL); /* only what has a target has an image */
    if (n->image != NULL)
        memcpy(record, n->image, n->size);
    for (const struct node *f = n->children; f < n->children + n->count; f++) {
        if (!decode_field(in, f, record))
            return err_prefix(in->err, "%.64s", f->name);
    }
    in->depth--;
    return true;
}

/* Items so far, in a piece of the arena that grows as they really come. */
struct items {
    char *data;
    size_t count, capacity;
};

static char *add_item(struct in *in, struct items *items, size_t wanted, size_t size) {
    if (items->count == items->capacity) {
        size_t more = items->capacity > 0 ? 2 * items->capacity : wanted < 64 ? wanted : 64;
        char *data = arena_alloc(in->arena, more * size);
        if (items->count > 0)
            memcpy(data, items->data, items->count * size);
        items->data = data;
        items->capacity = more;
    }
    return items->data + items->count++ * size;
}

static bool decode_array(struct in *in, const struct node *n, struct event_array *array) {
    struct items items = {0};
    struct block block = {0};
    struct slice key;
    bool any;
    if (!enter(in))
        return false;
    while (next_item(in, n, &block, &key, &any)) {
        if (!any) {
            in->depth--;
            if (n->to != NODE_SKIP)
                *array = (struct event_array){items.data, items.count};
            return true;
        }
        if (!decode(in, n->children, n->to == NODE_SKIP ? NULL : add_item(in, &items, block.count, n->size)))
            return false;
    }
    return false;
}

static bool decode_text(struct in *in, const struct node *n, struct slice *value) {
    struct slice s;
    if (!read_slice(in, n->op == NODE_STRING || n->to == EVENT_STRING, &s))
        return false;
    if (n->to != NODE_SKIP)
        *value = s;
    return true;
}

static bool decode_double(struct in *in, const struct node *n, double *value) {
    double d;
    if (!(n->op == NODE_FLOAT ? read_float(in, &d) : read_double(in, &d)))
        return false;
    if (n->to != NODE_SKIP)
        *value = d;
    return true;
}

/* Reads what `n` describes into the struct at `base`; a skipped value has none. Inline in the loop over a
 * record's fields, most of which are numbers. */
static inline bool decode_field(struct in *in, const struct node *n, char *base) {
    void *value = n->to == NODE_SKIP ? NULL : base + n->value;
    int64_t number;
    size_t index;
    bool flag;
    struct slice bytes;
    if (n->optional)
        *(bool *)(base + n->present) = true;
    switch (n->op) {
    case NODE_NULL:
        return true; /* as the image has it */
    case NODE_BOOLEAN:
        if (!read_boolean(in, &flag))
            return false;
        if (value != NULL)
            *(bool *)value = flag;
        return true;
    case NODE_INT:
        return read_int(in, &number) && store_number(n, value, number);
    case NODE_LONG:
        return read_long(in, &number) && store_number(n, value, number);
    case NODE_FLOAT:
    case NODE_DOUBLE:
        return decode_double(in, n, value);
    case NODE_STRING:
    case NODE_BYTES:
        return decode_text(in, n, value);
    case NODE_FIXED:
        return read_bytes(in, n->count, &bytes);
    case NODE_ENUM:
        return decode_enum(in, n, value);
    case NODE_RECORD:
        return decode_record(in, n, value);
    case NODE_ARRAY:
    case NODE_MAP:
        return decode_array(in, n, value);
    case NODE_UNION:
        return read_index(in, "branch", n->count, &index) && decode(in, &n->children[index], base);
    case NODE_MISMATCH:
        return FAIL(in, "%s", n->why);
    }
    __builtin_unreachable();
}

static bool decode(struct in *in, const struct node *n, char *base) {
    return decode_field(in, n, base);
}

static bool begin(struct in *in, struct slice payload, size_t from, struct arena *arena, struct err *err) {
    const uint8_t *data = (const uint8_t *)payload.data;
    if (payload.size < from)
        return err_set(err, ERR_POISON, "byte %zu: truncated", payload.size);
    if (payload.size - from > EVENT_SIZE_MAX)
        return err_set(err, ERR_POISON, "%zu bytes, more than %d", payload.size, EVENT_SIZE_MAX);
    *in = (struct in){.begin = data,
                      .at = data + from,
                      .end = data + payload.size,
                      .arena = arena,
                      .items = payload.size,
                      .fields = FIELDS_MIN + FIELDS_A_BYTE * payload.size,
                      .err = err};
    return true;
}

static bool finish(struct in *in) {
    return in->at == in->end || FAIL(in, "%zu bytes too many", left(in));
}

bool plan_decode(const struct plan *p, struct slice payload, size_t from, struct arena *arena, void *out,
                 struct err *err) {
    alignas(max_align_t) char room[512];
    char *value = p->size <= sizeof room ? room : arena_alloc(arena, p->size);
    struct in in;
    if (!begin(&in, payload, from, arena, err) || !decode(&in, &p->root, value) || !finish(&in))
        return false;
    memcpy(out, value, p->size);
    return true;
}

/* --- Into JSON --- */

static bool to_json(struct in *in, const struct node *n, struct json *j);

static bool record_to_json(struct in *in, const struct node *n, struct json *j) {
    if (!enter_record(in, n->count))
        return false;
    json_begin_object(j);
    for (const struct node *f = n->children; f < n->children + n->count; f++) {
        json_key(j, f->name);
        if (!to_json(in, f, j))
            return err_prefix(in->err, "%.64s", f->name);
    }
    json_end_object(j);
    in->depth--;
    return true;
}

static bool items_to_json(struct in *in, const struct node *n, struct json *j) {
    struct block block = {0};
    struct slice key;
    bool any, map = n->op == NODE_MAP;
    if (!enter(in))
        return false;
    (map ? json_begin_object : json_begin_array)(j);
    while (next_item(in, n, &block, &key, &any)) {
        if (!any) {
            (map ? json_end_object : json_end_array)(j);
            in->depth--;
            return true;
        }
        if (map)
            json_key_slice(j, key);
        if (!to_json(in, n->children, j))
            return false;
    }
    return false;
}

static bool to_json(struct in *in, const struct node *n, struct json *j) {
    int64_t number = 0;
    size_t index = 0;
    bool flag = false;
    double d = 0;
    struct slice s = SLICE_NONE;
    if (j->out->size > in->shown_max) /* names are as long as a schema likes, too */
        return FAIL(in, "more than %d bytes of JSON", SHOWN_MAX);
    switch (n->op) {
    case NODE_NULL:
        json_put_null(j);
        return true;
    case NODE_BOOLEAN:
        return read_boolean(in, &flag) && (json_put_bool(j, flag), true);
    case NODE_INT:
        return read_int(in, &number) && (json_put_int(j, number), true);
    case NODE_LONG:
        return read_long(in, &number) && (json_put_int(j, number), true);
    case NODE_FLOAT:
        return read_float(in, &d) && (json_put_double(j, d), true);
    case NODE_DOUBLE:
        return read_double(in, &d) && (json_put_double(j, d), true);
    case NODE_STRING:
        return read_slice(in, true, &s) && (json_put_string(j, s), true);
    case NODE_BYTES:
        return read_slice(in, false, &s) && (event_json_bytes(j, s), true);
    case NODE_FIXED:
        return read_bytes(in, n->count, &s) && (event_json_bytes(j, s), true);
    case NODE_ENUM:
        return read_index(in, "symbol", n->count, &index) &&
               (json_put_string(j, slice_of(n->symbols[index])), true);
    case NODE_RECORD:
        return record_to_json(in, n, j);
    case NODE_ARRAY:
    case NODE_MAP:
        return items_to_json(in, n, j);
    case NODE_UNION:
        return read_index(in, "branch", n->count, &index) && to_json(in, &n->children[index], j);
    case NODE_MISMATCH:
        return FAIL(in, "%s", n->why);
    }
    __builtin_unreachable();
}

bool plan_json(const struct plan *p, struct slice payload, size_t from, struct buf *out, struct err *err) {
    size_t start = out->size;
    struct json j = {.out = out};
    struct in in;
    if (!begin(&in, payload, from, NULL, err))
        return false;
    in.shown_max = start + SHOWN_MAX;
    if (!to_json(&in, &p->root, &j) || !finish(&in)) {
        out->size = start;
        return false;
    }
    return true;
}
