#include "kafka/properties.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <ctype.h>
#include <fnmatch.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "KAFKA_"

/* What begins so and is no property. */
static const char *const others[] = {
    /* where brokers are, and what a node of Kafka is started with */
    "KAFKA_BROKERS", "KAFKA_CONTROLLER_PORT", "KAFKA_HEAP", "KAFKA_MEMORY", "KAFKA_HOST", "KAFKA_NODE_ID",
    "KAFKA_VOTERS", "KAFKA_CLUSTER_ID",
    /* Kafka's own scripts */
    "KAFKA_HOME", "KAFKA_OPTS", "KAFKA_*_OPTS",
    /* Kubernetes and Docker, where a service or a container is called kafka */
    "KAFKA_PORT", "KAFKA_PORT_*", "KAFKA_SERVICE_*", "KAFKA_NAME", "KAFKA_ENV_*"};

static const struct {
    const char *names; /* with spaces between */
    const char *reason;
} owned[] = {
    {"bootstrap.servers metadata.broker.list", "brokers are named apart from properties, by KAFKA_BROKERS"},
    {"group.id", "a topology's name is its group's"},
    {"group.instance.id", "an instance is the same member of its group after a restart"},
    {"group.protocol group.protocol.type group.remote.assignor",
     "a static member that was killed could not come back"},
    {"partition.assignment.strategy", "tasks are given up one by one, cooperatively"},
    {"transactional.id", "an instance fences its predecessor by it"},
    {"transaction.timeout.ms message.timeout.ms delivery.timeout.ms",
     "the runtime's own deadlines follow from it"},
    {"enable.idempotence acks request.required.acks enable.gapless.guarantee max.in.flight "
     "max.in.flight.requests.per.connection message.send.max.retries retries",
     "exactly once needs it as it is"},
    {"isolation.level", "only what was committed counts"},
    {"enable.auto.commit auto.commit.enable auto.commit.interval.ms enable.auto.offset.store "
     "offset.store.method offset.store.path offset.store.sync.interval.ms",
     "offsets are committed in one transaction with what follows from the records"},
    {"auto.offset.reset", "a position is never reset without a word"},
    {"enable.partition.eof", "where a partition ends is how a view knows that it is whole"},
    {"partitioner", "keys are partitioned by murmur2, as the Java clients have it"},
    {"allow.auto.create.topics", "topics come from a catalogue"},
    {"delivery.report.only.error produce.offset.report", "the runtime needs the offset of each record"},
    {"debug log_level log.queue log.thread.name log.connection.close",
     "librdkafka's own log is shown nowhere: errors come as the program's"},
    {"statistics.interval.ms", "nobody reads it: the metrics of the program have the figures"},
    {"enable_sasl_queue enabled_events test.mock.num.brokers", "it changes what a client is"},
};

/* Where librdkafka does not say what it takes. */
static const struct {
    const char *names, *values;
} choices[] = {
    {"security.protocol", "plaintext, ssl, sasl_plaintext or sasl_ssl"},
    {"sasl.mechanism sasl.mechanisms", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"},
    {"sasl.oauthbearer.method", "default or oidc"},
    {"ssl.endpoint.identification.algorithm", "https or none"},
    {"compression.codec compression.type", "none, gzip, snappy, lz4 or zstd"},
    {"broker.address.family", "any, v4 or v6"},
    {"client.dns.lookup", "use_all_dns_ips or resolve_canonical_bootstrap_servers_only"},
    {"metadata.recovery.strategy", "none or rebootstrap"},
};

static bool is_among(const char *names, const char *name) {
    size_t n = strlen(name);
    for (const char *at = names; (at = strstr(at, name)) != NULL; at += n)
        if ((at == names || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0))
            return true;
    return false;
}

static bool is_secret(const char *name) {
    static const char *const parts[] = {"password", "secret", "passphrase", ".pem", "jaas", "bearer.config"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(name, parts[i]) != NULL)
            return true;
    return false;
}

/* What the property takes, in words. A number that is too small brings out the range. */
static void put_allowed(const char *name, const char *text, struct buf *out) {
    char range[256];
    const char *at;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        if (is_among(choices[i].names, name)) {
            buf_printf(out, "it takes %s", choices[i].values);
            return;
        }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, "-2000000000", range, sizeof range);
    rd_kafka_conf_destroy(conf);
    if (result == RD_KAFKA_CONF_INVALID && (at = strstr(range, "allowed range ")) != NULL)
        buf_printf(out, "it takes a number, %s", at + strlen("allowed range "));
    else
        buf_printf(out, "%s", text);
}

static bool invalid(const struct kafka_property *p, const char *called, const char *text, struct err *e) {
    _cleanup_(buf_free) struct buf allowed = {0};
    bool secret = is_secret(p->name);
    if (secret && *p->value != 0 && strstr(text, p->value) != NULL)
        text = "librdkafka refuses its value";
    put_allowed(p->name, text, &allowed);
    return err_set(e, ERR_CONFIG, "%s: %s%s%s: " SLICE_FMT, called, secret ? "" : "\"",
                   secret ? "what it is (a secret, not shown)" : p->value, secret ? "" : "\"",
                   SLICE_ARG(buf_slice(&allowed)));
}

static bool set(rd_kafka_conf_t *conf, const struct kafka_property *p, const char *called, struct err *e) {
    char text[256] = "";
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        if (is_among(owned[i].names, p->name))
            return err_set(e, ERR_CONFIG, "%s: the property %s cannot be set: %s", called, p->name,
                           owned[i].reason);
    switch (rd_kafka_conf_set(conf, p->name, p->value, text, sizeof text)) {
    case RD_KAFKA_CONF_OK:
        return true;
    case RD_KAFKA_CONF_UNKNOWN:
        return err_set(e, ERR_CONFIG,
                       "%s: librdkafka has no property %s; those that there are: its CONFIGURATION.md",
                       called, p->name);
    default:
        return invalid(p, called, text, e);
    }
}

/* Whether a client can be made: files are there, what one property asks for another gives. */
static bool go_together(rd_kafka_conf_t *conf, struct err *e) {
    char text[300];
    rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return err_set(e, ERR_CONFIG, "the properties for Kafka do not go together: %s", text);
    }
    rd_kafka_destroy(rk);
    return true;
}

bool kafka_properties_check(const struct kafka_property *properties, struct err *e) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (const struct kafka_property *p = properties; p != NULL && p->name != NULL; p++)
        if (!set(conf, p, p->name, e)) {
            rd_kafka_conf_destroy(conf);
            return false;
        }
    rd_kafka_conf_destroy(conf);
    return true;
}

/* ---- the environment ---- */

static bool is_property(const char *entry, struct buf *setting) {
    const char *end = strchr(entry, '=');
    if (end == NULL || strncmp(entry, PREFIX, strlen(PREFIX)) != 0)
        return false;
    buf_clear(setting);
    buf_append(setting, entry, (size_t)(end - entry));
    buf_append_byte(setting, 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (fnmatch(others[i], setting->data, 0) == 0)
            return false;
    return true;
}

static char *property_name(const char *setting) {
    char *name = xstrdup(setting + strlen(PREFIX));
    for (char *c = name; *c != 0; c++)
        *c = *c == '_' ? '.' : (char)tolower((unsigned char)*c);
    return name;
}

bool kafka_properties_read(char *const *environment, struct kafka_property **properties, struct err *e) {
    _cleanup_(buf_free) struct buf setting = {0};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    struct kafka_property *found = xcalloc(1, sizeof *found);
    size_t n = 0;
    bool ok = true;
    for (char *const *entry = environment; ok && *entry != NULL; entry++) {
        if (!is_property(*entry, &setting))
            continue;
        found = xrealloc(found, (n + 2) * sizeof *found);
        found[n] = (struct kafka_property){property_name(setting.data), strchr(*entry, '=') + 1};
        found[n + 1] = (struct kafka_property){0};
        ok = set(conf, &found[n++], setting.data, e);
    }
    if (ok && n > 0)
        ok = go_together(conf, e);
    else
        rd_kafka_conf_destroy(conf);
    if (ok)
        *properties = found;
    else
        kafka_properties_free(found);
    return ok;
}

const char *kafka_property_of(const struct kafka_property *properties, const char *name) {
    const char *value = NULL;
    for (const struct kafka_property *p = properties; p != NULL && p->name != NULL; p++)
        if (strcmp(p->name, name) == 0)
            value = p->value;
    return value;
}

void kafka_properties_free(struct kafka_property *properties) {
    for (struct kafka_property *p = properties; p != NULL && p->name != NULL; p++)
        free((void *)(uintptr_t)p->name);
    free(properties);
}
