#include "possible_fraud.h"

#include "transaction/txn.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "feeds/feed.h"
#include "instance/page.h"
#include "service/service.h"
#include "stream/stream.h"

enum { PAGE = 50, PAGE_MAX = 500 };

void possible_fraud_index(struct index *to, const struct event *row) {
    _cleanup_(buf_free) struct buf key = {0};
    buf_append_descending(&key, row->timestamp);
    buf_append_slice(&key, row->key);
    index_key(to, buf_slice(&key));
}

/* The newest row of each card, newest first. */
static enum http_result list_cards(struct http_exchange *x, void *context) {
    struct instance *i = context;
    enum http_result result;
    int64_t limit;
    if (!http_query_int64(x, "limit", 1, PAGE_MAX, PAGE, &limit))
        return HTTP_DONE;
    if (!instance_wait_fresh(i, x, &possible_fraud_table, &result))
        return result;
    _cleanup_(buf_free) struct buf json = {0};
    struct json j = {.out = &json};
    json_begin_object(&j);
    json_key(&j, "possibleFraud"), json_begin_array(&j);
    if (!page_index(i, x, &possible_fraud_table, SLICE(""), (size_t)limit, page_put_row, &j))
        return HTTP_DONE;
    json_end_array(&j);
    json_end_object(&j);
    return http_reply_json(x, 200, buf_slice(&json));
}

static enum http_result get_card(struct http_exchange *x, void *context) {
    struct slice token;
    struct event row;
    enum http_result result;
    if (!http_path_id(x, "cardToken", &token))
        return HTTP_DONE;
    if (!instance_find(context, x, &possible_fraud_table, token, "suspicion", &row, &result))
        return result;
    return instance_reply(x, 200, &possible_fraud_type, row.value);
}

/* The newest row of one card, or of all. */
static enum http_result card_events(struct http_exchange *x, void *context) {
    struct slice token;
    if (!http_query_id(x, "cardToken", &token))
        return HTTP_DONE;
    const struct feed feeds[] = {{.key = token, .table = &possible_fraud_table, .event = "possible-fraud"},
                                 {.table = NULL}};
    return instance_feed(context, x, feeds);
}

const struct http_route possible_fraud_routes[] = {
    {"GET", "/v1/possible-fraud", list_cards},
    {"GET", "/v1/possible-fraud/{cardToken}", get_card},
    {"GET", "/v1/events/possible-fraud", card_events},
    {0},
};
