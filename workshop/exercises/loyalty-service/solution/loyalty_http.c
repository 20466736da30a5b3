#include "loyalty.h"

#include "base/cleanup.h"
#include "service/service.h"

static enum http_result get_loyalty(struct http_exchange *x, void *context) {
    struct slice customer_id;
    struct event row;
    enum http_result result;
    if (!http_path_id(x, "customerId", &customer_id))
        return HTTP_DONE; /* it was no id, and that is answered already */
    if (!instance_find(context, x, &loyalty_table, customer_id, "loyalty", &row, &result))
        return result;
    _cleanup_(buf_free) struct buf json = {0};
    event_json(&loyalty_type, row.value, &json);
    return http_reply_json(x, 200, buf_slice(&json));
}

const struct http_route loyalty_routes[] = {
    {"GET", "/v1/loyalty/{customerId}", get_loyalty},
    {0},
};
