/* The queue, and the thread that empties it. */
#include "trace/encode.h"
#include "trace/list.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

enum {
    QUEUE_SPANS = 2048, /* that wait, while as many may be under way */
    QUEUE_BYTES = 2 << 20,
    BATCH_SPANS = 512,    /* so many do not wait for more */
    GATHER_MS = 500,      /* others wait so long for company */
    AWAY_FIRST_MS = 1000, /* doubles from pause to pause */
    AWAY_MAX_MS = 60 * 1000,
    ANSWER_MAX = 4096,
    CONNECT_MS = 3000,
};

/* Encoded spans. */
struct batch {
    struct buf bytes;
    size_t spans;
};

struct tracer {
    struct tracer_options o;
    struct trace_settings settings;
    const struct encoding *encoding;
    struct arena texts; /* of the resource */
    struct span_attribute *resource;
    size_t resource_count;
    uint64_t bound; /* of ids that are sampled; UINT64_MAX: all */

    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    struct batch queue;
    bool stopping;
    int64_t stop_us; /* then */

    CURLM *multi; /* the thread's, as is what follows */
    struct curl_slist *headers;
    int pause_ms; /* 0: all is well */
    bool refusing;
    counter exported, dropped, refused;
};

/* ---- sampling ---- */

/* By the last eight bytes of the id, as other implementations do: a trace that crosses from one to another is
 * sampled by both, or by none. */
bool tracer_samples(const struct tracer *t, const struct trace_context *parent,
                    const char trace_id[TRACE_ID]) {
    uint64_t n = 0;
    if (parent != NULL && t->settings.by_parent)
        return parent->sampled;
    for (int i = TRACE_ID / 2; i < TRACE_ID; i++)
        n = n << 4 | (uint64_t)hex_digit(trace_id[i]);
    return t->bound == UINT64_MAX || n >> 1 < t->bound;
}

/* ---- the queue ---- */

void tracer_record(struct tracer *t, const struct span *s) {
    if (!s->context.sampled)
        return;
    bool wake = false;
    pthread_mutex_lock(&t->lock);
    if (t->queue.spans >= QUEUE_SPANS || t->queue.bytes.size >= QUEUE_BYTES) {
        counter_add_shared(&t->dropped, 1);
    } else {
        t->encoding->span(&t->queue.bytes, s, t->queue.spans == 0);
        t->queue.spans++;
        wake = t->queue.spans == 1 || t->queue.spans == BATCH_SPANS;
    }
    pthread_mutex_unlock(&t->lock);
    if (wake)
        pthread_cond_signal(&t->changed);
}

void tracer_drop(struct tracer *t, size_t spans) {
    counter_add_shared(&t->dropped, spans);
}

static void batch_clear(struct batch *b) {
    buf_clear(&b->bytes);
    b->spans = 0;
}

/* Under the lock. False: it stops. */
static bool sleep_until(struct tracer *t, int64_t until_us) {
    struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};
    if (!t->stopping)
        pthread_cond_timedwait(&t->changed, &t->lock, &until);
    return !t->stopping;
}

/* The next ones, into the empty batch. False: it stops, and there are none left. */
static bool take(struct tracer *t, struct batch *b) {
    pthread_mutex_lock(&t->lock);
    while (t->queue.spans == 0 && !t->stopping)
        pthread_cond_wait(&t->changed, &t->lock);
    int64_t until_us = clock_mono_us() + GATHER_MS * 1000;
    while (t->queue.spans < BATCH_SPANS && clock_mono_us() < until_us && sleep_until(t, until_us))
        ;
    struct batch empty = *b;
    *b = t->queue;
    t->queue = empty;
    pthread_mutex_unlock(&t->lock);
    return b->spans > 0;
}

static bool pause_over(struct tracer *t) {
    unsigned char chance =
        (unsigned char)clock_mono_us(); /* so that not all come at once: 3/4 to 5/4 of it */
    int64_t until_us = clock_mono_us() + (int64_t)t->pause_ms * (750 + chance * 500 / 255);
    bool goes_on = true;
    pthread_mutex_lock(&t->lock);
    while (clock_mono_us() < until_us && (goes_on = sleep_until(t, until_us)))
        ;
    pthread_mutex_unlock(&t->lock);
    return goes_on;
}

/* ---- one request ---- */

enum fate { FATE_TAKEN, FATE_AWAY, FATE_REFUSED };

static size_t on_answer(char *data, size_t size, size_t n, void *context) {
    struct buf *answer = context;
    size_t room = ANSWER_MAX - answer->size, all = size * n;
    buf_append(answer, data, all < room ? all : room);
    return all;
}

static int64_t left_ms(struct tracer *t) {
    pthread_mutex_lock(&t->lock);
    int64_t left = t->stopping ? (t->stop_us - clock_mono_us()) / 1000 : INT32_MAX;
    pthread_mutex_unlock(&t->lock);
    return left;
}

/* Unlike curl_easy_perform() it ends when the tracer does. */
static CURLcode perform(struct tracer *t, CURL *curl) {
    CURLcode code = CURLE_OPERATION_TIMEDOUT;
    int running = 1, left;
    curl_multi_add_handle(t->multi, curl);
    for (int64_t ms; running > 0 && (ms = left_ms(t)) > 0;) {
        curl_multi_perform(t->multi, &running);
        if (running > 0)
            curl_multi_poll(t->multi, NULL, 0, ms < 1000 ? (int)ms : 1000, NULL);
    }
    for (CURLMsg *m; (m = curl_multi_info_read(t->multi, &left)) != NULL;)
        if (m->msg == CURLMSG_DONE)
            code = m->data.result;
    curl_multi_remove_handle(t->multi, curl);
    return code;
}

/* The only answers that say that asking again may help. */
static enum fate fate_of(long status) {
    bool again = status == 429 || status == 502 || status == 503 || status == 504;
    return status / 100 == 2 ? FATE_TAKEN : again ? FATE_AWAY : FATE_REFUSED;
}

static enum fate post(struct tracer *t, struct slice body, char *why, size_t size) {
    _cleanup_(buf_free) struct buf answer = {0};
    char problem[CURL_ERROR_SIZE] = "";
    long status = 0;
    curl_off_t retry_after = 0;
    CURL *curl = curl_easy_init();
    if (curl == NULL)
        abort(); /* out of memory */
    curl_easy_setopt(curl, CURLOPT_URL, t->settings.url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.size);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, problem);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)t->settings.timeout_ms);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (t->settings.certificate != NULL)
        curl_easy_setopt(curl, CURLOPT_CAINFO, t->settings.certificate);
    CURLcode code = perform(t, curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK)
        snprintf(why, size, "%s", *problem != 0 ? problem : curl_easy_strerror(code));
    else
        snprintf(why, size, "it answers %ld", status);
    enum fate fate = code != CURLE_OK ? FATE_AWAY : fate_of(status);
    if (fate == FATE_AWAY) {
        int next = t->pause_ms == 0 ? AWAY_FIRST_MS : t->pause_ms * 2;
        next = retry_after > next / 1000 ? (int)(retry_after < 60 ? retry_after * 1000 : AWAY_MAX_MS) : next;
        t->pause_ms = next < AWAY_MAX_MS ? next : AWAY_MAX_MS;
    }
    return fate;
}

/* ---- the thread ---- */

static void say(struct tracer *t, bool trouble, const char *what, const char *why) {
    char text[sizeof t->settings.url + 400];
    snprintf(text, sizeof text, "traces: %s: %s%s", t->settings.url, why, what);
    if (t->o.notice != NULL)
        t->o.notice(t->o.context, trouble, text);
}

static enum fate hand_over(struct tracer *t, const struct batch *b) {
    _cleanup_(buf_free) struct buf body = {0};
    char why[300];
    t->encoding->request(&body, t->resource, t->resource_count, t->o.version, buf_slice(&b->bytes));
    bool was_away = t->pause_ms > 0, was_refusing = t->refusing;
    enum fate fate = post(t, buf_slice(&body), why, sizeof why);
    switch (fate) {
    case FATE_TAKEN:
        counter_add(&t->exported, b->spans);
        if (was_away || was_refusing)
            say(t, false, "", "spans are taken again");
        t->pause_ms = 0;
        t->refusing = false;
        break;
    case FATE_AWAY:
        if (!was_away)
            say(t, true, "; spans wait, and are dropped when there are too many", why);
        break;
    case FATE_REFUSED:
        counter_add(&t->refused, b->spans);
        if (!was_refusing)
            say(t, true, "; spans are refused", why);
        t->pause_ms = 0;
        t->refusing = true;
        break;
    }
    return fate;
}

static void *run(void *context) {
    struct tracer *t = context;
    struct batch b = {0};
    prctl(PR_SET_NAME, "traces");
    while (take(t, &b)) {
        while (hand_over(t, &b) == FATE_AWAY)
            if (!pause_over(t)) {
                counter_add_shared(&t->dropped, b.spans);
                break;
            }
        batch_clear(&b);
    }
    buf_free(&b.bytes);
    return NULL;
}

/* ---- its life ---- */

/* The last one of a name holds. */
static void put_resource(struct tracer *t, const char *name, const char *value) {
    size_t i = 0;
    while (i < t->resource_count && strcmp(t->resource[i].name, name) != 0)
        i++;
    if (i == t->resource_count) {
        t->resource = xrealloc(t->resource, ++t->resource_count * sizeof *t->resource);
        t->resource[i] = (struct span_attribute){.name = arena_printf(&t->texts, "%s%c", name, 0).data};
    }
    t->resource[i].text = arena_copy(&t->texts, slice_of(value));
}

static void resource_entry(void *tracer, const char *name, const char *value) {
    put_resource(tracer, name, value);
}

static void header_entry(void *tracer, const char *name, const char *value) {
    struct tracer *t = tracer;
    _cleanup_(buf_free) struct buf line = {0};
    buf_printf(&line, "%s: %s%c", name, value, 0);
    t->headers = curl_slist_append(t->headers, line.data);
}

static void destroy(struct tracer *t) {
    curl_slist_free_all(t->headers);
    curl_multi_cleanup(t->multi);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    buf_free(&t->queue.bytes);
    arena_free(&t->texts);
    free(t->resource);
    free(t);
}

static bool start_thread(struct tracer *t) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int e = pthread_create(&t->thread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return e == 0;
}

bool tracer_create(const struct tracer_options *options, struct tracer **out, struct err *e) {
    struct tracer *t = xcalloc(1, sizeof *t);
    pthread_condattr_t monotonic;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    t->o = *options;
    t->settings = *options->settings;
    t->encoding = t->settings.json ? &encoding_json : &encoding_protobuf;
    t->bound = t->settings.ratio >= 1 ? UINT64_MAX : (uint64_t)(t->settings.ratio * 0x1p63);
    put_resource(t, "service.name", options->service);
    put_resource(t, "service.version", options->version);
    put_resource(t, "service.instance.id", options->instance);
    put_resource(t, "telemetry.sdk.name", "insideout");
    put_resource(t, "telemetry.sdk.language", "c");
    put_resource(t, "telemetry.sdk.version", options->version);
    list_each(t->settings.resource, resource_entry, t);
    if (t->settings.service_name != NULL)
        put_resource(t, "service.name", t->settings.service_name);
    header_entry(t, "Content-Type", t->encoding->content_type);
    header_entry(t, "User-Agent", "insideout");
    t->headers = curl_slist_append(t->headers, "Expect:");
    list_each(t->settings.headers, header_entry, t);
    t->multi = curl_multi_init();
    if (t->multi == NULL)
        abort(); /* out of memory */
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (!start_thread(t)) {
        destroy(t);
        return err_set(e, ERR_FATAL, "no thread for traces");
    }
    *out = t;
    return true;
}

void tracer_destroy(struct tracer *t, int ms) {
    if (t == NULL)
        return;
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    t->stop_us = clock_mono_us() + (int64_t)ms * 1000;
    pthread_mutex_unlock(&t->lock);
    pthread_cond_signal(&t->changed);
    curl_multi_wakeup(t->multi);
    pthread_join(t->thread, NULL);
    destroy(t);
}

void tracer_metrics(struct tracer *t, struct metrics *m) {
    static const struct metric spans = {"insideout_spans_total", METRIC_COUNTER,
                                        "Spans, by what became of them: exported, dropped because too many "
                                        "wait, refused by the collector."};
    metrics_add(m, &spans, (double)counter_get(&t->exported), "result", "exported", NULL);
    metrics_add(m, &spans, (double)counter_get(&t->dropped), "result", "dropped", NULL);
    metrics_add(m, &spans, (double)counter_get(&t->refused), "result", "refused", NULL);
}
