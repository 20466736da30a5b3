#include "http/internal.h"

#include "base/json.h"

#include <assert.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void http_reply_header(struct http_exchange *x, const char *name, const char *fmt, ...) {
    char value[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(value, sizeof value, fmt, args);
    va_end(args);
    struct reply_header *h = arena_alloc(&x->arena, sizeof *h);
    *h = (struct reply_header){x->headers, name,
                               arena_copy(&x->arena, (struct slice){value, strlen(value) + 1})};
    x->headers = h;
}

void reply_begin(struct http_exchange *x, unsigned status, const char *content_type, struct MHD_Response *r) {
    if (content_type != NULL)
        MHD_add_response_header(r, "Content-Type", content_type);
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    bool kept = false;
    for (struct reply_header *h = x->headers; h != NULL; h = h->next) {
        MHD_add_response_header(r, h->name, h->value.data);
        kept = kept || strcmp(h->name, "Cache-Control") == 0;
    }
    if (!kept)
        MHD_add_response_header(r, "Cache-Control", "no-store");
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(r, "Retry-After", "1");
    if (x->close)
        MHD_add_response_header(r, "Connection", "close");
    x->response = r;
    x->status = status;
}

enum http_result http_reply_text(struct http_exchange *x, unsigned status, const char *content_type,
                                 struct slice text) {
    assert(x->response == NULL || x->streams); /* of a stream it is too late: it goes on */
    if (x->response != NULL)
        return HTTP_DONE;
    struct MHD_Response *r =
        MHD_create_response_from_buffer(text.size, (void *)(uintptr_t)text.data,
                                        text.size > 0 ? MHD_RESPMEM_MUST_COPY : MHD_RESPMEM_PERSISTENT);
    if (r == NULL)
        abort(); /* out of memory */
    reply_begin(x, status, content_type, r);
    return HTTP_DONE;
}

enum http_result http_reply_json(struct http_exchange *x, unsigned status, struct slice json) {
    return http_reply_text(x, status, "application/json", json);
}

/* Whether the list of entity tags has this one, weak or not: who compresses an answer makes it weak. */
static bool has_tag(struct slice list, struct slice tag) {
    return slice_equal(list, SLICE("*")) ||
           (list.data != NULL && memmem(list.data, list.size, tag.data, tag.size) != NULL);
}

enum http_result http_reply_kept(struct http_exchange *x, const char *content_type, struct slice text,
                                 int max_age_s) {
    struct slice tag = arena_printf(&x->arena, "\"%016" PRIx64 "\"", slice_hash(text));
    http_reply_header(x, "Cache-Control", "max-age=%d", max_age_s);
    http_reply_header(x, "ETag", SLICE_FMT, SLICE_ARG(tag));
    if (has_tag(http_header(x, "If-None-Match"), tag))
        return http_reply_empty(x, 304);
    return http_reply_text(x, 200, content_type, text);
}

enum http_result http_reply_empty(struct http_exchange *x, unsigned status) {
    return http_reply_text(x, status, NULL, SLICE(""));
}

enum http_result http_reply_problem(struct http_exchange *x, unsigned status, const char *field,
                                    const char *fmt, ...) {
    char detail[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    struct buf out = {0};
    struct json j = {.out = &out};
    json_begin_object(&j);
    json_key(&j, "type"), json_put_string(&j, SLICE("about:blank"));
    json_key(&j, "title"), json_put_string(&j, slice_of(MHD_get_reason_phrase_for(status)));
    json_key(&j, "status"), json_put_int(&j, status);
    json_key(&j, "detail"), json_put_string(&j, slice_of(detail));
    if (field != NULL)
        json_key(&j, "field"), json_put_string(&j, slice_of(field));
    json_end_object(&j);
    enum http_result done = http_reply_text(x, status, "application/problem+json", buf_slice(&out));
    buf_free(&out);
    return done;
}

bool reply_and_close(struct http_exchange *x, unsigned status, const char *detail) {
    x->close = true;
    http_reply_problem(x, status, NULL, "%s", detail);
    return false;
}
