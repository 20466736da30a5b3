#include "transaction/retention.h"

#include "base/cleanup.h"
#include "base/num.h"
#include "transaction/keys.h"

#include <endian.h>
#include <stdlib.h>

int64_t retention_end(const struct view *v, int64_t stamp) {
    return sat_add(stamp, v->retention_ms);
}

static bool is_stamped(const struct view *v) {
    return v->retention_ms > 0 || v->served != NULL;
}

void row_begin(const struct view *v, int64_t stamp, struct buf *out) {
    if (is_stamped(v))
        buf_append(out, &stamp, sizeof stamp);
}

struct slice row_payload(const struct view *v, struct slice stored) {
    if (!is_stamped(v) || stored.data == NULL)
        return stored;
    return (struct slice){stored.data + sizeof(int64_t), stored.size - sizeof(int64_t)};
}

int64_t row_stamp(struct slice stored) {
    int64_t stamp;
    memcpy(&stamp, stored.data, sizeof stamp);
    return stamp;
}

void store_key_due(struct buf *out, const struct view *v, int32_t partition, int64_t stamp,
                   struct slice record_key) {
    uint64_t sorted = htobe64((uint64_t)stamp); /* never negative */
    store_key_index_of_view(out, v, partition);
    buf_append(out, &sorted, sizeof sorted);
    buf_append_slice(out, record_key);
}

struct collect {
    struct due_list *list;
    const struct view *view;
    struct arena *arena;
    size_t prefix;
    int64_t now;
};

static bool collect(void *context, struct slice key, struct slice value) {
    struct collect *c = context;
    struct due_list *l = c->list;
    uint64_t sorted;
    (void)value;
    memcpy(&sorted, key.data + c->prefix, sizeof sorted);
    l->next = retention_end(c->view, (int64_t)be64toh(sorted));
    if (l->next >= c->now || l->count == l->limit)
        return false;
    if (l->count == l->capacity)
        l->items = xrealloc(l->items, (l->capacity = l->capacity * 2 + 16) * sizeof *l->items);
    struct slice entry = arena_copy(c->arena, key);
    size_t head = c->prefix + sizeof sorted;
    l->items[l->count++] = (struct due){entry, {entry.data + head, entry.size - head}};
    l->next = INT64_MAX;
    return true;
}

bool retention_due(struct overlay *o, const struct view *v, int32_t partition, int64_t since, int64_t now,
                   struct due_list *list, struct err *e) {
    _cleanup_(buf_free) struct buf prefix = {0}, from = {0};
    store_key_index_of_view(&prefix, v, partition);
    int64_t first = sat_sub(since, v->retention_ms);
    store_key_due(&from, v, partition, first > 0 ? first : 0, SLICE(""));
    struct collect c = {list, v, &o->arena, prefix.size, now};
    list->next = INT64_MAX;
    return overlay_scan(o, buf_slice(&prefix), buf_slice(&from), collect, &c, e);
}
