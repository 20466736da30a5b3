#include "shipping.h"

#include "service/service.h"

static enum http_result get_shipment(struct http_exchange *x, void *context) {
    struct slice order_id;
    struct event row;
    enum http_result result;
    if (!http_path_id(x, "orderId", &order_id))
        return HTTP_DONE;
    if (!instance_find(context, x, &shipping_shipments, order_id, "shipment", &row, &result))
        return result;
    return instance_reply(x, 200, &shipment_type, row.value);
}

const struct http_route shipping_routes[] = {
    {"GET", "/v1/shipments/{orderId}", get_shipment},
    {0},
};
