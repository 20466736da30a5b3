#include "partitions/relay.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/metrics.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/prctl.h>

enum {
    CONNECT_MS = 500,
    SOON_MS = 1500,    /* for an answer that needs not wait, while there is somebody else to ask */
    AGAIN_MS = 100,    /* after nobody was left to ask */
    AVOIDED_MS = 2000, /* who could not be reached is asked last */
    AVOIDED = 8,
    SLACK_MS = 500, /* for the answer on its way */
    CALLED_MS = 10 * 1000,
    CALLED_MAX = 256, /* of one who asks about several keys */
    CONTENT_MAX = 16 << 20,
};

struct call {
    struct call *next; /* in the list of the relay, or in its inbox */
    struct relay *relay;
    atomic_int owners;
    atomic_bool answered;

    int32_t partition;
    bool waits;
    const void *waiter;
    struct arena arena;
    const char *method;
    struct slice target, body, traceparent, tracestate;
    int64_t waited_ms, begun_us, deadline_us;

    /* The thread's. */
    CURL *curl; /* NULL: not asking */
    struct curl_slist *headers;
    int64_t again_us;                                  /* when to ask again; 0: asking */
    int rounds;                                        /* in which nobody answered */
    char tried[RELAY_HOLDERS_MAX][RELAY_ADDRESS_SIZE]; /* in this round */
    size_t tried_count;

    unsigned status;
    struct buf type, location, content;
};

struct avoided {
    char address[RELAY_ADDRESS_SIZE];
    int64_t until_us;
};

struct relay {
    struct relay_options o;
    CURLM *multi;
    pthread_t thread;
    pthread_mutex_t lock; /* of the inbox */
    struct call *inbox;
    struct call *calls; /* the thread's, as is what follows */
    struct avoided avoided[AVOIDED];
    atomic_bool stopping;
    counter asked, failed;
};

static void call_unref(struct call *c) {
    if (atomic_fetch_sub(&c->owners, 1) != 1)
        return;
    arena_free(&c->arena);
    buf_free(&c->type);
    buf_free(&c->location);
    buf_free(&c->content);
    free(c);
}

/* ---- one try ---- */

/* Less than what there is ends the try. */
static size_t on_body(char *data, size_t size, size_t n, void *context) {
    struct buf *content = context;
    if (content->size + size * n > CONTENT_MAX)
        return 0;
    buf_append(content, data, size * n);
    return size * n;
}

/* What can be given on as a header's value. */
static bool is_plain(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return true;
}

static size_t on_header(char *data, size_t size, size_t n, void *context) {
    static const char location[] = "Location:";
    struct call *c = context;
    size_t at = sizeof location - 1, end = size * n;
    if (end > at && strncasecmp(data, location, at) == 0) {
        while (at < end && data[at] == ' ')
            at++;
        while (end > at && (data[end - 1] == '\r' || data[end - 1] == '\n'))
            end--;
        buf_clear(&c->location);
        if (is_plain(data + at, end - at))
            buf_append(&c->location, data + at, end - at);
    }
    return size * n;
}

static void add_header(struct call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add_header(struct call *c, const char *fmt, ...) {
    char line[768]; /* a tracestate has 512 characters at the most */
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    c->headers = curl_slist_append(c->headers, line);
}

static void try_end(struct call *c) {
    if (c->curl == NULL)
        return;
    curl_multi_remove_handle(c->relay->multi, c->curl);
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    c->curl = NULL;
    c->headers = NULL;
}

static void set_request(struct call *c, const char *address) {
    _cleanup_(buf_free) struct buf url = {0};
    buf_printf(&url, "http://%s" SLICE_FMT "%c", address, SLICE_ARG(c->target), 0);
    curl_easy_setopt(c->curl, CURLOPT_URL, url.data);
    add_header(c, RELAY_PARTITION ": %d", c->partition);
    long long waited = c->waited_ms + (clock_mono_us() - c->begun_us) / 1000;
    add_header(c, RELAY_WAITED ": %lld", waited);
    add_header(c, "Expect:");
    if (c->traceparent.data != NULL)
        add_header(c, "traceparent: " SLICE_FMT, SLICE_ARG(c->traceparent));
    if (c->tracestate.data != NULL)
        add_header(c, "tracestate: " SLICE_FMT, SLICE_ARG(c->tracestate));
    if (strcmp(c->method, "POST") == 0) {
        add_header(c, "Content-Type: application/json");
        curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.size);
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, c->body.data);
    }
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
}

static void try_begin(struct call *c, const char *address, bool last) {
    int64_t left_ms = (c->deadline_us - clock_mono_us()) / 1000 + SLACK_MS;
    int64_t soon_ms = (int64_t)SOON_MS << c->rounds; /* it may just be slow */
    int64_t timeout_ms = c->waits || last || left_ms < soon_ms ? left_ms : soon_ms;
    counter_add(&c->relay->asked, 1);
    buf_clear(&c->type);
    buf_clear(&c->location);
    buf_clear(&c->content);
    c->curl = curl_easy_init();
    if (c->curl == NULL)
        abort(); /* out of memory */
    set_request(c, address);
    curl_easy_setopt(c->curl, CURLOPT_PRIVATE, c);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &c->content);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)(timeout_ms > 1 ? timeout_ms : 1));
    curl_easy_setopt(c->curl, CURLOPT_MAXAGE_CONN, 5L); /* shorter than a server keeps an idle connection */
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_NOPROXY, "*");
    curl_multi_add_handle(c->relay->multi, c->curl);
}

/* ---- one after the other ---- */

static struct avoided *avoided_find(struct relay *r, const char *address) {
    for (size_t i = 0; i < AVOIDED; i++)
        if (strcmp(r->avoided[i].address, address) == 0 && r->avoided[i].until_us > clock_mono_us())
            return &r->avoided[i];
    return NULL;
}

static void avoid(struct relay *r, const char *address) {
    struct avoided *oldest = avoided_find(r, address);
    for (size_t i = 0; oldest == NULL && i < AVOIDED; i++)
        if (oldest == NULL || r->avoided[i].until_us < oldest->until_us)
            oldest = &r->avoided[i];
    snprintf(oldest->address, sizeof oldest->address, "%s", address);
    oldest->until_us = clock_mono_us() + AVOIDED_MS * 1000;
}

static bool was_tried(const struct call *c, const char *address) {
    for (size_t i = 0; i < c->tried_count; i++)
        if (strcmp(c->tried[i], address) == 0)
            return true;
    return false;
}

static void finish(struct call *c, unsigned status) {
    try_end(c);
    c->status = status;
    atomic_store(&c->answered, true);
    c->relay->o.answered(c->relay->o.context, c);
}

/* Asks whoever is next; with nobody left, waits a little for the news of who has the partition now. */
static void ask_next(struct call *c) {
    struct relay *r = c->relay;
    char addresses[RELAY_HOLDERS_MAX][RELAY_ADDRESS_SIZE];
    size_t n = r->o.holders(r->o.context, c->partition, addresses), left = 0;
    const char *next = NULL;
    bool avoided = false;
    for (size_t i = 0; i < n && c->tried_count < RELAY_HOLDERS_MAX; i++) {
        if (was_tried(c, addresses[i]))
            continue;
        bool avoids = avoided_find(r, addresses[i]) != NULL;
        if (next == NULL || (avoided && !avoids)) {
            next = addresses[i];
            avoided = avoids;
        }
        left++;
    }
    int64_t now = clock_mono_us();
    c->again_us = 0;
    if (next != NULL) {
        memcpy(c->tried[c->tried_count++], next, RELAY_ADDRESS_SIZE);
        try_begin(c, next, left == 1);
        return;
    }
    if (now >= c->deadline_us) {
        finish(c, c->status);
        return;
    }
    c->tried_count = 0;
    c->rounds += c->rounds < 3;
    c->again_us = now + AGAIN_MS * 1000;
}

static void try_ended(struct call *c, CURLcode code) {
    long status = 0;
    char *type = NULL;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(c->curl, CURLINFO_CONTENT_TYPE, &type);
    if (code == CURLE_OK && type != NULL && is_plain(type, strlen(type)))
        buf_append(&c->type, type, strlen(type));
    if (code == CURLE_OK && status != 503) {
        finish(c, (unsigned)status);
        return;
    }
    counter_add(&c->relay->failed, 1);
    if (code == CURLE_OK)
        c->status = 503;
    else
        avoid(c->relay, c->tried[c->tried_count - 1]);
    try_end(c);
    ask_next(c);
}

/* ---- the thread ---- */

static void take_inbox(struct relay *r) {
    pthread_mutex_lock(&r->lock);
    struct call *c = r->inbox, *next;
    r->inbox = NULL;
    pthread_mutex_unlock(&r->lock);
    for (; c != NULL; c = next) {
        next = c->next;
        c->next = r->calls;
        r->calls = c;
        ask_next(c);
    }
}

static void take_answers(struct relay *r) {
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(r->multi, &left)) != NULL)
        if (m->msg == CURLMSG_DONE) {
            CURLcode code = m->data.result;
            struct call *c;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
            try_ended(c, code);
        }
}

/* Lets go of what is answered or wanted by nobody; returns the ms until something is to be asked again. */
static int look_after(struct relay *r) {
    int64_t now = clock_mono_us(), wait_us = 1000 * 1000;
    for (struct call **at = &r->calls; *at != NULL;) {
        struct call *c = *at;
        if (c->again_us != 0 && c->again_us <= now)
            ask_next(c);
        if (c->again_us != 0 && c->again_us - now < wait_us)
            wait_us = c->again_us > now ? c->again_us - now : 0;
        if (atomic_load(&c->answered) || atomic_load(&c->owners) == 1) {
            *at = c->next;
            try_end(c);
            call_unref(c);
        } else {
            at = &c->next;
        }
    }
    return (int)(wait_us / 1000) + 1;
}

static void *run(void *context) {
    struct relay *r = context;
    int running;
    prctl(PR_SET_NAME, "relay");
    while (!atomic_load(&r->stopping)) {
        take_inbox(r);
        curl_multi_perform(r->multi, &running);
        take_answers(r);
        curl_multi_poll(r->multi, NULL, 0, look_after(r), NULL);
    }
    return NULL;
}

struct relay *relay_create(const struct relay_options *options) {
    struct relay *r = xcalloc(1, sizeof *r);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    r->o = *options;
    r->multi = curl_multi_init();
    if (r->multi == NULL)
        abort(); /* out of memory */
    curl_multi_setopt(r->multi, CURLMOPT_MAXCONNECTS, 64L);
    pthread_mutex_init(&r->lock, NULL);
    if (pthread_create(&r->thread, NULL, run, r) != 0)
        abort();
    return r;
}

void relay_destroy(struct relay *r) {
    if (r == NULL)
        return;
    atomic_store(&r->stopping, true);
    curl_multi_wakeup(r->multi);
    pthread_join(r->thread, NULL);
    for (int list = 0; list < 2; list++)
        for (struct call *c = list == 0 ? r->inbox : r->calls, *next; c != NULL; c = next) {
            next = c->next;
            try_end(c);
            call_unref(c);
        }
    curl_multi_cleanup(r->multi);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

struct call *relay_call(struct relay *r, const struct relay_request *q) {
    struct call *c = xcalloc(1, sizeof *c);
    c->relay = r;
    atomic_store(&c->owners, 2);
    c->partition = q->partition;
    c->waits = q->waits;
    c->waiter = q->waiter;
    c->method = q->method;
    c->target = arena_copy(&c->arena, q->target);
    c->body = arena_copy(&c->arena, q->body.data != NULL ? q->body : SLICE(""));
    c->traceparent = q->traceparent.data != NULL ? arena_copy(&c->arena, q->traceparent) : SLICE_NONE;
    c->tracestate = q->tracestate.data != NULL ? arena_copy(&c->arena, q->tracestate) : SLICE_NONE;
    c->waited_ms = q->waited_ms;
    c->begun_us = clock_mono_us();
    c->deadline_us = c->begun_us + q->left_ms * 1000;
    pthread_mutex_lock(&r->lock);
    c->next = r->inbox;
    r->inbox = c;
    pthread_mutex_unlock(&r->lock);
    curl_multi_wakeup(r->multi);
    return c;
}

static struct slice text_of(const struct buf *b) {
    return b->size == 0 ? SLICE_NONE : buf_slice(b);
}

bool call_answer(const struct call *c, struct relay_answer *answer) {
    if (!atomic_load(&c->answered))
        return false;
    *answer =
        (struct relay_answer){c->status, text_of(&c->type), text_of(&c->location), text_of(&c->content)};
    return true;
}

void call_release(struct call *c) {
    if (c == NULL)
        return;
    struct relay *r = c->relay;
    call_unref(c);
    curl_multi_wakeup(r->multi);
}

const void *call_waiter(const struct call *c) {
    return c->waiter;
}

/* ---- about several keys ---- */

struct called {
    struct called *next;
    struct call *call;
    size_t size;
    char key[];
};

/* Frees it and gives its call. */
static struct call *unlink_called(struct calls *all, struct called **at) {
    struct called *k = *at;
    struct call *call = k->call;
    *at = k->next;
    all->count--;
    free(k);
    return call;
}

bool calls_answer(struct calls *all, struct relay *r, struct slice key, const struct relay_request *request,
                  struct relay_answer *answer) {
    call_release(all->taken);
    all->taken = NULL;
    int64_t now = clock_mono_us();
    struct called **at = &all->first;
    while (*at != NULL && !slice_equal((struct slice){(*at)->key, (*at)->size}, key)) {
        if (now - (*at)->call->begun_us > CALLED_MS * 1000)
            call_release(unlink_called(all, at));
        else
            at = &(*at)->next;
    }
    if (*at == NULL && all->count < CALLED_MAX) {
        struct called *k = *at = xcalloc(1, sizeof *k + key.size);
        memcpy(k->key, key.data, key.size);
        k->size = key.size;
        k->call = relay_call(r, request);
        all->count++;
    }
    if (*at == NULL || !call_answer((*at)->call, answer))
        return false;
    all->taken = unlink_called(all, at);
    return true;
}

void calls_release(struct calls *all) {
    while (all->first != NULL)
        call_release(unlink_called(all, &all->first));
    call_release(all->taken);
    *all = (struct calls){0};
}

void relay_metrics(struct relay *r, struct metrics *m) {
    static const struct metric requests = {
        "insideout_relayed_requests_total", METRIC_COUNTER,
        "Requests to other instances that have a partition, by their end."};
    uint64_t failed = counter_get(&r->failed);
    metrics_add(m, &requests, (double)(counter_get(&r->asked) - failed), "result", "answered", NULL);
    metrics_add(m, &requests, (double)failed, "result", "failed", NULL);
}
