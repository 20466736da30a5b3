/* The member of the group: which tasks are ours, how far the group has them. */
#include "kafka/internal.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STABLE_MS = 300,   /* committed offsets: while a transaction is open they are not to be had */
    LOOK_MS = 2000,    /* whether the group has all tasks; */
    LACKING_LOOKS = 8, /* so often it has not: longer than it takes to give tasks up, commit and all */
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

bool kafka_fatal(rd_kafka_t *rk, struct err *e) {
    char text[300];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(rk, text, sizeof text);
    bool fenced = code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID || code == RD_KAFKA_RESP_ERR__FENCED ||
                  code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
                  code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
    return err_set(e, fenced ? ERR_FENCED : ERR_FATAL, "%s%s",
                   fenced ? "another process has this identity: " : "", text);
}

const char *kafka_member_id(const struct log *l) {
    return ((const struct kafka *)l)->member_id;
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
    if (kafka_group_describe(kafka_of(l), is_free, predecessor, e))
        return true;
    if (e->kind == ERR_FENCED)
        err_prefix(e, "waiting");
    e->kind = ERR_RETRY;
    return false;
}

bool kafka_sole(struct kafka *k, struct err *e) {
    return kafka_group_describe(k, is_free, k->member_id, e);
}

static bool leave_group(struct kafka *k, const rd_kafka_ConsumerGroupDescription_t *group,
                        const void *context, struct err *e) {
    (void)context;
    const rd_kafka_Node_t *node = rd_kafka_ConsumerGroupDescription_coordinator(group);
    return (node != NULL && kafka_leave_group(k->link.properties, rd_kafka_Node_host(node),
                                              rd_kafka_Node_port(node), k->group, k->identity)) ||
           err_set(e, ERR_RETRY, "the group does not let go");
}

void kafka_member_destroy(struct kafka *k) {
    if (k->member == NULL)
        return;
    rd_kafka_queue_destroy(k->member_queue);
    /* A static member leaves without a word, so there is nothing to close; and closing a fenced one hangs. */
    rd_kafka_destroy_flags(k->member, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    k->member = NULL;
}

bool kafka_leave(struct log *l, struct err *e) {
    struct kafka *k = kafka_of(l);
    k->listener = (struct log_listener){0};
    k->lead = NULL;
    k->tasks = 0;
    k->strangers[0] = 0;
    kafka_member_destroy(k);
    if (atomic_load(&k->link.down))
        return err_set(e, ERR_RETRY, "Kafka is away");
    return kafka_group_describe(k, leave_group, NULL, e);
}

/* Who dies when it has given up tasks, and before the rebalance that gives them to another, comes back to
 * what it had left: a static member needs no rebalance, and the coordinator does not mind that tasks are
 * missing. So who has not all of them looks, and when some are missing for long, one leaves and joins again.
 */
/* Instances of a service are <group>-<slot>. */
static bool is_stranger(const struct kafka *k, const char *instance) {
    size_t n = strlen(k->group);
    return instance == NULL || strncmp(instance, k->group, n) != 0 || instance[n] != '-';
}

static bool reclaim_tasks(struct kafka *k, const rd_kafka_ConsumerGroupDescription_t *group,
                          const void *context, struct err *e) {
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
                     tasks->cnt, k->partitions[k->lead->number], rd_kafka_MemberDescription_client_id(member),
                     rd_kafka_MemberDescription_host(member));
        first = first && (instance == NULL || strcmp(k->identity, instance) <= 0);
    }
    bool lacks = rd_kafka_ConsumerGroupDescription_state(group) == RD_KAFKA_CONSUMER_GROUP_STATE_STABLE &&
                 had < k->partitions[k->lead->number];
    k->lacking = lacks ? k->lacking + 1 : 0;
    if (k->lacking < LACKING_LOOKS || !first || !is_free(k, group, k->member_id, e))
        return true;
    k->lacking = 0;
    counter_add(&k->mended, 1);
    return leave_group(k, group, context, e);
}

/* Who it is, or was while it joins again. */
static void note_member_id(struct kafka *k, rd_kafka_t *member) {
    char *id = rd_kafka_memberid(member);
    if (id != NULL && id[0] != 0)
        snprintf(k->member_id, sizeof k->member_id, "%s", id);
    rd_kafka_mem_free(member, id);
}

void kafka_member_look(struct kafka *k) {
    struct err e;
    int64_t now = clock_mono_us();
    if (k->look != NULL) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(k->look, 0);
        if (event == NULL)
            return;
        rd_kafka_queue_destroy(k->look);
        k->look = NULL;
        if (k->lead != NULL)
            (void)!kafka_group_take(k, event, reclaim_tasks, NULL, &e);
        else
            rd_kafka_event_destroy(event); /* it has left meanwhile */
    } else if (k->lead != NULL && now >= k->look_at) {
        k->look_at = now + LOOK_MS * (int64_t)1000;
        note_member_id(k, k->member);
        if (k->tasks < k->partitions[k->lead->number])
            (void)!kafka_group_ask(k, &k->look, &e);
        else
            k->strangers[0] = 0;
    }
}

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
        if (lost && !kafka_sole(k, &k->fenced) && k->fenced.kind == ERR_FENCED)
            return;
        k->fenced.kind = ERR_NONE;
        error = rd_kafka_incremental_unassign(rk, list);
    }
    if (error != NULL)
        rd_kafka_error_destroy(error); /* the group has moved on, and says so by the next rebalance */
}

bool kafka_subscribe(struct log *l, const struct topic *lead, const struct log_listener *listener,
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

bool kafka_member_serve(struct kafka *k, struct err *e) {
    rd_kafka_message_t *m;
    while (k->member != NULL && (m = rd_kafka_consumer_poll(k->member, 0)) != NULL) {
        rd_kafka_resp_err_t error = m->err;
        rd_kafka_message_destroy(m);
        if (error == RD_KAFKA_RESP_ERR__FATAL)
            return kafka_fatal(k->member, e);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR && error != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            k->member_error = error;
    }
    if (k->fenced.kind == ERR_NONE)
        return true;
    *e = k->fenced;
    return false;
}

rd_kafka_topic_partition_list_t *kafka_committed_list(const struct log_committed *inputs, size_t n) {
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

bool kafka_committed(struct log *l, struct log_committed *inputs, size_t n, struct err *e) {
    struct kafka *k = kafka_of(l);
    rd_kafka_topic_partition_list_t *list = kafka_committed_list(inputs, n);
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
