/* Well-framed requests: a byte that says which route, what its parameters are, a line each, then the query,
 * then lines of other headers up to an empty one, and the body. */
#include "fuzz.h"
#include "http/server.h"
#include "suite.h"

/* Only what a line can have: the target http sends the rest. */
static void append_line(struct buf *out, struct slice line) {
    for (size_t i = 0; i < line.size; i++)
        buf_append_byte(out, (unsigned char)line.data[i] < ' ' ? '_' : (uint8_t)line.data[i]);
}

static void append_target(struct buf *out, const char *path, struct slice *in, struct arena *arena) {
    for (const char *p = path; *p != 0; p++) {
        if (*p != '{') {
            buf_append_byte(out, (uint8_t)*p);
            continue;
        }
        struct slice parameter = take_until(in, '\n', arena);
        append_line(out, parameter);
        p = strchr(p, '}');
    }
    struct slice query = take_until(in, '\n', arena);
    if (query.size > 0)
        buf_append_byte(out, '?');
    append_line(out, query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice in = {(const char *)data, size}, line;
    struct arena arena = {0};
    struct buf request = {0};
    size_t count, which = take_byte(&in);
    suite_route(0, &count);
    const struct http_route *route = suite_route(which % count, &count);
    buf_printf(&request, "%s ", route->method);
    append_target(&request, route->path, &in, &arena);
    buf_printf(&request, " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
    for (line = take_until(&in, '\n', &arena); line.size > 0; line = take_until(&in, '\n', &arena)) {
        append_line(&request, line);
        buf_printf(&request, "\r\n");
    }
    buf_printf(&request, "Content-Length: %zu\r\n\r\n", in.size);
    buf_append_slice(&request, in);
    suite_ask(buf_slice(&request));
    buf_free(&request);
    arena_free(&arena);
    return 0;
}
