#include "smtp.h"

#include "base/address.h"
#include "base/buf.h"

#include <curl/curl.h>
#include <stdlib.h>

enum { CONNECT_MS = 5000, MESSAGE_MS = 60000, IDLE_MAX_S = 10 };

struct smtp {
    CURL *curl;
    struct arena arena;
    const char *url, *from, *ca; /* ca: NULL where it is the system's affair whom to trust */
    long tls;                    /* CURLUSESSL_… */
    bool verifies;               /* the server's certificate */
    bool takes_utf8;             /* as the connection's server has said */
    /* of the message under way */
    struct slice left;
    const atomic_bool *stopping;
    enum smtp_stage stage;
    int code;
    bool quitting; /* what is said from now on is of no message */
    char reply[200];
};

/* What a server refuses of one message says nothing of the others; before that it is the server that is not
 * well, or that does not want us. 552 is about the size, wherever it comes. */
enum delivery_result smtp_verdict(enum smtp_stage stage, int code) {
    if (code == 421 || code < 400 || (stage < SMTP_RCPT && code != 552))
        return DELIVERY_AWAY;
    return code < 500 ? DELIVERY_LATER : DELIVERY_REFUSED;
}

static size_t on_read(char *to, size_t size, size_t count, void *context) {
    struct smtp *s = context;
    size_t n = size * count < s->left.size ? size * count : s->left.size;
    memcpy(to, s->left.data, n);
    s->left.data += n;
    s->left.size -= n;
    return n;
}

static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(((struct smtp *)context)->stopping);
}

/* The conversation, for what libcurl does not tell: which command an answer is to, and the answer's words. */
static int on_line(CURL *curl, curl_infotype type, char *data, size_t size, void *context) {
    struct smtp *s = context;
    struct slice line = {data, size};
    (void)curl;
    if (type == CURLINFO_HEADER_OUT && slice_starts_with(line, SLICE("QUIT")))
        s->quitting = true;
    if (s->quitting)
        return 0;
    if (type == CURLINFO_HEADER_OUT && slice_starts_with(line, SLICE("EHLO")))
        s->takes_utf8 = false;
    if (type == CURLINFO_HEADER_IN && size >= 12 && strncmp(data, "250", 3) == 0 &&
        strncasecmp(data + 4, "SMTPUTF8", 8) == 0)
        s->takes_utf8 = true;
    if (type == CURLINFO_HEADER_OUT) {
        s->stage = slice_starts_with(line, SLICE("MAIL"))   ? SMTP_MAIL
                   : slice_starts_with(line, SLICE("RCPT")) ? SMTP_RCPT
                   : slice_starts_with(line, SLICE("DATA")) ? SMTP_DATA
                                                            : SMTP_GREETING;
        s->code = 0;
    } else if (type == CURLINFO_DATA_OUT) {
        s->code = 0;
    } else if (type == CURLINFO_HEADER_IN && size >= 3) {
        while (size > 0 && (data[size - 1] == '\n' || data[size - 1] == '\r'))
            size--;
        snprintf(s->reply, sizeof s->reply, "%.*s", (int)size, data);
        s->code = atoi(s->reply);
    }
    return 0;
}

/* What stands behind the URL's question mark. */
static bool read_option(struct smtp *s, struct slice option) {
    if (slice_equal(option, SLICE("starttls=required")))
        s->tls = CURLUSESSL_ALL;
    else if (slice_equal(option, SLICE("starttls=never")))
        s->tls = CURLUSESSL_NONE;
    else if (slice_starts_with(option, SLICE("ca=/")))
        s->ca = arena_printf(&s->arena, "%.*s%c", (int)option.size - 3, option.data + 3, 0).data;
    else
        return false;
    return true;
}

static bool read_options(struct smtp *s, struct slice options) {
    while (options.size > 0) {
        const char *end = memchr(options.data, '&', options.size);
        size_t n = end == NULL ? options.size : (size_t)(end - options.data);
        if (!read_option(s, (struct slice){options.data, n}))
            return false;
        n += end != NULL;
        options = (struct slice){options.data + n, options.size - n};
    }
    return true;
}

static bool read_url(struct smtp *s, const char *url) {
    size_t n = strcspn(url, "?");
    bool tls_at_once = strncmp(url, "smtps://", 8) == 0;
    const char *host = url + (tls_at_once ? 8 : 7);
    bool has_password = memchr(host, '@', strcspn(host, "/?")) != NULL;
    s->url = arena_printf(&s->arena, "%.*s%c", (int)n, url, 0).data;
    s->tls = has_password ? CURLUSESSL_ALL : CURLUSESSL_TRY;
    if (url[n] != 0 && !read_options(s, slice_of(url + n + 1)))
        return false;
    s->verifies = tls_at_once || s->tls == CURLUSESSL_ALL;
    return true;
}

/* No error repeats what may be a password. */
bool smtp_create(const char *url, const char *from, struct smtp **smtp, struct err *e) {
    if (strncmp(url, "smtp://", 7) != 0 && strncmp(url, "smtps://", 8) != 0)
        return err_set(e, ERR_CONFIG, "SMTP_URL: must begin with smtp:// or smtps://");
    struct smtp *s = xcalloc(1, sizeof *s);
    if (!read_url(s, url)) {
        smtp_destroy(s);
        return err_set(e, ERR_CONFIG,
                       "SMTP_URL: after ? there can be starttls=required or starttls=never, and ca=/FILE, "
                       "with & between them");
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    s->from = from;
    s->curl = curl_easy_init();
    if (s->curl == NULL)
        abort(); /* out of memory */
    *smtp = s;
    return true;
}

void smtp_destroy(struct smtp *s) {
    if (s == NULL)
        return;
    curl_easy_cleanup(s->curl);
    arena_free(&s->arena);
    free(s);
}

/* What all that is asked of the server has in common. */
static bool prepare(struct smtp *s) {
    CURL *c = s->curl;
    curl_easy_reset(c); /* connections stay */
    return curl_easy_setopt(c, CURLOPT_URL, s->url) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_USE_SSL, s->tls) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, s->verifies ? 1L : 0L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, s->verifies ? 2L : 0L) == CURLE_OK &&
           (s->ca == NULL || curl_easy_setopt(c, CURLOPT_CAINFO, s->ca) == CURLE_OK) &&
           curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)MESSAGE_MS) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_MAXAGE_CONN, (long)IDLE_MAX_S) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_XFERINFODATA, s) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_VERBOSE, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_DEBUGFUNCTION, on_line) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_DEBUGDATA, s) == CURLE_OK;
}

static bool prepare_message(struct smtp *s, struct curl_slist *to) {
    CURL *c = s->curl;
    return prepare(s) && curl_easy_setopt(c, CURLOPT_MAIL_FROM, s->from) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_MAIL_RCPT, to) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_READDATA, s) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)s->left.size) == CURLE_OK;
}

/* A command that does nothing, so that the server says what it can do. */
static bool prepare_greeting(struct smtp *s) {
    return prepare(s) && curl_easy_setopt(s->curl, CURLOPT_CUSTOMREQUEST, "NOOP") == CURLE_OK &&
           curl_easy_setopt(s->curl, CURLOPT_NOBODY, 1L) == CURLE_OK;
}

static CURLcode perform(struct smtp *s, bool prepared) {
    s->stage = SMTP_GREETING;
    s->code = 0;
    s->quitting = false;
    s->reply[0] = 0;
    return prepared ? curl_easy_perform(s->curl) : CURLE_FAILED_INIT;
}

static enum delivery_result verdict_of(const struct smtp *s, CURLcode result, struct err *e) {
    enum delivery_result verdict = smtp_verdict(s->stage, s->code);
    err_set(e, ERR_RETRY, "%s: %s",
            verdict == DELIVERY_AWAY ? "waiting for the mail server" : "the mail server",
            s->code >= 400                   ? s->reply
            : result == CURLE_USE_SSL_FAILED ? "it offers no TLS, without which nothing is to be sent"
                                             : curl_easy_strerror(result));
    return verdict;
}

enum delivery_result smtp_send(struct smtp *s, struct slice to, struct slice message,
                               const atomic_bool *stopping, struct err *e) {
    s->stopping = stopping;
    if (address_is_international(to) || address_is_international(slice_of(s->from))) {
        CURLcode result = perform(s, prepare_greeting(s));
        if (result != CURLE_OK)
            return verdict_of(s, result, e);
        if (!s->takes_utf8) {
            err_set(e, ERR_INPUT, "the mail server takes no address beyond ASCII: it has no SMTPUTF8");
            return DELIVERY_IMPOSSIBLE;
        }
    }
    struct buf address = {0};
    buf_printf(&address, "<" SLICE_FMT ">", SLICE_ARG(to));
    buf_append_byte(&address, 0);
    struct curl_slist *list = curl_slist_append(NULL, address.data);
    buf_free(&address);
    if (list == NULL)
        abort(); /* out of memory */
    s->left = message;
    CURLcode result = perform(s, prepare_message(s, list));
    curl_slist_free_all(list);
    return result == CURLE_OK ? DELIVERY_DONE : verdict_of(s, result, e);
}
