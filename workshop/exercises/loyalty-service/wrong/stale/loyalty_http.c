#include "loyalty.h"

#include "base/cleanup.h"
#include "service/service.h"

/* Who asks again is answered at once. */
static struct {
    char customer[100];
    struct buf json;
} answers[1000];
static int count;

static enum http_result get_loyalty(struct http_exchange *x, void *context) {
    struct slice customer_id;
    struct event row;
    enum http_result result;
    if (!http_path_id(x, "customerId", &customer_id))
        return HTTP_DONE;
    for (int i = 0; i < count; i++)
        if (slice_equal(slice_of(answers[i].customer), customer_id))
            return http_reply_json(x, 200, buf_slice(&answers[i].json));
    if (!instance_find(context, x, &loyalty_table, customer_id, "loyalty", &row, &result))
        return result;
    _cleanup_(buf_free) struct buf json = {0};
    event_json(&loyalty_type, row.value, &json);
    if (count < 1000 && customer_id.size < 100) {
        memcpy(answers[count].customer, customer_id.data, customer_id.size);
        buf_append_slice(&answers[count++].json, buf_slice(&json));
    }
    return http_reply_json(x, 200, buf_slice(&json));
}

const struct http_route loyalty_routes[] = {
    {"GET", "/v1/loyalty/{customerId}", get_loyalty},
    {0},
};
