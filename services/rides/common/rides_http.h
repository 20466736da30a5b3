/* What the routes of both services have in common. HTTP thread only. */
#pragma once

#include "near.h"
#include "schemas/schemas.gen.h"

/* POST …/{id}/position into the topic, 202; GET …/{id}/position from its table, 200 or 404. */
enum http_result post_position(struct http_exchange *x, struct instance *i, const struct topic *t);
enum http_result get_position(struct http_exchange *x, struct instance *i, const struct table *t);

/* The optional fields name and simulated of a body; what it lacks is as in the latest position of `id`, which
 * is read to where the log ends now. On false: return *result. */
WARN_UNUSED bool read_person(struct http_exchange *x, struct instance *i, const struct table *positions,
                             struct slice id, struct slice *name, bool *simulated, enum http_result *result);

/* Where a command goes, and where a refusal before it reaches its ride stands. */
struct command_way {
    const struct topic *topic;
    struct slice key;
    const struct table *claims; /* by key, or NULL */
};

/* Sends the command, whose id is taken from the body, and answers with its reply: 200 and the ride, 404, 409,
 * 503. */
enum http_result send_command(struct http_exchange *x, struct instance *i, const struct command_way *way,
                              struct ride_command *c);

/* The refusal of a command in a row of claims, NULL if there is none. On false a 503 has been sent. */
WARN_UNUSED bool find_refusal(struct http_exchange *x, struct instance *i, const struct table *claims,
                              struct slice key, struct slice command, const struct ride_reply **refusal);

/* GET …/{id}/rides?limit=: {"rides": […]}, newest first. */
enum http_result list_rides(struct http_exchange *x, struct instance *i, char list);

/* GET …/{id}/nearby: {"name":[…],…}, the rows of each table in the box that the query tells, or around where
 * `id` was last seen. Of positions those that are shown, with `at`; of rides those that wait for a driver. */
struct near_list {
    const char *name; /* NULL ends a list of lists */
    const struct table *table;
};
enum http_result get_nearby(struct http_exchange *x, struct instance *i, const struct table *positions,
                            const struct near_list *lists);

/* Where somebody was last seen; *known is false when nowhere. On false a 503 has been
 * sent. */
WARN_UNUSED bool find_place(struct http_exchange *x, struct instance *i, const struct table *positions,
                            struct slice id, bool *known, struct geo_point *place);

/* The latest ride of a rider or a driver (enum rides_list); row->value NULL: none. On false a 503 has been
 * sent. */
WARN_UNUSED bool find_newest_ride(struct http_exchange *x, struct instance *i, char list, struct slice id,
                                  struct event *row);

/* A position as JSON: its fields, and `at`, when it was reported. */
void put_position(const struct event *row, struct buf *out);
