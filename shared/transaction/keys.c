#include "transaction/keys.h"
#include "store/store.h"

#include <string.h>

static void key_begin(struct buf *out, char kind, const char *name) {
    buf_clear(out);
    buf_append_byte(out, (uint8_t)kind);
    buf_append(out, name, strlen(name) + 1);
}

static void key_partition(struct buf *out, int32_t partition) {
    buf_append_byte(out, (uint8_t)(partition >> 8));
    buf_append_byte(out, (uint8_t)partition);
}

void store_key_part(struct buf *out, const struct table *t, int32_t partition) {
    buf_clear(out);
    store_part(out, t->name, (uint16_t)partition);
}

static void key_of_table(struct buf *out, char kind, const struct table *t, int32_t partition,
                         struct slice key) {
    if (t->view == NULL) {
        key_begin(out, kind, t->name);
    } else {
        store_key_part(out, t, partition);
        buf_append_byte(out, (uint8_t)kind);
    }
    buf_append_slice(out, key);
}

void store_key_row(struct buf *out, const struct table *t, int32_t partition, struct slice record_key) {
    key_of_table(out, 't', t, partition, record_key);
}

void store_key_index(struct buf *out, const struct table *t, int32_t partition, struct slice index_key) {
    key_of_table(out, 'i', t, partition, index_key);
}

/* What a view has of a partition. */
static void key_of_view(struct buf *out, char kind, const struct view *v, int32_t partition) {
    if (v->served != NULL) {
        key_of_table(out, kind, v->served, partition, SLICE(""));
        return;
    }
    key_begin(out, kind, v->name);
    key_partition(out, partition);
}

void store_key_view(struct buf *out, const struct view *v, int32_t partition, struct slice record_key) {
    key_of_view(out, v->served != NULL ? 't' : 'v', v, partition);
    buf_append_slice(out, record_key);
}

void store_key_index_of_view(struct buf *out, const struct view *v, int32_t partition) {
    key_of_view(out, 'd', v, partition);
}

void store_key_positions(struct buf *out, const char *name) {
    key_begin(out, 'p', name);
}

void store_key_position(struct buf *out, const char *name, int32_t partition) {
    store_key_positions(out, name);
    key_partition(out, partition);
}

void store_key_table_positions(struct buf *out, const struct table *t, int32_t partition) {
    if (t->view == NULL)
        store_key_position(out, t->name, partition);
    else
        key_of_table(out, 'p', t, partition, SLICE(""));
}

void store_key_table_position(struct buf *out, const struct table *t, int32_t partition) {
    store_key_table_positions(out, t, partition);
    for (uint32_t version = t->index_version; version > 0; version >>= 8)
        buf_append_byte(out, (uint8_t)version); /* rows of another have other index keys */
}

void store_key_view_positions(struct buf *out, const struct view *v, int32_t partition) {
    key_of_view(out, 'p', v, partition);
}

void store_key_view_position(struct buf *out, const struct view *v, int32_t partition) {
    if (v->served != NULL)
        store_key_table_position(out, v->served, partition);
    else
        store_key_position(out, v->name, partition);
    if (v->retention_ms > 0)
        buf_append_byte(out, 'd'); /* rows are stored in another way, with an index */
}

void store_key_age(struct buf *out, const char *name, int32_t partition) {
    key_begin(out, 'a', name);
    key_partition(out, partition);
}

void store_key_view_age(struct buf *out, const struct view *v, int32_t partition) {
    key_of_view(out, 'a', v, partition);
}

void store_key_inputs(struct buf *out, const struct topology *t, const struct view *v, int32_t partition) {
    if (v->served != NULL) {
        key_of_view(out, 's', v, partition);
        return;
    }
    key_begin(out, 's', t->name);
    key_partition(out, partition);
}
