#include "partitions/list.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "partitions/merge.h"
#include "partitions/served.h"

/* One list of one partition as it is read: a page of it, and one more to see that there is more. */
struct reading {
    struct merge *merge;
    size_t prefix_size, left;
};

static bool read_entry(void *context, struct slice index_key, struct slice key) {
    struct reading *r = context;
    struct arena *a = r->merge->arena;
    struct slice place = {index_key.data + r->prefix_size, index_key.size - r->prefix_size};
    merge_add(r->merge, (struct merge_item){.place = arena_copy(a, place), .key = arena_copy(a, key)});
    return --r->left > 0;
}

static bool read_here(struct instance *i, struct http_exchange *x, const struct list *l, const struct page *p,
                      const struct gathered *g, struct merge *m) {
    for (int32_t n = 0; n < g->count; n++)
        for (size_t k = 0; k < l->prefix_count && partitions_has(&g->here, n); k++) {
            _cleanup_(buf_free) struct buf from = {0};
            struct reading r = {m, l->prefixes[k].size, (size_t)p->limit + 1};
            buf_append_slice(&from, l->prefixes[k]);
            if (p->after.data != NULL) {
                buf_append_slice(&from, p->after);
                buf_append_byte(&from, 0); /* behind it */
            }
            if (!instance_scan_partition(i, x, l->table, n, l->prefixes[k], buf_slice(&from), read_entry, &r))
                return false;
        }
    return true;
}

/* The rows that are here. */
static bool render(struct instance *i, struct http_exchange *x, const struct list *l,
                   struct merge_item *items, size_t n) {
    for (struct merge_item *item = items; item < items + n; item++) {
        struct event row;
        _cleanup_(buf_free) struct buf json = {0};
        if (item->key.data == NULL)
            continue;
        if (!instance_row(i, x, l->table, item->key, &row))
            return false;
        if (row.value != NULL)
            l->json(l->context, &row, &json);
        if (json.size > 0)
            item->json = arena_copy(http_arena(x), buf_slice(&json));
    }
    return true;
}

/* For the instance that asks. */
static enum http_result reply_lines(struct http_exchange *x, const struct merge *m, size_t n) {
    _cleanup_(buf_free) struct buf lines = {0};
    merge_write(m, n, &lines);
    return http_reply_text(x, 200, "text/plain; charset=utf-8", buf_slice(&lines));
}

bool list_page(struct instance *i, struct http_exchange *x, const struct list *l, struct page *p,
               struct json *j, enum http_result *result) {
    struct gathered g;
    struct merge m = {.arena = http_arena(x)};
    *result = HTTP_DONE;
    if (p->after.data != NULL && !l->is_place(p->after)) {
        http_reply_problem(x, 400, "after", "must be a cursor that an earlier page gave");
        return false;
    }
    if (!instance_gather(i, x, l->table, &g, result) || !read_here(i, x, l, p, &g, &m))
        return false;
    for (int32_t n = 0; n < g.count; n++)
        merge_read(&m, g.others[n], l->is_place);
    merge_sort(&m);
    size_t limit = (size_t)p->limit, shown = m.count < limit ? m.count : limit;
    if (!render(i, x, l, m.items, shown))
        return false;
    p->more = m.count > limit;
    if (g.asked >= 0) {
        *result = reply_lines(x, &m, shown + p->more);
        return false;
    }
    if (p->more)
        p->last = m.items[limit - 1].place;
    json_begin_array(j);
    for (size_t k = 0; k < shown; k++)
        if (m.items[k].json.data != NULL)
            json_put_raw(j, m.items[k].json);
    json_end_array(j);
    return true;
}
