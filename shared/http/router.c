#include "http/internal.h"

#include "base/utf8.h"

bool path_split(struct slice text, struct path *path) {
    path->count = 0;
    if (text.size == 0 || text.data[0] != '/')
        return false;
    const char *end = text.data + text.size;
    for (const char *p = text.data; p < end;) {
        const char *begin = p + 1;
        p = memchr(begin, '/', (size_t)(end - begin));
        p = p == NULL ? end : p;
        if (path->count == SEGMENTS_MAX)
            return false;
        path->segments[path->count++] = (struct slice){begin, (size_t)(p - begin)};
    }
    return true;
}

bool percent_decode(struct arena *arena, struct slice s, struct slice *decoded) {
    struct slice out = s;
    if (s.size > 0 && memchr(s.data, '%', s.size) != NULL) {
        char *to = arena_alloc(arena, s.size);
        out = (struct slice){to, 0};
        for (size_t i = 0; i < s.size; i++) {
            char c = s.data[i];
            if (c == '%') {
                int high = i + 2 < s.size ? hex_digit(s.data[i + 1]) : -1;
                int low = i + 2 < s.size ? hex_digit(s.data[i + 2]) : -1;
                if (high < 0 || low < 0)
                    return false;
                c = (char)(high << 4 | low);
                i += 2;
            }
            to[out.size++] = c;
        }
    }
    if (!utf8_valid(out) || (out.size > 0 && memchr(out.data, 0, out.size) != NULL))
        return false;
    *decoded = out;
    return true;
}

static bool is_param(struct slice segment) {
    return segment.size > 2 && segment.data[0] == '{' && segment.data[segment.size - 1] == '}';
}

static bool path_matches(const struct path *pattern, const struct path *path) {
    if (pattern->count != path->count)
        return false;
    for (size_t i = 0; i < path->count; i++) {
        if (is_param(pattern->segments[i]) ? path->segments[i].size == 0
                                           : !slice_equal(pattern->segments[i], path->segments[i]))
            return false;
    }
    return true;
}

/* HEAD is a GET whose body the connection leaves out. */
static bool serves(const struct mounted_route *route, const char *method) {
    const char *own = route->spec->method;
    return strcmp(own, method) == 0 || (strcmp(own, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

const struct mounted_route *route_find(const struct http_server *s, const char *method,
                                       const struct path *path, struct buf *allow) {
    for (size_t i = 0; i < s->route_count; i++)
        if (path_matches(&s->routes[i].pattern, path) && serves(&s->routes[i], method))
            return &s->routes[i];
    for (size_t i = 0; i < s->route_count; i++)
        if (path_matches(&s->routes[i].pattern, path)) {
            const char *own = s->routes[i].spec->method;
            buf_printf(allow, "%s%s%s", allow->size > 0 ? ", " : "", own,
                       strcmp(own, "GET") == 0 ? ", HEAD" : "");
        }
    return NULL;
}

struct slice route_param(const struct mounted_route *route, const struct path *path, const char *name) {
    for (size_t i = 0; i < route->pattern.count; i++) {
        struct slice s = route->pattern.segments[i];
        if (is_param(s) && slice_equal((struct slice){s.data + 1, s.size - 2}, slice_of(name)))
            return path->segments[i];
    }
    return SLICE_NONE;
}
