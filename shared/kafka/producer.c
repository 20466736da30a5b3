#include "kafka/producer.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "kafka/client.h"
#include "log/partitions.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { RENEW_MS = 1000, LOOK_MS = 1000, SERVE_MS = 10 };

static const struct kafka_property publish_settings[] = {
    {"linger.ms", "0"},
    {"message.timeout.ms", "5000"}, /* then the client is told to come again */
    {NULL, NULL},
};

/* A topic that it writes. */
struct target {
    const struct topic *topic;       /* valid once there are partitions */
    atomic_int_least32_t partitions; /* 0: not prepared */
};

struct producer {
    struct producer_options options;
    struct kafka_link link;
    rd_kafka_t *rk;
    pthread_rwlock_t use; /* of rk and its topics; written when they are made anew */
    struct kafka_traffic traffic;
    pthread_t thread; /* serves the delivery reports */
    atomic_bool stopping;
    pthread_mutex_t lock; /* of topics */
    rd_kafka_topic_t **topics;
    struct target *targets; /* by the topic's number, as `topics` */
    atomic_bool unknown;    /* whether it may write them */
    struct status status;   /* trouble: a topic that may not be written */
};

static void forbid(struct producer *p, const char *topic, rd_kafka_resp_err_t error) {
    char text[300];
    snprintf(text, sizeof text, "waiting for Kafka: writing to %s: %s", topic, rd_kafka_err2str(error));
    status_trouble(&p->status, text);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    struct producer *p = ((struct kafka_link *)opaque)->owner;
    (void)rk;
    bool written = m->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (kafka_forbids(m->err))
        forbid(p, rd_kafka_topic_name(m->rkt), m->err);
    p->options.done(p->options.context, m->_private, written ? m->offset : -1);
}

static bool make(struct producer *p, rd_kafka_t **rk, struct err *e) {
    const struct kafka_property *const settings[] = {producer_settings, publish_settings, NULL};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return kafka_client(RD_KAFKA_PRODUCER, &p->link, settings, conf, &p->traffic, rk, e);
}

/* ---- permission to write ---- */

static bool is_write(rd_kafka_AclOperation_t operation) {
    return operation == RD_KAFKA_ACL_OPERATION_WRITE || operation == RD_KAFKA_ACL_OPERATION_ALL;
}

/* What the broker says of the topic: whether whoever asks may write it. One that says nothing is taken at its
 * word when it refuses a record. */
static rd_kafka_resp_err_t permission(const rd_kafka_DescribeTopics_result_t *result) {
    size_t topics, operations;
    const rd_kafka_TopicDescription_t **t = rd_kafka_DescribeTopics_result_topics(result, &topics);
    if (topics != 1)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    const rd_kafka_error_t *error = rd_kafka_TopicDescription_error(t[0]);
    if (error != NULL)
        return rd_kafka_error_code(error);
    const rd_kafka_AclOperation_t *may = rd_kafka_TopicDescription_authorized_operations(t[0], &operations);
    bool writes = may == NULL;
    for (size_t i = 0; !writes && i < operations; i++)
        writes = is_write(may[i]);
    return writes ? RD_KAFKA_RESP_ERR_NO_ERROR : RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
}

/* Asks: a record that only tries would be in the log. */
static rd_kafka_resp_err_t ask_permission(rd_kafka_t *rk, const struct topic *t) {
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
    rd_kafka_TopicCollection_t *topics =
        rd_kafka_TopicCollection_of_topic_names((const char *[]){t->name}, 1);
    char text[128];
    rd_kafka_AdminOptions_set_request_timeout(options, LOOK_MS, text, sizeof text);
    rd_kafka_error_destroy(rd_kafka_AdminOptions_set_include_authorized_operations(options, 1));
    rd_kafka_DescribeTopics(rk, topics, options, queue);
    rd_kafka_event_t *answer = NULL;
    for (int64_t since = clock_mono_us(); answer == NULL && clock_mono_us() - since < 2 * LOOK_MS * 1000;) {
        answer = rd_kafka_queue_poll(queue, SERVE_MS);
        rd_kafka_poll(rk, 0); /* whoever waits for an acknowledgement need not wait for this too */
    }
    const rd_kafka_DescribeTopics_result_t *result =
        answer == NULL ? NULL : rd_kafka_event_DescribeTopics_result(answer);
    rd_kafka_resp_err_t error = result == NULL                      ? RD_KAFKA_RESP_ERR__TIMED_OUT
                                : rd_kafka_event_error(answer) != 0 ? rd_kafka_event_error(answer)
                                                                    : permission(result);
    if (answer != NULL)
        rd_kafka_event_destroy(answer);
    rd_kafka_TopicCollection_destroy(topics);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return error;
}

/* Until all that it writes is permitted, which whoever gives permissions decides. False: there was no answer.
 */
static bool look_at_permissions(struct producer *p) {
    char text[8];
    for (size_t i = 0; i < p->options.topic_count; i++) {
        if (atomic_load(&p->targets[i].partitions) == 0)
            continue;
        rd_kafka_resp_err_t error = ask_permission(p->rk, p->targets[i].topic);
        if (kafka_forbids(error))
            forbid(p, p->targets[i].topic->name, error);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
            return kafka_forbids(error);
    }
    if (status_read(&p->status, text, sizeof text))
        status_set(&p->status, "may write again");
    return true;
}

/* A client that has met a fatal error, such as that it may not write at all, will not write again, whatever
 * it may later. */
static void renew(struct producer *p) {
    struct err e;
    rd_kafka_t *fresh, *old = p->rk;
    if (!make(p, &fresh, &e))
        return; /* it was made of the same before: tried again at the next round */
    pthread_rwlock_wrlock(&p->use);
    kafka_topics_destroy(p->topics, p->options.topic_count);
    p->rk = fresh;
    pthread_rwlock_unlock(&p->use);
    rd_kafka_purge(old, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_flush(old, 1000); /* whoever waits is told */
    rd_kafka_destroy(old);
}

static void *serve(void *context) {
    struct producer *p = context;
    char text[8];
    int64_t look_at = 0;
    while (!atomic_load(&p->stopping)) {
        rd_kafka_poll(p->rk, LOOK_MS);
        bool ended = rd_kafka_fatal_error(p->rk, text, sizeof text) != RD_KAFKA_RESP_ERR_NO_ERROR;
        if (ended) {
            renew(p);
            rd_kafka_poll(p->rk, RENEW_MS);
        }
        int64_t now = clock_mono_us();
        if (ended || status_read(&p->status, text, sizeof text))
            atomic_store(&p->unknown, true);
        if (now >= look_at && atomic_exchange(&p->unknown, false)) {
            look_at = now + LOOK_MS * 1000;
            if (!look_at_permissions(p))
                atomic_store(&p->unknown, true);
        }
    }
    return NULL;
}

bool producer_create(const struct producer_options *options, struct producer **out, struct err *e) {
    struct producer *p = xcalloc(1, sizeof *p);
    p->options = *options;
    kafka_link_init(&p->link, options->brokers, options->properties, p);
    if (!make(p, &p->rk, e)) {
        kafka_link_finish(&p->link);
        free(p);
        return false;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_rwlock_init(&p->use, NULL);
    p->topics = xcalloc(options->topic_count, sizeof(rd_kafka_topic_t *));
    p->targets = xcalloc(options->topic_count, sizeof *p->targets);
    status_init(&p->status, "");
    if (pthread_create(&p->thread, NULL, serve, p) != 0)
        abort();
    *out = p;
    return true;
}

void producer_destroy(struct producer *p) {
    if (p == NULL)
        return;
    atomic_store(&p->stopping, true);
    pthread_join(p->thread, NULL);
    rd_kafka_flush(p->rk, 2000);
    kafka_topics_destroy(p->topics, p->options.topic_count);
    rd_kafka_destroy(p->rk);
    kafka_link_finish(&p->link);
    pthread_mutex_destroy(&p->lock);
    pthread_rwlock_destroy(&p->use);
    free(p->topics);
    free(p->targets);
    status_finish(&p->status);
    free(p);
}

bool producer_prepare(struct producer *p, const struct topic *t, struct err *e) {
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    pthread_rwlock_rdlock(&p->use);
    pthread_mutex_lock(&p->lock);
    rd_kafka_topic_t *topic = kafka_topic(p->rk, p->topics, t);
    pthread_mutex_unlock(&p->lock);
    int32_t count = kafka_partition_count(p->rk, topic, 1000, &error);
    pthread_rwlock_unlock(&p->use);
    if (kafka_forbids(error))
        return err_set(e, ERR_RETRY, "waiting for Kafka: the topic %s: %s", t->name, rd_kafka_err2str(error));
    if (count == 0)
        return kafka_away(&p->link, NULL, rd_kafka_err2str(error), e);
    kafka_answered(&p->link);
    p->targets[t->number].topic = t;
    atomic_store(&p->targets[t->number].partitions, count);
    atomic_store(&p->unknown, true);
    return true;
}

bool producer_send(struct producer *p, const struct log_message *m, void *ticket, struct err *e) {
    int32_t count = atomic_load(&p->targets[m->topic->number].partitions);
    if (count == 0)
        return err_set(e, ERR_RETRY, "Kafka at %s was not there yet", p->options.brokers);
    pthread_rwlock_rdlock(&p->use);
    pthread_mutex_lock(&p->lock);
    rd_kafka_topic_t *topic = kafka_topic(p->rk, p->topics, m->topic);
    pthread_mutex_unlock(&p->lock);
    rd_kafka_resp_err_t error = kafka_send(p->rk, topic, partition_of(m->key, count), m, ticket);
    pthread_rwlock_unlock(&p->use);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR ||
           err_set(e, ERR_RETRY, "%s cannot be written: %s", m->topic->name, rd_kafka_err2str(error));
}

bool producer_status(struct producer *p, char *text, size_t size) {
    return status_read(&p->status, text, size);
}

void producer_metrics(struct producer *p, struct metrics *m) {
    static const struct metric queued = {"insideout_kafka_publish_queue_records", METRIC_GAUGE,
                                         "Records of requests that are not acknowledged yet."};
    pthread_rwlock_rdlock(&p->use);
    metrics_add(m, &queued, rd_kafka_outq_len(p->rk), NULL);
    pthread_rwlock_unlock(&p->use);
    kafka_traffic_metrics(&p->traffic, "", "publisher", m);
}
