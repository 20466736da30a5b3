#include "driver.h"

#include "rides_feed.h"
#include "tables.h"

static enum http_result post_driver_position(struct http_exchange *x, void *context) {
    return post_position(x, context, &topic_driver_positions);
}

static enum http_result get_driver_position(struct http_exchange *x, void *context) {
    return get_position(x, context, &driver_positions_table);
}

static enum http_result list_driver_rides(struct http_exchange *x, void *context) {
    return list_rides(x, context, RIDES_OF_DRIVER);
}

static enum http_result get_near_driver(struct http_exchange *x, void *context) {
    return get_nearby(
        x, context, &driver_positions_table,
        (const struct near_list[]){{"riders", &rider_positions_table}, {"hails", &rides_table}, {0}});
}

/* An accept claims first; what follows is between the driver and the ride. */
static enum http_result post_accept(struct http_exchange *x, void *context) {
    struct ride_command c = {.action = RIDE_ACTION_ACCEPT, .claim = -1};
    enum http_result result = HTTP_DONE;
    if (!http_path_id(x, "id", &c.driver_id) || !http_path_id(x, "rideId", &c.ride_id) ||
        !read_person(x, context, &driver_positions_table, c.driver_id, &c.name, &c.simulated, &result))
        return result;
    struct command_way way = {
        .topic = &topic_driver_commands, .key = c.driver_id, .claims = &driver_claims_table};
    return send_command(x, context, &way, &c);
}

static enum http_result post_action(struct http_exchange *x, void *context, enum ride_action action) {
    struct ride_command c = {.action = action, .claim = -1};
    if (!http_path_id(x, "id", &c.driver_id) || !http_path_id(x, "rideId", &c.ride_id))
        return HTTP_DONE;
    struct command_way way = {.topic = &topic_ride_commands, .key = c.ride_id};
    return send_command(x, context, &way, &c);
}

static enum http_result post_arrive(struct http_exchange *x, void *context) {
    return post_action(x, context, RIDE_ACTION_ARRIVE);
}

static enum http_result post_start(struct http_exchange *x, void *context) {
    return post_action(x, context, RIDE_ACTION_START);
}

static enum http_result post_complete(struct http_exchange *x, void *context) {
    return post_action(x, context, RIDE_ACTION_COMPLETE);
}

static enum http_result get_driver_events(struct http_exchange *x, void *context) {
    return rides_feed(x, context, WATCHER_DRIVER);
}

const struct http_route driver_routes[] = {
    {"POST", "/v1/drivers/{id}/position", post_driver_position},
    {"GET", "/v1/drivers/{id}/position", get_driver_position},
    {"GET", "/v1/drivers/{id}/rides", list_driver_rides},
    {"GET", "/v1/drivers/{id}/nearby", get_near_driver},
    {"POST", "/v1/drivers/{id}/rides/{rideId}/accept", post_accept},
    {"POST", "/v1/drivers/{id}/rides/{rideId}/arrive", post_arrive},
    {"POST", "/v1/drivers/{id}/rides/{rideId}/start", post_start},
    {"POST", "/v1/drivers/{id}/rides/{rideId}/complete", post_complete},
    {"GET", "/v1/events/drivers/{id}", get_driver_events},
    {0},
};
