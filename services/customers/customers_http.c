#include "customers.h"

#include "base/address.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "http/body.h"
#include "instance/page.h"

enum { NAME_MAX_BYTES = 200, EMAIL_MAX_BYTES = 254, ADDRESS_MAX_BYTES = 1000, PAGE = 50, PAGE_MAX = 500 };

static bool read_level(struct http_exchange *x, enum customer_level *level) {
    struct slice symbol;
    int found = CUSTOMER_LEVEL_BRONZE;
    if (http_body_has(x, "level")) {
        if (!http_body_string(x, "level", 16, &symbol))
            return false;
        if (!event_enum_find(&customer_level_enum, symbol, &found)) {
            http_reply_problem(x, 400, "level", "must be BRONZE, SILVER, GOLD or PLATINUM");
            return false;
        }
    }
    *level = (enum customer_level)found;
    return true;
}

static bool read_email(struct http_exchange *x, struct slice *email) {
    if (!http_body_string(x, "email", EMAIL_MAX_BYTES, email))
        return false;
    if (!address_valid(*email))
        http_reply_problem(x, 400, "email", "must be an email address: name@domain");
    return address_valid(*email);
}

static bool read_customer(struct http_exchange *x, struct customer *c) {
    struct slice id;
    if (!http_path_id(x, "id", &c->id))
        return false;
    if (http_body_has(x, "id")) {
        if (!http_body_id(x, "id", &id))
            return false;
        if (!slice_equal(id, c->id)) {
            http_reply_problem(x, 400, "id", "differs from the id in the path");
            return false;
        }
    }
    return http_body_string(x, "firstName", NAME_MAX_BYTES, &c->first_name) &&
           http_body_string(x, "lastName", NAME_MAX_BYTES, &c->last_name) && read_email(x, &c->email) &&
           http_body_string(x, "address", ADDRESS_MAX_BYTES, &c->address) && read_level(x, &c->level);
}

struct put {
    bool looked, existed;
};

/* 200 or 201 once the customer is in the log and can be read here. */
static enum http_result put_customer(struct http_exchange *x, void *context) {
    static const char owner;
    struct instance *i = context;
    struct put *put = http_state(x, &owner, sizeof *put, NULL);
    struct customer c;
    if (!read_customer(x, &c))
        return HTTP_DONE;
    http_deadline(x, INSTANCE_ANSWER_MS);
    if (!put->looked) {
        struct event row;
        if (!instance_row(i, x, &customers_table, c.id, &row))
            return HTTP_DONE;
        put->existed = row.value != NULL;
        put->looked = true;
    }
    enum publish published = instance_publish(i, x, &topic_customers, c.id, &c);
    if (published == PUBLISH_DONE && instance_fresh(i, x, &customers_table))
        return instance_reply(x, put->existed ? 200 : 201, &customer_type, &c);
    if (published == PUBLISH_FAILED || http_timed_out(x))
        return instance_unavailable(x, "no answer in time; it is safe to repeat");
    return HTTP_WAIT;
}

static enum http_result get_customer(struct http_exchange *x, void *context) {
    enum http_result result;
    struct slice id;
    struct event row;
    if (!http_path_id(x, "id", &id))
        return HTTP_DONE;
    if (!instance_fresh_row(context, x, &customers_table, id, "customer", &row, &result))
        return result;
    return instance_reply(x, 200, &customer_type, row.value);
}

static enum http_result list_customers(struct http_exchange *x, void *context) {
    struct instance *i = context;
    enum http_result result;
    struct page page;
    _cleanup_(buf_free) struct buf json = {0};
    struct json j = {.out = &json};
    if (!page_query(x, PAGE, PAGE_MAX, &page))
        return HTTP_DONE;
    if (!instance_wait_fresh(i, x, &customers_table, &result))
        return result;
    json_begin_object(&j);
    json_key(&j, "customers"), json_begin_array(&j);
    if (!page_rows(i, x, &customers_table, &page, page_put_row, &j))
        return HTTP_DONE;
    json_end_array(&j);
    page_put_next(&page, "/v1/customers", SLICE_NONE, &j);
    json_end_object(&j);
    return http_reply_json(x, 200, buf_slice(&json));
}

const struct http_route customers_routes[] = {
    {"PUT", "/v1/customers/{id}", put_customer},
    {"GET", "/v1/customers/{id}", get_customer},
    {"GET", "/v1/customers", list_customers},
    {0},
};
