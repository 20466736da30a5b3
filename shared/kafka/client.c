#include "kafka/client.h"

#include "base/buf.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

static const struct kafka_property common_settings[] = {
    {"broker.address.family", "v4"}, /* "localhost" as ::1 first costs a failed connection at each start */
    {"reconnect.backoff.ms", "20"},  /* a broker that restarts is found again at once */
    {"reconnect.backoff.max.ms", "500"},
    {"socket.nagle.disable", "true"},
    {"allow.auto.create.topics", "false"},
    {"log_level", "3"},
    {NULL, NULL},
};

const struct kafka_property producer_settings[] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"linger.ms", "1"},        /* a flush does not wait for it; more halves the throughput of transactions */
    {"retry.backoff.ms", "1"}, /* CONCURRENT_TRANSACTIONS right after a commit is ordinary */
    {"retry.backoff.max.ms", "10"},
    {"queue.buffering.max.messages", "100000"},
    {"queue.buffering.max.kbytes", "8192"},
    {"message.max.bytes", "2097152"}, /* a dead letter is larger than its record */
    {NULL, NULL},
};

/* ---- the link ---- */

void kafka_link_init(struct kafka_link *l, const char *brokers, const struct kafka_property *properties,
                     void *owner) {
    *l = (struct kafka_link){.brokers = xstrdup(brokers), .properties = properties, .owner = owner};
    pthread_mutex_init(&l->lock, NULL);
}

void kafka_link_finish(struct kafka_link *l) {
    pthread_mutex_destroy(&l->lock);
    free(l->brokers);
}

/* How often it was tried is no news. */
static void note_reason(struct kafka_link *l, const char *text) {
    const char *end = strstr(text, " (after ");
    int n = end == NULL ? (int)strlen(text) : (int)(end - text);
    pthread_mutex_lock(&l->lock);
    snprintf(l->reason, sizeof l->reason, "%.*s", n, text);
    pthread_mutex_unlock(&l->lock);
}

void kafka_answered(struct kafka_link *l) {
    atomic_store(&l->down, false);
    note_reason(l, "");
}

bool kafka_away(struct kafka_link *l, rd_kafka_t *rk, const char *what, struct err *e) {
    if (rk != NULL)
        rd_kafka_poll(rk, 0); /* on_error() */
    pthread_mutex_lock(&l->lock);
    err_set(e, ERR_RETRY, "waiting for Kafka at %s: %s", l->brokers, l->reason[0] != 0 ? l->reason : what);
    pthread_mutex_unlock(&l->lock);
    return false;
}

bool kafka_forbids(rd_kafka_resp_err_t error) {
    return error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           error == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
           error == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
           error == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
}

/* ---- making clients ---- */

/* on_certificate() says more. */
static bool is_about_certificate(const char *text) {
    return strstr(text, "certificate verify failed") != NULL;
}

static void on_error(rd_kafka_t *rk, int error, const char *text, void *opaque) {
    struct kafka_link *l = opaque;
    (void)rk;
    if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        atomic_store(&l->down, true);
    else if (!is_about_certificate(text))
        note_reason(l, error == RD_KAFKA_RESP_ERR__AUTHENTICATION || error == RD_KAFKA_RESP_ERR__SSL ? text
                                                                                                     : "");
}

/* A broker's; on librdkafka's threads. What OpenSSL thinks of it holds. */
static int on_certificate(rd_kafka_t *rk, const char *broker, int32_t id, int *error, int depth,
                          const char *certificate, size_t size, char *text, size_t text_size, void *opaque) {
    (void)rk, (void)id, (void)depth, (void)certificate, (void)size;
    if (*error == X509_V_OK)
        return 1;
    snprintf(text, text_size, "the certificate of %s: %s", broker, X509_verify_cert_error_string(*error));
    note_reason(opaque, text);
    return 0;
}

/* What librdkafka would log also comes as an error of some call, or mends itself. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static bool set_all(rd_kafka_conf_t *conf, const struct kafka_property *settings, struct err *e) {
    char text[256];
    for (; settings != NULL && settings->name != NULL; settings++)
        if (rd_kafka_conf_set(conf, settings->name, settings->value, text, sizeof text) != RD_KAFKA_CONF_OK)
            return err_set(e, ERR_CONFIG, "%s", text);
    return true;
}

bool kafka_client(rd_kafka_type_t type, struct kafka_link *link, const struct kafka_property *const *settings,
                  rd_kafka_conf_t *conf, struct kafka_traffic *traffic, rd_kafka_t **rk, struct err *e) {
    char text[256];
    const struct kafka_property own[] = {{"bootstrap.servers", link->brokers}, {NULL, NULL}};
    kafka_traffic_count(conf, traffic);
    rd_kafka_conf_set_opaque(conf, link);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    bool ok = rd_kafka_conf_set_ssl_cert_verify_cb(conf, on_certificate) == RD_KAFKA_CONF_OK ||
              err_set(e, ERR_CONFIG, "this librdkafka has no TLS");
    ok = ok && set_all(conf, own, e) && set_all(conf, common_settings, e);
    for (; ok && *settings != NULL; settings++)
        ok = set_all(conf, *settings, e);
    ok = ok && kafka_properties_check(link->properties, e) && set_all(conf, link->properties, e);
    rd_kafka_t *made = ok ? rd_kafka_new(type, conf, text, sizeof text) : NULL;
    if (ok && made == NULL)
        err_set(e, ERR_CONFIG, "%s", text);
    if (made == NULL) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    *rk = made;
    return true;
}

/* ---- topics ---- */

rd_kafka_topic_t *kafka_topic(rd_kafka_t *rk, rd_kafka_topic_t **handles, const struct topic *t) {
    if (handles[t->number] == NULL) {
        rd_kafka_topic_conf_t *conf = rd_kafka_default_topic_conf_dup(rk);
        rd_kafka_topic_conf_set_opaque(conf, (void *)(uintptr_t)t);
        /* By itself it is "largest": without a word to the end. */
        rd_kafka_topic_conf_set(conf, "auto.offset.reset", "error", NULL, 0);
        handles[t->number] = rd_kafka_topic_new(rk, t->name, conf);
        if (handles[t->number] == NULL)
            abort(); /* a name that cannot be one: the catalogue was checked */
    }
    return handles[t->number];
}

void kafka_topics_destroy(rd_kafka_topic_t **handles, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (handles[i] != NULL)
            rd_kafka_topic_destroy(handles[i]);
    memset(handles, 0, count * sizeof(rd_kafka_topic_t *));
}

int32_t kafka_partition_count(rd_kafka_t *rk, rd_kafka_topic_t *topic, int timeout_ms,
                              rd_kafka_resp_err_t *error) {
    const struct rd_kafka_metadata *m;
    *error = rd_kafka_metadata(rk, 0, topic, &m, timeout_ms);
    if (*error != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    *error = m->topic_cnt == 1 ? m->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    int32_t count = *error == RD_KAFKA_RESP_ERR_NO_ERROR ? m->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(m);
    return count;
}

rd_kafka_resp_err_t kafka_send(rd_kafka_t *rk, rd_kafka_topic_t *topic, int32_t partition,
                               const struct log_message *m, void *ticket) {
    rd_kafka_headers_t *headers = rd_kafka_headers_new(m->header_count);
    for (size_t i = 0; i < m->header_count; i++)
        rd_kafka_header_add(headers, m->headers[i].name, -1, m->headers[i].value.data,
                            (ssize_t)m->headers[i].value.size);
    rd_kafka_vu_t args[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = m->timestamp > 0 ? m->timestamp : 1}, /* 0 is "now" */
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)(uintptr_t)m->key.data, m->key.size}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)(uintptr_t)m->value.data, m->value.size}},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = ticket},
    };
    rd_kafka_error_t *error = rd_kafka_produceva(rk, args, sizeof args / sizeof *args);
    if (error == NULL)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_headers_destroy(headers); /* ours again when it fails */
    rd_kafka_error_destroy(error);
    return code;
}
