/* topics: makes in Kafka what the catalogue of topics declares, and shows the catalogue.
 *
 *   topics create    what is missing is made, what is there gets the catalogue's settings; again is harmless
 *   topics list      the catalogue, one line a topic; its settings are those that create makes it with
 *
 * Environment: KAFKA_BROKERS (localhost:9092), PARTITIONS (4). How often a topic is replicated is the
 * brokers' default. Exit codes: 75 the broker does not answer; 78 a setting is wrong or a topic has another
 * number of partitions; 64 usage; 1 anything else. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "schemas/schemas.gen.h"

#include <errno.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

enum { BROKER_WAIT_MS = 10000 };

struct settings {
    const char *brokers;
    int partitions;
};

struct property {
    const char *name;
    char value[24];
};

enum { PROPERTIES_MAX = 8 };

static bool setting_int(const char *name, int fallback, int max, int *out, struct err *err) {
    const char *text = getenv(name);
    if (text == NULL) {
        *out = fallback;
        return true;
    }
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || errno != 0 || value < 1 || value > max)
        return err_set(err, ERR_CONFIG, "%s=%s: a number from 1 to %d is wanted", name, text, max);
    *out = (int)value;
    return true;
}

static bool settings_read(struct settings *s, struct err *err) {
    s->brokers = getenv("KAFKA_BROKERS");
    if (s->brokers == NULL)
        s->brokers = "localhost:9092";
    if (*s->brokers == 0)
        return err_set(err, ERR_CONFIG, "KAFKA_BROKERS is empty: host:port, comma-separated, is wanted");
    return setting_int("PARTITIONS", 4, 1000, &s->partitions, err);
}

/* The topic's settings. Compacted topics are what views are restored from: small segments and an eager
 * cleaner keep that short, and a delete stays visible for a week, so that a view that slept over a weekend
 * hears of it. Where they have a retention, no record goes sooner than that: where keys are not written again
 * sooner, there is nothing to find for the cleaner. */
static size_t topic_properties(const struct topic *t, struct property *out) {
    size_t n = 0;
#define ADD(key, ...) (out[n].name = (key), snprintf(out[n].value, sizeof out[n].value, __VA_ARGS__), n++)
    ADD("cleanup.policy", "%s", t->compacted ? "compact" : "delete");
    ADD("retention.ms", "%" PRId64, t->compacted ? INT64_C(-1) : t->retention_ms);
    if (!t->compacted && t->retention_ms > 0) /* only whole segments go */
        ADD("segment.ms", "%" PRId64, t->retention_ms / 4);
    if (t->compacted) {
        ADD("segment.bytes", "%d", 50 << 20);
        ADD("segment.ms", "%d", 24 * 3600 * 1000);
        ADD("min.cleanable.dirty.ratio", "%s", "0.5");
        ADD("delete.retention.ms", "%d", 7 * 24 * 3600 * 1000);
        ADD("min.compaction.lag.ms", "%" PRId64, t->retention_ms > 0 ? t->retention_ms : INT64_C(0));
    }
#undef ADD
    return n;
}

static int topic_partitions(const struct topic *t, const struct settings *s) {
    return t->partitions > 0 ? t->partitions : s->partitions;
}

static rd_kafka_t *client_create(const struct settings *s, struct err *err) {
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *const values[][2] = {
        {"bootstrap.servers", s->brokers},   {"client.id", "topics"}, {"reconnect.backoff.ms", "50"},
        {"reconnect.backoff.max.ms", "500"}, {"log_level", "0"},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (rd_kafka_conf_set(conf, values[i][0], values[i][1], text, sizeof text) != RD_KAFKA_CONF_OK) {
            rd_kafka_conf_destroy(conf);
            err_set(err, ERR_CONFIG, "%s", text);
            return NULL;
        }
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_CONFIG, "%s", text);
    }
    return rk;
}

static bool kafka_error(rd_kafka_resp_err_t code, const char *text, struct err *err) {
    bool away = code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
                code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT ||
                code == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR; /* other brokers are still to come */
    return err_set(err, away ? ERR_RETRY : ERR_FATAL, "%s", text != NULL ? text : rd_kafka_err2str(code));
}

/* Waits until a broker answers. The caller destroys *metadata. */
static bool metadata_get(rd_kafka_t *rk, const struct settings *s, const struct rd_kafka_metadata **metadata,
                         struct err *err) {
    int64_t deadline = clock_mono_us() + BROKER_WAIT_MS * INT64_C(1000);
    rd_kafka_resp_err_t code;
    int left = BROKER_WAIT_MS;
    do {
        code = rd_kafka_metadata(rk, 1, NULL, metadata, left);
        left = (int)((deadline - clock_mono_us()) / 1000);
    } while (code == RD_KAFKA_RESP_ERR__TRANSPORT && left > 0);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return err_set(err, ERR_RETRY, "no Kafka at %s within %d s: %s", s->brokers, BROKER_WAIT_MS / 1000,
                       rd_kafka_err2str(code));
    return true;
}

/* The topic as it is in the cluster; NULL: it is not there. */
static const struct rd_kafka_metadata_topic *topic_there(const struct rd_kafka_metadata *metadata,
                                                         const struct topic *t) {
    for (int i = 0; i < metadata->topic_cnt; i++)
        if (strcmp(metadata->topics[i].topic, t->name) == 0 && metadata->topics[i].partition_cnt > 0)
            return &metadata->topics[i];
    return NULL;
}

static bool partitions_check(const struct rd_kafka_metadata *metadata, const struct settings *s,
                             struct err *err) {
    for (size_t i = 0; i < topics_count; i++) {
        const struct rd_kafka_metadata_topic *found = topic_there(metadata, topics[i]);
        int wanted = topic_partitions(topics[i], s), there = found != NULL ? found->partition_cnt : wanted;
        if (there == wanted)
            continue;
        if (topics[i]->partitions > 0)
            return err_set(
                err, ERR_CONFIG,
                "topic %s has %d partitions, the catalogue says %d: ./demo reset deletes all topics",
                topics[i]->name, there, wanted);
        return err_set(err, ERR_CONFIG,
                       "topic %s has %d partitions, the setting is PARTITIONS=%d: set PARTITIONS=%d, or "
                       "delete all data with ./demo reset",
                       topics[i]->name, there, wanted, there);
    }
    return true;
}

static void event_destroy(rd_kafka_event_t **event) {
    if (*event != NULL)
        rd_kafka_event_destroy(*event);
}

/* Waits for the answer to an admin request and checks that it was answered as a whole. */
static bool admin_wait(rd_kafka_queue_t *queue, rd_kafka_event_t **event, struct err *err) {
    *event = rd_kafka_queue_poll(queue, BROKER_WAIT_MS);
    if (*event == NULL)
        return err_set(err, ERR_RETRY, "Kafka did not answer within %d s", BROKER_WAIT_MS / 1000);
    rd_kafka_resp_err_t code = rd_kafka_event_error(*event);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || kafka_error(code, rd_kafka_event_error_string(*event), err);
}

static bool create_wait(rd_kafka_queue_t *queue, struct err *err) {
    _cleanup_(event_destroy) rd_kafka_event_t *event = NULL;
    if (!admin_wait(queue, &event, err))
        return false;
    size_t n;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
            kafka_error(code, rd_kafka_topic_result_error_string(results[i]), err);
            return err_prefix(err, "topic %s", rd_kafka_topic_result_name(results[i]));
        }
    }
    return true;
}

static bool alter_wait(rd_kafka_queue_t *queue, struct err *err) {
    _cleanup_(event_destroy) rd_kafka_event_t *event = NULL;
    if (!admin_wait(queue, &event, err))
        return false;
    size_t n;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_IncrementalAlterConfigs_result_resources(
        rd_kafka_event_IncrementalAlterConfigs_result(event), &n);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resources[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            kafka_error(code, rd_kafka_ConfigResource_error_string(resources[i]), err);
            return err_prefix(err, "settings of topic %s", rd_kafka_ConfigResource_name(resources[i]));
        }
    }
    return true;
}

static rd_kafka_NewTopic_t *new_topic(const struct topic *t, const struct settings *s) {
    rd_kafka_NewTopic_t *new = rd_kafka_NewTopic_new(t->name, topic_partitions(t, s), -1, NULL, 0);
    struct property properties[PROPERTIES_MAX];
    size_t n = topic_properties(t, properties);
    for (size_t i = 0; i < n; i++)
        rd_kafka_NewTopic_set_config(new, properties[i].name, properties[i].value);
    return new;
}

static rd_kafka_ConfigResource_t *new_settings(const struct topic *t) {
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, t->name);
    struct property properties[PROPERTIES_MAX];
    size_t n = topic_properties(t, properties);
    for (size_t i = 0; i < n; i++)
        rd_kafka_error_destroy(rd_kafka_ConfigResource_add_incremental_config(
            resource, properties[i].name, RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET, properties[i].value));
    return resource;
}

/* Two requests: one makes what is missing, one gives the rest the catalogue's settings. */
static bool topics_make(rd_kafka_t *rk, const struct rd_kafka_metadata *metadata, const struct settings *s,
                        struct err *err) {
    rd_kafka_NewTopic_t **missing = xcalloc(topics_count, sizeof *missing);
    rd_kafka_ConfigResource_t **present = xcalloc(topics_count, sizeof *present);
    size_t missing_count = 0, present_count = 0;
    for (size_t i = 0; i < topics_count; i++) {
        if (topic_there(metadata, topics[i]) == NULL)
            missing[missing_count++] = new_topic(topics[i], s);
        else
            present[present_count++] = new_settings(topics[i]);
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    bool ok = true;
    if (missing_count > 0) {
        /* Answers when every broker knows the topics, so that whoever starts next finds them. */
        rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
        rd_kafka_AdminOptions_set_operation_timeout(options, BROKER_WAIT_MS / 2, NULL, 0);
        rd_kafka_CreateTopics(rk, missing, missing_count, options, queue);
        rd_kafka_AdminOptions_destroy(options);
        ok = create_wait(queue, err);
    }
    if (ok && present_count > 0) {
        rd_kafka_IncrementalAlterConfigs(rk, present, present_count, NULL, queue);
        ok = alter_wait(queue, err);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy_array(missing, missing_count);
    rd_kafka_ConfigResource_destroy_array(present, present_count);
    free(missing);
    free(present);
    if (ok)
        printf("%zu topics made, %zu were there\n", missing_count, present_count);
    return ok;
}

static bool create(struct err *err) {
    struct settings s;
    if (!settings_read(&s, err))
        return false;
    rd_kafka_t *rk = client_create(&s, err);
    if (rk == NULL)
        return false;
    const struct rd_kafka_metadata *metadata = NULL;
    bool ok = metadata_get(rk, &s, &metadata, err) && partitions_check(metadata, &s, err) &&
              topics_make(rk, metadata, &s, err);
    if (metadata != NULL)
        rd_kafka_metadata_destroy(metadata);
    rd_kafka_destroy(rk);
    return ok;
}

static void names_print(const char *const *names) {
    for (size_t i = 0; names[i] != NULL; i++)
        printf("%s%s", i > 0 ? "," : "", names[i]);
    printf(names[0] == NULL ? "-" : "");
}

static void settings_print(const struct topic *t) {
    struct property properties[PROPERTIES_MAX];
    size_t n = topic_properties(t, properties);
    for (size_t i = 0; i < n; i++)
        printf("%c%s=%s", i > 0 ? ',' : '\t', properties[i].name, properties[i].value);
}

static bool list(struct err *err) {
    struct settings s;
    if (!settings_read(&s, err))
        return false;
    printf("topic\tpartitions\tcleanup\tretention_ms\tkey\tvalue\twriters\treaders\tsettings\n");
    for (size_t i = 0; i < topics_count; i++) {
        const struct topic *t = topics[i];
        printf("%s\t%d\t%s\t%" PRId64 "\t%s\t%s\t", t->name, topic_partitions(t, &s),
               t->compacted ? "compact" : "delete", t->retention_ms, t->key, t->value->name);
        names_print(t->writers);
        printf("\t");
        names_print(t->readers);
        settings_print(t);
        printf("\n");
    }
    return true;
}

int main(int argc, char **argv) {
    struct err err = {0};
    bool ok;
    if (argc == 2 && strcmp(argv[1], "create") == 0) {
        ok = create(&err);
    } else if (argc == 2 && strcmp(argv[1], "list") == 0) {
        ok = list(&err);
    } else {
        fprintf(stderr, "usage: topics create|list\n");
        return EX_USAGE;
    }
    if (ok)
        return 0;
    fprintf(stderr, "topics: %s\n", err.text);
    return err.kind == ERR_RETRY ? EX_TEMPFAIL : err.kind == ERR_CONFIG ? EX_CONFIG : EXIT_FAILURE;
}
