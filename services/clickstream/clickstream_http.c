#include "clickstream.h"

#include "http/body.h"
#include "service/service.h"

enum { TEXT_MAX_BYTES = 1000 };

/* 202 once the click is in the log; what follows from it is nobody's wait. */
static enum http_result post_click(struct http_exchange *x, void *context) {
    struct instance *i = context;
    struct click click;
    if (!http_body_id(x, "userId", &click.user_id) ||
        !http_body_string(x, "page", TEXT_MAX_BYTES, &click.page) ||
        !http_body_string(x, "action", TEXT_MAX_BYTES, &click.action))
        return HTTP_DONE;
    http_deadline(x, INSTANCE_ANSWER_MS);
    enum publish published = instance_publish(i, x, &topic_clickstream, click.user_id, &click);
    if (published == PUBLISH_DONE)
        return http_reply_empty(x, 202);
    if (published == PUBLISH_FAILED || http_timed_out(x))
        return instance_unavailable(x, "no answer in time");
    return HTTP_WAIT;
}

const struct http_route clickstream_routes[] = {
    {"POST", "/v1/clicks", post_click},
    {0},
};
