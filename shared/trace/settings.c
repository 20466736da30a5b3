/* What the environment says, by OpenTelemetry's names. Where there are two names for a thing, that of traces
 * alone comes first; an empty value is none. */
#include "trace/list.h"
#include "trace/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TIMEOUT_MS = 10000, TIMEOUT_MAX_MS = 600000 };

struct found {
    const char *name, *value; /* value NULL: not set */
};

static struct found find(const char *name) {
    const char *value = getenv(name);
    return (struct found){name, value == NULL || *value == 0 ? NULL : value};
}

static struct found find_either(const char *name, const char *general) {
    struct found f = find(name);
    return f.value != NULL ? f : find(general);
}

static bool refuse(struct found f, const char *allowed, struct err *e) {
    return err_set(e, ERR_CONFIG, "%s: \"%s\" is not %s", f.name, f.value, allowed);
}

static bool read_flag(const char *name, bool *on, struct err *e) {
    struct found f = find(name);
    *on = f.value != NULL && strcasecmp(f.value, "true") == 0;
    return f.value == NULL || *on || strcasecmp(f.value, "false") == 0 || refuse(f, "true or false", e);
}

/* The first address is of traces; below the second they have a path of their own. */
static bool read_url(struct trace_settings *s, struct err *e) {
    struct found f = find("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    const char *path = "";
    if (f.value == NULL) {
        f = find("OTEL_EXPORTER_OTLP_ENDPOINT");
        path = "/v1/traces";
    }
    if (f.value == NULL)
        return true;
    const char *host = strncasecmp(f.value, "http://", 7) == 0    ? f.value + 7
                       : strncasecmp(f.value, "https://", 8) == 0 ? f.value + 8
                                                                  : NULL;
    size_t authority = host == NULL ? 0 : strcspn(host, "/?#"), size = strlen(f.value);
    if (host != NULL && memchr(host, '@', authority) != NULL)
        return err_set(e, ERR_CONFIG,
                       "%s: has a user or a password, which belong into "
                       "OTEL_EXPORTER_OTLP_HEADERS",
                       f.name);
    if (authority == 0 || host[0] == ':' || strpbrk(f.value, " \t\r\n\"?#") != NULL)
        return refuse(f, "http://host[:port][/path] or https://…", e);
    bool bare = host[authority] == 0;
    while (*path != 0 && size > 0 && f.value[size - 1] == '/')
        size--;
    if (size + strlen(path) + 2 > sizeof s->url)
        return err_set(e, ERR_CONFIG, "%s: has more than %zu characters", f.name, sizeof s->url - 12);
    snprintf(s->url, sizeof s->url, "%.*s%s%s", (int)size, f.value, bare && *path == 0 ? "/" : "", path);
    s->enabled = true;
    return true;
}

static bool read_protocol(struct trace_settings *s, struct err *e) {
    struct found f = find_either("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL");
    s->json = f.value != NULL && strcmp(f.value, "http/json") == 0;
    return f.value == NULL || s->json || strcmp(f.value, "http/protobuf") == 0 ||
           refuse(f, "http/protobuf or http/json", e);
}

static bool read_compression(struct err *e) {
    struct found f = find_either("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION");
    return f.value == NULL || strcmp(f.value, "none") == 0 || refuse(f, "none", e);
}

static bool read_timeout(struct trace_settings *s, struct err *e) {
    struct found f = find_either("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT");
    char *end, allowed[80];
    errno = 0;
    long ms = f.value == NULL ? TIMEOUT_MS : strtol(f.value, &end, 10);
    snprintf(allowed, sizeof allowed, "a whole number of milliseconds from 1 to %d", TIMEOUT_MAX_MS);
    if (f.value != NULL && (*end != 0 || errno != 0 || ms < 1 || ms > TIMEOUT_MAX_MS))
        return refuse(f, allowed, e);
    s->timeout_ms = (int32_t)ms;
    return true;
}

/* What is in them may be a secret. */
static bool read_headers(struct trace_settings *s, struct err *e) {
    struct found f = find_either("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS");
    size_t wrong = 0;
    s->headers = f.value;
    return f.value == NULL || list_check(f.value, true, &wrong) ||
           err_set(e, ERR_CONFIG,
                   "%s: its entry %zu is not name=value, with printable characters or %%XX; "
                   "between entries there are commas",
                   f.name, wrong);
}

static bool read_resource(struct trace_settings *s, struct err *e) {
    struct found f = find("OTEL_RESOURCE_ATTRIBUTES");
    size_t wrong = 0;
    s->resource = f.value;
    s->service_name = find("OTEL_SERVICE_NAME").value;
    return f.value == NULL || list_check(f.value, false, &wrong) ||
           err_set(e, ERR_CONFIG,
                   "OTEL_RESOURCE_ATTRIBUTES: \"%s\": its entry %zu is not name=value, with "
                   "printable characters or %%XX; between entries there are commas",
                   f.value, wrong);
}

static bool read_sampler(struct trace_settings *s, struct err *e) {
    static const struct {
        const char *name;
        bool by_parent, has_ratio;
        double ratio;
    } samplers[] = {
        {"parentbased_always_on", true, false, 1},
        {"parentbased_always_off", true, false, 0},
        {"parentbased_traceidratio", true, true, 1},
        {"always_on", false, false, 1},
        {"always_off", false, false, 0},
        {"traceidratio", false, true, 1},
    };
    struct found f = find("OTEL_TRACES_SAMPLER"), arg = find("OTEL_TRACES_SAMPLER_ARG");
    size_t n = sizeof samplers / sizeof *samplers, i = 0;
    while (f.value != NULL && i < n && strcmp(f.value, samplers[i].name) != 0)
        i++;
    if (i == n)
        return refuse(f,
                      "parentbased_always_on, parentbased_always_off, parentbased_traceidratio, always_on, "
                      "always_off or traceidratio",
                      e);
    s->by_parent = samplers[i].by_parent;
    s->ratio = samplers[i].ratio;
    if (arg.value == NULL || !samplers[i].has_ratio)
        return true;
    char *end;
    s->ratio = strtod(arg.value, &end);
    return (*end == 0 && s->ratio >= 0 && s->ratio <= 1) || refuse(arg, "a number from 0 to 1", e);
}

bool trace_settings_read(struct trace_settings *out, struct err *e) {
    struct trace_settings s = {0};
    struct found exporter = find("OTEL_TRACES_EXPORTER");
    bool disabled, none = exporter.value != NULL && strcmp(exporter.value, "none") == 0;
    if (exporter.value != NULL && !none && strcmp(exporter.value, "otlp") != 0)
        return refuse(exporter, "otlp or none", e);
    if (!read_flag("OTEL_SDK_DISABLED", &disabled, e) || !read_url(&s, e) || !read_protocol(&s, e) ||
        !read_compression(e) || !read_timeout(&s, e) || !read_headers(&s, e) || !read_resource(&s, e) ||
        !read_sampler(&s, e))
        return false;
    s.certificate =
        find_either("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE").value;
    s.enabled = s.enabled && !disabled && !none;
    *out = s;
    return true;
}
