/* What a request says of itself, and what belongs to its exchange. */
#include "http/internal.h"

#include <microhttpd.h>

const char *http_method(const struct http_exchange *x) {
    return x->route->spec->method;
}

struct slice http_target(const struct http_exchange *x) {
    return x->target;
}

struct slice http_header(struct http_exchange *x, const char *name) {
    return slice_of(MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name));
}

/* Lower-case hex digits, not all of them zero. */
static bool is_trace_hex(const char *s, size_t size) {
    bool zero = true;
    for (size_t i = 0; i < size; i++) {
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
            return false;
        zero = zero && s[i] == '0';
    }
    return !zero;
}

/* version "-" trace-id "-" parent-id "-" flags; later versions may add fields behind these. */
struct slice http_traceparent(struct http_exchange *x) {
    struct slice s = http_header(x, "traceparent");
    const char *t = s.data;
    bool valid = s.size >= 55 && t[2] == '-' && t[35] == '-' && t[52] == '-' && is_trace_hex(t + 3, 32) &&
                 is_trace_hex(t + 36, 16);
    if (!valid)
        return SLICE_NONE;
    bool version_0 = t[0] == '0' && t[1] == '0';
    bool future = !version_0 && is_trace_hex(t, 2) && !(t[0] == 'f' && t[1] == 'f');
    bool flags = (t[53] == '0' && t[54] == '0') || is_trace_hex(t + 53, 2);
    bool ends = s.size == 55 || (future && t[55] == '-');
    return (version_0 || future) && flags && ends ? s : SLICE_NONE;
}

struct arena *http_arena(struct http_exchange *x) {
    return x->streams ? &x->run : &x->arena;
}

void *http_state(struct http_exchange *x, const void *owner, size_t size, void (*finish)(void *state)) {
    for (struct state *s = x->states; s != NULL; s = s->next)
        if (s->owner == owner)
            return s->data;
    struct state *s = xcalloc(1, sizeof *s + size);
    s->next = x->states;
    s->owner = owner;
    s->finish = finish;
    x->states = s;
    return s->data;
}
