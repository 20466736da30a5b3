#include "http/internal.h"

#include "base/card_number.h"
#include "base/id.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

/* The headers that say where a request ends and for whom it is, and how often each came. */
struct framing {
    unsigned host, length, encoding, type;
    const char *host_value, *length_value, *encoding_value;
    bool bad_name;
};

static bool is_token(const char *name) {
    for (const char *p = name; *p != 0; p++)
        if (*p <= ' ' || *p >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", *p) != NULL)
            return false;
    return *name != 0;
}

static enum MHD_Result on_header(void *context, enum MHD_ValueKind kind, const char *name,
                                 const char *value) {
    (void)kind;
    struct framing *f = context;
    if (!is_token(name))
        f->bad_name = true;
    else if (strcasecmp(name, "Host") == 0)
        f->host++, f->host_value = value;
    else if (strcasecmp(name, "Content-Type") == 0)
        f->type++;
    else if (strcasecmp(name, "Content-Length") == 0)
        f->length++, f->length_value = value;
    else if (strcasecmp(name, "Transfer-Encoding") == 0)
        f->encoding++, f->encoding_value = value;
    return MHD_YES;
}

static const char *framing_error(const struct framing *f, bool http_1_1) {
    if (f->bad_name)
        return "a header name has characters that are not allowed";
    if (f->host > 1 || (f->host == 0 && http_1_1))
        return "exactly one Host is expected";
    if (f->length > 1)
        return "more than one Content-Length";
    if (f->type > 1)
        return "more than one Content-Type";
    if (f->encoding == 0)
        return NULL;
    if (f->length > 0)
        return "Content-Length together with Transfer-Encoding";
    if (f->encoding > 1 || !http_1_1 || f->encoding_value == NULL ||
        strcasecmp(f->encoding_value, "chunked") != 0)
        return "the only Transfer-Encoding is chunked";
    return NULL;
}

/* Of what may be followed by a port. */
static bool is_host(struct slice host, const char *name) {
    size_t n = strlen(name);
    return host.size >= n && strncasecmp(host.data, name, n) == 0 && (host.size == n || host.data[n] == ':');
}

/* The address that the client has connected to, as a host is written. */
static bool is_own_address(struct http_exchange *x, struct slice host) {
    struct sockaddr_storage a;
    socklen_t size = sizeof a;
    char address[NI_MAXHOST], bracketed[NI_MAXHOST + 2];
    if (getsockname(x->fd, (struct sockaddr *)&a, &size) != 0 ||
        getnameinfo((struct sockaddr *)&a, size, address, sizeof address, NULL, 0, NI_NUMERICHOST) != 0)
        return false;
    const char *v4 = strncmp(address, "::ffff:", 7) == 0 ? address + 7 : address;
    snprintf(bracketed, sizeof bracketed, strchr(v4, ':') != NULL ? "[%s]" : "%s", v4);
    return is_host(host, bracketed);
}

/* A foreign one is a name that somebody made to point here, so that a page of his may read what we say. */
static bool is_for_us(struct http_exchange *x, struct slice host) {
    if (host.data == NULL /* no browser */ || is_host(host, "localhost") || is_host(host, "127.0.0.1") ||
        is_host(host, "[::1]"))
        return true;
    for (const char *const *name = x->server->config.hosts; name != NULL && *name != NULL; name++)
        if (is_host(host, *name))
            return true;
    return is_own_address(x, host);
}

/* Without what another reader, the next instance say, would end it at. */
static bool is_target(struct slice target) {
    for (size_t i = 0; i < target.size; i++)
        if ((unsigned char)target.data[i] <= ' ' || target.data[i] == 0x7f)
            return false;
    return true;
}

static bool changes_state(const char *method) {
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0 ||
           strcmp(method, "DELETE") == 0;
}

static bool is_json(struct slice type) {
    static const char json[] = "application/json";
    size_t n = sizeof json - 1;
    if (type.size < n || strncasecmp(type.data, json, n) != 0)
        return false;
    return type.size == n || strchr("; \t", type.data[n]) != NULL;
}

static bool find_route(struct http_exchange *x, const char *url, const char *method) {
    if (!path_split(slice_of(url), &x->path)) {
        http_reply_problem(x, 404, NULL, "nothing here");
        return false;
    }
    for (size_t i = 0; i < x->path.count; i++)
        if (!percent_decode(&x->arena, x->path.segments[i], &x->path.segments[i])) {
            http_reply_problem(x, 400, NULL, "the path is not percent-encoded UTF-8 without NUL");
            return false;
        }
    struct buf allow = {0};
    x->route = route_find(x->server, method, &x->path, &allow);
    if (x->route == NULL && allow.size == 0) {
        http_reply_problem(x, 404, NULL, "nothing here");
    } else if (x->route == NULL) {
        http_reply_header(x, "Allow", SLICE_FMT, SLICE_ARG(buf_slice(&allow)));
        http_reply_problem(x, 405, NULL, "allowed: " SLICE_FMT, SLICE_ARG(buf_slice(&allow)));
    }
    buf_free(&allow);
    return x->route != NULL;
}

/* True when a body of `length` bytes is coming that will not be read to its end. */
static bool too_much_to_drain(struct http_exchange *x, uint64_t length) {
    bool announced = length > 0 && http_header(x, "Expect").data != NULL; /* waits for leave to send it */
    return length > BODY_DRAIN_MAX || announced;
}

static bool admit_well_framed(struct http_exchange *x, const char *url, const char *method, uint64_t length) {
    if (!find_route(x, url, method))
        return false;
    if (!changes_state(method))
        return true;
    x->wants_body = true;
    if (length > BODY_MAX) {
        http_reply_problem(x, 413, NULL, "the body may have up to %d bytes", BODY_MAX);
        return false;
    }
    if (!is_json(http_header(x, "Content-Type"))) {
        http_reply_problem(x, 415, NULL, "Content-Type must be application/json");
        return false;
    }
    struct slice coding = http_header(x, "Content-Encoding");
    if (coding.data != NULL && !slice_equal(coding, SLICE("identity"))) {
        http_reply_problem(x, 415, NULL, "Content-Encoding is not supported");
        return false;
    }
    return true;
}

bool request_admit(struct http_exchange *x, const char *url, const char *method, const char *version) {
    bool http_1_1 = strcmp(version, "HTTP/1.1") == 0;
    if (!http_1_1 && strcmp(version, "HTTP/1.0") != 0)
        return reply_and_close(x, 505, "HTTP/1.1 is spoken here");
    struct framing f = {0};
    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, on_header, &f);
    const char *error = is_target(x->target) ? framing_error(&f, http_1_1) : "the target has a space";
    if (error != NULL)
        return reply_and_close(x, 400, error);
    if (!is_for_us(x, slice_of(f.host_value)))
        return reply_and_close(x, 421, "this service does not answer for that host");
    uint64_t length = f.length_value != NULL ? strtoull(f.length_value, NULL, 10) : f.encoding;
    x->close = too_much_to_drain(x, length);
    bool admitted = admit_well_framed(x, url, method, length);
    x->close = x->close && !admitted;
    return admitted;
}

/* Ids go everywhere, into topics, files and logs; card numbers nowhere. */
bool id_is_no_secret(struct http_exchange *x, const char *name, struct slice id) {
    bool secret = has_card_number(id);
    if (secret)
        http_reply_problem(x, 400, name, "must not contain a card number");
    return !secret;
}

static bool check_id(struct http_exchange *x, const char *name, struct slice s, struct slice *id) {
    if (!id_valid(s)) {
        http_reply_problem(x, 400, name, "must match " ID_PATTERN);
        return false;
    }
    if (!id_is_no_secret(x, name, s))
        return false;
    *id = s;
    return true;
}

static bool check_int64(struct http_exchange *x, const char *name, struct slice s, int64_t min, int64_t max,
                        int64_t *value) {
    char text[24];
    bool digits = s.size > 0 && s.size < sizeof text;
    for (size_t i = 0; i < s.size && digits; i++)
        digits = (s.data[i] >= '0' && s.data[i] <= '9') || (i == 0 && s.data[i] == '-' && s.size > 1);
    long long n = 0;
    if (digits) {
        memcpy(text, s.data, s.size);
        text[s.size] = 0;
        errno = 0;
        n = strtoll(text, NULL, 10);
        digits = errno == 0;
    }
    if (!digits || n < min || n > max) {
        http_reply_problem(x, 400, name, "must be a whole number from %" PRId64 " to %" PRId64, min, max);
        return false;
    }
    *value = n;
    return true;
}

static struct slice path_param(struct http_exchange *x, const char *name) {
    struct slice s = route_param(x->route, &x->path, name);
    assert(s.data != NULL); /* the route has such a parameter */
    return s;
}

bool http_path_id(struct http_exchange *x, const char *name, struct slice *id) {
    return check_id(x, name, path_param(x, name), id);
}

bool http_path_key(struct http_exchange *x, const char *name, struct slice *key) {
    struct slice s = path_param(x, name);
    if (slice_equal(s, SLICE(".")) || slice_equal(s, SLICE(".."))) {
        http_reply_problem(x, 400, name, "must be no . or ..");
        return false;
    }
    *key = s;
    return true;
}

bool http_path_int64(struct http_exchange *x, const char *name, int64_t min, int64_t max, int64_t *value) {
    return check_int64(x, name, path_param(x, name), min, max, value);
}

struct slice http_path_string(struct http_exchange *x, const char *name) {
    return path_param(x, name); /* decoded with the path */
}

bool http_query_string(struct http_exchange *x, const char *name, struct slice *text) {
    const char *value = NULL;
    size_t size = 0;
    MHD_lookup_connection_value_n(x->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, &size);
    struct slice decoded = SLICE_NONE;
    if (value != NULL && !percent_decode(http_arena(x), (struct slice){value, size}, &decoded)) {
        http_reply_problem(x, 400, name, "must be percent-encoded UTF-8 without NUL");
        return false;
    }
    *text = decoded;
    return true;
}

bool http_query_id(struct http_exchange *x, const char *name, struct slice *id) {
    struct slice s;
    if (!http_query_string(x, name, &s))
        return false;
    if (s.data != NULL)
        return check_id(x, name, s, id);
    *id = SLICE_NONE;
    return true;
}

bool http_query_int64(struct http_exchange *x, const char *name, int64_t min, int64_t max, int64_t fallback,
                      int64_t *value) {
    struct slice s;
    if (!http_query_string(x, name, &s))
        return false;
    if (s.data != NULL)
        return check_int64(x, name, s, min, max, value);
    *value = fallback;
    return true;
}
