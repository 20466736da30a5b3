#include "stream/table.h"

#include "base/cleanup.h"
#include "stream/stream.h"
#include "stream/transaction.h"

/* A stored row: timestamp, offset, partition, payload. Read only by the machine that wrote it. */
struct row_head {
    int64_t timestamp, offset;
    int32_t partition;
    int32_t reserved;
};

struct index {
    const struct table *table;
    struct overlay *overlay;
    struct slice row_key; /* data NULL: the index keys go away */
    struct buf key;
};

void index_key(struct index *to, struct slice key) {
    store_key_index(&to->key, to->table, key);
    overlay_put(to->overlay, buf_slice(&to->key), to->row_key, NULL, NULL);
}

struct slice table_row_payload(struct slice stored) {
    return (struct slice){stored.data + sizeof(struct row_head), stored.size - sizeof(struct row_head)};
}

bool table_row(const struct table *t, struct schemas *schemas, struct slice key, struct slice stored,
               struct arena *a, struct event *row, struct err *e) {
    struct row_head head;
    memcpy(&head, stored.data, sizeof head);
    void *value = arena_alloc(a, t->topic->value->size);
    if (!schemas_decode(schemas, t->topic->value, table_row_payload(stored), a, value, e))
        return err_prefix(e, "table %s, key " SLICE_FMT, t->name, SLICE_ARG(key));
    *row = (struct event){t->topic, head.partition, head.offset, head.timestamp, key, value};
    return true;
}

static void reindex(const struct table *t, struct overlay *o, const struct event *row, struct slice row_key) {
    struct index to = {t, o, row_key, {0}};
    t->index(&to, row);
    buf_free(&to.key);
}

bool table_put(const struct table *t, struct overlay *o, struct schemas *schemas, const struct log_record *r,
               int32_t partitions, struct err *e) {
    struct arena *a = &o->arena;
    if (!record_well_formed(r, partitions, e))
        return false;
    struct slice key = arena_copy(a, r->key), stored = SLICE_NONE;
    struct event row = {0};
    if (r->value.data != NULL) {
        struct row_head head = {r->timestamp, r->offset, r->partition, 0};
        char *bytes = arena_alloc(a, sizeof head + r->value.size);
        memcpy(bytes, &head, sizeof head);
        memcpy(bytes + sizeof head, r->value.data, r->value.size);
        stored = (struct slice){bytes, sizeof head + r->value.size};
        if (!table_row(t, schemas, key, stored, a, &row, e))
            return false;
    }

    _cleanup_(buf_free) struct buf store_key = {0};
    store_key_row(&store_key, t, key);
    if (t->index != NULL) {
        struct slice before;
        struct event old;
        if (!overlay_get(o, buf_slice(&store_key), &before, e))
            return false;
        if (before.data != NULL) {
            if (!table_row(t, schemas, key, before, a, &old, e))
                return false;
            reindex(t, o, &old, SLICE_NONE);
        }
        if (row.value != NULL)
            reindex(t, o, &row, key);
    }
    overlay_put(o, buf_slice(&store_key), stored, NULL, NULL);
    return true;
}
