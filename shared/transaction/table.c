#include "transaction/table.h"

#include "base/cleanup.h"
#include "transaction/keys.h"
#include "transaction/retention.h"
#include "transaction/txn.h"

#include <stdlib.h>

/* A stored row: timestamp, offset, partition, payload. Read only by the machine that wrote it. */
struct row_head {
    int64_t timestamp, offset;
    int32_t partition;
    int32_t reserved;
};

enum { INDEX_KEYS = 16 }; /* of a row, at the most */

/* The keys of one row. */
struct index {
    const struct table *table;
    int32_t partition;
    struct arena *arena;
    struct slice keys[INDEX_KEYS]; /* in the store */
    size_t count;                  /* one more than there is room for: too many */
    struct buf scratch;
};

void index_key(struct index *to, struct slice key) {
    if (to->count >= INDEX_KEYS) {
        to->count = INDEX_KEYS + 1;
        return;
    }
    store_key_index(&to->scratch, to->table, to->partition, key);
    to->keys[to->count++] = arena_copy(to->arena, buf_slice(&to->scratch));
}

/* An index key mostly ends with the key of its row, and then that is not stored again: only how long it is.
 */
static struct slice index_value(struct arena *a, struct slice index_key, struct slice row_key) {
    bool ends_so =
        row_key.size <= UINT8_MAX && row_key.size <= index_key.size &&
        slice_equal((struct slice){index_key.data + index_key.size - row_key.size, row_key.size}, row_key);
    char *value = arena_alloc(a, 1 + row_key.size);
    value[0] = (char)(ends_so ? row_key.size : 0);
    if (!ends_so)
        memcpy(value + 1, row_key.data, row_key.size);
    return (struct slice){value, ends_so ? 1 : 1 + row_key.size};
}

struct slice table_index_row(struct slice index_key, struct slice value) {
    size_t size = (uint8_t)value.data[0];
    return size > 0 ? (struct slice){index_key.data + index_key.size - size, size}
                    : (struct slice){value.data + 1, value.size - 1};
}

struct slice table_row_payload(const struct table *t, struct slice stored) {
    if (t->view != NULL)
        return row_payload(t->view, stored);
    return (struct slice){stored.data + sizeof(struct row_head), stored.size - sizeof(struct row_head)};
}

/* Where a row of a view lies in the log is not kept: whoever puts it does not know yet. */
static struct row_head head_of(const struct table *t, struct slice stored) {
    struct row_head head = {.offset = -1, .partition = -1};
    if (t->view != NULL)
        head.timestamp = row_stamp(stored);
    else
        memcpy(&head, stored.data, sizeof head);
    return head;
}

bool table_row(const struct table *t, struct schemas *schemas, struct slice key, struct slice stored,
               struct arena *a, struct event *row, struct err *e) {
    struct row_head head = head_of(t, stored);
    void *value = arena_alloc(a, t->topic->value->size);
    if (!schemas_decode(schemas, t->topic->value, table_row_payload(t, stored), a, value, e))
        return e != NULL && e->kind == ERR_RETRY
                   ? err_prefix(e, "table %s", t->name) /* it is no matter of this row */
                   : err_prefix(e, "table %s, key " SLICE_FMT, t->name, SLICE_ARG(key));
    *row = (struct event){t->topic, head.partition, head.offset, head.timestamp, key, value, SLICE_NONE};
    return true;
}

static bool among(const struct index *of, struct slice key) {
    for (size_t i = 0; i < of->count; i++)
        if (slice_equal(of->keys[i], key))
            return true;
    return false;
}

/* Takes away the index keys of the old row and puts those of the new one (value NULL: there is none); what
 * both have stays as it is. */
static bool reindex(const struct table *t, struct overlay *o, int32_t partition, const struct event *old,
                    const struct event *new, struct err *e) {
    struct index before = {.table = t, .partition = partition, .arena = &o->arena}, after = before;
    if (old->value != NULL)
        t->index(&before, old);
    if (new->value != NULL)
        t->index(&after, new);
    if (after.count > INDEX_KEYS) {
        buf_free(&before.scratch);
        buf_free(&after.scratch);
        return err_set(e, ERR_POISON, "more than %d index keys", INDEX_KEYS);
    }
    for (size_t i = 0; i < before.count; i++)
        if (!among(&after, before.keys[i]))
            overlay_put(o, before.keys[i], SLICE_NONE, NULL, NULL);
    bool known = t->replaced == NULL; /* that the old row's keys are in the store */
    for (size_t i = 0; i < after.count; i++)
        if (!known || !among(&before, after.keys[i]))
            overlay_put(o, after.keys[i], index_value(&o->arena, after.keys[i], new->key), NULL, NULL);
    buf_free(&before.scratch);
    buf_free(&after.scratch);
    return true;
}

/* A stored row, value NULL when there is none. What is stored and cannot be read is no fault of the new
 * record, which waits. */
static bool stored_row(const struct table *t, struct schemas *schemas, struct slice key, struct slice stored,
                       struct arena *a, struct event *row, struct err *e) {
    if (stored.data == NULL || table_row(t, schemas, key, stored, a, row, e))
        return true;
    if (e->kind == ERR_POISON)
        e->kind = ERR_RETRY;
    return false;
}

bool table_reindex(const struct table *t, struct overlay *o, struct schemas *schemas, int32_t partition,
                   struct slice key, struct slice before, struct slice after, struct err *e) {
    struct event old = {0}, new = {0};
    return t->index == NULL || (stored_row(t, schemas, key, before, &o->arena, &old, e) &&
                                stored_row(t, schemas, key, after, &o->arena, &new, e) &&
                                reindex(t, o, partition, &old, &new, e));
}

/* The row that `row` takes the place of, value NULL when there is none. */
static bool row_before(const struct table *t, struct overlay *o, struct schemas *schemas,
                       const struct event *row, struct slice store_key, struct slice key, struct event *old,
                       struct err *e) {
    if (t->replaced != NULL && row->value != NULL) {
        void *value = arena_alloc(&o->arena, t->topic->value->size);
        *old = *row;
        old->value = t->replaced(row, value) ? value : NULL;
        return true;
    }
    struct slice stored;
    return overlay_get(o, store_key, &stored, e) && stored_row(t, schemas, key, stored, &o->arena, old, e);
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
        if (t->accepts != NULL && !t->accepts(&row))
            return err_set(e, ERR_POISON, "no row of table %s", t->name);
    }

    _cleanup_(buf_free) struct buf store_key = {0};
    store_key_row(&store_key, t, r->partition, key);
    struct event old = {0};
    if (t->index != NULL && (!row_before(t, o, schemas, &row, buf_slice(&store_key), key, &old, e) ||
                             !reindex(t, o, r->partition, &old, &row, e)))
        return false;
    overlay_put(o, buf_slice(&store_key), stored, NULL, NULL);
    return true;
}
