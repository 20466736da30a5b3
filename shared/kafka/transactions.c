/* The transactional producer. */
#include "kafka/internal.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"

enum {
    INIT_MS = 10000,
    FORBIDDEN_MS = 1000, /* between two tries of what the broker does not permit */
};

static const struct kafka_property transaction_settings[] = {
    {"transaction.timeout.ms", "10000"}, /* what a dead instance left open hides later records until then */
    {NULL, NULL},
};

/* Errors that speak of the record, and not of the broker: it will be the same each time. */
static bool refuses(rd_kafka_resp_err_t error) {
    return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
           error == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE || error == RD_KAFKA_RESP_ERR_INVALID_MSG ||
           error == RD_KAFKA_RESP_ERR_INVALID_RECORD || error == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP;
}

static void note_refused(struct kafka *k, const char *topic, rd_kafka_resp_err_t error) {
    err_set(&k->refused, ERR_REFUSED, "Kafka refuses a record for %s: %s", topic, rd_kafka_err2str(error));
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    (void)rk;
    struct log_delivered *delivered = m->_private;
    if (refuses(m->err))
        note_refused(((struct kafka_link *)opaque)->owner, rd_kafka_topic_name(m->rkt), m->err);
    if (kafka_forbids(m->err))
        ((struct kafka *)((struct kafka_link *)opaque)->owner)->denied = rd_kafka_topic_opaque(m->rkt);
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR && delivered != NULL && m->offset >= 0)
        log_deliver(delivered, m->offset);
}

void kafka_producer_drop(struct kafka *k) {
    if (k->producer == NULL)
        return;
    kafka_topics_destroy(k->producer_topics, k->topic_count);
    rd_kafka_purge(k->producer,
                   RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_destroy(k->producer);
    k->producer = NULL;
}

/* That another took its identity: so the broker speaks also of those whose transaction it ended itself. Of a
 * member kafka_init() asks who has it. */
static enum err_kind kind_of_fence(const struct kafka *k) {
    return k->member == NULL ? ERR_FENCED : ERR_UNKNOWN;
}

/* What is fatal to a producer is not to the next one. */
static bool producer_ended(struct kafka *k, struct err *e) {
    kafka_fatal(k->producer, e);
    e->kind = e->kind == ERR_FENCED ? kind_of_fence(k) : ERR_UNKNOWN;
    return false;
}

/* Why the transaction cannot go on, where a record is the reason. */
static bool aborts(const struct kafka *k, struct err *e) {
    if (e->kind == ERR_ABORT && k->refused.kind != ERR_NONE)
        *e = k->refused;
    return false;
}

static void note_written(struct kafka *k, const struct topic *t) {
    size_t i = 0;
    while (i < k->written_count && k->written[i] != t)
        i++;
    if (i < WRITTEN_MAX) {
        k->written[i] = t;
        k->written_count += i == k->written_count;
    }
}

/* Until somebody permits it, it is tried again; kafka_troubled() says so meanwhile. */
static bool forbidden(struct kafka *k, rd_kafka_resp_err_t code, enum err_kind kind, struct err *e) {
    _cleanup_(buf_free) struct buf what = {0};
    if (k->denied != NULL)
        k->written[0] = k->denied, k->written_count = 1;
    if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
        buf_printf(&what, "the group %s", k->group);
    else if (code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        buf_printf(&what, "the transactional id %s", k->identity);
    else
        buf_printf(&what, "writing to %s",
                   k->written_count == 0   ? "a topic"
                   : k->written_count == 1 ? ""
                                           : "one of ");
    for (size_t i = 0; code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED && i < k->written_count; i++)
        buf_printf(&what, "%s%s", i == 0 ? "" : ", ", k->written[i]->name);
    bool known = k->forbidden.why.kind != ERR_NONE && k->forbidden.code == code && k->written_count > 1;
    k->forbidden.code = code;
    k->forbidden.until_us = clock_mono_us() + FORBIDDEN_MS * (int64_t)1000;
    if (!known) /* what was said before may be more exact */
        err_set(&k->forbidden.why, kind, "waiting for Kafka: " SLICE_FMT ": %s", SLICE_ARG(buf_slice(&what)),
                rd_kafka_err2str(code));
    *e = k->forbidden.why;
    e->kind = kind;
    return false;
}

/* Sorts an error of the transaction API by what to do; `otherwise` where the API leaves it open: ERR_RETRY
 * where a producer begins, and then fatal is what it says. */
static bool transaction_error(struct kafka *k, rd_kafka_error_t *error, enum err_kind otherwise,
                              const char *call, struct err *e) {
    if (error == NULL)
        return true;
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    enum err_kind kind = otherwise;
    if (k->denied != NULL)
        code = RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; /* whatever else it said */
    if (kafka_forbids(code)) {
        rd_kafka_error_destroy(error);
        return forbidden(k, code, otherwise == ERR_RETRY ? ERR_RETRY : ERR_UNKNOWN, e);
    }
    if (rd_kafka_error_is_fatal(error)) {
        if (otherwise == ERR_RETRY)
            kafka_fatal(k->producer, e);
        else
            producer_ended(k, e);
        kind = e->kind;
    } else if (code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
               code == RD_KAFKA_RESP_ERR__FENCED) {
        kind = otherwise == ERR_RETRY ? ERR_FENCED : kind_of_fence(k);
    } else if (rd_kafka_error_txn_requires_abort(error)) {
        kind = ERR_ABORT;
    }
    err_set(e, kind, "Kafka: %s: %s", call, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return aborts(k, e);
}

bool kafka_init(struct log *l, struct err *e) {
    struct kafka *k = kafka_of(l);
    if (k->tasks > 0 && !kafka_sole(k, e)) /* else on_rebalance() has asked */
        return false;
    if (k->forbidden.why.kind != ERR_NONE && clock_mono_us() < k->forbidden.until_us) {
        *e = k->forbidden.why;
        e->kind = ERR_RETRY;
        return false;
    }
    kafka_producer_drop(k);
    k->refused.kind = ERR_NONE;
    k->denied = NULL;
    const struct kafka_property own[] = {{"transactional.id", k->identity}, {NULL, NULL}};
    const struct kafka_property *const settings[] = {producer_settings, transaction_settings, own, NULL};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    if (!kafka_role(k, CLIENT_PRODUCER, conf, settings, &k->producer, e))
        return false;
    if (!transaction_error(k, rd_kafka_init_transactions(k->producer, INIT_MS), ERR_RETRY,
                           "init_transactions", e))
        return false;
    /* What else it may, the next commit shows, where there is something to commit. */
    if (k->tasks == 0 || k->forbidden.code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
        k->forbidden.why.kind = ERR_NONE;
    return true;
}

bool kafka_begin(struct log *l, struct err *e) {
    struct kafka *k = kafka_of(l);
    k->refused.kind = ERR_NONE;
    k->written_count = 0;
    k->denied = NULL;
    return transaction_error(k, rd_kafka_begin_transaction(k->producer), ERR_UNKNOWN, "begin_transaction", e);
}

bool kafka_produce(struct log *l, const struct log_message *m, struct err *e) {
    struct kafka *k = kafka_of(l);
    rd_kafka_topic_t *topic = kafka_topic(k->producer, k->producer_topics, m->topic);
    int64_t until = clock_mono_us() + COMMIT_MS * (int64_t)1000;
    note_written(k, m->topic);
    for (;;) {
        rd_kafka_resp_err_t error = kafka_send(k->producer, topic, m->partition, m, m->delivered);
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
            return true;
        if (error == RD_KAFKA_RESP_ERR__FATAL)
            return producer_ended(k, e);
        if (refuses(error))
            note_refused(k, m->topic->name, error);
        if (kafka_forbids(error)) {
            k->denied = m->topic;
            return forbidden(k, error, ERR_UNKNOWN, e);
        }
        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL || clock_mono_us() > until) {
            err_set(e, ERR_ABORT, "producing to %s: %s", m->topic->name, rd_kafka_err2str(error));
            return aborts(k, e);
        }
        rd_kafka_poll(k->producer, 10);
    }
}

bool kafka_commit(struct log *l, const struct log_committed *inputs, size_t n, struct err *e) {
    struct kafka *k = kafka_of(l);
    if (n > 0) {
        rd_kafka_topic_partition_list_t *list = kafka_committed_list(inputs, n);
        rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(k->member);
        rd_kafka_error_t *error = rd_kafka_send_offsets_to_transaction(k->producer, list, group, COMMIT_MS);
        rd_kafka_consumer_group_metadata_destroy(group);
        rd_kafka_topic_partition_list_destroy(list);
        if (!transaction_error(k, error, ERR_ABORT, "send_offsets_to_transaction", e))
            return false;
    }
    if (!transaction_error(k, rd_kafka_commit_transaction(k->producer, COMMIT_MS), ERR_UNKNOWN,
                           "commit_transaction", e))
        return false;
    k->forbidden.why.kind = ERR_NONE;
    return true;
}

bool kafka_abort(struct log *l, struct err *e) {
    struct kafka *k = kafka_of(l);
    return transaction_error(k, rd_kafka_abort_transaction(k->producer, COMMIT_MS), ERR_UNKNOWN,
                             "abort_transaction", e);
}
