#include "tables.h"

#include "base/cleanup.h"
#include "positions.h"
#include "transaction/txn.h"

static void index_ride(struct index *to, const struct event *row);
static void index_position(struct index *to, const struct event *row);
static bool is_position(const struct event *row);

const struct table rides_table = {.name = "rides", .topic = &topic_rides, .index = index_ride};
const struct table decisions_table = {.name = "decisions", .topic = &topic_ride_decisions};
const struct table driver_positions_table = {.name = "driver-positions",
                                             .topic = &topic_driver_positions,
                                             .index = index_position,
                                             .accepts = is_position};
const struct table rider_positions_table = {.name = "rider-positions",
                                            .topic = &topic_rider_positions,
                                            .index = index_position,
                                            .accepts = is_position};

/* An id has no '/', so no list's prefix begins another's. */
void rides_list_prefix(enum rides_list list, struct slice id, struct buf *out) {
    buf_append_byte(out, (uint8_t)list);
    buf_append_slice(out, id);
    buf_append_byte(out, '/');
}

/* Falls as time rises. */
static void append_newest_first(struct buf *out, int64_t time) {
    uint64_t n = UINT64_MAX - ((uint64_t)time ^ (UINT64_C(1) << 63));
    for (int shift = 56; shift >= 0; shift -= 8)
        buf_append_byte(out, (uint8_t)(n >> shift));
}

static void index_place(struct index *to, struct geo_point p, struct slice key) {
    _cleanup_(buf_free) struct buf index = {0};
    char cell[GEO_CELL_SIZE];
    if (!geo_valid(p.lat, p.lon))
        return;
    geo_cell_write(geo_cell_of(p), cell);
    buf_append_byte(&index, INDEX_PLACE);
    buf_append(&index, cell, sizeof cell);
    buf_append_slice(&index, key);
    index_key(to, buf_slice(&index));
}

static void index_position(struct index *to, const struct event *row) {
    const struct position *p = row->value;
    index_place(to, (struct geo_point){p->lat, p->lon}, row->key);
}

static bool is_position(const struct event *row) {
    return position_fault(row) == NULL;
}

static void index_list(struct index *to, enum rides_list list, struct slice id, const struct ride *r) {
    _cleanup_(buf_free) struct buf key = {0};
    rides_list_prefix(list, id, &key);
    append_newest_first(&key, r->requested_at);
    buf_append_slice(&key, r->id);
    index_key(to, buf_slice(&key));
}

static void index_ride(struct index *to, const struct event *row) {
    const struct ride *r = row->value;
    index_list(to, RIDES_OF_RIDER, r->rider_id, r);
    if (r->driver_id.data != NULL)
        index_list(to, RIDES_OF_DRIVER, r->driver_id, r);
    if (r->state != RIDE_STATE_COMPLETED && r->state != RIDE_STATE_CANCELLED)
        index_place(to, r->pickup, row->key);
}
