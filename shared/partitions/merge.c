#include "partitions/merge.h"

#include <stdlib.h>

void merge_add(struct merge *m, struct merge_item item) {
    if (m->count == m->capacity) {
        struct merge_item *more = arena_alloc(m->arena, (m->capacity * 2 + 64) * sizeof *more);
        if (m->count > 0)
            memcpy(more, m->items, m->count * sizeof *more);
        m->items = more;
        m->capacity = m->capacity * 2 + 64;
    }
    m->items[m->count++] = item;
}

static int by_place(const void *a, const void *b) {
    return slice_compare(((const struct merge_item *)a)->place, ((const struct merge_item *)b)->place);
}

void merge_sort(struct merge *m) {
    size_t kept = 0;
    if (m->count > 0)
        qsort(m->items, m->count, sizeof *m->items, by_place);
    for (size_t n = 0; n < m->count; n++)
        if (kept == 0 || !slice_equal(m->items[n].place, m->items[kept - 1].place))
            m->items[kept++] = m->items[n];
    m->count = kept;
}

void merge_write(const struct merge *m, size_t n, struct buf *lines) {
    for (size_t k = 0; k < n; k++) {
        buf_append_slice(lines, m->items[k].place);
        buf_append_byte(lines, '\t');
        if (m->items[k].json.data != NULL)
            buf_append_slice(lines, m->items[k].json);
        buf_append_byte(lines, '\n');
    }
}

void merge_read(struct merge *m, struct slice lines, bool (*is_place)(struct slice)) {
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
        if (is_place(place))
            merge_add(m, (struct merge_item){.place = place, .json = json.size > 0 ? json : SLICE_NONE});
    }
}
