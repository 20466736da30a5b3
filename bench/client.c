#include "client.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

enum { CONNECTIONS = 4096, ASK_MS = 15000 };

struct call {
    struct call *next; /* of those that are free */
    CURL *easy;
    struct buf url, request, body;
    answered *done;
    void *context;
};

struct client {
    CURLM *multi;
    char *url;
    struct curl_slist *json;
    struct call *free;
    size_t busy;
    struct call *all[CONNECTIONS]; /* for the end */
    size_t all_count;
};

bool client_create(const char *url, struct client **out, struct err *err) {
    if (strncmp(url, "http://", 7) != 0)
        return err_set(err, ERR_CONFIG, "\"%s\" does not begin with http://", url);
    struct client *c = xcalloc(1, sizeof *c);
    c->url = xstrdup(url);
    size_t n = strlen(c->url);
    while (n > 7 && c->url[n - 1] == '/')
        c->url[--n] = 0;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    c->multi = curl_multi_init();
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS);
    c->json = curl_slist_append(NULL, "Content-Type: application/json");
    c->json = curl_slist_append(c->json, "Expect:");
    *out = c;
    return true;
}

void client_destroy(struct client *c) {
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->all_count; i++) {
        struct call *call = c->all[i];
        curl_multi_remove_handle(c->multi, call->easy);
        curl_easy_cleanup(call->easy);
        buf_free(&call->url);
        buf_free(&call->request);
        buf_free(&call->body);
        free(call);
    }
    curl_multi_cleanup(c->multi);
    curl_slist_free_all(c->json);
    free(c->url);
    free(c);
}

bool url_is_loopback(const char *url) {
    static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]", "gateway" /* among containers */};
    if (strncmp(url, "http://", 7) != 0)
        return false;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        size_t n = strlen(hosts[i]);
        if (strncasecmp(url + 7, hosts[i], n) == 0 && (url[7 + n] == 0 || strchr(":/", url[7 + n]) != NULL))
            return strchr(url + 7, '@') == NULL;
    }
    return false;
}

static size_t collect(char *data, size_t size, size_t count, void *to) {
    buf_append(to, data, size * count);
    return size * count;
}

static struct call *call_get(struct client *c) {
    struct call *call = c->free;
    if (call != NULL) {
        c->free = call->next;
        return call;
    }
    if (c->all_count == sizeof c->all / sizeof *c->all)
        abort(); /* callers bound what they have under way */
    call = xcalloc(1, sizeof *call);
    call->easy = curl_easy_init();
    curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(call->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(call->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, c->json);
    curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, &call->body);
    c->all[c->all_count++] = call;
    return call;
}

void client_send(struct client *c, const char *method, const char *path, struct slice body, int timeout_ms,
                 answered *done, void *context) {
    struct call *call = call_get(c);
    buf_clear(&call->url), buf_clear(&call->request), buf_clear(&call->body);
    buf_printf(&call->url, "%s%s%c", c->url, path, 0);
    buf_append_slice(&call->request, body);
    call->done = done;
    call->context = context;
    curl_easy_setopt(call->easy, CURLOPT_URL, call->url.data);
    curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    if (body.data == NULL) {
        curl_easy_setopt(call->easy, CURLOPT_HTTPGET, 1L);
    } else {
        curl_easy_setopt(call->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->request.size);
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, call->request.data);
    }
    curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, method);
    curl_multi_add_handle(c->multi, call->easy);
    c->busy++;
}

static void finish(struct client *c, struct call *call, CURLcode code) {
    struct answer a = {.retry_after_s = -1, .body = buf_slice(&call->body)};
    curl_off_t retry_after = 0;
    if (code == CURLE_OK) {
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &a.status);
        if (curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK && retry_after > 0)
            a.retry_after_s = (int)retry_after;
    } else {
        a.error = curl_easy_strerror(code);
    }
    curl_multi_remove_handle(c->multi, call->easy);
    c->busy--;
    call->done(call->context, &a); /* may send more; this call is free only then: the body is its own */
    call->next = c->free;
    c->free = call;
}

void client_wait(struct client *c, int timeout_ms) {
    int running, left;
    curl_multi_perform(c->multi, &running);
    CURLMsg *m = curl_multi_info_read(c->multi, &left);
    if (m == NULL && timeout_ms > 0) {
        curl_multi_poll(c->multi, NULL, 0, timeout_ms, NULL);
        curl_multi_perform(c->multi, &running);
        m = curl_multi_info_read(c->multi, &left);
    }
    for (; m != NULL; m = curl_multi_info_read(c->multi, &left)) {
        char *call;
        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call);
        finish(c, (struct call *)(void *)call, code);
    }
}

size_t client_busy(const struct client *c) {
    return c->busy;
}

struct asked {
    bool done;
    long status;
    int retry_after_s;
    const char *error;
    struct buf body;
};

static void asked_done(void *context, const struct answer *a) {
    struct asked *asked = context;
    asked->done = true;
    asked->status = a->status;
    asked->retry_after_s = a->retry_after_s;
    asked->error = a->error;
    buf_append_slice(&asked->body, a->body);
}

bool client_ask(struct client *c, const char *method, const char *path, struct slice request, long *status,
                struct buf *body, struct err *err) {
    int64_t deadline = clock_mono_us() + ASK_MS * INT64_C(1000);
    for (;;) {
        struct asked asked = {0};
        client_send(c, method, path, request, ASK_MS, asked_done, &asked);
        while (!asked.done)
            client_wait(c, 1000);
        bool away = asked.status == 0 || asked.status == 503 || asked.status == 504;
        if (!away) {
            *status = asked.status;
            buf_append_slice(body, buf_slice(&asked.body));
        }
        buf_free(&asked.body);
        if (!away)
            return true;
        if (clock_mono_us() > deadline)
            return asked.status == 0
                       ? err_set(err, ERR_RETRY, "%s %s%s: %s", method, c->url, path, asked.error)
                       : err_set(err, ERR_RETRY, "%s %s%s: %ld", method, c->url, path, asked.status);
        client_wait(c, asked.retry_after_s > 0 ? asked.retry_after_s * 1000 : 200);
    }
}
