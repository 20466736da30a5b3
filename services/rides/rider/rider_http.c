#include "rider.h"

#include "base/clock.h"
#include "base/id.h"
#include "city/city_http.h"
#include "http/body.h"
#include "rides_feed.h"
#include "tables.h"

static enum http_result post_rider_position(struct http_exchange *x, void *context) {
    return post_position(x, context, &topic_rider_positions);
}

static enum http_result get_rider_position(struct http_exchange *x, void *context) {
    return get_position(x, context, &rider_positions_table);
}

struct hail {
    bool asked; /* the ride was not there when we first looked */
    char command_id[UUID_SIZE];
};

static bool read_hail(struct http_exchange *x, struct instance *i, struct hail *hail, struct ride_command *c,
                      enum http_result *result) {
    *result = HTTP_DONE;
    if (hail->command_id[0] == 0)
        uuid_make(hail->command_id, clock_wall_ms());
    *c = (struct ride_command){.id = {hail->command_id, UUID_SIZE}, .action = RIDE_ACTION_HAIL, .claim = -1};
    return http_path_id(x, "id", &c->rider_id) && http_body_id_or_new(x, "id", &c->ride_id) &&
           http_body_double(x, "pickup.lat", -90, 90, &c->pickup.lat) &&
           http_body_double(x, "pickup.lon", -180, 180, &c->pickup.lon) &&
           http_body_double(x, "destination.lat", -90, 90, &c->destination.lat) &&
           http_body_double(x, "destination.lon", -180, 180, &c->destination.lon) &&
           read_person(x, i, &rider_positions_table, c->rider_id, &c->name, &c->simulated, result);
}

static bool same_hail(const struct ride *r, const struct ride_command *c) {
    return slice_equal(r->rider_id, c->rider_id) && r->pickup.lat == c->pickup.lat &&
           r->pickup.lon == c->pickup.lon && r->destination.lat == c->destination.lat &&
           r->destination.lon == c->destination.lon;
}

static enum http_result no_answer(struct http_exchange *x, const struct ride_command *c) {
    return http_reply_problem(x, 503, NULL, "no answer in time; repeat with id " SLICE_FMT,
                              SLICE_ARG(c->ride_id));
}

/* The hail goes into the log, and whichever hail of this id made the ride shows in the table: repeats and
 * races end with the same comparison. A transaction's end comes to each of its partitions on its own: who is
 * told of a ride must find it where rides are read. */
static enum http_result post_hail(struct http_exchange *x, void *context) {
    static const char owner;
    struct instance *i = context;
    struct hail *hail = http_state(x, &owner, sizeof *hail, NULL);
    struct ride_command c;
    struct event row, shown;
    const struct ride_reply *refusal;
    enum http_result result;
    if (!read_hail(x, i, hail, &c, &result))
        return result;
    instance_watch(i, x, &decisions_table, c.ride_id);
    instance_watch(i, x, &rides_table, c.ride_id);
    instance_watch(i, x, &rider_claims_table, c.rider_id);
    if (!instance_row(i, x, &decisions_table, c.ride_id, &row) ||
        !instance_row(i, x, &rides_table, c.ride_id, &shown) ||
        !find_refusal(x, i, &rider_claims_table, c.rider_id, c.id, &refusal))
        return HTTP_DONE;
    if (row.value != NULL) {
        const struct ride *r = &((const struct ride_decision *)row.value)->ride;
        if (!same_hail(r, &c))
            return http_reply_problem(x, 409, "id", "there is another ride of this id");
        if (shown.value == NULL && !http_timed_out(x)) {
            http_deadline(x, INSTANCE_ANSWER_MS);
            return HTTP_WAIT;
        }
        if (shown.value == NULL)
            return no_answer(x, &c);
        http_reply_header(x, "Location", "/v1/rides/" SLICE_FMT, SLICE_ARG(c.ride_id));
        return instance_reply(x, hail->asked ? 201 : 200, &ride_type, r);
    }
    if (refusal != NULL)
        return http_reply_problem(x, 409, NULL, SLICE_FMT, SLICE_ARG(refusal->detail));
    http_deadline(x, INSTANCE_ANSWER_MS);
    hail->asked = true;
    if (instance_publish(i, x, &topic_rider_commands, c.rider_id, &c) == PUBLISH_FAILED || http_timed_out(x))
        return no_answer(x, &c);
    return HTTP_WAIT;
}

static enum http_result list_rider_rides(struct http_exchange *x, void *context) {
    return list_rides(x, context, RIDES_OF_RIDER);
}

static enum http_result get_near_rider(struct http_exchange *x, void *context) {
    return get_nearby(x, context, &rider_positions_table,
                      (const struct near_list[]){{"drivers", &driver_positions_table}, {0}});
}

static enum http_result get_ride(struct http_exchange *x, void *context) {
    enum http_result result;
    struct slice id;
    struct event row;
    if (!http_path_id(x, "id", &id))
        return HTTP_DONE;
    if (!instance_fresh_row(context, x, &rides_table, id, "ride", &row, &result))
        return result;
    return instance_reply(x, 200, &ride_type, row.value);
}

static enum http_result post_cancel(struct http_exchange *x, void *context) {
    struct ride_command c = {.action = RIDE_ACTION_CANCEL, .claim = -1};
    if (!http_path_id(x, "id", &c.ride_id))
        return HTTP_DONE;
    return send_command(x, context, &(struct command_way){.topic = &topic_ride_commands, .key = c.ride_id},
                        &c);
}

static enum http_result get_rider_events(struct http_exchange *x, void *context) {
    return rides_feed(x, context, WATCHER_RIDER);
}

static enum http_result get_city_events(struct http_exchange *x, void *context) {
    return rides_feed(x, context, WATCHER_CITY);
}

const struct http_route rider_routes[] = {
    {"POST", "/v1/riders/{id}/position", post_rider_position},
    {"GET", "/v1/riders/{id}/position", get_rider_position},
    {"POST", "/v1/riders/{id}/rides", post_hail},
    {"GET", "/v1/riders/{id}/rides", list_rider_rides},
    {"GET", "/v1/riders/{id}/nearby", get_near_rider},
    {"GET", "/v1/rides/{id}", get_ride},
    {"POST", "/v1/rides/{id}/cancel", post_cancel},
    {"GET", "/v1/events/riders/{id}", get_rider_events},
    {"GET", "/v1/events/rides", get_city_events},
    CITY_ROUTES,
    {0},
};
