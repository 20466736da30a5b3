#include "email.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "instance/page.h"

/* The emails of one order: one, or none yet. */
static enum http_result list_emails(struct http_exchange *x, void *context) {
    struct instance *i = context;
    enum http_result result;
    struct slice order_id;
    struct event row;
    if (!http_query_id(x, "orderId", &order_id))
        return HTTP_DONE;
    if (order_id.data == NULL)
        return http_reply_problem(x, 400, "orderId", "missing: whose emails?");
    if (!instance_wait_fresh(i, x, &email_emails, &result))
        return result;
    if (!instance_row(i, x, &email_emails, order_id, &row))
        return HTTP_DONE;
    _cleanup_(buf_free) struct buf json = {0};
    struct json j = {.out = &json};
    json_begin_object(&j);
    json_key(&j, "emails"), json_begin_array(&j);
    if (row.value != NULL)
        page_put_row(&j, &row);
    json_end_array(&j);
    json_end_object(&j);
    return http_reply_json(x, 200, buf_slice(&json));
}

const struct http_route email_routes[] = {
    {"GET", "/v1/emails", list_emails},
    {0},
};
