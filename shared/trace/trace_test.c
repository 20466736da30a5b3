/* Settings, encodings, and a tracer with a collector of its own in this process. */
#include "trace/encode.h"
#include "trace/trace.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static struct trace_context context_of(const char *text) {
    struct trace_context c;
    if (!trace_context_read(slice_of(text), &c))
        fail_msg("%s is no context", text);
    return c;
}

/* ---- contexts ---- */

static void test_contexts(void **state) {
    static const char *const wrong[] = {"",
                                        "00-" TRACE "-" SPAN "-0",
                                        "00-" TRACE "-" SPAN "-01x",
                                        "00-" TRACE "-" SPAN "-01-x",
                                        "ff-" TRACE "-" SPAN "-01",
                                        "0x-" TRACE "-" SPAN "-01",
                                        "00-" TRACE "-0000000000000000-01",
                                        "00-00000000000000000000000000000000-" SPAN "-01",
                                        "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
                                        "00_" TRACE "-" SPAN "-01",
                                        "00-" TRACE "-" SPAN "-0g"};
    char text[TRACEPARENT + 1];
    struct trace_context c;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (trace_context_read(slice_of(wrong[i]), &c))
            fail_msg("%s is a context", wrong[i]);
    c = context_of("00-" TRACE "-" SPAN "-01");
    assert_true(c.sampled);
    trace_context_write(&c, text);
    assert_string_equal(text, "00-" TRACE "-" SPAN "-01");
    c = context_of("cc-" TRACE "-" SPAN "-fe-later");
    assert_false(c.sampled);
    trace_context_write(&c, text);
    assert_string_equal(text, "00-" TRACE "-" SPAN "-00");
    for (int i = 0; i < 100; i++) {
        trace_id_make(c.trace_id);
        span_id_make(c.span_id);
        trace_context_write(&c, text);
        struct trace_context again = context_of(text);
        assert_memory_equal(again.trace_id, c.trace_id, TRACE_ID);
    }
    assert_true(tracestate_valid(SLICE("a=1,b=2")));
    assert_false(tracestate_valid(SLICE("")));
    assert_false(tracestate_valid(SLICE("a=1\r\nX: y")));
}

/* ---- settings ---- */

static const char *const names[] = {"OTEL_SDK_DISABLED",
                                    "OTEL_TRACES_EXPORTER",
                                    "OTEL_EXPORTER_OTLP_ENDPOINT",
                                    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                                    "OTEL_EXPORTER_OTLP_PROTOCOL",
                                    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                                    "OTEL_EXPORTER_OTLP_COMPRESSION",
                                    "OTEL_EXPORTER_OTLP_TIMEOUT",
                                    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
                                    "OTEL_EXPORTER_OTLP_HEADERS",
                                    "OTEL_EXPORTER_OTLP_CERTIFICATE",
                                    "OTEL_SERVICE_NAME",
                                    "OTEL_RESOURCE_ATTRIBUTES",
                                    "OTEL_TRACES_SAMPLER",
                                    "OTEL_TRACES_SAMPLER_ARG"};

static int forget(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    return 0;
}

static struct trace_settings settings(void) {
    struct trace_settings s;
    struct err e;
    if (!trace_settings_read(&s, &e))
        fail_msg("%s", e.text);
    return s;
}

static void test_nothing_set(void **state) {
    (void)state;
    struct trace_settings s = settings();
    assert_false(s.enabled);
    assert_true(s.by_parent);
    assert_true(s.ratio == 1);
    assert_int_equal(s.timeout_ms, 10000);
}

static void test_endpoints(void **state) {
    static const struct {
        const char *general, *traces, *url;
    } cases[] = {
        {"http://c:4318", NULL, "http://c:4318/v1/traces"},
        {"http://c:4318/", "", "http://c:4318/v1/traces"},
        {"https://c/otlp/", NULL, "https://c/otlp/v1/traces"},
        {"http://c:4318", "http://d:9/in", "http://d:9/in"},
        {NULL, "http://d:9", "http://d:9/"},
        {NULL, "http://[::1]:9/v1/traces", "http://[::1]:9/v1/traces"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        forget(NULL);
        if (cases[i].general != NULL)
            setenv("OTEL_EXPORTER_OTLP_ENDPOINT", cases[i].general, 1);
        if (cases[i].traces != NULL)
            setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", cases[i].traces, 1);
        struct trace_settings s = settings();
        assert_true(s.enabled);
        assert_string_equal(s.url, cases[i].url);
    }
    setenv("OTEL_SDK_DISABLED", "True", 1);
    assert_false(settings().enabled);
    unsetenv("OTEL_SDK_DISABLED");
    setenv("OTEL_TRACES_EXPORTER", "none", 1);
    assert_false(settings().enabled);
}

/* Each error names the setting and what is allowed; and the value, but of what may be secret. */
static void test_wrong_settings(void **state) {
    static const struct {
        const char *name, *value, *allowed;
        bool secret;
    } cases[] = {
        {"OTEL_SDK_DISABLED", "yes", "true or false", false},
        {"OTEL_TRACES_EXPORTER", "zipkin", "otlp or none", false},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "http://host[:port]", false},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://:4318", "http://host[:port]", false},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318?x", "http://host[:port]", false},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hush@c:4318", "OTEL_EXPORTER_OTLP_HEADERS", true},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://c/", "http://host[:port]", false},
        {"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf or http/json", false},
        {"OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "none", false},
        {"OTEL_EXPORTER_OTLP_TIMEOUT", "0", "from 1 to 600000", false},
        {"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "from 1 to 600000", false},
        {"OTEL_EXPORTER_OTLP_HEADERS", "a=1,hush", "entry 2", true},
        {"OTEL_EXPORTER_OTLP_HEADERS", "a=hush%0d%0aX: y", "entry 1", true},
        {"OTEL_EXPORTER_OTLP_HEADERS", "a=hush%2", "entry 1", true},
        {"OTEL_EXPORTER_OTLP_HEADERS", "a b=hush", "entry 1", true},
        {"OTEL_RESOURCE_ATTRIBUTES", "a=1,=2", "entry 2", false},
        {"OTEL_TRACES_SAMPLER", "jaeger_remote", "traceidratio", false},
    };
    struct trace_settings s;
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        forget(NULL);
        setenv(cases[i].name, cases[i].value, 1);
        assert_false(trace_settings_read(&s, &e));
        assert_int_equal(e.kind, ERR_CONFIG);
        const char *shown = strstr(e.text, cases[i].secret ? "hush" : cases[i].value);
        if (strstr(e.text, cases[i].name) == NULL || strstr(e.text, cases[i].allowed) == NULL ||
            (shown == NULL) != cases[i].secret)
            fail_msg("%s=%s: %s", cases[i].name, cases[i].value, e.text);
    }
    static const char *const ratios[] = {"-0.1", "1.5", "half", "nan"};
    for (size_t i = 0; i < sizeof ratios / sizeof *ratios; i++) {
        forget(NULL);
        setenv("OTEL_TRACES_SAMPLER", "traceidratio", 1);
        setenv("OTEL_TRACES_SAMPLER_ARG", ratios[i], 1);
        assert_false(trace_settings_read(&s, &e));
        assert_non_null(strstr(e.text, "a number from 0 to 1"));
    }
}

/* ---- a collector ---- */

enum mode { MODE_TAKE, MODE_BUSY, MODE_REFUSE, MODE_HANG };

struct collector {
    int socket;
    uint16_t port;
    pthread_t thread;
    atomic_int mode, requests, notices, troubles;
    pthread_mutex_t lock; /* of the last request */
    char head[4096];
    struct buf body;
};

/* Reads one request. False: the client has gone. */
static bool receive(struct collector *c, int fd) {
    size_t size = 0, body = 0;
    char *end = NULL;
    pthread_mutex_lock(&c->lock);
    buf_clear(&c->body);
    while (end == NULL && size < sizeof c->head - 1) {
        ssize_t n = recv(fd, c->head + size, sizeof c->head - 1 - size, 0);
        if (n <= 0)
            break;
        size += (size_t)n;
        c->head[size] = 0;
        end = strstr(c->head, "\r\n\r\n");
    }
    if (end != NULL) {
        const char *length = strcasestr(c->head, "Content-Length: ");
        body = length == NULL ? 0 : strtoul(length + 16, NULL, 10);
        buf_append(&c->body, end + 4, size - (size_t)(end + 4 - c->head));
        end[2] = 0;
        while (c->body.size < body) {
            char *to = buf_reserve(&c->body, body - c->body.size);
            ssize_t n = recv(fd, to, body - c->body.size, 0);
            if (n <= 0)
                break;
            c->body.size += (size_t)n;
        }
    }
    pthread_mutex_unlock(&c->lock);
    return end != NULL && c->body.size == body;
}

static void *serve(void *context) {
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 400 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"};
    struct collector *c = context;
    for (int fd; (fd = accept(c->socket, NULL, NULL)) >= 0; close(fd)) {
        int mode = atomic_load(&c->mode);
        if (!receive(c, fd))
            continue;
        atomic_fetch_add(&c->requests, 1);
        if (mode == MODE_HANG)
            poll(&(struct pollfd){.fd = fd, .events = POLLRDHUP}, 1, 30000);
        else
            (void)!write(fd, answers[mode], strlen(answers[mode]));
    }
    return NULL;
}

static void listen_at(struct collector *c, uint16_t port) {
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int on = 1;
    c->socket = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(c->socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(c->socket, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(c->socket, (struct sockaddr *)&a, &size), 0);
    c->port = ntohs(a.sin_port);
}

static void open_for_calls(struct collector *c) {
    assert_int_equal(listen(c->socket, 16), 0);
    assert_int_equal(pthread_create(&c->thread, NULL, serve, c), 0);
}

static void collector_close(struct collector *c) {
    shutdown(c->socket, SHUT_RDWR);
    pthread_join(c->thread, NULL);
    close(c->socket);
    buf_free(&c->body);
}

static void notice(void *context, bool trouble, const char *text) {
    struct collector *c = context;
    assert_non_null(strstr(text, "http://127.0.0.1:"));
    atomic_fetch_add(trouble ? &c->troubles : &c->notices, 1);
}

static struct tracer *tracer_of(struct collector *c) {
    char url[64];
    struct tracer *t;
    struct err e;
    snprintf(url, sizeof url, "http://127.0.0.1:%u", c->port);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url, 1);
    struct trace_settings s = settings();
    const struct tracer_options options = {.settings = &s,
                                           .service = "bank",
                                           .version = "1.2.3",
                                           .instance = "0",
                                           .notice = notice,
                                           .context = c};
    if (!tracer_create(&options, &t, &e))
        fail_msg("%s", e.text);
    return t;
}

static void record(struct tracer *t, struct slice name) {
    const struct span_attribute attributes[] = {{"messaging.system", SLICE("kafka"), 0, false},
                                                {"messaging.kafka.offset", SLICE_NONE, -7, false},
                                                {"messaging.kafka.message.tombstone", SLICE_NONE, 1, true}};
    struct trace_context link = context_of("00-" TRACE "-00f067aa0ba902b7-01");
    struct span s = {.context = context_of("00-" TRACE "-" SPAN "-01"),
                     .parent = "00f067aa0ba902b7",
                     .state = SLICE("a=1"),
                     .kind = SPAN_CONSUMER,
                     .name = name,
                     .start_ns = 1700000000123456789,
                     .end_ns = 1700000000223456789,
                     .attributes = attributes,
                     .attribute_count = 3,
                     .links = &link,
                     .link_count = 1,
                     .error = SLICE("no such account")};
    tracer_record(t, &s);
}

static double spans_of(struct tracer *t, const char *result) {
    _cleanup_(buf_free) struct buf text = {0}, line = {0};
    struct metrics m = {0};
    tracer_metrics(t, &m);
    metrics_write(&m, &text);
    metrics_free(&m);
    buf_append_byte(&text, 0);
    buf_printf(&line, "{result=\"%s\"} %c", result, 0);
    const char *at = strstr(text.data, line.data);
    assert_non_null(at);
    return strtod(at + line.size - 1, NULL);
}

static void until(struct tracer *t, const char *result, double n) {
    int64_t deadline = clock_mono_us() + 20 * 1000 * 1000;
    while (spans_of(t, result) < n) {
        if (clock_mono_us() > deadline)
            fail_msg("%g spans are %s and not %g", spans_of(t, result), result, n);
        poll(NULL, 0, 5);
    }
}

/* ---- encodings ---- */

static json_t *at(json_t *j, const char *path) {
    json_t *found = NULL;
    char text[200];
    snprintf(text, sizeof text, "%s", path);
    for (char *save, *part = strtok_r(text, "/", &save); part != NULL; part = strtok_r(NULL, "/", &save)) {
        found = json_is_array(j) ? json_array_get(j, strtoul(part, NULL, 10)) : json_object_get(j, part);
        if (found == NULL)
            fail_msg("%s: there is no %s", path, part);
        j = found;
    }
    return found;
}

static const char *string_at(json_t *j, const char *path) {
    return json_string_value(at(j, path));
}

static void test_json(void **state) {
    struct collector c = {0};
    (void)state;
    setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", 1);
    setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b, x-other=2", 1);
    setenv("OTEL_RESOURCE_ATTRIBUTES", "team=blue%2Cgreen,service.name=other", 1);
    setenv("OTEL_SERVICE_NAME", "till", 1);
    listen_at(&c, 0);
    open_for_calls(&c);
    struct tracer *t = tracer_of(&c);
    record(t, SLICE("process \xff deposits"));
    record(t, SLICE("second"));
    until(t, "exported", 2);
    tracer_destroy(t, 1000);
    assert_non_null(strstr(c.head, "POST /v1/traces HTTP/1.1\r\n"));
    assert_non_null(strstr(c.head, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(c.head, "x-key: a b\r\n"));
    assert_non_null(strstr(c.head, "x-other: 2\r\n"));
    json_t *j = json_loadb(c.body.data, c.body.size, 0, NULL);
    assert_non_null(j);
    assert_string_equal(string_at(j, "resourceSpans/0/resource/attributes/0/key"), "service.name");
    assert_string_equal(string_at(j, "resourceSpans/0/resource/attributes/0/value/stringValue"), "till");
    assert_string_equal(string_at(j, "resourceSpans/0/resource/attributes/6/value/stringValue"),
                        "blue,green");
    json_t *spans = at(j, "resourceSpans/0/scopeSpans/0/spans");
    assert_int_equal(json_array_size(spans), 2);
    assert_string_equal(string_at(spans, "0/traceId"), TRACE);
    assert_string_equal(string_at(spans, "0/spanId"), SPAN);
    assert_string_equal(string_at(spans, "0/parentSpanId"), "00f067aa0ba902b7");
    assert_string_equal(string_at(spans, "0/traceState"), "a=1");
    assert_string_equal(string_at(spans, "0/name"), "process \xef\xbf\xbd deposits");
    assert_int_equal(json_integer_value(at(spans, "0/kind")), SPAN_CONSUMER);
    assert_string_equal(string_at(spans, "0/startTimeUnixNano"), "1700000000123456789");
    assert_string_equal(string_at(spans, "0/attributes/1/value/intValue"), "-7");
    assert_true(json_is_true(at(spans, "0/attributes/2/value/boolValue")));
    assert_string_equal(string_at(spans, "0/links/0/spanId"), "00f067aa0ba902b7");
    assert_int_equal(json_integer_value(at(spans, "0/status/code")), 2);
    assert_string_equal(string_at(spans, "1/name"), "second");
    json_decref(j);
    collector_close(&c);
}

/* Whether the bytes are nothing but fields; tests/e2e/test_traces.py reads them by the published definitions.
 */
static bool is_message(struct slice s) {
    while (s.size > 0) {
        uint64_t varint[2] = {0, 0};
        for (int k = 0, wire = -1; k < 2; k++) {
            if (k == 1 && (wire = (int)(varint[0] & 7)) != 0 && wire != 2) {
                size_t n = wire == 1 ? 8 : wire == 5 ? 4 : SIZE_MAX;
                if (s.size < n)
                    return false;
                s = (struct slice){s.data + n, s.size - n};
                break;
            }
            for (int shift = 0;; shift += 7) {
                if (s.size == 0 || shift > 63)
                    return false;
                unsigned char byte = (unsigned char)*s.data;
                s = (struct slice){s.data + 1, s.size - 1};
                varint[k] |= (uint64_t)(byte & 0x7f) << shift;
                if (byte < 0x80)
                    break;
            }
            if (k == 1 && wire == 2) {
                if (varint[1] > s.size)
                    return false;
                s = (struct slice){s.data + varint[1], s.size - varint[1]};
            }
        }
    }
    return true;
}

static void test_protobuf(void **state) {
    struct collector c = {0};
    (void)state;
    listen_at(&c, 0);
    open_for_calls(&c);
    struct tracer *t = tracer_of(&c);
    for (int i = 0; i < 300; i++)
        record(t, SLICE("process deposits"));
    until(t, "exported", 300);
    tracer_destroy(t, 1000);
    assert_non_null(strstr(c.head, "Content-Type: application/x-protobuf\r\n"));
    assert_true(is_message(buf_slice(&c.body)));
    assert_non_null(memmem(c.body.data, c.body.size, "\x0a\x10\x0a\xf7\x65\x19\x16\xcd\x43\xdd", 10));
    collector_close(&c);
}

/* ---- a collector that is not as one would like ---- */

static void test_away_and_back(void **state) {
    struct collector c = {0};
    (void)state;
    listen_at(&c, 0); /* nobody answers there yet */
    struct tracer *t = tracer_of(&c);
    record(t, SLICE("early"));
    while (atomic_load(&c.troubles) == 0)
        poll(NULL, 0, 5);
    record(t, SLICE("late"));
    atomic_store(&c.mode, MODE_BUSY);
    open_for_calls(&c);
    while (atomic_load(&c.requests) < 1)
        poll(NULL, 0, 5);
    atomic_store(&c.mode, MODE_TAKE);
    until(t, "exported", 2);
    assert_int_equal(spans_of(t, "dropped"), 0);
    assert_int_equal(atomic_load(&c.troubles), 1);
    assert_int_equal(atomic_load(&c.notices), 1);
    assert_true(atomic_load(&c.requests) < 6); /* it does not ask all the time */
    tracer_destroy(t, 1000);
    collector_close(&c);
}

static void test_refused(void **state) {
    struct collector c = {0};
    (void)state;
    listen_at(&c, 0);
    open_for_calls(&c);
    atomic_store(&c.mode, MODE_REFUSE);
    struct tracer *t = tracer_of(&c);
    record(t, SLICE("one"));
    until(t, "refused", 1);
    record(t, SLICE("two"));
    until(t, "refused", 2);
    assert_int_equal(atomic_load(&c.requests), 2); /* none is repeated */
    assert_int_equal(atomic_load(&c.troubles), 1);
    atomic_store(&c.mode, MODE_TAKE);
    record(t, SLICE("three"));
    until(t, "exported", 1);
    assert_int_equal(atomic_load(&c.notices), 1);
    tracer_destroy(t, 1000);
    collector_close(&c);
}

/* Recording goes on, memory does not grow, and the end does not wait for it. */
static void test_hanging(void **state) {
    struct collector c = {0};
    (void)state;
    listen_at(&c, 0);
    open_for_calls(&c);
    atomic_store(&c.mode, MODE_HANG);
    struct tracer *t = tracer_of(&c);
    record(t, SLICE("under way"));
    while (atomic_load(&c.requests) == 0)
        poll(NULL, 0, 5);
    for (int i = 0; i < 10000; i++)
        record(t, SLICE("more"));
    assert_true(spans_of(t, "dropped") == 10000 - 2048);
    int64_t since = clock_mono_us();
    tracer_destroy(t, 300);
    assert_true(clock_mono_us() - since < 5 * 1000 * 1000); /* of OTEL_EXPORTER_OTLP_TIMEOUT's ten seconds */
    collector_close(&c);
}

static void test_flush(void **state) {
    struct collector c = {0};
    (void)state;
    listen_at(&c, 0);
    open_for_calls(&c);
    struct tracer *t = tracer_of(&c);
    record(t, SLICE("the last"));
    tracer_destroy(t, 5000);
    assert_int_equal(atomic_load(&c.requests), 1);
    collector_close(&c);
}

/* ---- sampling ---- */

static void test_samplers(void **state) {
    static const struct {
        const char *name, *ratio;
        int roots, sampled,
            others; /* of 1000: without a parent, with one that is sampled, with one that is not */
    } cases[] = {
        {NULL, NULL, 1000, 1000, 0},
        {"always_on", NULL, 1000, 1000, 1000},
        {"always_off", NULL, 0, 0, 0},
        {"parentbased_always_off", NULL, 0, 1000, 0},
        {"parentbased_traceidratio", "0", 0, 1000, 0},
        {"traceidratio", "1", 1000, 1000, 1000},
        {"traceidratio", NULL, 1000, 1000, 1000},
        {"parentbased_traceidratio", "0.25", 250, 1000, 0},
        {"traceidratio", "0.25", 250, 250, 250},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct collector c = {0};
        forget(NULL);
        if (cases[i].name != NULL)
            setenv("OTEL_TRACES_SAMPLER", cases[i].name, 1);
        if (cases[i].ratio != NULL)
            setenv("OTEL_TRACES_SAMPLER_ARG", cases[i].ratio, 1);
        struct tracer *t = tracer_of(&c);
        struct trace_context yes = context_of("00-" TRACE "-" SPAN "-01"),
                             no = context_of("00-" TRACE "-" SPAN "-00");
        int roots = 0, sampled = 0, others = 0;
        for (int n = 0; n < 1000; n++) {
            char id[TRACE_ID];
            trace_id_make(id);
            roots += tracer_samples(t, NULL, id);
            sampled += tracer_samples(t, &yes, id);
            others += tracer_samples(t, &no, id);
        }
        bool exact = cases[i].ratio == NULL || strcmp(cases[i].ratio, "0.25") != 0;
        int slack = exact ? 0 : 100; /* seven standard deviations */
        if (abs(roots - cases[i].roots) > slack || abs(sampled - cases[i].sampled) > slack ||
            abs(others - cases[i].others) > slack)
            fail_msg("%s: %d, %d, %d", cases[i].name, roots, sampled, others);
        tracer_destroy(t, 0);
    }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, forget, forget)
    const struct CMUnitTest tests[] = {
        TEST(test_contexts), TEST(test_nothing_set), TEST(test_endpoints),     TEST(test_wrong_settings),
        TEST(test_json),     TEST(test_protobuf),    TEST(test_away_and_back), TEST(test_refused),
        TEST(test_hanging),  TEST(test_flush),       TEST(test_samplers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
