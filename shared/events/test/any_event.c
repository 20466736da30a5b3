#include "any_event.h"

#include "events/plan.h"

uint64_t random_next(struct random *r) {
    r->state ^= r->state << 13;
    r->state ^= r->state >> 7;
    r->state ^= r->state << 17;
    return r->state;
}

static int64_t any_number(struct random *r) {
    return (int64_t)random_next(r) >> random_next(r) % 64;
}

static struct slice any_text(struct random *r, struct arena *arena) {
    static const char *const pieces[] = {"a", "Z9", "ü", "€", "😀", "\"", "\\", "\n", "long long text "};
    struct buf b = {0};
    for (uint64_t i = random_next(r) % 12; i > 0; i--)
        buf_append_slice(&b, slice_of(pieces[random_next(r) % (sizeof pieces / sizeof *pieces)]));
    struct slice text = arena_copy(arena, (struct slice){b.size > 0 ? b.data : "", b.size});
    buf_free(&b);
    return text;
}

static struct slice any_bytes(struct random *r, struct arena *arena) {
    size_t size = random_next(r) % 40;
    char *data = arena_alloc(arena, size);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)random_next(r);
    return (struct slice){data, size};
}

static void fill(struct random *r, const struct event_type *type, struct arena *arena, char *value);

static void fill_field(struct random *r, const struct event_field *f, struct arena *arena, char *member) {
    if (f->nullable) {
        if (random_next(r) % 3 == 0)
            return;
        *(bool *)(void *)member = true; /* a slice is written over below */
        member += event_optional_value(f->kind);
    }
    void *value = member;
    size_t count = random_next(r) % 5;
    switch (f->kind) {
    case EVENT_STRING:
        *(struct slice *)value = any_text(r, arena);
        break;
    case EVENT_BYTES:
        *(struct slice *)value = any_bytes(r, arena);
        break;
    case EVENT_INT:
        *(int32_t *)value = (int32_t)any_number(r);
        break;
    case EVENT_LONG:
        *(int64_t *)value = any_number(r);
        break;
    case EVENT_DOUBLE:
        *(double *)value = (double)any_number(r) / 1000;
        break;
    case EVENT_BOOLEAN:
        *(bool *)value = random_next(r) % 2 == 0;
        break;
    case EVENT_ENUM:
        *(int *)value = (int)(random_next(r) % (uint64_t)f->symbols->count);
        break;
    case EVENT_RECORD:
        fill(r, f->type, arena, value);
        break;
    case EVENT_STRINGS: {
        struct slice *items = arena_alloc(arena, count * sizeof *items);
        for (size_t i = 0; i < count; i++)
            items[i] = any_text(r, arena);
        *(struct slices *)value = (struct slices){items, count};
        break;
    }
    case EVENT_RECORDS: {
        char *items = memset(arena_alloc(arena, count * f->type->size), 0, count * f->type->size);
        for (size_t i = 0; i < count; i++)
            fill(r, f->type, arena, items + i * f->type->size);
        *(struct event_array *)value = (struct event_array){items, count};
        break;
    }
    }
}

static void fill(struct random *r, const struct event_type *type, struct arena *arena, char *value) {
    for (size_t i = 0; i < type->field_count; i++)
        fill_field(r, &type->fields[i], arena, value + type->fields[i].offset);
}

void *any_event(struct random *r, const struct event_type *type, struct arena *arena) {
    char *value = memset(arena_alloc(arena, type->size), 0, type->size);
    fill(r, type, arena, value);
    return value;
}

static bool field_equal(const struct event_field *f, const char *a, const char *b) {
    if (f->nullable) {
        if (event_is_null(f, a) || event_is_null(f, b))
            return event_is_null(f, a) && event_is_null(f, b);
        a += event_optional_value(f->kind);
        b += event_optional_value(f->kind);
    }
    const void *x = a, *y = b;
    switch (f->kind) {
    case EVENT_STRING:
    case EVENT_BYTES:
        return slice_equal(*(const struct slice *)x, *(const struct slice *)y);
    case EVENT_INT:
        return *(const int32_t *)x == *(const int32_t *)y;
    case EVENT_LONG:
        return *(const int64_t *)x == *(const int64_t *)y;
    case EVENT_DOUBLE:
        return memcmp(x, y, sizeof(double)) == 0;
    case EVENT_BOOLEAN:
        return *(const bool *)x == *(const bool *)y;
    case EVENT_ENUM:
        return *(const int *)x == *(const int *)y;
    case EVENT_RECORD:
        return any_event_equal(f->type, x, y);
    case EVENT_STRINGS: {
        const struct slices *s = x, *t = y;
        bool same = s->count == t->count;
        for (size_t i = 0; same && i < s->count; i++)
            same = slice_equal(s->items[i], t->items[i]);
        return same;
    }
    case EVENT_RECORDS: {
        const struct event_array *s = x, *t = y;
        bool same = s->count == t->count;
        for (size_t i = 0; same && i < s->count; i++)
            same = any_event_equal(f->type, s->items + i * f->type->size, t->items + i * f->type->size);
        return same;
    }
    }
    __builtin_unreachable();
}

bool any_event_equal(const struct event_type *type, const void *a, const void *b) {
    for (size_t i = 0; i < type->field_count; i++) {
        const struct event_field *f = &type->fields[i];
        if (!field_equal(f, (const char *)a + f->offset, (const char *)b + f->offset))
            return false;
    }
    return true;
}
