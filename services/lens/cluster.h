/* What Kafka says about itself: topics and who leads their partitions, offsets, consumer groups. Any thread;
 * calls wait for a broker, at most some seconds. */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "events/topic.h"
#include "fetch.h"
#include "kafka/properties.h"

struct cluster;

struct cluster_topic {
    char *name;
    const struct topic *known; /* NULL: the catalogue has none of this name */
    int32_t count;
    int32_t *leaders; /* by partition; -1: none */
};

struct cluster_broker {
    int32_t id;
    char *host;
    uint16_t port;
};

/* A snapshot. Topics are sorted by name; the brokers' own and Connect's are left out. */
struct cluster_view {
    size_t owners;
    struct cluster_topic *topics;
    size_t topic_count;
    struct cluster_broker *brokers;
    size_t broker_count;
    int64_t at_us;
};

WARN_UNUSED bool cluster_create(const char *brokers, const struct kafka_property *properties,
                                struct cluster **c, struct err *e);
/* Takes NULL. */
void cluster_destroy(struct cluster *c);
/* As it was made with. */
const struct kafka_property *cluster_properties(const struct cluster *c);

/* One not older than `max_age_ms`; released by the caller. ERR_RETRY: Kafka is away. */
WARN_UNUSED bool cluster_view_get(struct cluster *c, int64_t max_age_ms, struct cluster_view **view,
                                  struct err *e);
/* Takes NULL. */
void cluster_view_release(struct cluster *c, struct cluster_view *view);
const struct cluster_topic *cluster_view_topic(const struct cluster_view *view, struct slice name);

/* NUL-terminated. */
WARN_UNUSED bool cluster_id(struct cluster *c, char *id, size_t size, struct err *e);

enum { CLUSTER_FIRST = -2, CLUSTER_END = -1 };

struct cluster_offset {
    const char *topic;
    int32_t partition;
    int64_t spec;   /* CLUSTER_…, or a time: the first record that is not older */
    int64_t offset; /* the answer; -1: no such record */
};

/* `stable`: CLUSTER_END is the last stable offset. */
WARN_UNUSED bool cluster_offsets(struct cluster *c, struct cluster_offset *offsets, size_t n, bool stable,
                                 struct err *e);

struct cluster_position {
    char *topic;
    int32_t partition;
    int64_t offset;
};

struct cluster_member {
    char *id, *instance, *host;
    size_t partitions;
};

struct cluster_group {
    char *name;
    const char *state; /* static */
    struct cluster_member *members;
    size_t member_count;
    struct cluster_position *positions;
    size_t position_count;
};

/* All groups, sorted by name; cluster_groups_free() takes them back. */
WARN_UNUSED bool cluster_groups(struct cluster *c, struct cluster_group **groups, size_t *count,
                                struct err *e);
void cluster_groups_free(struct cluster_group *groups, size_t count);

/* The records of a compressed batch, by a client that can read it; in `arena`, but for offsets before `from`.
 */
WARN_UNUSED bool cluster_unpack(struct cluster *c, const char *topic, int32_t partition,
                                const struct batch *b, struct arena *arena, struct batch_record **records,
                                size_t *count, struct err *e);
