#include "rides_http.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "http/body.h"
#include "instance/page.h"
#include "positions.h"
#include "replies.h"
#include "tables.h"

enum { NAME_MAX_BYTES = 100, STATUS_MAX_BYTES = 32, PAGE = 20, PAGE_MAX = 500 };

/* ---- positions ---- */

static bool read_flag(struct http_exchange *x, const char *name, bool *flag) {
    return !http_body_has(x, name) || http_body_bool(x, name, flag);
}

static bool read_text(struct http_exchange *x, const char *name, size_t max, struct slice *text) {
    return !http_body_has(x, name) || http_body_string(x, name, max, text);
}

static bool read_position(struct http_exchange *x, struct position *p) {
    *p = (struct position){.status = SLICE("ONLINE")};
    if (!http_path_id(x, "id", &p->id) || !http_body_double(x, "lat", -90, 90, &p->lat) ||
        !http_body_double(x, "lon", -180, 180, &p->lon) ||
        !read_text(x, "status", STATUS_MAX_BYTES, &p->status) ||
        !read_text(x, "name", NAME_MAX_BYTES, &p->name) || !read_flag(x, "simulated", &p->simulated))
        return false;
    p->heading.present = http_body_has(x, "heading");
    return !p->heading.present || http_body_double(x, "heading", 0, 360, &p->heading.value);
}

enum http_result post_position(struct http_exchange *x, struct instance *i, const struct topic *t) {
    struct position p;
    if (!read_position(x, &p))
        return HTTP_DONE;
    http_deadline(x, INSTANCE_ANSWER_MS);
    switch (instance_publish(i, x, t, p.id, &p)) {
    case PUBLISH_DONE:
        return http_reply_empty(x, 202);
    case PUBLISH_FAILED:
        break;
    case PUBLISH_PENDING:
        if (!http_timed_out(x))
            return HTTP_WAIT;
    }
    return instance_unavailable(x, "Kafka does not answer");
}

void put_position(const struct event *row, struct buf *out) {
    event_json(&position_type, row->value, out);
    out->size--; /* into the object */
    buf_printf(out, ",\"at\":%lld}", (long long)row->timestamp);
}

enum http_result get_position(struct http_exchange *x, struct instance *i, const struct table *t) {
    enum http_result result;
    struct slice id;
    struct event row;
    if (!http_path_id(x, "id", &id))
        return HTTP_DONE;
    if (!instance_fresh_row(i, x, t, id, "position of", &row, &result))
        return result;
    _cleanup_(buf_free) struct buf json = {0};
    put_position(&row, &json);
    return http_reply_json(x, 200, buf_slice(&json));
}

bool find_place(struct http_exchange *x, struct instance *i, const struct table *positions, struct slice id,
                bool *known, struct geo_point *place) {
    struct event row;
    if (!instance_row(i, x, positions, id, &row))
        return false;
    const struct position *p = row.value;
    *known = p != NULL && geo_valid(p->lat, p->lon);
    if (*known)
        *place = (struct geo_point){p->lat, p->lon};
    return true;
}

bool read_person(struct http_exchange *x, struct instance *i, const struct table *positions, struct slice id,
                 struct slice *name, bool *simulated, enum http_result *result) {
    struct event row;
    bool told = http_body_has(x, "name") && http_body_has(x, "simulated");
    if (!told && !instance_wait_fresh(i, x, positions, result))
        return false;
    *result = HTTP_DONE;
    if (!instance_row(i, x, positions, id, &row))
        return false;
    const struct position *p = row.value;
    *name = p == NULL ? SLICE_NONE : p->name;
    *simulated = p != NULL && p->simulated;
    return read_text(x, "name", NAME_MAX_BYTES, name) && read_flag(x, "simulated", simulated);
}

/* ---- rides ---- */

bool find_refusal(struct http_exchange *x, struct instance *i, const struct table *claims, struct slice key,
                  struct slice command, const struct ride_reply **refusal) {
    struct event row;
    if (!instance_row(i, x, claims, key, &row))
        return false;
    const struct ride_claim *claim = row.value;
    *refusal = claim == NULL ? NULL : replies_find(claim->replies, command);
    return true;
}

static enum http_result reply_reused(struct http_exchange *x) {
    return http_reply_problem(x, 409, "commandId", "there was another command of this id");
}

static enum http_result reply_refusal(struct http_exchange *x, const struct ride_reply *r) {
    return http_reply_problem(x, (unsigned)r->status, NULL, SLICE_FMT, SLICE_ARG(r->detail));
}

enum http_result send_command(struct http_exchange *x, struct instance *i, const struct command_way *way,
                              struct ride_command *c) {
    enum http_result result;
    struct event row;
    const struct ride_reply *reply = NULL;
    if (!http_body_id_or_new(x, "commandId", &c->id))
        return HTTP_DONE;
    instance_watch(i, x, &decisions_table, c->ride_id);
    if (way->claims != NULL)
        instance_watch(i, x, way->claims, way->key);
    if (!instance_row(i, x, &decisions_table, c->ride_id, &row))
        return HTTP_DONE;
    /* Only a table that has read all there is knows that there is none. */
    if (row.value == NULL && !instance_fresh_row(i, x, &decisions_table, c->ride_id, "ride", &row, &result))
        return result;
    const struct ride_decision *d = row.value;
    if ((reply = replies_find(d->replies, c->id)) != NULL)
        return !reply_is_to(reply, c) ? reply_reused(x)
               : reply->status == 409 ? reply_refusal(x, reply)
                                      : instance_reply(x, 200, &ride_type, &d->ride);
    if (way->claims != NULL && !find_refusal(x, i, way->claims, way->key, c->id, &reply))
        return HTTP_DONE;
    if (reply != NULL)
        return reply_is_to(reply, c) ? reply_refusal(x, reply) : reply_reused(x);
    http_deadline(x, INSTANCE_ANSWER_MS);
    if (instance_publish(i, x, way->topic, way->key, c) == PUBLISH_FAILED || http_timed_out(x))
        return http_reply_problem(x, 503, NULL,
                                  "no answer in time; it is safe to repeat with commandId " SLICE_FMT,
                                  SLICE_ARG(c->id));
    return HTTP_WAIT;
}

/* ---- lists ---- */

enum http_result list_rides(struct http_exchange *x, struct instance *i, char list) {
    enum http_result result;
    struct slice id;
    int64_t limit;
    _cleanup_(buf_free) struct buf prefix = {0}, json = {0};
    if (!http_path_id(x, "id", &id) || !http_query_int64(x, "limit", 1, PAGE_MAX, PAGE, &limit))
        return HTTP_DONE;
    if (!instance_wait_fresh(i, x, &rides_table, &result))
        return result;
    struct json j = {.out = &json};
    rides_list_prefix((enum rides_list)list, id, &prefix);
    json_begin_object(&j);
    json_key(&j, "rides"), json_begin_array(&j);
    if (!page_index(i, x, &rides_table, buf_slice(&prefix), (size_t)limit, page_put_row, &j))
        return HTTP_DONE;
    json_end_array(&j);
    json_end_object(&j);
    return http_reply_json(x, 200, buf_slice(&json));
}

static void keep_row(void *kept, const struct event *row) {
    *(struct event *)kept = *row;
}

bool find_newest_ride(struct http_exchange *x, struct instance *i, char list, struct slice id,
                      struct event *row) {
    _cleanup_(buf_free) struct buf prefix = {0};
    *row = (struct event){0};
    rides_list_prefix((enum rides_list)list, id, &prefix);
    return page_index(i, x, &rides_table, buf_slice(&prefix), 1, keep_row, row);
}

struct near {
    struct instance *instance;
    struct http_exchange *x;
    const struct table *table;
    const struct geo_box *box;
    struct buf *out;
    int left;
    bool failed; /* answered already */
};

/* A row is shown that is in the box and to be seen. */
static bool put_near_row(void *context, struct slice key) {
    struct near *n = context;
    struct event row;
    n->failed = !instance_row(n->instance, n->x, n->table, key, &row);
    if (n->failed)
        return false;
    const struct ride *r = row.value;
    const struct position *p = row.value;
    bool is_ride = n->table->topic->value == &ride_type;
    bool seen =
        row.value != NULL && (is_ride ? r->state == RIDE_STATE_REQUESTED && geo_inside(n->box, r->pickup)
                                      : position_shown(&row, clock_wall_ms()) &&
                                            geo_inside(n->box, (struct geo_point){p->lat, p->lon}));
    if (seen && n->out->data[n->out->size - 1] == '}')
        buf_append_byte(n->out, ',');
    if (seen && is_ride)
        event_json(&ride_type, r, n->out);
    else if (seen)
        put_position(&row, n->out);
    return --n->left > 0;
}

enum http_result get_nearby(struct http_exchange *x, struct instance *i, const struct table *positions,
                            const struct near_list *lists) {
    struct slice id;
    struct geo_point place;
    struct geo_box box;
    bool known;
    enum http_result result;
    _cleanup_(buf_free) struct buf json = {0};
    if (!http_path_id(x, "id", &id))
        return HTTP_DONE;
    if (!instance_wait_fresh(i, x, positions, &result))
        return result;
    if (!find_place(x, i, positions, id, &known, &place) || !near_box(x, known ? &place : NULL, &box))
        return HTTP_DONE;
    for (const struct near_list *list = lists; list->name != NULL; list++) {
        struct near n = {i, x, list->table, &box, &json, NEAR_MAX, false};
        buf_printf(&json, "%c\"%s\":[", list == lists ? '{' : ',', list->name);
        if (!near_scan(i, x, list->table, &box, put_near_row, &n) || n.failed)
            return HTTP_DONE;
        buf_append_byte(&json, ']');
    }
    buf_append_byte(&json, '}');
    return http_reply_json(x, 200, buf_slice(&json));
}
