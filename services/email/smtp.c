#include "smtp.h"

#include "base/buf.h"

#include <curl/curl.h>
#include <stdlib.h>

enum { CONNECT_MS = 5000, MESSAGE_MS = 60000, IDLE_MAX_S = 10 };

struct smtp {
    CURL *curl;
    const char *url, *from;
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

bool smtp_create(const char *url, const char *from, struct smtp **smtp, struct err *e) {
    if (strncmp(url, "smtp://", 7) != 0 && strncmp(url, "smtps://", 8) != 0)
        return err_set(e, ERR_CONFIG, "SMTP_URL: must begin with smtp:// or smtps://");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct smtp *s = xcalloc(1, sizeof *s);
    s->url = url;
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
    free(s);
}

static bool prepare(struct smtp *s, struct curl_slist *to) {
    CURL *c = s->curl;
    curl_easy_reset(c); /* connections stay */
    return curl_easy_setopt(c, CURLOPT_URL, s->url) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_MAIL_FROM, s->from) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_MAIL_RCPT, to) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_READDATA, s) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)s->left.size) == CURLE_OK &&
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

enum delivery_result smtp_send(struct smtp *s, struct slice to, struct slice message,
                               const atomic_bool *stopping, struct err *e) {
    struct buf address = {0};
    buf_printf(&address, "<" SLICE_FMT ">", SLICE_ARG(to));
    buf_append_byte(&address, 0);
    struct curl_slist *list = curl_slist_append(NULL, address.data);
    buf_free(&address);
    if (list == NULL)
        abort(); /* out of memory */
    s->left = message;
    s->stopping = stopping;
    s->stage = SMTP_GREETING;
    s->code = 0;
    s->quitting = false;
    s->reply[0] = 0;
    CURLcode result = prepare(s, list) ? curl_easy_perform(s->curl) : CURLE_FAILED_INIT;
    curl_slist_free_all(list);
    if (result == CURLE_OK)
        return DELIVERY_DONE;
    enum delivery_result verdict = smtp_verdict(s->stage, s->code);
    err_set(e, ERR_RETRY, "%s: %s",
            verdict == DELIVERY_AWAY ? "waiting for the mail server" : "the mail server",
            s->code >= 400 ? s->reply : curl_easy_strerror(result));
    return verdict;
}
