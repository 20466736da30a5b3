/* What is asked of Kafka, and the client that asks. */
#include "kafka/internal.h"

#include "base/clock.h"

#include <poll.h>
#include <stdio.h>

enum { GREET_MS = 5000 }; /* a broker that wants TLS and SASL, from anew, on a busy machine */

bool kafka_role(struct kafka *k, enum client role, rd_kafka_conf_t *conf,
                const struct kafka_property *const *settings, rd_kafka_t **rk, struct err *e) {
    rd_kafka_type_t type = role < CLIENT_PRODUCER ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER;
    return kafka_client(type, &k->link, settings, conf, &k->traffic[role], rk, e);
}

void kafka_watch(struct kafka *k, rd_kafka_queue_t *queue) {
    static const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(queue, k->event, &one, sizeof one);
}

bool kafka_asker(struct kafka *k, rd_kafka_t **rk, struct err *e) {
    const struct kafka_property *const settings[] = {NULL};
    if (k->asker == NULL && !kafka_role(k, CLIENT_ASKER, rd_kafka_conf_new(), settings, &k->asker, e))
        return false;
    *rk = k->asker;
    return true;
}

void kafka_asker_drop(struct kafka *k) {
    if (k->asker == NULL)
        return;
    if (k->look != NULL)
        rd_kafka_queue_destroy(k->look);
    k->look = NULL;
    if (k->watch.queue != NULL)
        rd_kafka_queue_destroy(k->watch.queue);
    k->watch.queue = NULL;
    kafka_topics_destroy(k->asker_topics, k->topic_count);
    rd_kafka_destroy(k->asker);
    k->asker = NULL;
}

static bool away(struct kafka *k, struct err *e, const char *what) {
    return kafka_away(&k->link, k->asker, what, e);
}

bool kafka_partitions(struct log *l, const struct topic *t, int32_t *count, struct err *e) {
    struct kafka *k = kafka_of(l);
    if (k->partitions[t->number] == 0) {
        rd_kafka_t *rk;
        rd_kafka_resp_err_t error;
        if (!kafka_asker(k, &rk, e))
            return false;
        k->partitions[t->number] =
            kafka_partition_count(rk, kafka_topic(rk, k->asker_topics, t), CALL_MS, &error);
        if (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
            return err_set(e, ERR_RETRY, "waiting for the topic %s, which is not there yet", t->name);
        if (kafka_forbids(error))
            return err_set(e, ERR_RETRY, "waiting for Kafka: the topic %s: %s", t->name,
                           rd_kafka_err2str(error));
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
            return away(k, e, rd_kafka_err2str(error));
        kafka_answered(&k->link);
    }
    *count = k->partitions[t->number];
    return true;
}

static bool offsets_result(rd_kafka_event_t *event, struct log_position *positions, size_t n,
                           const char **why) {
    if (event == NULL) {
        *why = "no answer in time";
        return false;
    }
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        *why = rd_kafka_err2str(rd_kafka_event_error(event));
        return false;
    }
    size_t count;
    const rd_kafka_ListOffsetsResultInfo_t **infos =
        rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event), &count);
    size_t found = 0;
    for (size_t k = 0; k < count; k++) {
        const rd_kafka_topic_partition_t *part = rd_kafka_ListOffsetsResultInfo_topic_partition(infos[k]);
        if (part->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            *why = rd_kafka_err2str(part->err);
            return false;
        }
        if (part->offset < 0) { /* librdkafka leaves it so, without an error, where a leader did not answer */
            *why = "a leader does not answer";
            return false;
        }
        for (size_t i = 0; i < n; i++)
            if (positions[i].partition == part->partition &&
                strcmp(positions[i].topic->name, part->topic) == 0) {
                positions[i].offset = part->offset;
                found++;
            }
    }
    *why = "an incomplete answer";
    return found >= n;
}

bool kafka_ask_offsets(struct kafka *k, rd_kafka_topic_partition_list_t *list, bool committed,
                       rd_kafka_queue_t **queue, struct err *e) {
    rd_kafka_t *rk;
    char text[256];
    if (!kafka_asker(k, &rk, e))
        return false;
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
    rd_kafka_error_t *refused = rd_kafka_AdminOptions_set_isolation_level(
        options,
        committed ? RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED : RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED);
    if (refused != NULL)
        rd_kafka_error_destroy(refused);
    rd_kafka_AdminOptions_set_request_timeout(options, CALL_MS, text, sizeof text);
    *queue = rd_kafka_queue_new(rk);
    rd_kafka_ListOffsets(rk, list, options, *queue);
    rd_kafka_AdminOptions_destroy(options);
    return true;
}

bool kafka_offsets(struct kafka *k, struct log_position *positions, size_t n, int64_t spec, bool committed,
                   struct err *e) {
    const char *why;
    rd_kafka_queue_t *queue = NULL;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
    for (size_t i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(list, positions[i].topic->name, positions[i].partition)->offset =
            spec;
    bool asked = kafka_ask_offsets(k, list, committed, &queue, e);
    rd_kafka_topic_partition_list_destroy(list);
    if (!asked)
        return false;
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, CALL_MS);
    bool ok = offsets_result(event, positions, n, &why) || away(k, e, why);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    if (!ok)
        kafka_asker_drop(
            k); /* a client that only asks does not notice a new leader epoch; the next one will */
    return ok;
}

bool kafka_ends(struct log *l, struct log_position *positions, size_t n, bool committed, struct err *e) {
    return kafka_offsets(kafka_of(l), positions, n, RD_KAFKA_OFFSET_SPEC_LATEST, committed, e);
}

/* Markers are written within a few milliseconds; the producer's next transaction would have to wait for them,
 * too. */
bool kafka_visible(struct log *l, const struct log_position *positions, size_t n, struct err *e) {
    enum { PAUSE_MS = 50 };
    struct log_position at[n];
    int64_t until = clock_mono_us() + COMMIT_MS * (int64_t)1000;
    err_set(e, ERR_UNKNOWN, "what was committed to %s is not to be seen", positions[0].topic->name);
    for (int try = 0; clock_mono_us() < until; try++) {
        struct err why; /* a client that only asks may ask a leader of before: the next one does not */
        memcpy(at, positions, sizeof at);
        bool all = kafka_ends(l, at, n, true, &why);
        for (size_t i = 0; i < n; i++)
            all = all && at[i].offset >= positions[i].offset;
        if (all)
            return true;
        poll(NULL, 0, try < PAUSE_MS ? try : PAUSE_MS);
    }
    return false;
}

bool kafka_cluster(struct log *l, char *id, size_t size, struct err *e) {
    struct kafka *k = kafka_of(l);
    rd_kafka_t *rk;
    if (!kafka_asker(k, &rk, e))
        return false;
    char *found = rd_kafka_clusterid(rk, CALL_MS);
    if (found == NULL)
        return away(k, e, "it does not say which cluster it is");
    snprintf(id, size, "%s", found);
    rd_kafka_mem_free(rk, found);
    return true;
}

bool kafka_group_ask(struct kafka *k, rd_kafka_queue_t **queue, struct err *e) {
    rd_kafka_t *rk;
    char text[256];
    if (!kafka_asker(k, &rk, e))
        return false;
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_AdminOptions_set_request_timeout(options, CALL_MS, text, sizeof text);
    *queue = rd_kafka_queue_new(rk);
    const char *groups[] = {k->group};
    rd_kafka_DescribeConsumerGroups(rk, groups, 1, options, *queue);
    rd_kafka_AdminOptions_destroy(options);
    return true;
}

bool kafka_group_take(struct kafka *k, rd_kafka_event_t *event, on_group *each, const void *context,
                      struct err *e) {
    bool known = event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR;
    bool ok =
        known || away(k, e, event == NULL ? "no answer about the group" : rd_kafka_event_error_string(event));
    size_t count = 0;
    const rd_kafka_ConsumerGroupDescription_t **found =
        known ? rd_kafka_DescribeConsumerGroups_result_groups(
                    rd_kafka_event_DescribeConsumerGroups_result(event), &count)
              : NULL;
    for (size_t g = 0; ok && g < count; g++)
        if (rd_kafka_ConsumerGroupDescription_error(found[g]) != NULL)
            ok = err_set(e, ERR_RETRY, "waiting for Kafka: the group %s: %s", k->group,
                         rd_kafka_error_string(rd_kafka_ConsumerGroupDescription_error(found[g])));
        else
            ok = each(k, found[g], context, e);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    return ok;
}

bool kafka_group_describe(struct kafka *k, on_group *each, const void *context, struct err *e) {
    rd_kafka_queue_t *queue;
    if (!kafka_group_ask(k, &queue, e))
        return false;
    bool ok = kafka_group_take(k, rd_kafka_queue_poll(queue, CALL_MS), each, context, e);
    rd_kafka_queue_destroy(queue);
    return ok;
}

bool kafka_still_away(struct kafka *k, struct err *e) {
    rd_kafka_t *rk;
    const struct rd_kafka_metadata *m;
    if (!kafka_asker(k, &rk, e))
        return true;
    bool secured = kafka_property_of(k->link.properties, "security.protocol") != NULL;
    rd_kafka_resp_err_t error = rd_kafka_metadata(rk, 0, NULL, &m, secured ? GREET_MS : 500);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_asker_drop(k); /* what hinders may be in this client: the next try is another's */
        away(k, e, rd_kafka_err2str(error));
        return true;
    }
    rd_kafka_metadata_destroy(m);
    kafka_answered(&k->link);
    return false;
}
