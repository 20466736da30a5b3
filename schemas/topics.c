/* topics: makes in Kafka what the catalogue of topics declares, and shows the catalogue.
 *
 *   topics create    what is missing is made, what is there gets the catalogue's settings; again is harmless
 *   topics list      the catalogue, one line a topic; its settings are those that create makes it with
 *   topics acls      permissions that there are to be, as services print them (--acls), from standard input
 *   topics delete    those of the catalogue, and all that they hold
 *
 * Environment: KAFKA_BROKERS (localhost:9092), KAFKA_… (a property of librdkafka), PARTITIONS (4). How often
 * a topic is replicated is the brokers' default. Exit codes: 75 the broker does not answer; 78 a setting is
 * wrong or a topic has another number of partitions; 64 usage; 1 anything else. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "kafka/client.h"
#include "schemas/schemas.gen.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

enum { BROKER_WAIT_MS = 10000 };

struct settings {
    struct kafka_link link;
    struct kafka_property *properties;
    struct kafka_traffic traffic;
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
    const char *brokers = getenv("KAFKA_BROKERS");
    if (brokers == NULL)
        brokers = "localhost:9092";
    *s = (struct settings){0};
    if (*brokers == 0)
        return err_set(err, ERR_CONFIG, "KAFKA_BROKERS is empty: host:port, comma-separated, is wanted");
    if (!setting_int("PARTITIONS", 4, 1000, &s->partitions, err) ||
        !kafka_properties_read(environ, &s->properties, err))
        return false;
    kafka_link_init(&s->link, brokers, s->properties, s);
    return true;
}

static void settings_finish(struct settings *s) {
    kafka_link_finish(&s->link);
    kafka_properties_free(s->properties);
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

static rd_kafka_t *client_create(struct settings *s, struct err *err) {
    static const struct kafka_property own[] = {{"client.id", "topics"}, {NULL, NULL}};
    const struct kafka_property *const settings[] = {own, NULL};
    rd_kafka_t *rk = NULL;
    return kafka_client(RD_KAFKA_PRODUCER, &s->link, settings, rd_kafka_conf_new(), &s->traffic, &rk, err)
               ? rk
               : NULL;
}

static bool kafka_error(rd_kafka_resp_err_t code, const char *text, struct err *err) {
    bool away = code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
                code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT ||
                code == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR; /* other brokers are still to come */
    return err_set(err, away ? ERR_RETRY : ERR_FATAL, "%s", text != NULL ? text : rd_kafka_err2str(code));
}

/* Waits until a broker answers. The caller destroys *metadata. */
static bool metadata_get(rd_kafka_t *rk, struct settings *s, const struct rd_kafka_metadata **metadata,
                         struct err *err) {
    int64_t deadline = clock_mono_us() + BROKER_WAIT_MS * INT64_C(1000);
    rd_kafka_resp_err_t code;
    int left = BROKER_WAIT_MS;
    do {
        code = rd_kafka_metadata(rk, 1, NULL, metadata, left);
        left = (int)((deadline - clock_mono_us()) / 1000);
    } while (code == RD_KAFKA_RESP_ERR__TRANSPORT && left > 0);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_away(&s->link, rk, rd_kafka_err2str(code), err) ||
               err_prefix(err, "no answer within %d s", BROKER_WAIT_MS / 1000);
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

/* Each was changed, or was so already: `before`. */
static bool topics_changed(const rd_kafka_topic_result_t **results, size_t n, rd_kafka_resp_err_t before,
                           size_t *changed, struct err *err) {
    *changed = 0;
    for (size_t i = 0; i < n; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        *changed += code == RD_KAFKA_RESP_ERR_NO_ERROR;
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != before) {
            kafka_error(code, rd_kafka_topic_result_error_string(results[i]), err);
            return err_prefix(err, "topic %s", rd_kafka_topic_result_name(results[i]));
        }
    }
    return true;
}

static bool create_wait(rd_kafka_queue_t *queue, struct err *err) {
    _cleanup_(event_destroy) rd_kafka_event_t *event = NULL;
    if (!admin_wait(queue, &event, err))
        return false;
    size_t n, made;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    return topics_changed(results, n, RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, &made, err);
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

/* ---- permissions ---- */

struct acl {
    const char *principal;
    rd_kafka_AclOperation_t operation;
    rd_kafka_ResourcePatternType_t pattern;
};

static rd_kafka_AclOperation_t operation_of(const char *name) {
    static const struct {
        const char *name;
        rd_kafka_AclOperation_t operation;
    } all[] = {{"Read", RD_KAFKA_ACL_OPERATION_READ},
               {"Write", RD_KAFKA_ACL_OPERATION_WRITE},
               {"Describe", RD_KAFKA_ACL_OPERATION_DESCRIBE},
               {"Create", RD_KAFKA_ACL_OPERATION_CREATE},
               {"DescribeConfigs", RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(name, all[i].name) == 0)
            return all[i].operation;
    return RD_KAFKA_ACL_OPERATION_UNKNOWN;
}

static bool acl_word(struct acl *a, const char *option, const char *value, struct err *err) {
    if (strcmp(option, "--allow-principal") == 0)
        a->principal = value;
    else if (strcmp(option, "--operation") == 0)
        a->operation = operation_of(value);
    else if (strcmp(option, "--resource-pattern-type") == 0 && strcmp(value, "prefixed") == 0)
        a->pattern = RD_KAFKA_RESOURCE_PATTERN_PREFIXED;
    else
        return err_set(err, ERR_INPUT, "%s %s is nothing that a service prints with --acls", option, value);
    return true;
}

static rd_kafka_ResourceType_t resource_of(const char *option) {
    return strcmp(option, "--topic") == 0              ? RD_KAFKA_RESOURCE_TOPIC
           : strcmp(option, "--group") == 0            ? RD_KAFKA_RESOURCE_GROUP
           : strcmp(option, "--transactional-id") == 0 ? RD_KAFKA_RESOURCE_TRANSACTIONAL_ID
                                                       : RD_KAFKA_RESOURCE_UNKNOWN;
}

struct acls {
    rd_kafka_AclBinding_t **bindings;
    size_t count;
};

/* One line; what it says of resources stands behind what it says of all of them. */
static bool acls_line(struct acls *all, char *line, struct err *err) {
    struct acl a = {.pattern = RD_KAFKA_RESOURCE_PATTERN_LITERAL};
    char text[256], *rest = line, *option, *value;
    while ((option = strtok_r(rest, " \n", &rest)) != NULL) {
        if (strcmp(option, "--add") == 0 || strcmp(option, "--force") == 0)
            continue;
        value = strtok_r(rest, " \n", &rest);
        if (value == NULL)
            return err_set(err, ERR_INPUT, "nothing behind %s", option);
        rd_kafka_ResourceType_t type = resource_of(option);
        if (type == RD_KAFKA_RESOURCE_UNKNOWN) {
            if (!acl_word(&a, option, value, err))
                return false;
            continue;
        }
        if (a.principal == NULL || a.operation == RD_KAFKA_ACL_OPERATION_UNKNOWN)
            return err_set(err, ERR_INPUT, "%s %s: who may do what is to be said before", option, value);
        all->bindings = xrealloc(all->bindings, (all->count + 1) * sizeof *all->bindings);
        all->bindings[all->count] =
            rd_kafka_AclBinding_new(type, value, a.pattern, a.principal, "*", a.operation,
                                    RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, text, sizeof text);
        if (all->bindings[all->count] == NULL)
            return err_set(err, ERR_INPUT, "%s %s: %s", option, value, text);
        all->count++;
    }
    return true;
}

static bool acls_read(struct acls *all, struct err *err) {
    char *line = NULL;
    size_t size = 0, number = 1;
    bool ok = true;
    for (; ok && getline(&line, &size, stdin) >= 0; number++)
        ok = acls_line(all, line, err) || err_prefix(err, "line %zu", number);
    free(line);
    return ok;
}

static bool acls_wait(rd_kafka_queue_t *queue, struct err *err) {
    _cleanup_(event_destroy) rd_kafka_event_t *event = NULL;
    if (!admin_wait(queue, &event, err))
        return false;
    size_t n;
    const rd_kafka_acl_result_t **results =
        rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(event), &n);
    for (size_t i = 0; i < n; i++) {
        const rd_kafka_error_t *error = rd_kafka_acl_result_error(results[i]);
        if (error != NULL)
            return kafka_error(rd_kafka_error_code(error), rd_kafka_error_string(error), err);
    }
    return true;
}

static bool acls_make(rd_kafka_t *rk, struct settings *s, struct err *err) {
    struct acls all = {0};
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    const struct rd_kafka_metadata *metadata = NULL;
    bool ok = acls_read(&all, err) && metadata_get(rk, s, &metadata, err);
    if (metadata != NULL)
        rd_kafka_metadata_destroy(metadata);
    if (ok && all.count > 0) {
        rd_kafka_CreateAcls(rk, all.bindings, all.count, NULL, queue);
        ok = acls_wait(queue, err);
    }
    if (ok)
        printf("%zu permissions are there\n", all.count);
    for (size_t i = 0; i < all.count; i++)
        rd_kafka_AclBinding_destroy(all.bindings[i]);
    free(all.bindings);
    rd_kafka_queue_destroy(queue);
    return ok;
}

/* ---- the commands ---- */

static bool create(rd_kafka_t *rk, struct settings *s, struct err *err) {
    const struct rd_kafka_metadata *metadata = NULL;
    bool ok = metadata_get(rk, s, &metadata, err) && partitions_check(metadata, s, err) &&
              topics_make(rk, metadata, s, err);
    if (metadata != NULL)
        rd_kafka_metadata_destroy(metadata);
    return ok;
}

static bool delete_wait(rd_kafka_queue_t *queue, struct err *err) {
    _cleanup_(event_destroy) rd_kafka_event_t *event = NULL;
    if (!admin_wait(queue, &event, err))
        return false;
    size_t n, deleted;
    const rd_kafka_topic_result_t **results =
        rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &n);
    if (!topics_changed(results, n, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, &deleted, err))
        return false;
    printf("%zu topics deleted\n", deleted);
    return true;
}

static bool remove_all(rd_kafka_t *rk, struct settings *s, struct err *err) {
    const struct rd_kafka_metadata *metadata = NULL;
    if (!metadata_get(rk, s, &metadata, err))
        return false;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_DeleteTopic_t **all = xcalloc(topics_count, sizeof *all);
    for (size_t i = 0; i < topics_count; i++)
        all[i] = rd_kafka_DeleteTopic_new(topics[i]->name);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteTopics(rk, all, topics_count, NULL, queue);
    bool ok = delete_wait(queue, err);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteTopic_destroy_array(all, topics_count);
    free(all);
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

static bool list(rd_kafka_t *rk, struct settings *s, struct err *err) {
    (void)rk;
    (void)err;
    printf("topic\tpartitions\tcleanup\tretention_ms\tkey\tvalue\twriters\treaders\tsettings\n");
    for (size_t i = 0; i < topics_count; i++) {
        const struct topic *t = topics[i];
        printf("%s\t%d\t%s\t%" PRId64 "\t%s\t%s\t", t->name, topic_partitions(t, s),
               t->compacted ? "compact" : "delete", t->retention_ms, t->key, t->value->name);
        names_print(t->writers);
        printf("\t");
        names_print(t->readers);
        settings_print(t);
        printf("\n");
    }
    return true;
}

struct command {
    const char *name;
    bool (*run)(rd_kafka_t *rk, struct settings *s, struct err *err);
    bool alone; /* asks nobody: rk is NULL */
};

static bool run(const struct command *c, struct err *err) {
    struct settings s;
    if (!settings_read(&s, err))
        return false;
    rd_kafka_t *rk = c->alone ? NULL : client_create(&s, err);
    bool ok = (c->alone || rk != NULL) && c->run(rk, &s, err);
    if (rk != NULL)
        rd_kafka_destroy(rk);
    settings_finish(&s);
    return ok;
}

int main(int argc, char **argv) {
    static const struct command commands[] = {{"create", create, false},
                                              {"list", list, true},
                                              {"acls", acls_make, false},
                                              {"delete", remove_all, false}};
    for (size_t i = 0; argc == 2 && i < sizeof commands / sizeof *commands; i++) {
        struct err err = {0};
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        if (run(&commands[i], &err))
            return 0;
        fprintf(stderr, "topics: %s\n", err.text);
        return err.kind == ERR_RETRY ? EX_TEMPFAIL : err.kind == ERR_CONFIG ? EX_CONFIG : EXIT_FAILURE;
    }
    fprintf(stderr, "usage: topics create|list|acls|delete\n");
    return EX_USAGE;
}
