/* Kafka in memory: logs with control markers, a transaction coordinator, a group coordinator. */
#pragma once

#include "world.h"

struct client;

/* What has become of an entry. All but those that are there nobody can read any more; they are kept for
 * whoever checks. */
enum entry_fate {
    ENTRY_THERE,
    ENTRY_DELETED,   /* from the front, as by retention, whoever had read it or not */
    ENTRY_COMPACTED, /* of no use to anybody who reads all */
    ENTRY_LOST,      /* the broker has lost it: its offset is somebody else's now, or will be */
};

struct entry { /* a record, or a marker */
    enum entry_fate fate;
    int64_t offset, appended; /* appended: when */
    uint64_t serial;          /* of all entries, in the order in which they came */
    struct slice key, value;
    const struct log_header *headers;
    size_t header_count;
    int64_t timestamp;
    const struct txn *txn; /* NULL: none */
    bool marker;
};

struct partition {
    const struct topic *topic;
    int32_t number;
    struct entry *entries; /* by offset */
    int64_t count, capacity;
    int64_t first; /* what was before it is deleted */
    struct entry *lost;
    int64_t lost_count;
    int64_t cut_at[16]; /* where its end has come back to, one time after the other */
    int cuts;
    int64_t stalled_until;
};

struct committed {              /* of an input */
    int64_t offset, time, cuts; /* -1, 0, 0: nothing yet */
};

enum txn_state { TXN_ONGOING, TXN_COMMITTED, TXN_ABORTED };

struct txn {
    struct txn *next;     /* in broker.open: a marker is still missing */
    struct member *owner; /* NULL: a client's */
    enum txn_state state;
    int64_t since;
    struct {
        struct partition *p;
        int64_t first, marker_at; /* marker_at -1: written */
    } touched[24];
    size_t touched_count;
    struct {
        struct committed *committed, to;
    } offsets[24];
    size_t offset_count;
    int64_t offsets_at; /* when the group coordinator learns of the end */
    bool offsets_done;
    int64_t end_at; /* of a client's */
    bool end_commit;
};

/* A static member of a group, and a transactional id: the two are one identity. */
struct member {
    char name[40];
    struct group *group;
    int number;
    int16_t epoch;
    struct txn *current;
    const struct client *live; /* who joined last */
    bool present;              /* in the group */
    int64_t expires;           /* 0: heartbeats arrive */
};

struct group {
    const struct topology *topology;
    int source_count;
    int32_t partitions;
    struct committed committed[4][MAX_PARTITIONS]; /* by source */
    struct member *owner[MAX_PARTITIONS], *target[MAX_PARTITIONS];
    struct member members[4];
    int member_count;
};

/* An EndTxn that is still under way. */
struct late_end {
    struct member *member;
    int16_t epoch;
    bool commit;
    int64_t at;
};

struct broker {
    struct world *world;
    struct arena *arena;
    struct partition *topics[64]; /* by the topic's number */
    int32_t partition_count;
    struct group groups[MAX_GROUPS];
    int group_count;
    struct txn *open;
    struct late_end late[8];
    int late_count;
    bool late_markers; /* for the next that ends */
    uint64_t entries;  /* that there ever were */
    uint64_t version;  /* grows whenever there may be something new for somebody */
};

enum {
    SESSION_MS = 6000,
    TRANSACTION_TIMEOUT_MS = 10000,
    VALUE_MAX = 500,             /* larger ones are refused */
    DELETE_RETENTION_MS = 60000, /* how long tombstones and markers are kept */
};

struct partition *broker_partition(struct broker *b, const struct topic *t, int32_t partition);
/* Copies what the entry points to. Returns its offset. */
int64_t broker_append(struct broker *b, struct partition *p, const struct entry *e, struct txn *txn);
/* The end as committed readers see it. */
int64_t broker_stable_end(struct broker *b, const struct partition *p);
/* Is it a record that a committed reader sees, or saw, given that it is below the stable end? */
bool broker_visible(const struct entry *e);

/* Deletes what is before an offset, which is not beyond the stable end. */
void broker_delete_front(struct broker *b, struct partition *p, int64_t first);
/* Loses what is from an offset on, and what is in one transaction with it. False: one of them is still open.
 */
bool broker_cut(struct broker *b, struct partition *p, int64_t at);
/* Compacts what is compacted, up to the stable ends. */
void broker_compact(struct broker *b);

struct txn *broker_begin(struct broker *b, struct member *owner);
void broker_end(struct broker *b, struct txn *t, bool commit);
static inline bool txn_open(const struct txn *t) {
    return t != NULL && t->state == TXN_ONGOING;
}
bool txn_complete(const struct txn *t);
/* Could the offsets of this partition still change? */
bool broker_offset_pending(const struct broker *b, const struct committed *committed);

void broker_retarget(struct broker *b, struct group *g, bool shuffle);
/* What the group has committed is gone, as when it is deleted, or its offsets expire. */
void broker_lose_offsets(struct group *g);
/* The member is gone: its partitions are free. */
void broker_expire(struct broker *b, struct member *m);

/* Does what is due; then when it has something to do next, or INT64_MAX. */
int64_t broker_tick(struct broker *b, int64_t now);
