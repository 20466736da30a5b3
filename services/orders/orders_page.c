#include "orders_page.h"

#include "orders.h"

#include <stdlib.h>

struct orders_item *orders_page_add(struct orders_page *p) {
    if (p->count == p->capacity) {
        struct orders_item *more = arena_alloc(p->arena, (p->capacity * 2 + 64) * sizeof *more);
        if (p->count > 0)
            memcpy(more, p->items, p->count * sizeof *more);
        p->items = more;
        p->capacity = p->capacity * 2 + 64;
    }
    return &p->items[p->count++];
}

static int by_place(const void *a, const void *b) {
    return slice_compare(((const struct orders_item *)a)->place, ((const struct orders_item *)b)->place);
}

void orders_page_sort(struct orders_page *p) {
    size_t kept = 0;
    if (p->count > 0)
        qsort(p->items, p->count, sizeof *p->items, by_place);
    for (size_t n = 0; n < p->count; n++)
        if (kept == 0 || !slice_equal(p->items[n].place, p->items[kept - 1].place))
            p->items[kept++] = p->items[n];
    p->count = kept;
}

void orders_page_write(const struct orders_page *p, size_t n, struct buf *lines) {
    for (size_t k = 0; k < n; k++) {
        buf_append_slice(lines, p->items[k].place);
        buf_append_byte(lines, '\t');
        if (p->items[k].json.data != NULL)
            buf_append_slice(lines, p->items[k].json);
        buf_append_byte(lines, '\n');
    }
}

void orders_page_read(struct orders_page *p, struct slice lines) {
    while (lines.size > 0) {
        const char *end = memchr(lines.data, '\n', lines.size);
        if (end == NULL)
            return;
        struct slice line = {lines.data, (size_t)(end - lines.data)};
        const char *tab = memchr(line.data, '\t', line.size);
        lines = (struct slice){end + 1, lines.size - line.size - 1};
        if (tab == NULL)
            continue;
        struct slice place = {line.data, (size_t)(tab - line.data)};
        struct slice json = {tab + 1, line.size - place.size - 1};
        if (orders_list_place_valid(place))
            *orders_page_add(p) = (struct orders_item){place, json.size > 0 ? json : SLICE_NONE};
    }
}
