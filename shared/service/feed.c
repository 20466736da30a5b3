#include "service/feed.h"

enum http_result instance_feed(struct instance *i, struct http_exchange *x, const struct feed *feeds) {
    (void)i, (void)feeds;
    return instance_unavailable(x, "streams of events are not served yet");
}
