#include "kafka/internal.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    STABLE_MS = 300, /* committed offsets: while a transaction is open they are not to be had */
    INIT_MS = 10000,
    COMMIT_MS = 11000,   /* longer than transaction.timeout.ms: then the broker has decided */
    GREET_MS = 5000,     /* a broker that wants TLS and SASL, from anew, on a busy machine */
    FORBIDDEN_MS = 1000, /* between two tries of what the broker does not permit */
    LOOK_MS = 2000,      /* whether the group has all tasks; */
    LACKING_LOOKS = 8,   /* so often it has not: longer than it takes to give tasks up, commit and all */
};

static const struct kafka_property member_settings[] = {
    {"group.protocol", "classic"}, /* with the new one a killed static member cannot come back */
    {"partition.assignment.strategy", "cooperative-sticky"},
    {"session.timeout.ms", "6000"},
    {"heartbeat.interval.ms", "500"},
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"isolation.level", "read_committed"}, /* makes committed offsets stable ones */
    {NULL, NULL},
};

static const struct kafka_property transaction_settings[] = {
    {"transaction.timeout.ms", "10000"}, /* what a dead instance left open hides later records until then */
    {NULL, NULL},
};

/* ---- making clients ---- */

bool kafka_role(struct kafka *k, enum client role, rd_kafka_conf_t *conf,
                const struct kafka_property *const *settings, rd_kafka_t **rk, struct err *e) {
    rd_kafka_type_t type = role < CLIENT_PRODUCER ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER;
    return kafka_client(type, &k->link, settings, conf, &k->traffic[role], rk, e);
}

void kafka_watch(struct kafka *k, rd_kafka_queue_t *queue) {
    static const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(queue, k->event, &one, sizeof one);
}

/* The client for questions. Not a reader: a broker answers a connection's requests in turn, and a reader's
 * fetch waits there for up to half a second. */
static bool asker(struct kafka *k, rd_kafka_t **rk, struct err *e) {
    const struct kafka_property *const settings[] = {NULL};
    if (k->asker == NULL && !kafka_role(k, CLIENT_ASKER, rd_kafka_conf_new(), settings, &k->asker, e))
        return false;
    *rk = k->asker;
    return true;
}

static void asker_drop(struct kafka *k) {
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

/* ---- questions ---- */

static int64_t kafka_now_ms(struct log *l) {
    (void)l;
    return clock_mono_us() / 1000;
}

static int64_t kafka_time_ms(struct log *l) {
    (void)l;
    return clock_wall_ms();
}

static bool away(struct kafka *k, struct err *e, const char *what) {
    return kafka_away(&k->link, k->asker, what, e);
}

static bool kafka_partitions(struct log *l, const struct topic *t, int32_t *count, struct err *e) {
    struct kafka *k = kafka_of(l);
    if (k->partitions[t->index] == 0) {
        rd_kafka_t *rk;
        rd_kafka_resp_err_t error;
        if (!asker(k, &rk, e))
            return false;
        k->partitions[t->index] =
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
    *count = k->partitions[t->index];
    return true;
}

/* Stream time and cuts are the metadata that Kafka keeps for us beside an offset: "time#cuts". */
static rd_kafka_topic_partition_list_t *committed_list(const struct log_committed *inputs, size_t n) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_topic_partition_t *p =
            rd_kafka_topic_partition_list_add(list, inputs[i].topic->name, inputs[i].partition);
        p->offset = inputs[i].offset;
        char text[48];
        snprintf(text, sizeof text, inputs[i].cuts > 0 ? "%" PRId64 "#%" PRId64 : "%" PRId64, inputs[i].time,
                 inputs[i].cuts);
        bool any = inputs[i].time > 0 || inputs[i].cuts > 0;
        p->metadata = any ? xstrdup(text) : NULL;
        p->metadata_size = any ? strlen(text) : 0;
    }
    return list;
}

static void read_metadata(const rd_kafka_topic_partition_t *p, struct log_committed *to) {
    _cleanup_(buf_free) struct buf text = {0};
    char *rest;
    buf_append(&text, p->metadata, p->metadata_size);
    buf_append_byte(&text, 0);
    int64_t time = strtoll(text.data, &rest, 10), cuts = *rest == '#' ? strtoll(rest + 1, NULL, 10) : 0;
    to->time = time > 0 ? time : 0;
    to->cuts = cuts > 0 ? cuts : 0;
}

static bool kafka_committed(struct log *l, struct log_committed *inputs, size_t n, struct err *e) {
    struct kafka *k = kafka_of(l);
    rd_kafka_topic_partition_list_t *list = committed_list(inputs, n);
    rd_kafka_resp_err_t error = rd_kafka_committed(k->member, list, STABLE_MS);
    for (size_t i = 0; i < n && error == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
        error = list->elems[i].err;
    for (size_t i = 0; i < n && error == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        inputs[i].offset = list->elems[i].offset < 0 ? -1 : list->elems[i].offset;
        read_metadata(&list->elems[i], &inputs[i]);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR ||
           err_set(e, ERR_RETRY, "waiting for Kafka: stable offsets of group %s: %s", k->group,
                   rd_kafka_err2str(error));
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
    if (!asker(k, &rk, e))
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
        asker_drop(k); /* a client that only asks does not notice a new leader epoch; the next one will */
    return ok;
}

static bool kafka_ends(struct log *l, struct log_position *positions, size_t n, bool committed,
                       struct err *e) {
    return kafka_offsets(kafka_of(l), positions, n, RD_KAFKA_OFFSET_SPEC_LATEST, committed, e);
}

/* Markers are written within a few milliseconds; the producer's next transaction would have to wait for them,
 * too. */
static bool kafka_visible(struct log *l, const struct log_position *positions, size_t n, struct err *e) {
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
    if (!asker(k, &rk, e))
        return false;
    char *found = rd_kafka_clusterid(rk, CALL_MS);
    if (found == NULL)
        return away(k, e, "it does not say which cluster it is");
    snprintf(id, size, "%s", found);
    rd_kafka_mem_free(rk, found);
    return true;
}

const char *kafka_member_id(const struct log *l) {
    return ((const struct kafka *)l)->member_id;
}

/* What to do with the group as its coordinator sees it. */
typedef bool on_group(struct kafka *k, const rd_kafka_ConsumerGroupDescription_t *group, const void *context,
                      struct err *e);

/* The answer comes into *queue, which is the caller's. */
static bool ask_group(struct kafka *k, rd_kafka_queue_t **queue, struct err *e) {
    rd_kafka_t *rk;
    char text[256];
    if (!asker(k, &rk, e))
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

static bool take_group(struct kafka *k, rd_kafka_event_t *event, on_group *each, const void *context,
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

static bool describe_group(struct kafka *k, on_group *each, const void *context, struct err *e) {
    rd_kafka_queue_t *queue;
    if (!ask_group(k, &queue, e))
        return false;
    bool ok = take_group(k, rd_kafka_queue_poll(queue, CALL_MS), each, context, e);
    rd_kafka_queue_destroy(queue);
    return ok;
}

static bool is_free(struct kafka *k, const rd_kafka_ConsumerGroupDescription_t *group,
                    const void *predecessor, struct err *e) {
    for (size_t m = 0; m < rd_kafka_ConsumerGroupDescription_member_count(group); m++) {
        const rd_kafka_MemberDescription_t *member = rd_kafka_ConsumerGroupDescription_member(group, m);
        const char *instance = rd_kafka_MemberDescription_group_instance_id(member);
        if (instance != NULL && strcmp(instance, k->identity) == 0 &&
            strcmp(rd_kafka_MemberDescription_consumer_id(member), predecessor) != 0)
            return err_set(e, ERR_FENCED,
                           "another process is %s, at %s; stop it, or give this one another SLOT",
                           k->identity, rd_kafka_MemberDescription_host(member));
    }
    return true;
}

bool kafka_identity_free(struct log *l, const char *predecessor, struct err *e) {
    if (describe_group(kafka_of(l), is_free, predecessor, e))
        return true;
    if (e->kind == ERR_FENCED)
        err_prefix(e, "waiting");
    e->kind = ERR_RETRY;
    return false;
}

static bool leave(struct kafka *k, const rd_kafka_ConsumerGroupDescription_t *group, const void *context,
                  struct err *e) {
    (void)context;
    const rd_kafka_Node_t *node = rd_kafka_ConsumerGroupDescription_coordinator(group);
    return (node != NULL && kafka_leave_group(k->link.properties, rd_kafka_Node_host(node),
                                              rd_kafka_Node_port(node), k->group, k->identity)) ||
           err_set(e, ERR_RETRY, "the group does not let go");
}

static void member_destroy(struct kafka *k) {
    if (k->member == NULL)
        return;
    rd_kafka_queue_destroy(k->member_queue);
    /* A static member leaves without a word, so there is nothing to close; and closing a fenced one hangs. */
    rd_kafka_destroy_flags(k->member, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    k->member = NULL;
}

static bool kafka_leave(struct log *l, struct err *e) {
    struct kafka *k = kafka_of(l);
    k->listener = (struct log_listener){0};
    k->lead = NULL;
    k->tasks = 0;
    k->strangers[0] = 0;
    member_destroy(k);
    if (atomic_load(&k->link.down))
        return err_set(e, ERR_RETRY, "Kafka is away");
    return describe_group(k, leave, NULL, e);
}

/* ---- tasks that nobody has ---- */

/* Who dies when it has given up tasks, and before the rebalance that gives them to another, comes back to
 * what it had left: a static member needs no rebalance, and the coordinator does not mind that tasks are
 * missing. So who has not all of them looks, and when some are missing for long, one leaves and joins again.
 */
/* Instances of a service are <group>-<slot>. */
static bool is_stranger(const struct kafka *k, const char *instance) {
    size_t n = strlen(k->group);
    return instance == NULL || strncmp(instance, k->group, n) != 0 || instance[n] != '-';
}

static bool mend_group(struct kafka *k, const rd_kafka_ConsumerGroupDescription_t *group, const void *context,
                       struct err *e) {
    int32_t had = 0;
    bool first = true;
    k->strangers[0] = 0;
    for (size_t m = 0; m < rd_kafka_ConsumerGroupDescription_member_count(group); m++) {
        const rd_kafka_MemberDescription_t *member = rd_kafka_ConsumerGroupDescription_member(group, m);
        const char *instance = rd_kafka_MemberDescription_group_instance_id(member);
        const rd_kafka_topic_partition_list_t *tasks =
            rd_kafka_MemberAssignment_partitions(rd_kafka_MemberDescription_assignment(member));
        had += tasks == NULL ? 0 : tasks->cnt;
        if (tasks != NULL && tasks->cnt > 0 && is_stranger(k, instance))
            snprintf(k->strangers, sizeof k->strangers,
                     "waiting for the group %s: %d of its %d tasks are with a stranger, %s at %s", k->group,
                     tasks->cnt, k->partitions[k->lead->index], rd_kafka_MemberDescription_client_id(member),
                     rd_kafka_MemberDescription_host(member));
        first = first && (instance == NULL || strcmp(k->identity, instance) <= 0);
    }
    bool lacks = rd_kafka_ConsumerGroupDescription_state(group) == RD_KAFKA_CONSUMER_GROUP_STATE_STABLE &&
                 had < k->partitions[k->lead->index];
    k->lacking = lacks ? k->lacking + 1 : 0;
    if (k->lacking < LACKING_LOOKS || !first || !is_free(k, group, k->member_id, e))
        return true;
    k->lacking = 0;
    counter_add(&k->mended, 1);
    return leave(k, group, context, e);
}

/* Who it is, or was while it joins again. */
static void note_member_id(struct kafka *k, rd_kafka_t *member) {
    char *id = rd_kafka_memberid(member);
    if (id != NULL && id[0] != 0)
        snprintf(k->member_id, sizeof k->member_id, "%s", id);
    rd_kafka_mem_free(member, id);
}

/* Does not wait for the answer; what fails is asked again at the next look. */
static void look_at_group(struct kafka *k) {
    struct err e;
    int64_t now = clock_mono_us();
    if (k->look != NULL) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(k->look, 0);
        if (event == NULL)
            return;
        rd_kafka_queue_destroy(k->look);
        k->look = NULL;
        if (k->lead != NULL)
            (void)!take_group(k, event, mend_group, NULL, &e);
        else
            rd_kafka_event_destroy(event); /* it has left meanwhile */
    } else if (k->lead != NULL && now >= k->look_at) {
        k->look_at = now + LOOK_MS * (int64_t)1000;
        note_member_id(k, k->member);
        if (k->tasks < k->partitions[k->lead->index])
            (void)!ask_group(k, &k->look, &e);
        else
            k->strangers[0] = 0;
    }
}

/* ---- the group ---- */

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *list,
                         void *opaque) {
    struct kafka *k = ((struct kafka_link *)opaque)->owner;
    int32_t tasks[list->cnt + 1];
    for (int i = 0; i < list->cnt; i++)
        tasks[i] = list->elems[i].partition;
    k->told = true;
    note_member_id(k, rk);
    rd_kafka_error_t *error;
    if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        k->member_error = RD_KAFKA_RESP_ERR_NO_ERROR;
        k->tasks += list->cnt;
        error = rd_kafka_incremental_assign(rk, list);
        rd_kafka_pause_partitions(rk, list); /* the member never reads: the readers do */
        if (k->listener.assigned != NULL)
            k->listener.assigned(k->listener.context, tasks, (size_t)list->cnt);
    } else {
        bool lost = rd_kafka_assignment_lost(rk);
        k->tasks -= list->cnt;
        if (k->listener.revoked != NULL)
            k->listener.revoked(k->listener.context, tasks, (size_t)list->cnt, lost);
        /* Back from a long pause it would join again, and take its identity from whoever has it now. */
        if (lost && !describe_group(k, is_free, k->member_id, &k->fenced) && k->fenced.kind == ERR_FENCED)
            return;
        k->fenced.kind = ERR_NONE;
        error = rd_kafka_incremental_unassign(rk, list);
    }
    if (error != NULL)
        rd_kafka_error_destroy(error); /* the group has moved on, and says so by the next rebalance */
}

static bool kafka_subscribe(struct log *l, const struct topic *lead, const struct log_listener *listener,
                            struct err *e) {
    struct kafka *k = kafka_of(l);
    k->listener = *listener;
    const struct kafka_property own[] = {
        {"group.id", k->group}, {"group.instance.id", k->identity}, {NULL, NULL}};
    const struct kafka_property *const settings[] = {member_settings, own, NULL};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    if (!kafka_role(k, CLIENT_MEMBER, conf, settings, &k->member, e))
        return false;
    rd_kafka_poll_set_consumer(k->member);
    k->member_queue = rd_kafka_queue_get_consumer(k->member);
    kafka_watch(k, k->member_queue);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, lead->name, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(k->member, list);
    rd_kafka_topic_partition_list_destroy(list);
    k->lead = lead;
    k->tasks = 0;
    k->look_at = clock_mono_us() + LOOK_MS * (int64_t)1000;
    return error == RD_KAFKA_RESP_ERR_NO_ERROR ||
           err_set(e, ERR_CONFIG, "subscribe: %s", rd_kafka_err2str(error));
}

static bool fatal(rd_kafka_t *rk, struct err *e) {
    char text[300];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(rk, text, sizeof text);
    bool fenced = code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID || code == RD_KAFKA_RESP_ERR__FENCED ||
                  code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
                  code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
    return err_set(e, fenced ? ERR_FENCED : ERR_FATAL, "%s%s",
                   fenced ? "another process has this identity: " : "", text);
}

/* A member without partitions to read has only callbacks and errors. */
static bool serve_member(struct kafka *k, struct err *e) {
    rd_kafka_message_t *m;
    while (k->member != NULL && (m = rd_kafka_consumer_poll(k->member, 0)) != NULL) {
        rd_kafka_resp_err_t error = m->err;
        rd_kafka_message_destroy(m);
        if (error == RD_KAFKA_RESP_ERR__FATAL)
            return fatal(k->member, e);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR && error != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            k->member_error = error;
    }
    if (k->fenced.kind == ERR_NONE)
        return true;
    *e = k->fenced;
    return false;
}

static bool still_away(struct kafka *k, struct err *e) {
    rd_kafka_t *rk;
    const struct rd_kafka_metadata *m;
    if (!asker(k, &rk, e))
        return true;
    bool secured = kafka_property_of(k->link.properties, "security.protocol") != NULL;
    rd_kafka_resp_err_t error = rd_kafka_metadata(rk, 0, NULL, &m, secured ? GREET_MS : 500);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        asker_drop(k); /* what hinders may be in this client: the next try is another's */
        away(k, e, rd_kafka_err2str(error));
        return true;
    }
    rd_kafka_metadata_destroy(m);
    kafka_answered(&k->link);
    return false;
}

static bool kafka_poll(struct log *l, bool inputs, struct log_record *records, size_t max, int timeout_ms,
                       size_t *n, struct err *e) {
    struct kafka *k = kafka_of(l);
    *n = 0;
    if (inputs && atomic_load(&k->link.down) && still_away(k, e))
        return false;
    for (int attempt = 0;; attempt++) {
        uint64_t events;
        if (read(k->event, &events, sizeof events) < 0 && errno != EAGAIN)
            return err_set(e, ERR_FATAL, "eventfd: %s", strerror(errno));
        k->told = false;
        if (inputs) {
            if (!serve_member(k, e))
                return false;
            look_at_group(k);
        }
        if (k->producer != NULL)
            rd_kafka_poll(k->producer, 0);
        if (k->asker != NULL)
            rd_kafka_poll(k->asker, 0);
        kafka_readers_watch(k);
        *n += kafka_take(k, inputs, records, max);
        if (*n > 0 || k->told || attempt > 0 || timeout_ms == 0)
            return true;
        struct pollfd fd = {.fd = k->event, .events = POLLIN};
        if (poll(&fd, 1, timeout_ms) == 0)
            return true;
    }
}

static struct slice kafka_header(const struct log_record *r, const char *name) {
    rd_kafka_headers_t *headers;
    const void *value;
    size_t size;
    if (rd_kafka_message_headers(r->handle, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return SLICE_NONE;
    return (struct slice){value, size};
}

static size_t kafka_headers(const struct log_record *r, struct log_header *out, size_t max) {
    rd_kafka_headers_t *headers;
    size_t n = 0;
    if (rd_kafka_message_headers(r->handle, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    const void *value;
    while (n < max && rd_kafka_header_get_all(headers, n, &out[n].name, &value, &out[n].value.size) ==
                          RD_KAFKA_RESP_ERR_NO_ERROR)
        out[n++].value.data = value;
    return n;
}

/* ---- transactions ---- */

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

static void producer_drop(struct kafka *k) {
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
    fatal(k->producer, e);
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
            fatal(k->producer, e);
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

static bool kafka_init(struct log *l, struct err *e) {
    struct kafka *k = kafka_of(l);
    if (k->tasks > 0 && !describe_group(k, is_free, k->member_id, e)) /* else on_rebalance() has asked */
        return false;
    if (k->forbidden.why.kind != ERR_NONE && clock_mono_us() < k->forbidden.until_us) {
        *e = k->forbidden.why;
        e->kind = ERR_RETRY;
        return false;
    }
    producer_drop(k);
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

static bool kafka_begin(struct log *l, struct err *e) {
    struct kafka *k = kafka_of(l);
    k->refused.kind = ERR_NONE;
    k->written_count = 0;
    k->denied = NULL;
    return transaction_error(k, rd_kafka_begin_transaction(k->producer), ERR_UNKNOWN, "begin_transaction", e);
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

static bool kafka_produce(struct log *l, const struct log_message *m, struct err *e) {
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

static bool kafka_commit(struct log *l, const struct log_committed *inputs, size_t n, struct err *e) {
    struct kafka *k = kafka_of(l);
    if (n > 0) {
        rd_kafka_topic_partition_list_t *list = committed_list(inputs, n);
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

static bool kafka_abort(struct log *l, struct err *e) {
    struct kafka *k = kafka_of(l);
    return transaction_error(k, rd_kafka_abort_transaction(k->producer, COMMIT_MS), ERR_UNKNOWN,
                             "abort_transaction", e);
}

/* ---- the rest ---- */

void kafka_metrics(struct log *l, const char *topology, struct metrics *m) {
    static const char *const roles[CLIENTS] = {"group",          "inputs",       "backlog",
                                               "tables",         "changelogs",   "patient-inputs",
                                               "patient-tables", "transactions", "questions"};
    static const struct metric mended = {
        "insideout_kafka_group_mends_total", METRIC_COUNTER,
        "Times that this instance had to join again because the group had left tasks to nobody."};
    metrics_add(m, &mended, (double)counter_get(&kafka_of(l)->mended), "topology", topology, NULL);
    static const struct metric renewed = {"insideout_kafka_readers_renewed_total", METRIC_COUNTER,
                                          "Times that a reader was made anew because it got nothing although "
                                          "there was something, or an error that lasted."};
    for (int q = 0; q < READERS; q++)
        metrics_add(m, &renewed, (double)counter_get(&kafka_of(l)->renewed[q]), "topology", topology,
                    "client", roles[CLIENT_READERS + q], NULL);
    for (int i = 0; i < CLIENTS; i++)
        kafka_traffic_metrics(&kafka_of(l)->traffic[i], topology, roles[i], m);
}

/* A member that has tasks got over what it met. */
static bool kafka_troubled(struct log *l, char *text, size_t size) {
    struct kafka *k = kafka_of(l);
    bool stays_out = k->member_error != RD_KAFKA_RESP_ERR_NO_ERROR && k->tasks == 0;
    bool forbidden = k->forbidden.why.kind != ERR_NONE;
    if (k->strangers[0] != 0)
        snprintf(text, size, "%s", k->strangers);
    else if (forbidden)
        snprintf(text, size, "%s", k->forbidden.why.text);
    else if (stays_out)
        snprintf(text, size, "waiting for the group %s: %s", k->group, rd_kafka_err2str(k->member_error));
    else if (k->troubles > 0)
        snprintf(text, size, "%s", k->trouble);
    return k->strangers[0] != 0 || forbidden || stays_out || k->troubles > 0;
}

static void kafka_wake(struct log *l) {
    uint64_t one = 1;
    if (write(kafka_of(l)->event, &one, sizeof one) < 0)
        return; /* the counter is full: it wakes as it is */
}

static void kafka_destroy(struct log *l) {
    struct kafka *k = kafka_of(l);
    k->listener = (struct log_listener){0};
    producer_drop(k);
    free(k->producer_topics);
    kafka_readers_destroy(k);
    asker_drop(k);
    free(k->asker_topics);
    member_destroy(k);
    close(k->event);
    free(k->messages);
    free(k->partitions);
    kafka_link_finish(&k->link);
    free(k->group);
    free(k->identity);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

bool kafka_create(const struct kafka_options *o, struct log **log, struct err *e) {
    static const struct log_ops ops = {
        .now_ms = kafka_now_ms,
        .partitions = kafka_partitions,
        .subscribe = kafka_subscribe,
        .leave = kafka_leave,
        .read = kafka_read,
        .unread = kafka_unread,
        .poll = kafka_poll,
        .release = kafka_release,
        .header = kafka_header,
        .headers = kafka_headers,
        .time_ms = kafka_time_ms,
        .committed = kafka_committed,
        .ends = kafka_ends,
        .init = kafka_init,
        .begin = kafka_begin,
        .produce = kafka_produce,
        .commit = kafka_commit,
        .abort = kafka_abort,
        .visible = kafka_visible,
        .seen_end = kafka_seen_end,
        .troubled = kafka_troubled,
        .wake = kafka_wake,
        .destroy = kafka_destroy,
    };
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event < 0)
        return err_set(e, ERR_FATAL, "eventfd: %s", strerror(errno));
    struct kafka *k = xcalloc(1, sizeof *k);
    k->log.ops = &ops;
    k->event = event;
    pthread_mutex_init(&k->lock, NULL);
    kafka_link_init(&k->link, o->brokers, o->properties, k);
    k->group = o->group == NULL ? NULL : xstrdup(o->group);
    k->identity = xstrdup(o->identity);
    k->topic_count = o->topic_count;
    k->watch.pause_ms = o->watch_ms > 0 ? o->watch_ms : WATCH_MS;
    k->patient = o->patient;
    k->partitions = xcalloc(o->topic_count, sizeof *k->partitions);
    k->producer_topics = xcalloc(o->topic_count, sizeof(rd_kafka_topic_t *));
    k->asker_topics = xcalloc(o->topic_count, sizeof(rd_kafka_topic_t *));
    *log = &k->log;
    return true;
}
