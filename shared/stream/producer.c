#include "stream/producer.h"

#include "base/buf.h"
#include "stream/kafka_client.h"
#include "stream/topology.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { RENEW_MS = 1000 };

static const struct kafka_property publish_settings[] = {
    {"linger.ms", "0"},
    {"message.timeout.ms", "5000"}, /* then the client is told to come again */
    {NULL, NULL},
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
    atomic_int_least32_t *partitions; /* by the topic's index; 0: not prepared */
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    struct producer *p = ((struct kafka_link *)opaque)->owner;
    (void)rk;
    bool written = m->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    p->options.done(p->options.context, m->_private, written ? m->offset : -1);
}

static bool make(struct producer *p, rd_kafka_t **rk, struct err *e) {
    const struct kafka_property *const settings[] = {producer_settings, publish_settings, NULL};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return kafka_client(RD_KAFKA_PRODUCER, &p->link, settings, conf, &p->traffic, rk, e);
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
    while (!atomic_load(&p->stopping)) {
        rd_kafka_poll(p->rk, 1000);
        if (rd_kafka_fatal_error(p->rk, text, sizeof text) == RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        renew(p);
        rd_kafka_poll(p->rk, RENEW_MS);
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
    p->partitions = xcalloc(options->topic_count, sizeof *p->partitions);
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
    free(p->partitions);
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
    atomic_store(&p->partitions[t->index], count);
    return true;
}

bool producer_send(struct producer *p, const struct log_message *m, void *ticket, struct err *e) {
    int32_t count = atomic_load(&p->partitions[m->topic->index]);
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

void producer_metrics(struct producer *p, struct metrics *m) {
    static const struct metric queued = {"insideout_kafka_publish_queue_records", METRIC_GAUGE,
                                         "Records of requests that are not acknowledged yet."};
    pthread_rwlock_rdlock(&p->use);
    metrics_add(m, &queued, rd_kafka_outq_len(p->rk), NULL);
    pthread_rwlock_unlock(&p->use);
    kafka_traffic_metrics(&p->traffic, "", "publisher", m);
}
