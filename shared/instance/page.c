#include "instance/page.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <ctype.h>

bool page_query(struct http_exchange *x, int64_t fallback, int64_t max, struct page *p) {
    struct page q = {.limit = 0};
    if (!http_query_string(x, "after", &q.after) ||
        !http_query_int64(x, "limit", 1, max, fallback > 0 || q.after.data == NULL ? fallback : max,
                          &q.limit))
        return false;
    *p = q;
    return true;
}

struct scan {
    struct page *page;
    struct arena *arena;
    int64_t count;
    void (*each)(void *context, const struct event *row);
    void *context;
};

static bool on_row(void *context, const struct event *row) {
    struct scan *s = context;
    struct page *p = s->page;
    if (p->limit > 0 && s->count == p->limit) {
        p->more = true;
        return false;
    }
    s->each(s->context, row);
    if (++s->count == p->limit)
        p->last = arena_copy(s->arena, row->key);
    return true;
}

bool page_rows(struct instance *i, struct http_exchange *x, const struct table *t, struct page *p,
               void (*each)(void *, const struct event *), void *context) {
    struct scan s = {.page = p, .arena = http_arena(x), .each = each, .context = context};
    _cleanup_(buf_free) struct buf from = {0};
    if (p->after.data != NULL) {
        buf_append_slice(&from, p->after);
        buf_append_byte(&from, 0); /* behind it */
    }
    return instance_scan_rows(i, x, t, p->after.data != NULL ? buf_slice(&from) : SLICE_NONE, on_row, &s);
}

struct index_scan {
    struct arena *arena;
    struct slice *keys;
    size_t count, max;
};

static bool on_index_key(void *context, struct slice index_key, struct slice key) {
    struct index_scan *s = context;
    (void)index_key;
    s->keys[s->count++] = arena_copy(s->arena, key);
    return s->count < s->max;
}

bool page_index(struct instance *i, struct http_exchange *x, const struct table *t, struct slice prefix,
                size_t max, void (*each)(void *, const struct event *), void *context) {
    struct arena *a = http_arena(x);
    struct index_scan s = {.arena = a, .keys = arena_alloc(a, max * sizeof *s.keys), .max = max};
    if (!instance_scan(i, x, t, prefix, SLICE_NONE, on_index_key, &s))
        return false;
    for (size_t n = 0; n < s.count; n++) {
        struct event row;
        if (!instance_row(i, x, t, s.keys[n], &row))
            return false;
        if (row.value != NULL)
            each(context, &row);
    }
    return true;
}

void page_put_row(void *json, const struct event *row) {
    _cleanup_(buf_free) struct buf one = {0};
    event_json(row->topic->value, row->value, &one);
    json_put_raw(json, buf_slice(&one));
}

/* A key can be anything that a legacy system calls a thing. */
static void percent_encode(struct slice s, struct buf *out) {
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (isalnum(c) || strchr("-._~:", c) != NULL)
            buf_append_byte(out, c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

void page_put_next(const struct page *p, const char *path, struct slice filters, struct json *j) {
    json_key(j, "next");
    if (!p->more) {
        json_put_null(j);
        return;
    }
    _cleanup_(buf_free) struct buf next = {0};
    buf_printf(&next, "%s?limit=%lld&after=", path, (long long)p->limit);
    percent_encode(p->last, &next);
    buf_append_slice(&next, filters);
    json_put_string(j, buf_slice(&next));
    json_key(j, "after"), json_put_string(j, p->last);
}
