/* A world in which the runtime of shared/stream runs: an in-memory Kafka, clocks, stores, a supervisor and
 * faults, all of it decided by one seed. One thread; a world at a time is enough, several do not meet.
 *
 *   broker.c   topics, transactions and groups: what Kafka would do
 *   client.c   struct log_ops for one life of an instance: what librdkafka would do
 *   disk.c     struct store_ops over what survives a crash
 *   world.c    time, who steps next, faults
 *   plan.c     what a seed stands for; how a failing plan is made smaller
 *
 * A workload (toy.c, kept.c, suite.c; workshop/check) says which topologies run, what clients write, and what
 * must be true in the end. */
#pragma once

#include "base/buf.h"
#include "events/schemas.h"
#include "log/log.h"
#include "topology/topology.h"

#include <stdint.h>
#include <stdio.h>

enum { MAX_GROUPS = 7, MAX_ITEMS = 64, MAX_FAULTS = 16, MAX_PARTITIONS = 3, MAX_INSTANCES = 16 };

enum fault_kind {
    FAULT_CRASH,   /* the process is gone at once, with the buffer of its store, and comes back */
    FAULT_POWER,   /* the same, and what is below the buffer loses its latest batches */
    FAULT_STOP,    /* SIGTERM */
    FAULT_PAUSE,   /* it stands still in the middle of what it does; it may wake up as a zombie */
    FAULT_ISOLATE, /* its heartbeats get lost, but it goes on */
    FAULT_TWIN,    /* somebody starts a second one with the same identity */
    FAULT_REPLY,   /* the reply to its next transaction call gets lost, the call perhaps too, or it comes late
                    */
    FAULT_REBALANCE, /* partitions move, for no reason */
    FAULT_AWAY,      /* the broker does not answer */
    FAULT_ABORT,     /* its next transaction call fails, abortable */
    FAULT_REPORT,    /* the next delivery report has no offset */
    FAULT_MARKERS,   /* the next transaction's markers come late, each when it likes */
    FAULT_STALL,     /* a partition gives nothing for a while */
    FAULT_REGISTRY,  /* the schema registry does not answer, or another one that is empty does */
    FAULT_CLOCK,     /* its clock jumps ahead */
    FAULT_OFFSETS,   /* the offsets of its group are gone */
    FAULT_FRONT,     /* a partition of an input or a table loses its first records */
    FAULT_TAIL,      /* a partition of an input, a table or a changelog loses its last ones */
    FAULT_COMPACT,   /* logs are compacted */
    FAULT_DAYS,      /* it crashes and is gone for days, and then they are */
    FAULT_KINDS
};

struct fault {
    enum fault_kind kind;
    int at; /* the number of the call to log or store at which it strikes */
    uint32_t arg;
};

/* One record that a client writes; what the numbers mean is the workload's affair. */
struct item {
    uint8_t kind, key, partition, mode;
    uint32_t arg;
};

enum write_mode { WRITE_PLAIN, WRITE_COMMITTED, WRITE_ABORTED, WRITE_MODES }; /* the latter in transactions */

struct plan {
    uint64_t seed;
    const struct workload *workload;
    int partitions;
    int instances[MAX_GROUPS];
    bool stale_stores; /* left over from another Kafka that is no more */
    bool own_schemas;  /* nothing of the registry is known at first */
    int interleave;    /* percent of calls in whose middle others may go on */
    struct item items[MAX_ITEMS];
    struct fault faults[MAX_FAULTS];
    int item_count, fault_count;
};

struct stream;
struct store;
struct world;

struct workload {
    const char *name;
    const struct topic *const *topics; /* up to NULL; those that the registry must know among them */
    void (*plan)(struct plan *p, uint64_t *rng); /* instances and items */
    /* Fills topologies up to NULL, at most MAX_GROUPS. */
    void (*topologies)(const struct plan *p, const struct topology **topologies);
    void (*write)(struct world *w, const struct item *item);
    void (*check)(struct world *w); /* all is quiet */
    /* Somebody asks an instance, in the middle of whatever it does. NULL: nobody does. */
    void (*watch)(struct world *w, const struct topology *t, struct stream *s, struct store *store);
    /* For handlers that may keep something in variables: this instance goes on from here, or begins its life
     * anew. Each has memory of its own, which the workload must put in place. NULL: they are pure. */
    void (*enter)(struct world *w, int instance, bool begins);
    bool keeps_offsets; /* FAULT_OFFSETS does nothing: what it checks is more than state */
    bool loses_records; /* FAULT_FRONT and FAULT_TAIL do something */
    int64_t begins;     /* the clock at first, ms since 1970; 0: some small time */
};

/* Numbers from a seed. */
uint64_t random_next(uint64_t *rng);
static inline uint32_t random_below(uint64_t *rng, uint32_t n) {
    return (uint32_t)((random_next(rng) >> 32) * n >> 32);
}

void plan_make(struct plan *p, uint64_t seed, const struct workload *workload);
/* Whether the group's offsets get lost: then what changes no state may come twice, such as a dead letter. */
bool plan_loses_offsets(const struct plan *p);
bool plan_compacts(const struct plan *p);
/* Whether nothing strikes but what a process survives: then it always knows how far it has got in its
 * changelog. */
bool plan_is_gentle(const struct plan *p);
void plan_print(const struct plan *p, FILE *out);

/* Runs a plan to the end. Returns whether all was as it must be, else why not in `why`. `trace` may be NULL.
 */
bool world_run(const struct plan *p, FILE *trace, struct buf *why);
/* Calls to log and store in the run before, for planning where faults strike. */
int world_calls(void);

/* A world whose logs a test uses itself: nothing is stepped, no fault strikes, and time passes while it
 * waits. The log is of a member of the first topology's group; again for the same one is a second process
 * with its identity. All logs live as long as the world. */
struct world *world_create(const struct plan *p, FILE *trace, struct buf *why);
struct log *world_connect(struct world *w, int member);
void world_destroy(struct world *w);

/* The smallest plan found that fails as well. */
void plan_shrink(struct plan *p);

/* ---- for workloads ---- */

/* The first violation ends the run. */
void world_violation(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool world_violated(const struct world *w);
const struct plan *world_plan(const struct world *w);
struct schemas *world_schemas(struct world *w);
int64_t world_now(const struct world *w);

/* What a client writes; `partition` -1: the key's. The slices are copied. */
void world_write(struct world *w, const struct topic *t, int32_t partition, struct slice key,
                 struct slice value, int64_t timestamp, enum write_mode mode);
void world_write_event(struct world *w, const struct topic *t, int32_t partition, struct slice key,
                       const void *value, int64_t timestamp, enum write_mode mode);

/* Each committed record of a partition, in its order; those that a committed reader can see by now. */
typedef void world_visit(void *context, const struct log_record *r, const struct log_header *headers,
                         size_t header_count);
void world_scan(struct world *w, const struct topic *t, int32_t partition, world_visit *visit, void *context);
/* The same, and what was lost with a log's tail too, in the order in which all was written. */
void world_scan_all(struct world *w, const struct topic *t, int32_t partition, world_visit *visit,
                    void *context);

/* Of a record that is visited: has it been compacted away, deleted from the front, or lost with the tail? */
bool world_compacted(const struct log_record *r);
bool world_deleted(const struct log_record *r);
bool world_lost(const struct log_record *r);
/* Has somebody said that a reader went on behind it, since it was deleted? */
bool world_told_of(const struct world *w, const struct log_record *r);
/* Where a partition ends for committed readers. */
int64_t world_stable_end(struct world *w, const struct topic *t, int32_t partition);
/* Did this partition ever lose records? */
bool world_shrunk(struct world *w, const struct topic *t, int32_t partition);
/* How often it has lost its last ones. */
int world_cuts(struct world *w, const struct topic *t, int32_t partition);

/* The store of the instance that has a task now; and of each instance of a topology in turn, up to NULL. */
struct store *world_task_store(struct world *w, const struct topology *t, int32_t partition);
struct store *world_store(struct world *w, const struct topology *t, int instance);

extern const struct workload toy_workload, kept_workload, suite_workload;
