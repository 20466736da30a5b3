#include "cluster.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "kafka/client.h"
#include "schemas/schemas.gen.h"

#include <pthread.h>
#include <stdlib.h>

enum { CALL_MS = 2500, UNPACK_MS = 2000 };

static const struct kafka_property unpack_settings[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"isolation.level", "read_uncommitted"},
    {"enable.partition.eof", "true"},
    {"fetch.wait.max.ms", "50"},
    {"queued.max.messages.kbytes", "1024"},
    {"fetch.message.max.bytes", "131072"},
    {NULL, NULL},
};

struct cluster {
    struct kafka_link link;
    rd_kafka_t *rk; /* for questions */
    struct kafka_traffic traffic;
    pthread_mutex_t lock; /* of the view */
    struct cluster_view *view;
    pthread_mutex_t unpacking;
    rd_kafka_t *unpacker; /* NULL: nothing was compressed yet */
};

bool cluster_create(const char *brokers, const struct kafka_property *properties, struct cluster **c,
                    struct err *e) {
    struct cluster *made = xcalloc(1, sizeof *made);
    const struct kafka_property *const none[] = {NULL};
    pthread_mutex_init(&made->lock, NULL);
    pthread_mutex_init(&made->unpacking, NULL);
    kafka_link_init(&made->link, brokers, properties, made);
    if (!kafka_client(RD_KAFKA_PRODUCER, &made->link, none, rd_kafka_conf_new(), &made->traffic, &made->rk,
                      e)) {
        cluster_destroy(made);
        return false;
    }
    *c = made;
    return true;
}

static void view_unref(struct cluster_view *v) {
    if (v == NULL || --v->owners > 0)
        return;
    for (size_t i = 0; i < v->topic_count; i++) {
        free(v->topics[i].name);
        free(v->topics[i].leaders);
    }
    for (size_t i = 0; i < v->broker_count; i++)
        free(v->brokers[i].host);
    free(v->topics);
    free(v->brokers);
    free(v);
}

void cluster_destroy(struct cluster *c) {
    if (c == NULL)
        return;
    view_unref(c->view);
    if (c->unpacker != NULL)
        rd_kafka_destroy(c->unpacker);
    if (c->rk != NULL)
        rd_kafka_destroy(c->rk);
    pthread_mutex_destroy(&c->unpacking);
    pthread_mutex_destroy(&c->lock);
    kafka_link_finish(&c->link);
    free(c);
}

const struct kafka_property *cluster_properties(const struct cluster *c) {
    return c->link.properties;
}

static bool away(struct cluster *c, struct err *e, const char *why) {
    return kafka_away(&c->link, c->rk, why, e);
}

/* ---- the view ---- */

/* Offsets of groups, states of transactions, and what Connect keeps, which may have passwords, or its pulse.
 */
static bool is_private(const char *name) {
    static const char *const connect[] = {"connect-configs", "connect-offsets", "connect-status",
                                          "connect-heartbeats.legacy"};
    for (size_t i = 0; i < sizeof connect / sizeof *connect; i++)
        if (strcmp(name, connect[i]) == 0)
            return true;
    return strncmp(name, "__", 2) == 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct cluster_topic *)a)->name, ((const struct cluster_topic *)b)->name);
}

static struct cluster_view *view_make(const struct rd_kafka_metadata *m) {
    struct cluster_view *v = xcalloc(1, sizeof *v);
    *v = (struct cluster_view){.owners = 1, .at_us = clock_mono_us()};
    v->topics = xcalloc((size_t)m->topic_cnt + 1, sizeof *v->topics);
    v->brokers = xcalloc((size_t)m->broker_cnt + 1, sizeof *v->brokers);
    for (int i = 0; i < m->broker_cnt; i++)
        v->brokers[v->broker_count++] = (struct cluster_broker){m->brokers[i].id, xstrdup(m->brokers[i].host),
                                                                (uint16_t)m->brokers[i].port};
    for (int i = 0; i < m->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *from = &m->topics[i];
        if (is_private(from->topic) || from->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        struct cluster_topic *t = &v->topics[v->topic_count++];
        *t = (struct cluster_topic){.name = xstrdup(from->topic),
                                    .known = topic_find(topics, topics_count, slice_of(from->topic)),
                                    .count = from->partition_cnt,
                                    .leaders = xcalloc((size_t)from->partition_cnt + 1, sizeof(int32_t))};
        for (int p = 0; p < from->partition_cnt; p++)
            if (from->partitions[p].id < from->partition_cnt)
                t->leaders[from->partitions[p].id] = from->partitions[p].leader;
    }
    qsort(v->topics, v->topic_count, sizeof *v->topics, by_name);
    return v;
}

bool cluster_view_get(struct cluster *c, int64_t max_age_ms, struct cluster_view **view, struct err *e) {
    const struct rd_kafka_metadata *m;
    bool ok = true;
    pthread_mutex_lock(&c->lock);
    if (c->view == NULL || clock_mono_us() - c->view->at_us > max_age_ms * 1000) {
        rd_kafka_resp_err_t error = rd_kafka_metadata(c->rk, 1, NULL, &m, CALL_MS);
        ok = error == RD_KAFKA_RESP_ERR_NO_ERROR || away(c, e, rd_kafka_err2str(error));
        if (ok) {
            kafka_answered(&c->link);
            view_unref(c->view);
            c->view = view_make(m);
            rd_kafka_metadata_destroy(m);
        }
    }
    if (ok) {
        c->view->owners++;
        *view = c->view;
    }
    pthread_mutex_unlock(&c->lock);
    return ok;
}

void cluster_view_release(struct cluster *c, struct cluster_view *view) {
    pthread_mutex_lock(&c->lock);
    view_unref(view);
    pthread_mutex_unlock(&c->lock);
}

const struct cluster_topic *cluster_view_topic(const struct cluster_view *view, struct slice name) {
    for (size_t i = 0; i < view->topic_count; i++)
        if (slice_equal(slice_of(view->topics[i].name), name))
            return &view->topics[i];
    return NULL;
}

bool cluster_id(struct cluster *c, char *id, size_t size, struct err *e) {
    char *found = rd_kafka_clusterid(c->rk, CALL_MS);
    if (found == NULL)
        return away(c, e, "it does not say which cluster it is");
    snprintf(id, size, "%s", found);
    rd_kafka_mem_free(c->rk, found);
    return true;
}

/* ---- questions: each has a queue and an answer ---- */

struct question {
    struct cluster *cluster;
    rd_kafka_AdminOptions_t *options;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
};

static struct question question_begin(struct cluster *c, rd_kafka_admin_op_t op) {
    char text[256];
    struct question q = {c, rd_kafka_AdminOptions_new(c->rk, op), rd_kafka_queue_new(c->rk), NULL};
    rd_kafka_AdminOptions_set_request_timeout(q.options, CALL_MS, text, sizeof text);
    return q;
}

static bool question_answer(struct question *q, struct err *e) {
    q->event = rd_kafka_queue_poll(q->queue, 2 * CALL_MS);
    if (q->event == NULL)
        return away(q->cluster, e, "no answer in time");
    if (rd_kafka_event_error(q->event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return away(q->cluster, e, rd_kafka_event_error_string(q->event));
    return true;
}

static void question_end(struct question *q) {
    if (q->event != NULL)
        rd_kafka_event_destroy(q->event);
    rd_kafka_queue_destroy(q->queue);
    rd_kafka_AdminOptions_destroy(q->options);
}

/* ---- offsets ---- */

static int64_t spec_of(int64_t spec) {
    return spec == CLUSTER_FIRST ? RD_KAFKA_OFFSET_SPEC_EARLIEST
           : spec == CLUSTER_END ? RD_KAFKA_OFFSET_SPEC_LATEST
                                 : spec;
}

static bool take_offsets(struct cluster *c, const rd_kafka_event_t *event, struct cluster_offset *offsets,
                         size_t n, struct err *e) {
    size_t count, found = 0;
    const rd_kafka_ListOffsetsResultInfo_t **infos = rd_kafka_ListOffsets_result_infos(
        rd_kafka_event_ListOffsets_result((rd_kafka_event_t *)(uintptr_t)event), &count);
    for (size_t k = 0; k < count; k++) {
        const rd_kafka_topic_partition_t *part = rd_kafka_ListOffsetsResultInfo_topic_partition(infos[k]);
        for (size_t i = 0; i < n; i++)
            if (offsets[i].partition == part->partition && strcmp(offsets[i].topic, part->topic) == 0) {
                if (part->err != RD_KAFKA_RESP_ERR_NO_ERROR)
                    return away(c, e, rd_kafka_err2str(part->err));
                if (part->offset < 0 && offsets[i].spec < 0)
                    return away(c, e, "a leader does not answer");
                offsets[i].offset = part->offset < 0 ? -1 : part->offset;
                found++;
                break;
            }
    }
    return found >= n || away(c, e, "an incomplete answer");
}

bool cluster_offsets(struct cluster *c, struct cluster_offset *offsets, size_t n, bool stable,
                     struct err *e) {
    if (n == 0)
        return true;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
    for (size_t i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(list, offsets[i].topic, offsets[i].partition)->offset =
            spec_of(offsets[i].spec);
    struct question q = question_begin(c, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
    rd_kafka_error_t *refused = rd_kafka_AdminOptions_set_isolation_level(
        q.options,
        stable ? RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED : RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED);
    if (refused != NULL)
        rd_kafka_error_destroy(refused);
    rd_kafka_ListOffsets(c->rk, list, q.options, q.queue);
    bool ok = question_answer(&q, e) && take_offsets(c, q.event, offsets, n, e);
    question_end(&q);
    rd_kafka_topic_partition_list_destroy(list);
    return ok;
}

/* ---- groups ---- */

static int by_group(const void *a, const void *b) {
    return strcmp(((const struct cluster_group *)a)->name, ((const struct cluster_group *)b)->name);
}

static bool list_groups(struct cluster *c, struct cluster_group **groups, size_t *count, struct err *e) {
    struct question q = question_begin(c, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS);
    rd_kafka_ListConsumerGroups(c->rk, q.options, q.queue);
    bool ok = question_answer(&q, e);
    if (ok) {
        size_t n;
        const rd_kafka_ConsumerGroupListing_t **found =
            rd_kafka_ListConsumerGroups_result_valid(rd_kafka_event_ListConsumerGroups_result(q.event), &n);
        *groups = xcalloc(n + 1, sizeof **groups);
        for (*count = 0; *count < n; ++*count)
            (*groups)[*count].name = xstrdup(rd_kafka_ConsumerGroupListing_group_id(found[*count]));
        qsort(*groups, n, sizeof **groups, by_group);
    }
    question_end(&q);
    return ok;
}

static char *copy(const char *text) {
    return xstrdup(text == NULL ? "" : text);
}

static void take_members(struct cluster_group *g, const rd_kafka_ConsumerGroupDescription_t *d) {
    g->state = rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(d));
    g->member_count = rd_kafka_ConsumerGroupDescription_member_count(d);
    g->members = xcalloc(g->member_count + 1, sizeof *g->members);
    for (size_t i = 0; i < g->member_count; i++) {
        const rd_kafka_MemberDescription_t *m = rd_kafka_ConsumerGroupDescription_member(d, i);
        const rd_kafka_MemberAssignment_t *a = rd_kafka_MemberDescription_assignment(m);
        const rd_kafka_topic_partition_list_t *parts =
            a == NULL ? NULL : rd_kafka_MemberAssignment_partitions(a);
        g->members[i] =
            (struct cluster_member){.id = copy(rd_kafka_MemberDescription_consumer_id(m)),
                                    .instance = copy(rd_kafka_MemberDescription_group_instance_id(m)),
                                    .host = copy(rd_kafka_MemberDescription_host(m)),
                                    .partitions = parts == NULL ? 0 : (size_t)parts->cnt};
    }
}

static bool describe_groups(struct cluster *c, struct cluster_group *groups, size_t count, struct err *e) {
    const char **names = xcalloc(count + 1, sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = groups[i].name;
    struct question q = question_begin(c, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_DescribeConsumerGroups(c->rk, names, count, q.options, q.queue);
    bool ok = question_answer(&q, e);
    size_t n = 0;
    const rd_kafka_ConsumerGroupDescription_t **found =
        ok ? rd_kafka_DescribeConsumerGroups_result_groups(
                 rd_kafka_event_DescribeConsumerGroups_result(q.event), &n)
           : NULL;
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < count; i++)
            if (strcmp(groups[i].name, rd_kafka_ConsumerGroupDescription_group_id(found[k])) == 0 &&
                rd_kafka_ConsumerGroupDescription_error(found[k]) == NULL && groups[i].members == NULL)
                take_members(&groups[i], found[k]);
    question_end(&q);
    free(names);
    return ok;
}

static bool positions_of(struct cluster *c, struct cluster_group *g, struct err *e) {
    rd_kafka_ListConsumerGroupOffsets_t *ask = rd_kafka_ListConsumerGroupOffsets_new(g->name, NULL);
    struct question q = question_begin(c, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_ListConsumerGroupOffsets(c->rk, &ask, 1, q.options, q.queue);
    bool ok = question_answer(&q, e);
    size_t n = 0;
    const rd_kafka_group_result_t **found =
        ok ? rd_kafka_ListConsumerGroupOffsets_result_groups(
                 rd_kafka_event_ListConsumerGroupOffsets_result(q.event), &n)
           : NULL;
    const rd_kafka_topic_partition_list_t *list = n == 0 ? NULL : rd_kafka_group_result_partitions(found[0]);
    for (int i = 0; list != NULL && i < list->cnt; i++) {
        if (list->elems[i].offset < 0)
            continue;
        g->positions = xrealloc(g->positions, (g->position_count + 1) * sizeof *g->positions);
        g->positions[g->position_count++] = (struct cluster_position){
            xstrdup(list->elems[i].topic), list->elems[i].partition, list->elems[i].offset};
    }
    question_end(&q);
    rd_kafka_ListConsumerGroupOffsets_destroy(ask);
    return ok;
}

bool cluster_groups(struct cluster *c, struct cluster_group **groups, size_t *count, struct err *e) {
    struct cluster_group *found = NULL;
    size_t n = 0;
    bool ok = list_groups(c, &found, &n, e) && (n == 0 || describe_groups(c, found, n, e));
    for (size_t i = 0; ok && i < n; i++)
        ok = positions_of(c, &found[i], e);
    if (!ok) {
        cluster_groups_free(found, n);
        return false;
    }
    *groups = found;
    *count = n;
    return true;
}

void cluster_groups_free(struct cluster_group *groups, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct cluster_group *g = &groups[i];
        for (size_t k = 0; k < g->member_count; k++) {
            free(g->members[k].id);
            free(g->members[k].instance);
            free(g->members[k].host);
        }
        for (size_t k = 0; k < g->position_count; k++)
            free(g->positions[k].topic);
        free(g->members);
        free(g->positions);
        free(g->name);
    }
    free(groups);
}

/* ---- compressed batches ---- */

static void put_varint(struct buf *b, int64_t n) {
    uint64_t u = (uint64_t)n << 1 ^ (uint64_t)(n >> 63);
    for (; u >= 0x80; u >>= 7)
        buf_append_byte(b, (uint8_t)(u | 0x80));
    buf_append_byte(b, (uint8_t)u);
}

static struct slice pack_headers(rd_kafka_message_t *m, struct arena *arena, size_t *count) {
    _cleanup_(buf_free) struct buf out = {0};
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t size;
    *count = 0;
    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return SLICE_NONE;
    for (; rd_kafka_header_get_all(headers, *count, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         ++*count) {
        put_varint(&out, (int64_t)strlen(name));
        buf_append(&out, name, strlen(name));
        put_varint(&out, value == NULL ? -1 : (int64_t)size);
        buf_append(&out, value, value == NULL ? 0 : size);
    }
    return arena_copy(arena, buf_slice(&out));
}

static struct batch_record record_of(rd_kafka_message_t *m, struct arena *arena) {
    struct batch_record r = {
        .offset = m->offset, .timestamp = rd_kafka_message_timestamp(m, NULL), .size = m->len + m->key_len};
    r.key = m->key == NULL ? SLICE_NONE : arena_copy(arena, (struct slice){m->key, m->key_len});
    r.value = m->payload == NULL ? SLICE_NONE : arena_copy(arena, (struct slice){m->payload, m->len});
    r.headers = pack_headers(m, arena, &r.header_count);
    return r;
}

static bool unpacker(struct cluster *c, struct err *e) {
    const struct kafka_property *const settings[] = {unpack_settings, NULL};
    return c->unpacker != NULL || kafka_client(RD_KAFKA_CONSUMER, &c->link, settings, rd_kafka_conf_new(),
                                               &c->traffic, &c->unpacker, e);
}

static bool unpack(struct cluster *c, rd_kafka_topic_t *t, int32_t partition, const struct batch *b,
                   struct arena *arena, struct batch_record *records, size_t max, size_t *n, struct err *e) {
    bool ok = true, over = false;
    for (*n = 0; ok && !over && *n < max;) {
        rd_kafka_message_t *m = rd_kafka_consume(t, partition, UNPACK_MS);
        if (m == NULL)
            return away(c, e, "a compressed batch does not come");
        over = m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ||
               (m->err == RD_KAFKA_RESP_ERR_NO_ERROR && m->offset > b->last);
        if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR && !over)
            ok = away(c, e, rd_kafka_message_errstr(m));
        else if (!over)
            records[(*n)++] = record_of(m, arena);
        over = over || m->offset == b->last;
        rd_kafka_message_destroy(m);
    }
    return ok;
}

bool cluster_unpack(struct cluster *c, const char *topic, int32_t partition, const struct batch *b,
                    struct arena *arena, struct batch_record **records, size_t *count, struct err *e) {
    pthread_mutex_lock(&c->unpacking);
    size_t max = b->count > 0 ? (size_t)b->count : 0;
    *records = arena_alloc(arena, (max + 1) * sizeof **records);
    bool ok = unpacker(c, e);
    rd_kafka_topic_t *t = ok ? rd_kafka_topic_new(c->unpacker, topic, NULL) : NULL;
    if (t != NULL && rd_kafka_consume_start(t, partition, b->first) == 0) {
        ok = unpack(c, t, partition, b, arena, *records, max, count, e);
        rd_kafka_consume_stop(t, partition);
    } else if (ok) {
        ok = away(c, e, rd_kafka_err2str(rd_kafka_last_error()));
    }
    if (t != NULL)
        rd_kafka_topic_destroy(t);
    pthread_mutex_unlock(&c->unpacking);
    return ok;
}
