#include "rides_feed.h"

#include "base/clock.h"
#include "base/num.h"
#include "feeds/feed.h"
#include "positions.h"
#include "tables.h"

enum { VIEW_M = 5000, RECEIPT_MS = 10 * 60 * 1000 };

struct view_of {
    enum watcher watcher;
    struct slice id;
    bool sees; /* the box; without one only what is one's own */
    struct geo_box box;
    struct slice partner; /* who is on the ride with this rider or driver; data NULL: nobody */
    int64_t now_ms;
};

static bool is_over(const struct ride *r) {
    return r->state == RIDE_STATE_COMPLETED || r->state == RIDE_STATE_CANCELLED;
}

static bool is_own(const struct view_of *v, const struct ride *r) {
    struct slice who = v->watcher == WATCHER_RIDER ? r->rider_id : r->driver_id;
    return v->watcher != WATCHER_CITY && who.data != NULL && slice_equal(who, v->id);
}

static bool wants_ride(void *context, const struct event *row) {
    const struct view_of *v = context;
    const struct ride *r = row->value;
    if (is_own(v, r))
        return !is_over(r) || sat_sub(v->now_ms, row->timestamp) < RECEIPT_MS;
    if (v->watcher == WATCHER_RIDER || is_over(r) || !v->sees || !geo_inside(&v->box, r->pickup))
        return false;
    return v->watcher == WATCHER_CITY || r->state == RIDE_STATE_REQUESTED;
}

static bool wants_position(void *context, const struct event *row) {
    const struct view_of *v = context;
    const struct position *p = row->value;
    if (!position_shown(row, v->now_ms))
        return false;
    return (v->partner.data != NULL && slice_equal(v->partner, row->key)) ||
           (v->sees && geo_inside(&v->box, (struct geo_point){p->lat, p->lon}));
}

/* On false the exchange is answered. */
static bool find_box(struct http_exchange *x, struct instance *i, struct view_of *v) {
    struct slice text;
    struct geo_point place;
    if (!http_query_string(x, "bbox", &text))
        return false;
    v->sees = text.data != NULL;
    if (v->sees && !geo_box_parse(text, &v->box)) {
        http_reply_problem(x, 400, "bbox", "must be minLon,minLat,maxLon,maxLat");
        return false;
    }
    if (v->sees)
        return true;
    if (v->watcher == WATCHER_CITY) {
        v->sees = true;
        v->box = (struct geo_box){-180, -90, 180, 90};
        return true;
    }
    const struct table *positions =
        v->watcher == WATCHER_RIDER ? &rider_positions_table : &driver_positions_table;
    if (!find_place(x, i, positions, v->id, &v->sees, &place))
        return false;
    if (v->sees)
        v->box = geo_around(place, VIEW_M);
    return true;
}

/* On false a 503 has been sent. */
static bool find_partner(struct http_exchange *x, struct instance *i, struct view_of *v) {
    struct event row;
    v->partner = SLICE_NONE;
    if (v->watcher == WATCHER_CITY)
        return true;
    if (!find_newest_ride(x, i, v->watcher == WATCHER_RIDER ? RIDES_OF_RIDER : RIDES_OF_DRIVER, v->id, &row))
        return false;
    const struct ride *r = row.value;
    if (r != NULL && !is_over(r))
        v->partner = v->watcher == WATCHER_RIDER ? r->driver_id : r->rider_id;
    return true;
}

enum http_result rides_feed(struct http_exchange *x, struct instance *i, enum watcher watcher) {
    struct view_of v = {.watcher = watcher, .now_ms = clock_wall_ms()};
    if ((watcher != WATCHER_CITY && !http_path_id(x, "id", &v.id)) || !find_box(x, i, &v) ||
        !find_partner(x, i, &v))
        return HTTP_DONE;
    struct feed feeds[4] = {
        {.table = &rides_table, .event = "ride", .wants = wants_ride, .context = &v},
    };
    size_t n = 1;
    if (watcher != WATCHER_DRIVER)
        feeds[n++] = (struct feed){.table = &driver_positions_table,
                                   .event = "driver",
                                   .wants = wants_position,
                                   .json = put_position,
                                   .context = &v};
    if (watcher != WATCHER_RIDER)
        feeds[n++] = (struct feed){.table = &rider_positions_table,
                                   .event = "rider",
                                   .wants = wants_position,
                                   .json = put_position,
                                   .context = &v};
    return instance_feed(i, x, feeds);
}
