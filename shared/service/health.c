/* Whether a process lives and is ready, and where in the log it is: /livez, /readyz, /progress. */
#include "service/health.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "partitions/assignments.h"
#include "service/service.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

static enum http_result livez(struct http_exchange *x, void *context) {
    (void)context;
    return http_reply_json(x, 200, SLICE("{\"status\":\"live\"}"));
}

static enum http_result readyz(struct http_exchange *x, void *context) {
    struct instance *i = context;
    _cleanup_(buf_free) struct buf missing = {0};
    for (size_t k = 0; k < i->worker_count; k++) {
        char text[600];
        if (worker_ready(&i->workers[k]))
            continue;
        worker_status(&i->workers[k], text, sizeof text);
        buf_printf(&missing, "%s%s: %s", missing.size > 0 ? "; " : "", i->workers[k].name, text);
    }
    char why[600];
    if (instance_hindered(i, why, sizeof why))
        buf_printf(&missing, "%srequests: %s", missing.size > 0 ? "; " : "", why);
    if (i->service->ready != NULL && !i->service->ready(why, sizeof why))
        buf_printf(&missing, "%s%s", missing.size > 0 ? "; " : "", why);
    if (missing.size == 0 && assignments_ready(i->assignments, &missing))
        return http_reply_json(x, 200, SLICE("{\"status\":\"ready\"}"));
    return http_reply_problem(x, 503, NULL, SLICE_FMT, SLICE_ARG(buf_slice(&missing)));
}

void instance_progress(struct instance *i, struct buf *out) {
    struct json j = {.out = out};
    bool all = true;
    json_begin_object(&j);
    json_key(&j, "streams"), json_begin_array(&j);
    for (size_t k = 0; k < i->worker_count; k++) {
        struct worker *w = &i->workers[k];
        struct stream *s = atomic_load(&w->stream);
        struct stream_progress p = s == NULL ? (struct stream_progress){0} : stream_progress(s);
        bool ready = worker_ready(w);
        char text[600];
        worker_status(w, text, sizeof text);
        all = all && ready;
        json_begin_object(&j);
        json_key(&j, "name"), json_put_string(&j, slice_of(w->name));
        json_key(&j, "ready"), json_put_bool(&j, ready);
        json_key(&j, "status"), json_put_string(&j, slice_of(text));
        json_key(&j, "records"), json_put_int(&j, (int64_t)p.records);
        json_key(&j, "left"), json_put_int(&j, (int64_t)p.left);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_key(&j, "ready"), json_put_bool(&j, all);
    json_end_object(&j);
}

/* Where it is in the log, for who watches it come back. */
static enum http_result progress(struct http_exchange *x, void *context) {
    struct instance *i = context;
    _cleanup_(buf_free) struct buf body = {0};
    struct json j = {.out = &body};
    uint64_t records = 0, left = 0;
    bool ready = true;
    json_begin_object(&j);
    json_key(&j, "places"), json_begin_array(&j);
    for (size_t k = 0; k < i->worker_count; k++) {
        struct stream *s = atomic_load(&i->workers[k].stream);
        struct stream_progress p = s == NULL ? (struct stream_progress){0} : stream_progress(s);
        struct stream_place at;
        ready = ready && worker_ready(&i->workers[k]);
        records += p.records, left += p.left;
        for (size_t n = 0; s != NULL && stream_place(s, n, &at); n++) {
            if (at.position < 0)
                continue;
            json_begin_object(&j);
            json_key(&j, "what"), json_put_string(&j, slice_of(at.what));
            json_key(&j, "topic"), json_put_string(&j, slice_of(at.topic));
            json_key(&j, "partition"), json_put_int(&j, at.partition);
            json_key(&j, "position"), json_put_int(&j, at.position);
            json_end_object(&j);
        }
    }
    json_end_array(&j);
    json_key(&j, "records"), json_put_int(&j, (int64_t)records);
    json_key(&j, "left"), json_put_int(&j, (int64_t)left);
    json_key(&j, "ready"), json_put_bool(&j, ready);
    json_end_object(&j);
    return http_reply_json(x, 200, buf_slice(&body));
}

const struct http_route health_routes[] = {{"GET", "/livez", livez},
                                           {"GET", "/readyz", readyz},
                                           {"GET", "/progress", progress},
                                           {"GET", "/metrics", metrics_answer},
                                           {0}};

int health_ask(void) {
    struct settings s;
    struct err e = {0};
    if (!settings_read(&s, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return EXIT_FAILURE;
    }
    settings_finish(&s);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/readyz", s.port);
    CURL *curl = curl_easy_init();
    long status = 0;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 2000L);
    CURLcode code = curl_easy_perform(curl); /* writes the answer's body to standard output */
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK)
        fprintf(stderr, "%s: %s\n", url, curl_easy_strerror(code));
    return status == 200 ? EXIT_SUCCESS : EXIT_FAILURE;
}
