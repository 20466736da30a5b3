#include "kafka/wire.h"

#include "base/cleanup.h"
#include "kafka/scram.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SASL_HANDSHAKE = 17, SASL_AUTHENTICATE = 36, SASL_ANSWER_MAX = 64 << 10 };

/* What is understood; in the order of `names`. */
enum property {
    PROTOCOL,
    FAMILY,
    CA_FILE,
    CA_PEM,
    CERTIFICATE_FILE,
    CERTIFICATE_PEM,
    KEY_FILE,
    KEY_PEM,
    KEY_PASSWORD,
    VERIFICATION,
    IDENTIFICATION,
    MECHANISM,
    MECHANISMS,
    USER,
    PASSWORD,
    PROPERTIES
};

static const char *const names[PROPERTIES] = {"security.protocol",
                                              "broker.address.family",
                                              "ssl.ca.location",
                                              "ssl.ca.pem",
                                              "ssl.certificate.location",
                                              "ssl.certificate.pem",
                                              "ssl.key.location",
                                              "ssl.key.pem",
                                              "ssl.key.password",
                                              "enable.ssl.certificate.verification",
                                              "ssl.endpoint.identification.algorithm",
                                              "sasl.mechanism",
                                              "sasl.mechanisms",
                                              "sasl.username",
                                              "sasl.password"};

struct kafka_wire {
    char *host, *values[PROPERTIES], *beyond; /* a property that it cannot do; NULL: none */
    uint16_t port;
    int fd; /* -1: not connected */
    SSL_CTX *context;
    SSL *ssl; /* NULL: in the clear */
};

/* ---- what it is to do ---- */

static void take_property(struct kafka_wire *w, const struct kafka_property *p) {
    for (int i = 0; i < PROPERTIES; i++)
        if (strcmp(p->name, names[i]) == 0) {
            free(w->values[i]);
            w->values[i] = xstrdup(p->value);
            return;
        }
    if ((strncmp(p->name, "ssl.", 4) == 0 || strncmp(p->name, "sasl.", 5) == 0) && w->beyond == NULL)
        w->beyond = xstrdup(p->name);
}

struct kafka_wire *kafka_wire_create(const char *host, uint16_t port,
                                     const struct kafka_property *properties) {
    struct kafka_wire *w = xcalloc(1, sizeof *w);
    *w = (struct kafka_wire){.host = xstrdup(host), .port = port, .fd = -1};
    for (const struct kafka_property *p = properties; p != NULL && p->name != NULL; p++)
        take_property(w, p);
    return w;
}

static void hang_up(struct kafka_wire *w) {
    SSL_free(w->ssl);
    w->ssl = NULL;
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

void kafka_wire_destroy(struct kafka_wire *w) {
    if (w == NULL)
        return;
    hang_up(w);
    SSL_CTX_free(w->context);
    for (int i = 0; i < PROPERTIES; i++)
        free(w->values[i]);
    free(w->beyond);
    free(w->host);
    free(w);
}

static bool is(const char *value, const char *name) {
    return value != NULL && strcasecmp(value, name) == 0;
}

static bool is_one_of(const char *value, const char *a, const char *b) {
    return is(value, a) || is(value, b);
}

static bool failed(const struct kafka_wire *w, struct err *e, const char *what) {
    return err_set(e, ERR_RETRY, "Kafka is away: %s:%u: %s", w->host, w->port, what);
}

/* ---- TLS ---- */

/* OpenSSL's word, or that of its look at the certificate. */
static bool tls_failed(const struct kafka_wire *w, const char *what, struct err *e) {
    char text[200] = "it hung up";
    long verified = w->ssl == NULL ? X509_V_OK : SSL_get_verify_result(w->ssl);
    unsigned long code = ERR_get_error();
    if (verified != X509_V_OK)
        snprintf(text, sizeof text, "its certificate: %s", X509_verify_cert_error_string(verified));
    else if (code != 0)
        ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return err_set(e, ERR_RETRY, "Kafka is away: %s:%u: %s: %s", w->host, w->port, what, text);
}

static BIO *memory(const char *pem) {
    return BIO_new_mem_buf(pem, -1);
}

static bool add_authorities(SSL_CTX *context, const char *pem) {
    BIO *from = memory(pem);
    bool any = false;
    for (X509 *c; (c = PEM_read_bio_X509(from, NULL, NULL, NULL)) != NULL; X509_free(c))
        any = X509_STORE_add_cert(SSL_CTX_get_cert_store(context), c) == 1 || any;
    ERR_clear_error(); /* the end of the text is one */
    BIO_free(from);
    return any;
}

static bool use_certificate(SSL_CTX *context, const char *pem) {
    BIO *from = memory(pem);
    X509 *c = PEM_read_bio_X509(from, NULL, NULL, NULL);
    bool ok = c != NULL && SSL_CTX_use_certificate(context, c) == 1;
    X509_free(c);
    while (ok && (c = PEM_read_bio_X509(from, NULL, NULL, NULL)) != NULL)
        ok = SSL_CTX_add0_chain_cert(context, c) == 1;
    if (ok)
        ERR_clear_error();
    BIO_free(from);
    return ok;
}

static bool use_key(SSL_CTX *context, const char *pem, char *password) {
    BIO *from = memory(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(from, NULL, NULL, password);
    bool ok = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1;
    EVP_PKEY_free(key);
    BIO_free(from);
    return ok;
}

static int give_password(char *to, int size, int writing, void *password) {
    (void)writing;
    int n = password == NULL ? 0 : snprintf(to, (size_t)size, "%s", (const char *)password);
    return n < size ? n : 0;
}

static bool has_authorities(const struct kafka_wire *w, SSL_CTX *c) {
    const char *file = w->values[CA_FILE], *pem = w->values[CA_PEM];
    if (file == NULL && pem == NULL)
        return SSL_CTX_set_default_verify_paths(c) == 1;
    return (pem == NULL || add_authorities(c, pem)) &&
           (file == NULL || SSL_CTX_load_verify_locations(c, file, NULL) == 1 ||
            SSL_CTX_load_verify_locations(c, NULL, file) == 1);
}

static bool has_identity(const struct kafka_wire *w, SSL_CTX *c) {
    const char *file = w->values[CERTIFICATE_FILE], *key = w->values[KEY_FILE];
    SSL_CTX_set_default_passwd_cb(c, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(c, w->values[KEY_PASSWORD]);
    return (file == NULL || SSL_CTX_use_certificate_chain_file(c, file) == 1) &&
           (w->values[CERTIFICATE_PEM] == NULL || use_certificate(c, w->values[CERTIFICATE_PEM])) &&
           (key == NULL || SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) == 1) &&
           (w->values[KEY_PEM] == NULL || use_key(c, w->values[KEY_PEM], w->values[KEY_PASSWORD]));
}

/* Anew for each connection: files may have been renewed. */
static bool make_context(struct kafka_wire *w, struct err *e) {
    SSL_CTX_free(w->context);
    w->context = SSL_CTX_new(TLS_client_method());
    if (w->context == NULL)
        abort(); /* out of memory */
    SSL_CTX_set_mode(w->context, SSL_MODE_AUTO_RETRY);
    if (!has_authorities(w, w->context))
        return tls_failed(w, "ssl.ca", e);
    return has_identity(w, w->context) || tls_failed(w, "ssl.certificate or ssl.key", e);
}

static void expect_name(struct kafka_wire *w) {
    unsigned char address[sizeof(struct in6_addr)];
    bool number = inet_pton(AF_INET, w->host, address) == 1 || inet_pton(AF_INET6, w->host, address) == 1;
    if (!number)
        SSL_set_tlsext_host_name(w->ssl, w->host);
    if (is_one_of(w->values[IDENTIFICATION], "none", ""))
        return;
    if (number)
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(w->ssl), w->host);
    else
        SSL_set1_host(w->ssl, w->host);
}

static bool tls_begin(struct kafka_wire *w, struct err *e) {
    if (!make_context(w, e))
        return false;
    w->ssl = SSL_new(w->context);
    if (w->ssl == NULL || SSL_set_fd(w->ssl, w->fd) != 1)
        abort(); /* out of memory */
    if (!is_one_of(w->values[VERIFICATION], "false", "0")) {
        SSL_set_verify(w->ssl, SSL_VERIFY_PEER, NULL);
        expect_name(w);
    }
    return SSL_connect(w->ssl) == 1 || tls_failed(w, "TLS", e);
}

/* ---- bytes ---- */

/* OpenSSL writes as to a file, and so to a connection that is gone with a signal. */
static int tls_write(SSL *ssl, struct slice s) {
    static const struct timespec now = {0};
    sigset_t pipe, pending, before;
    sigpending(&pending);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    int n = SSL_write(ssl, s.data, s.size > 1 << 30 ? 1 << 30 : (int)s.size);
    if (n <= 0 && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&pipe, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n;
}

static bool send_all(struct kafka_wire *w, struct slice s) {
    while (s.size > 0) {
        ssize_t n = w->ssl != NULL ? tls_write(w->ssl, s) : send(w->fd, s.data, s.size, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        s = (struct slice){s.data + n, s.size - (size_t)n};
    }
    return true;
}

static bool receive(struct kafka_wire *w, char *to, size_t size) {
    while (size > 0) {
        ssize_t n = w->ssl != NULL ? SSL_read(w->ssl, to, size > 1 << 30 ? 1 << 30 : (int)size)
                                   : recv(w->fd, to, size, 0);
        if (n <= 0)
            return false;
        to += n;
        size -= (size_t)n;
    }
    return true;
}

static bool exchange(struct kafka_wire *w, struct slice request, struct buf *answer, size_t max) {
    _cleanup_(buf_free) struct buf framed = {0};
    char head[4];
    buf_append_be(&framed, request.size, 4);
    buf_append_slice(&framed, request);
    buf_clear(answer);
    if (!send_all(w, buf_slice(&framed)) || !receive(w, head, sizeof head))
        return false;
    size_t size = be_get(head, sizeof head);
    if (size == 0 || size > max || !receive(w, buf_reserve(answer, size), size))
        return false;
    answer->size = size;
    return true;
}

/* ---- SASL ---- */

static const char *mechanism_of(const struct kafka_wire *w) {
    return w->values[MECHANISM] != NULL ? w->values[MECHANISM] : w->values[MECHANISMS];
}

static void put_head(struct buf *b, int api, int version) {
    buf_append_be(b, (uint64_t)api, 2);
    buf_append_be(b, (uint64_t)version, 2);
    buf_append_be(b, 1, 4);          /* correlation */
    buf_append_be(b, UINT64_MAX, 2); /* no name of a client */
}

/* The error of an answer is what follows its correlation. */
static bool ask_sasl(struct kafka_wire *w, const struct buf *request, struct buf *answer, struct err *e) {
    if (!exchange(w, buf_slice(request), answer, SASL_ANSWER_MAX) || answer->size < 6)
        return failed(w, e, "it hangs up when we say who we are");
    int error = (int)be_get(answer->data + 4, 2);
    if (error == 0)
        return true;
    char text[64];
    snprintf(text, sizeof text, "SASL authentication error %d%s", error,
             error == 33   ? ": it does not know sasl.mechanism"
             : error == 58 ? ": invalid credentials"
                           : "");
    return failed(w, e, text);
}

static bool handshake(struct kafka_wire *w, struct err *e) {
    _cleanup_(buf_free) struct buf request = {0}, answer = {0};
    const char *mechanism = mechanism_of(w);
    put_head(&request, SASL_HANDSHAKE, 1);
    buf_append_be(&request, strlen(mechanism), 2);
    buf_append(&request, mechanism, strlen(mechanism));
    return ask_sasl(w, &request, &answer, e);
}

/* Says `words`, and appends what comes back, which is behind the error and its message. */
static bool say(void *wire, struct slice words, struct buf *reply, struct err *e) {
    struct kafka_wire *w = wire;
    _cleanup_(buf_free) struct buf request = {0}, answer = {0};
    put_head(&request, SASL_AUTHENTICATE, 0);
    buf_append_be(&request, words.size, 4);
    buf_append_slice(&request, words);
    if (!ask_sasl(w, &request, &answer, e))
        return false;
    size_t at = answer.size < 8 ? SIZE_MAX / 2 : be_get(answer.data + 6, 2);
    at = at == 0xffff ? 8 : at + 8; /* behind the message, if any */
    if (at + 4 > answer.size || be_get(answer.data + at, 4) > answer.size - at - 4)
        return failed(w, e, "its answer to who we are is nonsense");
    buf_append(reply, answer.data + at + 4, be_get(answer.data + at, 4));
    return true;
}

static bool say_plain(struct kafka_wire *w, const char *user, const char *password, struct err *e) {
    _cleanup_(buf_free) struct buf words = {0}, reply = {0};
    buf_append_byte(&words, 0);
    buf_append(&words, user, strlen(user) + 1);
    buf_append(&words, password, strlen(password));
    return say(w, buf_slice(&words), &reply, e);
}

static bool authenticate(struct kafka_wire *w, struct err *e) {
    const char *mechanism = mechanism_of(w), *user = w->values[USER], *password = w->values[PASSWORD];
    bool plain = is(mechanism, "PLAIN");
    if (!plain && !is_one_of(mechanism, "SCRAM-SHA-256", "SCRAM-SHA-512"))
        return failed(w, e,
                      "this connection takes sasl.mechanism PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 only");
    if (user == NULL || password == NULL)
        return failed(w, e, "sasl.username and sasl.password are wanted");
    if (!handshake(w, e))
        return false;
    return plain ? say_plain(w, user, password, e)
                 : kafka_scram(strcasecmp(mechanism, "SCRAM-SHA-512") == 0, user, password, say, w, e);
}

/* ---- the connection ---- */

static bool set_timeouts(int fd, int ms) {
    struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    int on = 1;
    return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
}

static bool dial(struct kafka_wire *w, int timeout_ms, struct err *e) {
    const char *family = w->values[FAMILY];
    struct addrinfo *list = NULL, hints = {.ai_socktype = SOCK_STREAM,
                                           .ai_family = is(family, "any")  ? AF_UNSPEC
                                                        : is(family, "v6") ? AF_INET6
                                                                           : AF_INET};
    char service[8];
    snprintf(service, sizeof service, "%u", w->port);
    if (getaddrinfo(w->host, service, &hints, &list) != 0)
        return failed(w, e, "it has no address");
    for (struct addrinfo *a = list; a != NULL && w->fd < 0; a = a->ai_next) {
        w->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (w->fd >= 0 &&
            (!set_timeouts(w->fd, timeout_ms) || connect(w->fd, a->ai_addr, a->ai_addrlen) != 0)) {
            int error = errno;
            hang_up(w);
            errno = error;
        }
    }
    freeaddrinfo(list);
    return w->fd >= 0 || failed(w, e, strerror(errno));
}

static bool call(struct kafka_wire *w, int timeout_ms, struct err *e) {
    const char *protocol = w->values[PROTOCOL];
    if (w->beyond != NULL)
        return err_set(e, ERR_RETRY, "Kafka is away: this connection knows no %s", w->beyond);
    return dial(w, timeout_ms, e) && (!is_one_of(protocol, "ssl", "sasl_ssl") || tls_begin(w, e)) &&
           (!is_one_of(protocol, "sasl_plaintext", "sasl_ssl") || authenticate(w, e));
}

bool kafka_wire_ask(struct kafka_wire *w, struct slice request, struct buf *answer, size_t max,
                    int timeout_ms, struct err *e) {
    if (w->fd < 0 && !call(w, timeout_ms, e)) {
        hang_up(w);
        return false;
    }
    if (exchange(w, request, answer, max))
        return true;
    ERR_clear_error();
    hang_up(w);
    return failed(w, e, "it does not answer");
}
