#include "events/registry.h"

#include "base/cleanup.h"
#include "base/json.h"

#include <curl/curl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

enum { ANSWER_MAX = 4 << 20, REFERENCES_MAX = 200, REFERENCES_DEPTH = 20 };

struct http {
    struct registry base;
    char *url;
    struct buf shown; /* the same, without secrets */
    char why[CURL_ERROR_SIZE];
    CURL *curl;
    struct curl_slist *headers;
};

struct answer {
    long status;
    json_t *body; /* an object, or NULL */
};

static void answer_finish(struct answer *a) {
    json_decref(a->body);
}

static size_t collect(char *data, size_t size, size_t count, void *to) {
    struct buf *body = to;
    if (body->size + size * count > ANSWER_MAX)
        return 0;
    buf_append(body, data, size * count);
    return size * count;
}

/* What the registry says is wrong, cut to one short line. */
static const char *words(const struct answer *a) {
    const char *message = json_string_value(json_object_get(a->body, "message"));
    return message == NULL ? "no reason given" : message;
}

static int error_code(const struct answer *a) {
    return (int)json_integer_value(json_object_get(a->body, "error_code"));
}

/* False only when no answer came at all. */
static bool ask(struct http *h, const char *method, const char *path, const struct buf *request,
                struct answer *answer, struct err *err) {
    _cleanup_(buf_free) struct buf url = {0}, body = {0};
    buf_printf(&url, "%s%s%c", h->url, path, 0);
    curl_easy_setopt(h->curl, CURLOPT_URL, url.data);
    curl_easy_setopt(h->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, &body);
    if (request != NULL) {
        curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->size);
        curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, request->data);
    } else {
        curl_easy_setopt(h->curl, CURLOPT_HTTPGET, 1L);
    }
    h->why[0] = 0;
    CURLcode code = curl_easy_perform(h->curl);
    if (code != CURLE_OK)
        return err_set(err, ERR_RETRY, "registry: " SLICE_FMT "%s: %s", SLICE_ARG(buf_slice(&h->shown)), path,
                       h->why[0] != 0 ? h->why : curl_easy_strerror(code));
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &answer->status);
    json_t *root = json_loadb(body.data == NULL ? "" : body.data, body.size, JSON_DECODE_ANY, NULL);
    answer->body = json_is_object(root) ? root : NULL;
    if (answer->body == NULL)
        json_decref(root);
    return true;
}

/* It does not know us, or lets us do less than we need: a matter between people. */
static bool forbidden(const struct answer *a) {
    return a->status == 401 || a->status == 403;
}

/* An answer that is neither yes nor a plain no. A 4xx is about what we sent, unless it asks for patience or
 * does not come from a registry at all; the rest will pass. */
static bool refused(const struct answer *a, const char *path, struct err *err) {
    bool ours = a->status >= 400 && a->status < 500 && a->status != 408 && a->status != 429 &&
                !forbidden(a) && error_code(a) != 0;
    /* Apicurio, when two services register a subject's first version at once: the second finds it there. */
    if (a->status == 409 && strstr(words(a), "already exists") != NULL)
        ours = false;
    return err_set(err, ours ? ERR_CONFIG : ERR_RETRY, "registry: %s: %ld: %.300s", path, a->status,
                   a->body == NULL && forbidden(a) ? "it refuses our user and password" : words(a));
}

static void subject_path(struct http *h, struct buf *path, const char *before, const char *subject,
                         const char *after) {
    char *escaped = curl_easy_escape(h->curl, subject, 0);
    buf_printf(path, "%s%s%s%c", before, escaped == NULL ? "" : escaped, after, 0);
    curl_free(escaped);
}

static bool http_add(struct registry *r, const char *subject, const char *schema, int32_t *id,
                     struct err *err) {
    struct http *h = (struct http *)r;
    _cleanup_(buf_free) struct buf path = {0}, request = {0};
    _cleanup_(answer_finish) struct answer a = {0};
    struct json j = {.out = &request};
    json_begin_object(&j);
    json_key(&j, "schema");
    json_put_string(&j, slice_of(schema));
    json_end_object(&j);
    subject_path(h, &path, "/subjects/", subject, "/versions");
    if (!ask(h, "POST", path.data, &request, &a, err))
        return false;
    const json_t *given = json_object_get(a.body, "id");
    if (a.status != 200 || !json_is_integer(given))
        return refused(&a, path.data, err);
    *id = (int32_t)json_integer_value(given);
    return true;
}

/* What a schema refers to, and what that refers to. */
struct references {
    struct http *http;
    json_t *seen; /* "subject/version" of each */
    struct buf *texts;
    int depth;
    struct err *err;
};

static bool no_schema(const struct answer *a, const char *path, struct err *err) {
    refused(a, path, err);
    if (err != NULL)
        err->kind = ERR_RETRY; /* no answer is a reason to call a record bad */
    return false;
}

static bool append_references(struct references *r, const json_t *of);

/* The text of one, behind those of what it refers to. */
static bool append_reference(struct references *r, const json_t *reference) {
    const char *subject = json_string_value(json_object_get(reference, "subject"));
    json_int_t version = json_integer_value(json_object_get(reference, "version"));
    _cleanup_(buf_free) struct buf path = {0}, last = {0};
    _cleanup_(answer_finish) struct answer a = {0};
    buf_printf(&last, "/versions/%lld", (long long)version);
    buf_append_byte(&last, 0);
    subject_path(r->http, &path, "/subjects/", subject == NULL ? "" : subject, last.data);
    if (json_object_get(r->seen, path.data) != NULL)
        return true;
    json_object_set_new(r->seen, path.data, json_true());
    if (r->depth == REFERENCES_DEPTH || json_object_size(r->seen) > REFERENCES_MAX)
        return err_set(r->err, ERR_RETRY, "registry: %s: too many references", path.data);
    if (!ask(r->http, "GET", path.data, NULL, &a, r->err))
        return false;
    const json_t *text = json_object_get(a.body, "schema");
    if (a.status != 200 || !json_is_string(text))
        return no_schema(&a, path.data, r->err);
    r->depth++;
    if (!append_references(r, json_object_get(a.body, "references")))
        return false;
    r->depth--;
    buf_append(r->texts, json_string_value(text), json_string_length(text));
    buf_append_byte(r->texts, '\n');
    return true;
}

static bool append_references(struct references *r, const json_t *of) {
    size_t i;
    const json_t *reference;
    json_array_foreach(of, i, reference) if (!append_reference(r, reference)) return false;
    return true;
}

static bool http_schema_by_id(struct registry *r, int32_t id, bool *found, struct buf *schema,
                              struct err *err) {
    _cleanup_(buf_free) struct buf path = {0}, texts = {0};
    _cleanup_(answer_finish) struct answer a = {0};
    buf_printf(&path, "/schemas/ids/%d%c", id, 0);
    if (!ask((struct http *)r, "GET", path.data, NULL, &a, err))
        return false;
    const json_t *text = json_object_get(a.body, "schema");
    /* Any other 404 is not the registry's word on this id: a proxy, a wrong address. */
    *found = !(a.status == 404 && error_code(&a) == 40403);
    if (!*found)
        return true;
    if (a.status != 200 || !json_is_string(text))
        return no_schema(&a, path.data, err);
    struct references references = {(struct http *)r, json_object(), &texts, 0, err};
    bool ok = append_references(&references, json_object_get(a.body, "references"));
    json_decref(references.seen);
    if (!ok)
        return false;
    buf_append_slice(schema, buf_slice(&texts));
    buf_append(schema, json_string_value(text), json_string_length(text));
    return true;
}

static bool http_set_compatibility(struct registry *r, const char *subject, const char *level, bool *found,
                                   struct err *err) {
    struct http *h = (struct http *)r;
    _cleanup_(buf_free) struct buf path = {0}, request = {0};
    _cleanup_(answer_finish) struct answer a = {0};
    buf_printf(&request, "{\"compatibility\":\"%s\"}", level);
    subject_path(h, &path, "/config/", subject, "");
    if (!ask(h, "PUT", path.data, &request, &a, err))
        return false;
    if (a.status != 200 && !(a.status == 404 && error_code(&a) != 0))
        return refused(&a, path.data, err);
    *found = a.status == 200;
    return true;
}

static void http_destroy(struct registry *r) {
    struct http *h = (struct http *)r;
    curl_easy_cleanup(h->curl);
    curl_slist_free_all(h->headers);
    buf_free(&h->shown);
    free(h->url);
    free(h);
}

static void init_curl(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void registry_url_show(const char *url, struct buf *out) {
    const char *scheme = strstr(url, "://"), *host = scheme == NULL ? url : scheme + 3;
    const char *at = host + strcspn(host, "/?#");
    while (at > host && *at != '@')
        at--;
    buf_append(out, url, (size_t)(host - url));
    buf_printf(out, "%s", *at == '@' ? at + 1 : host);
}

struct registry *registry_http_create(const struct registry_options *o) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
    struct http *h = xcalloc(1, sizeof *h);
    h->base = (struct registry){http_add, http_schema_by_id, http_set_compatibility, http_destroy};
    h->url = xstrdup(o->url);
    for (size_t n = strlen(h->url); n > 0 && h->url[n - 1] == '/'; n--)
        h->url[n - 1] = 0;
    registry_url_show(h->url, &h->shown);
    h->headers = curl_slist_append(NULL, "Content-Type: application/vnd.schemaregistry.v1+json");
    h->curl = curl_easy_init();
    if (h->curl == NULL || h->headers == NULL)
        abort(); /* out of memory */
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, h->headers);
    curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
    curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, h->why);
    curl_easy_setopt(h->curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    if (o->auth != NULL)
        curl_easy_setopt(h->curl, CURLOPT_USERPWD, o->auth);
    if (o->ca_file != NULL)
        curl_easy_setopt(h->curl, CURLOPT_CAINFO, o->ca_file);
    curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h->curl, CURLOPT_NOPROXY, "*");
    return &h->base;
}
