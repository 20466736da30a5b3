/* Spans in the two encodings of OTLP/HTTP. A span is encoded when it is recorded; a request is what frames
 * many of them. Pure; any thread. What is not UTF-8 is made so: one bad byte would make the collector refuse
 * the whole request. */
#pragma once

#include "base/buf.h"
#include "trace/trace.h"

struct encoding {
    const char *content_type;
    /* Appends a span; `first` of those that are framed together. */
    void (*span)(struct buf *out, const struct span *s, bool first);
    /* The request: the spans, which are `resource`'s attributes' and `version` of this library's. */
    void (*request)(struct buf *out, const struct span_attribute *resource, size_t n, const char *version,
                    struct slice spans);
};

extern const struct encoding encoding_protobuf, encoding_json;
