/* Time, who steps next, and what goes wrong. */
#include "instance.h"

#include "events/registry.h"
#include "log/partitions.h"
#include "stream/runtime.h"
#include "transaction/keys.h"
#include "transaction/transaction.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

enum {
    MAX_STEPS = 20000,
    MAX_IDLE = 10000, /* moments in which nobody has anything to wait for */
    STACK = 256 * 1024,
};
enum { STALE_MS = 5000, DAYS_MS = DELETE_RETENTION_MS + 10000 };

struct world {
    uint64_t rng;
    int64_t now;
    const struct plan *plan;
    struct broker broker;
    struct arena arena;
    struct registry *registry;
    struct schemas
        *schemas; /* of whoever writes and checks; and of the instances that have none of their own */
    const struct topology *topologies[MAX_GROUPS + 1];
    struct instance instances[MAX_INSTANCES];
    int instance_count;
    int calls, steps, idle, next_item, next_fault;
    ucontext_t scheduler;
    int64_t away_until, registry_until;
    bool registry_is_empty; /* until then: another one, that knows nothing */
    FILE *trace;
    struct buf *why;
    struct {
        const struct topic *topic;
        int partition;
        long long from, to;
    } told[256]; /* that what was there is deleted */
    int told_count;
    bool violated;
};

static int last_calls;

uint64_t random_next(uint64_t *rng) { /* splitmix64 */
    uint64_t z = *rng += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint32_t world_random(struct world *w, uint32_t n) {
    return random_below(&w->rng, n);
}

int64_t world_now(const struct world *w) {
    return w->now;
}

int world_calls(void) {
    return last_calls;
}

struct broker *world_broker(struct world *w) {
    return &w->broker;
}

struct schemas *world_schemas(struct world *w) {
    return w->schemas;
}

const struct plan *world_plan(const struct world *w) {
    return w->plan;
}

bool world_violated(const struct world *w) {
    return w->violated;
}

bool world_away(const struct world *w) {
    return w->now < w->away_until;
}

void world_trace(struct world *w, const char *fmt, ...) {
    if (w->trace == NULL)
        return;
    va_list args;
    va_start(args, fmt);
    fprintf(w->trace, "%7lld ms %5d  ", (long long)w->now, w->calls);
    vfprintf(w->trace, fmt, args);
    fputc('\n', w->trace);
    va_end(args);
}

void world_violation(struct world *w, const char *fmt, ...) {
    if (w->violated)
        return;
    w->violated = true;
    va_list args;
    va_start(args, fmt);
    char text[600];
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_printf(w->why, "%s", text);
    world_trace(w, "VIOLATION: %s", text);
}

/* Back to the scheduler, which resumes it when it is time. */
static void yield(struct instance *i, int64_t until) {
    struct world *w = i->world;
    i->resumes_at = until;
    i->seen = w->broker.version;
    swapcontext(&i->context, &w->scheduler);
}

bool world_wait(struct instance *i, int64_t until) {
    struct world *w = i->world;
    uint64_t version = w->broker.version;
    int64_t next = broker_tick(&w->broker, w->now);
    if (w->broker.version != version) /* this may be what it waits for */
        next = w->now;
    next = next < until ? next : until;
    if (i->stepping) {
        yield(i, next);
    } else { /* a log alone: nobody else is there */
        w->now = next > w->now ? next : w->now + 1;
        broker_tick(&w->broker, w->now);
    }
    return !i->client->dead;
}

/* ---- the registry ---- */

static struct world *registry_world; /* whose registry is asked */

struct registry_proxy {
    struct registry base;
    struct registry *real;
};

static bool proxy_add(struct registry *r, const char *subject, const char *schema, int32_t *id,
                      struct err *e) {
    struct registry *real = ((struct registry_proxy *)r)->real;
    return real->add(real, subject, schema, id, e);
}

/* Ids from 1000000 on are the schemas 1, 2, … once more, each a million apart; others are unknown. */
static bool proxy_schema(struct registry *r, int32_t id, bool *found, struct buf *schema, struct err *e) {
    struct registry *real = ((struct registry_proxy *)r)->real;
    *found = false;
    if (registry_world != NULL && registry_world->now < registry_world->registry_until)
        return registry_world->registry_is_empty || err_set(e, ERR_RETRY, "waiting for the registry");
    return real->schema_by_id(real, id % 1000000, found, schema, e);
}

static bool proxy_compatibility(struct registry *r, const char *subject, const char *level, bool *found,
                                struct err *e) {
    struct registry *real = ((struct registry_proxy *)r)->real;
    return real->set_compatibility(real, subject, level, found, e);
}

static void proxy_destroy(struct registry *r) {
    registry_destroy(((struct registry_proxy *)r)->real);
    free(r);
}

static struct registry *proxy_create(void) {
    struct registry_proxy *p = xcalloc(1, sizeof *p);
    *p = (struct registry_proxy){{proxy_add, proxy_schema, proxy_compatibility, proxy_destroy},
                                 registry_memory_create()};
    return &p->base;
}

static int64_t registry_clock(void) {
    return registry_world == NULL ? 0 : registry_world->now * 1000;
}

static struct schemas *schemas_for(const struct workload *workload, struct registry *registry) {
    struct err e = {0};
    struct schemas *s = schemas_create(registry);
    schemas_set_clock(s, registry_clock);
    for (size_t i = 0; workload->topics[i] != NULL; i++)
        if (!schemas_register(s, workload->topics[i], &e))
            abort();
    return s;
}

/* Of a process that knows nothing yet. */
static struct schemas *own_schemas(struct world *w) {
    registry_world = NULL; /* it starts when the registry is well */
    struct schemas *s = schemas_for(w->plan->workload, w->registry);
    registry_world = w;
    return s;
}

/* ---- instances ---- */

static void instance_stack(struct instance *i, int number);

static struct instance *instance_add(struct world *w, struct member *m, const struct topology *t) {
    if (w->instance_count == MAX_INSTANCES)
        return NULL;
    bool power = false;
    for (int i = 0; i < w->plan->fault_count; i++)
        power = power || w->plan->faults[i].kind == FAULT_POWER;
    struct instance *i = &w->instances[w->instance_count];
    *i = (struct instance){.world = w, .member = m, .topology = t, .disk = disk_create(power)};
    instance_stack(i, w->instance_count++);
    i->up_at = w->now + world_random(w, 50);
    return i;
}

/* Before anything of the topology's runs for it. */
static void enter(struct instance *i, bool begins) {
    struct world *w = i->world;
    if (w->plan->workload->enter != NULL)
        w->plan->workload->enter(w, (int)(i - w->instances), begins);
}

/* What a process says to people. */
static void on_notice(void *context, const char *text) {
    struct instance *i = context;
    struct world *w = i->world;
    char name[64];
    int partition;
    long long from, to;
    world_trace(w, "%s says: %s", i->member->name, text);
    if (sscanf(text, "%63[^/]/%d: what came from %lld on is deleted; going on from %lld,", name, &partition,
               &from, &to) != 4)
        return;
    if (w->told_count == sizeof w->told / sizeof *w->told)
        abort();
    for (size_t t = 0; w->plan->workload->topics[t] != NULL; t++)
        if (strcmp(w->plan->workload->topics[t]->name, name) == 0)
            w->told[w->told_count].topic = w->plan->workload->topics[t];
    w->told[w->told_count].partition = partition;
    w->told[w->told_count].from = from;
    w->told[w->told_count++].to = to;
}

static void instance_start(struct instance *i) {
    struct world *w = i->world;
    if (i->was_gone_for_days)
        broker_compact(&w->broker);
    i->was_gone_for_days = false;
    world_trace(w, "%s starts%s", i->member->name, i->gone_at > 0 ? " (twin)" : "");
    struct log *log = client_create(i);
    i->client = (struct client *)log;
    static const size_t buffers[] = {1, 500, 1 << 20}; /* bytes: none, some, all until the end */
    struct err damaged;                                /* a disk of ours never is */
    if (!store_create_filtered(disk_open(i->disk, i->client), NULL, &i->store, NULL, &damaged))
        abort();
    i->store = store_create_buffered(i->store, buffers[w->plan->seed % 3]);
    i->schemas = w->plan->own_schemas ? own_schemas(w) : NULL;
    struct stream_options options = {.topology = i->topology,
                                     .partitions = w->broker.partition_count,
                                     .schemas = i->schemas != NULL ? i->schemas : w->schemas,
                                     .store = i->store,
                                     .expiry_rows = 1 + w->plan->seed % 3,
                                     .pending_outputs = 1 + w->plan->seed % 4,
                                     .stale_ms = plan_compacts(w->plan) ? STALE_MS : 0,
                                     .context = i,
                                     .notice = on_notice,
                                     .log = log};
    enter(i, true);
    i->stream = stream_create(&options);
    i->sleeps_until = 0;
    i->isolated_until = 0;
    i->stopping = i->paused = false;
}

/* The process is gone; what the broker knows of it stays. */
static void instance_end(struct instance *i, int64_t back_in) {
    struct world *w = i->world;
    if (i->client == NULL)
        return;
    if (i->member->live == i->client) {
        i->member->live = NULL;
        if (i->member->present && i->member->expires == 0)
            i->member->expires = w->now + SESSION_MS;
    }
    stream_destroy(i->stream);
    schemas_destroy(i->schemas);
    i->schemas = NULL;
    i->client->dead = true; /* what its buffer still has is lost */
    store_close(i->store);
    client_destroy(i->client);
    i->stream = NULL;
    i->store = NULL;
    i->client = NULL;
    i->up_at = w->now + back_in;
}

static int64_t soon_or_late(uint32_t arg, uint32_t late_in) {
    return arg % late_in == 0 ? 6500 + (arg >> 8) % 6000 : 20 + (arg >> 8) % 600;
}

/* What runs on the instance's own stack: one step after the other. */
static void instance_main(unsigned low, unsigned high) {
    struct instance *i = (struct instance *)((uintptr_t)low | (uintptr_t)high << 32);
    for (;;) {
        i->err = (struct err){0};
        if (i->stopping) {
            stream_stop(i->stream);
            i->alive = stream_run(i->stream, &i->err) && store_flush(i->store, &i->err);
        } else {
            i->alive = stream_step(i->stream, 1000, &i->err);
        }
        i->stepping = false;
        swapcontext(&i->context, &i->world->scheduler);
    }
}

static void instance_stack(struct instance *i, int number) {
    static char *stacks[MAX_INSTANCES]; /* for all worlds */
    if (stacks[number] == NULL)
        stacks[number] = xmalloc(STACK);
    getcontext(&i->context);
    i->context.uc_stack.ss_sp = stacks[number];
    i->context.uc_stack.ss_size = STACK;
    i->context.uc_link = NULL;
    uintptr_t self = (uintptr_t)i;
    makecontext(&i->context, (void (*)(void))instance_main, 2, (unsigned)self, (unsigned)(self >> 32));
}

/* Goes on with its step, or begins one; up to the end of it, or to where it waits. */
static void instance_step(struct instance *i) {
    struct world *w = i->world;
    if (!i->stepping) {
        i->sleeps_until = 0;
        i->stepping = true;
    } else if (i->paused) {
        world_trace(w, "%s goes on", i->member->name);
        i->paused = false;
        if (i->member->live == i->client && i->member->present)
            i->member->expires = 0;
    }
    enter(i, false);
    swapcontext(&w->scheduler, &i->context);
    if (i->stepping || (i->alive && !i->client->dead && !i->stopping))
        return;
    if (!i->client->dead) {
        world_trace(w, "%s exits: %s", i->member->name, i->alive ? "stopped" : i->err.text);
        if (!i->alive && i->err.kind != ERR_FENCED)
            world_violation(w, "%s exits: %s: %s", i->member->name, err_kind_name(i->err.kind), i->err.text);
    }
    instance_end(i, i->up_at > w->now ? i->up_at - w->now : 100 + world_random(w, 1000));
}

/* ---- faults ---- */

static void no_heartbeats(struct instance *i) {
    if (i->member->live == i->client && i->member->present && i->member->expires == 0)
        i->member->expires = i->world->now + SESSION_MS;
}

/* Everybody else goes on for a while, in the middle of a call of this one. */
static void pause_instance(struct world *w, struct instance *i, int64_t ms) {
    world_trace(w, "%s stands still for %lld ms", i->member->name, (long long)ms);
    no_heartbeats(i);
    i->paused = true;
    yield(i, w->now + ms);
}

static void isolate(struct world *w, struct instance *i, int64_t ms) {
    i->isolated_until = w->now + ms;
    no_heartbeats(i);
}

/* How long something lasts. Where logs are compacted only what is gone for days may miss what is deleted. */
static int64_t a_while(const struct world *w, uint32_t arg, uint32_t late_in) {
    return plan_compacts(w->plan) ? soon_or_late(arg | 1, 2) : soon_or_late(arg, late_in);
}

static void crash(struct instance *i, int64_t back_in) {
    i->client->dead = true;
    i->up_at = i->world->now + back_in;
}

/* Any partition that this instance reads; in `changelog` whether it is one of its changelogs. */
static struct partition *any_partition(struct world *w, const struct instance *i, uint32_t arg,
                                       bool *changelog) {
    const struct topology *t = i->topology;
    const struct topic *topics[16];
    uint32_t n = 0, read;
    for (size_t k = 0; t->sources != NULL && t->sources[k].topic != NULL; k++)
        topics[n++] = t->sources[k].topic;
    for (size_t k = 0; t->tables != NULL && t->tables[k] != NULL; k++)
        topics[n++] = t->tables[k]->topic;
    read = n;
    for (size_t k = 0; t->views != NULL && t->views[k] != NULL; k++)
        topics[n++] = t->views[k]->changelog;
    assert(n > 0);
    uint32_t at = arg % n;
    *changelog = at >= read;
    return broker_partition(&w->broker, topics[at],
                            (int32_t)((arg >> 8) % (uint32_t)w->broker.partition_count));
}

static void lose_front(struct world *w, struct instance *i, uint32_t arg) {
    bool changelog;
    struct partition *p = any_partition(w, i, arg, &changelog);
    int64_t left = broker_stable_end(&w->broker, p) - p->first;
    if (changelog || left <= 0)
        return;
    broker_delete_front(&w->broker, p, p->first + 1 + (arg >> 12) % left);
    world_trace(w, "%s/%d begins at %lld now", p->topic->name, p->number, (long long)p->first);
}

/* Nobody can tell that a log was cut from one that was not where it has grown again before he looks. So an
 * input to which topologies write keeps its tail, and a changelog where somebody else has its rows, or this
 * instance may forget how far it was. */
static bool may_lose_tail(const struct world *w, const struct instance *i, const struct partition *p,
                          bool changelog) {
    if (plan_loses_offsets(w->plan)) /* then the state alone knows where the inputs are */
        return false;
    return changelog ? i->member->group->member_count == 1 && plan_is_gentle(w->plan)
                     : p->topic->writers[0] == NULL;
}

static void lose_tail(struct world *w, struct instance *i, uint32_t arg) {
    bool cut = false, changelog;
    for (uint32_t k = 0; k < 5 && !cut; k++) {
        struct partition *p = any_partition(w, i, arg + k, &changelog);
        int64_t left = p->count - p->first;
        cut = left > 0 && may_lose_tail(w, i, p, changelog) &&
              broker_cut(&w->broker, p, p->count - 1 - (arg >> 12) % left);
        if (cut)
            world_trace(w, "%s/%d ends at %lld now", p->topic->name, p->number, (long long)p->count);
    }
    w->now += cut; /* what comes in the place of what was lost is told from it by its time */
}

static void strike(struct world *w, struct instance *i, const struct fault *f) {
    struct instance *twin;
    switch (f->kind) {
    case FAULT_CRASH:
        crash(i, a_while(w, f->arg, 4));
        break;
    case FAULT_DAYS:
        crash(i, DAYS_MS + f->arg % 20000);
        i->was_gone_for_days = true;
        break;
    case FAULT_POWER:
        crash(i, a_while(w, f->arg, 4));
        disk_power_loss(i->disk, 1 + (f->arg >> 4) % 5);
        break;
    case FAULT_STOP:
        i->stopping = true;
        break;
    case FAULT_PAUSE:
        pause_instance(w, i, a_while(w, f->arg, 2));
        break;
    case FAULT_ISOLATE:
        isolate(w, i, soon_or_late(f->arg, 1));
        break;
    case FAULT_TWIN:
        twin = instance_add(w, i->member, i->topology);
        if (twin != NULL)
            twin->gone_at = w->now + 200 + f->arg % 5000;
        break;
    case FAULT_REPLY:
        i->client->reply = REPLY_LOST + f->arg % 3;
        break;
    case FAULT_REBALANCE:
        broker_retarget(&w->broker, i->member->group, true);
        break;
    case FAULT_AWAY:
        w->away_until = w->now + a_while(w, f->arg, 4);
        break;
    case FAULT_ABORT:
        i->client->abort_next = true;
        break;
    case FAULT_REPORT:
        i->client->report_missing = true;
        break;
    case FAULT_MARKERS:
        w->broker.late_markers = true;
        break;
    case FAULT_STALL:
        if (i->client->reading_count > 0)
            i->client->readings[f->arg % (uint32_t)i->client->reading_count].p->stalled_until =
                w->now + a_while(w, f->arg, 4);
        break;
    case FAULT_REGISTRY:
        w->registry_until = w->now + a_while(w, f->arg, 4);
        w->registry_is_empty = w->plan->own_schemas && (f->arg >> 4) % 2 == 0;
        break;
    case FAULT_CLOCK:
        i->skew += f->arg % 30000;
        break;
    case FAULT_OFFSETS:
        if (!w->plan->workload->keeps_offsets)
            broker_lose_offsets(i->member->group);
        break;
    case FAULT_FRONT:
        if (w->plan->workload->loses_records)
            lose_front(w, i, f->arg);
        break;
    case FAULT_TAIL:
        if (w->plan->workload->loses_records)
            lose_tail(w, i, f->arg);
        break;
    case FAULT_COMPACT:
        broker_compact(&w->broker);
        break;
    case FAULT_KINDS:
        break;
    }
}

static const char *const fault_names[FAULT_KINDS] = {
    "crash",  "power",   "stop",  "pause",    "isolate", "twin",    "reply", "rebalance", "away",    "abort",
    "report", "markers", "stall", "registry", "clock",   "offsets", "front", "tail",      "compact", "days"};

void world_strike(struct world *w, struct instance *i, const char *what) {
    w->calls++;
    while (w->next_fault < w->plan->fault_count && w->plan->faults[w->next_fault].at <= w->calls &&
           !i->client->dead) {
        const struct fault *f = &w->plan->faults[w->next_fault++];
        world_trace(w, "FAULT %s (%u) at %s of %s", fault_names[f->kind], f->arg, what, i->member->name);
        strike(w, i, f);
    }
    if (!i->client->dead && i->stepping && w->plan->interleave > 0 &&
        (int)world_random(w, 100) < w->plan->interleave)
        yield(i, w->now);
}

void plan_print(const struct plan *p, FILE *out) {
    fprintf(out, "seed %llu: %s, %d partitions,", (unsigned long long)p->seed, p->workload->name,
            p->partitions);
    for (int i = 0; i < MAX_GROUPS && p->instances[i] > 0; i++)
        fprintf(out, "%c%d", i == 0 ? ' ' : '+', p->instances[i]);
    fprintf(out, " instances, %d records%s%s; faults:", p->item_count,
            p->stale_stores ? ", stale stores" : "", p->own_schemas ? ", schemas unknown" : "");
    for (int i = 0; i < p->fault_count; i++)
        fprintf(out, " %s@%d(%u)", fault_names[p->faults[i].kind], p->faults[i].at, p->faults[i].arg);
    fputc('\n', out);
}

/* ---- the scheduler ---- */

static bool runnable(struct world *w, struct instance *i) {
    if (i->client == NULL)
        return false;
    bool news = i->seen != w->broker.version;
    if (i->stepping)
        return i->resumes_at <= w->now || (news && !i->paused);
    return i->sleeps_until <= w->now || news || i->stopping;
}

/* The supervisor, and heartbeats. */
static void supervise(struct world *w) {
    for (int k = 0; k < w->instance_count; k++) {
        struct instance *i = &w->instances[k];
        if (i->isolated_until != 0 && i->isolated_until <= w->now) {
            i->isolated_until = 0;
            if (i->client != NULL && !i->paused && i->member->live == i->client && i->member->present)
                i->member->expires = 0;
        }
        if (i->stepping)
            continue;
        if (i->gone_at > 0 && i->gone_at <= w->now) { /* for good */
            if (i->client != NULL)
                world_trace(w, "%s (twin) is gone", i->member->name);
            instance_end(i, 0);
            i->up_at = INT64_MAX;
        }
        if (i->client == NULL && i->up_at <= w->now)
            instance_start(i);
    }
}

/* When something will happen that nobody needs to be stepped for. */
static int64_t next_moment(struct world *w) {
    int64_t next = broker_tick(&w->broker, w->now);
    for (int k = 0; k < w->instance_count; k++) {
        const struct instance *i = &w->instances[k];
        int64_t at = i->client == NULL ? i->up_at : i->stepping ? i->resumes_at : i->sleeps_until;
        next = at < next ? at : next;
        if (i->client != NULL && !i->stepping && i->gone_at > 0 && i->gone_at < next) /* see supervise() */
            next = i->gone_at;
        if (i->isolated_until != 0 && i->isolated_until < next)
            next = i->isolated_until;
    }
    return next;
}

/* Does a group stand beyond the end of an input that was cut, or may it come to stand there? */
static bool stands_beyond(struct world *w, const struct group *g, int source, int32_t p) {
    const struct partition *part = broker_partition(&w->broker, g->topology->sources[source].topic, p);
    if (part->cuts == 0)
        return false;
    if (g->committed[source][p].offset > part->count ||
        broker_offset_pending(&w->broker, &g->committed[source][p]))
        return true;
    for (int k = 0; k < w->instance_count; k++)
        if (w->instances[k].client != NULL && client_missed_cut(w->instances[k].client, part))
            return true;
    return false;
}

/* Topics that are shorter than what is known of them grow only once everybody has seen that. */
static bool may_write(struct world *w) {
    for (int k = 0; w->plan->stale_stores && k < w->instance_count; k++)
        if (!w->instances[k].looked)
            return false;
    for (int g = 0; w->plan->workload->loses_records && g < w->broker.group_count; g++)
        for (int s = 0; s < w->broker.groups[g].source_count; s++)
            for (int32_t p = 0; p < w->broker.partition_count; p++)
                if (stands_beyond(w, &w->broker.groups[g], s, p))
                    return false;
    return w->next_item < w->plan->item_count;
}

static void write_item(struct world *w) {
    const struct item *item = &w->plan->items[w->next_item++];
    registry_world = NULL; /* clients have their own ways */
    w->plan->workload->write(w, item);
    registry_world = w;
}

/* Whoever reads does so on another thread: whatever the instance waits for. */
static void watch(struct world *w) {
    struct instance *i = &w->instances[w->steps % (unsigned)w->instance_count];
    if (w->plan->workload->watch != NULL && i->client != NULL && i->stream != NULL)
        w->plan->workload->watch(w, i->topology, i->stream, i->store);
}

static void world_step(struct world *w) {
    watch(w);
    w->now += world_random(w, 3);
    broker_tick(&w->broker, w->now);
    supervise(w);
    if (may_write(w) && world_random(w, 3) == 0) {
        write_item(w);
        return;
    }
    struct instance *ready[MAX_INSTANCES];
    uint32_t n = 0;
    for (int k = 0; k < w->instance_count; k++)
        if (runnable(w, &w->instances[k]))
            ready[n++] = &w->instances[k];
    if (n > 0) {
        if (++w->steps > MAX_STEPS)
            world_violation(w, "no progress");
        instance_step(ready[world_random(w, n)]);
        return;
    }
    if (may_write(w)) {
        write_item(w);
        return;
    }
    int64_t next = next_moment(w);
    w->idle = next == INT64_MAX ? w->idle + 1 : 0;
    if (w->idle > MAX_IDLE)
        world_violation(w, "nothing happens any more");
    w->now = next == INT64_MAX ? w->now + 100 : next <= w->now ? w->now + 1 : next;
}

/* ---- the end ---- */

static bool all_consumed(struct world *w, const struct group *g, const struct instance *owner, int32_t p) {
    for (int s = 0; s < g->source_count; s++) {
        const struct source *source = &g->topology->sources[s];
        const struct topic *t = source->topic;
        const struct partition *part = broker_partition(&w->broker, t, p);
        int64_t from = g->committed[s][p].offset;
        if (from < 0 &&
            plan_loses_offsets(w->plan)) { /* what is done and idle has no reason to say so again */
            from = part->count;
            if (owner->stream->dirty_since != 0)
                return false;
        }
        for (int64_t o = from < 0 ? 0 : from; o < part->count; o++)
            if (part->entries[o].fate == ENTRY_THERE && broker_visible(&part->entries[o]))
                return false;
        if (!client_reads_to_end(owner->client, source_queue(source), t, p))
            return false;
    }
    return true;
}

/* Sooner or later it looks where its changelogs end. */
static bool missed_cut(struct world *w, const struct group *g, const struct instance *owner, int32_t p) {
    const struct topology *t = g->topology;
    for (size_t i = 0; t->views != NULL && t->views[i] != NULL; i++) {
        const struct log_delivered *known = &owner->stream->tasks[p].changelogs[i];
        if (known->was != 0 || known->next > broker_partition(&w->broker, t->views[i]->changelog, p)->count)
            return true;
    }
    return false;
}

static struct instance *task_owner(struct world *w, const struct group *g, int32_t p) {
    for (int k = 0; k < w->instance_count; k++) {
        struct instance *i = &w->instances[k];
        if (i->member == g->owner[p] && i->client != NULL && i->member->live == i->client &&
            i->member->present && (i->client->held & 1U << p))
            return i;
    }
    return NULL;
}

/* Whether it has all partitions of its served views, to their ends. */
static bool serves_all(struct world *w, struct instance *i) {
    struct partitions wanted, held;
    stream_held(i->stream, &wanted, &held);
    for (const struct view *const *v = i->topology->views; v != NULL && *v != NULL; v++)
        for (int32_t p = 0; (*v)->served != NULL && p < w->broker.partition_count; p++) {
            struct partition *part = broker_partition(&w->broker, (*v)->changelog, p);
            if (!partitions_has(&held, p) ||
                stream_behind(i->stream, (*v)->served, p, broker_stable_end(&w->broker, part)) > 0)
                return false;
        }
    return true;
}

static bool quiet(struct world *w) {
    if (w->next_item < w->plan->item_count || w->broker.open != NULL || w->broker.late_count > 0)
        return false;
    for (int k = 0; k < w->instance_count; k++) {
        struct instance *i = &w->instances[k];
        bool gone = i->up_at == INT64_MAX && i->client == NULL;
        if (!gone && (i->stepping || i->client == NULL || i->gone_at > 0 || i->client->begun ||
                      !stream_ready(i->stream) || !serves_all(w, i)))
            return false;
        for (size_t t = 0; !gone && i->topology->tables != NULL && i->topology->tables[t] != NULL; t++)
            for (int32_t p = 0; p < w->broker.partition_count; p++)
                if (!client_reads_to_end(i->client, LOG_TABLES, i->topology->tables[t]->topic, p))
                    return false;
    }
    for (int g = 0; g < w->broker.group_count; g++)
        for (int32_t p = 0; w->broker.groups[g].source_count > 0 && p < w->broker.groups[g].partitions; p++) {
            const struct instance *owner = task_owner(w, &w->broker.groups[g], p);
            if (owner == NULL || !all_consumed(w, &w->broker.groups[g], owner, p) ||
                missed_cut(w, &w->broker.groups[g], owner, p))
                return false;
        }
    return true;
}

struct store *world_task_store(struct world *w, const struct topology *t, int32_t partition) {
    for (int g = 0; g < w->broker.group_count; g++)
        if (w->broker.groups[g].topology == t)
            return task_owner(w, &w->broker.groups[g], partition)->store;
    abort();
}

int64_t world_stable_end(struct world *w, const struct topic *t, int32_t partition) {
    return broker_stable_end(&w->broker, broker_partition(&w->broker, t, partition));
}

struct store *world_store(struct world *w, const struct topology *t, int instance) {
    for (int k = 0; k < w->instance_count; k++)
        if (w->instances[k].topology == t && w->instances[k].client != NULL && instance-- == 0)
            return w->instances[k].store;
    return NULL;
}

/* ---- clients ---- */

void world_write(struct world *w, const struct topic *t, int32_t partition, struct slice key,
                 struct slice value, int64_t timestamp, enum write_mode mode) {
    struct broker *b = &w->broker;
    if (partition < 0)
        partition = partition_of(key, b->partition_count);
    if (t->compacted && broker_partition(b, t, partition)->cuts > 0)
        return; /* see may_lose_tail() */
    struct txn *txn = mode == WRITE_PLAIN ? NULL : broker_begin(b, NULL);
    if (txn != NULL) {
        txn->end_at = w->now + world_random(w, 300);
        txn->end_commit = mode == WRITE_COMMITTED;
    }
    struct entry entry = {.key = key, .value = value, .timestamp = timestamp};
    int64_t offset = broker_append(b, broker_partition(b, t, partition), &entry, txn);
    world_trace(w, "client writes %s/%d/%lld, key " SLICE_FMT "%s", t->name, partition, (long long)offset,
                SLICE_ARG(key),
                mode == WRITE_PLAIN       ? ""
                : mode == WRITE_COMMITTED ? ", commits"
                                          : ", aborts");
}

void world_write_event(struct world *w, const struct topic *t, int32_t partition, struct slice key,
                       const void *value, int64_t timestamp, enum write_mode mode) {
    struct buf bytes = {0};
    struct err e = {0};
    if (!schemas_encode(w->schemas, t, value, &bytes, &e))
        abort();
    world_write(w, t, partition, key, buf_slice(&bytes), timestamp, mode);
    buf_free(&bytes);
}

static void visit_entry(const struct partition *p, const struct entry *entry, world_visit *visit,
                        void *context) {
    if (!broker_visible(entry))
        return;
    struct log_record r = {.topic = p->topic,
                           .partition = p->number,
                           .offset = entry->offset,
                           .timestamp = entry->timestamp,
                           .key = entry->key,
                           .value = entry->value,
                           .handle = (void *)entry};
    visit(context, &r, entry->headers, entry->header_count);
}

void world_scan(struct world *w, const struct topic *t, int32_t partition, world_visit *visit,
                void *context) {
    const struct partition *p = broker_partition(&w->broker, t, partition);
    int64_t end = broker_stable_end(&w->broker, p);
    for (int64_t o = 0; o < end; o++)
        visit_entry(p, &p->entries[o], visit, context);
}

static int by_serial(const void *a, const void *b) {
    uint64_t x = (*(struct entry *const *)a)->serial, y = (*(struct entry *const *)b)->serial;
    return x < y ? -1 : x > y;
}

void world_scan_all(struct world *w, const struct topic *t, int32_t partition, world_visit *visit,
                    void *context) {
    const struct partition *p = broker_partition(&w->broker, t, partition);
    int64_t end = broker_stable_end(&w->broker, p), n = 0;
    const struct entry **all = xcalloc((size_t)(end + p->lost_count + 1), sizeof *all);
    for (int64_t o = 0; o < end; o++)
        all[n++] = &p->entries[o];
    for (int64_t k = 0; k < p->lost_count; k++)
        all[n++] = &p->lost[k];
    qsort(all, (size_t)n, sizeof *all, by_serial);
    for (int64_t k = 0; k < n; k++)
        visit_entry(p, all[k], visit, context);
    free(all);
}

bool world_compacted(const struct log_record *r) {
    return ((const struct entry *)r->handle)->fate == ENTRY_COMPACTED;
}

bool world_deleted(const struct log_record *r) {
    return ((const struct entry *)r->handle)->fate == ENTRY_DELETED;
}

bool world_lost(const struct log_record *r) {
    return ((const struct entry *)r->handle)->fate == ENTRY_LOST;
}

bool world_told_of(const struct world *w, const struct log_record *r) {
    for (int k = 0; k < w->told_count; k++)
        if (w->told[k].topic == r->topic && w->told[k].partition == r->partition &&
            w->told[k].from <= r->offset && r->offset < w->told[k].to)
            return true;
    return false;
}

int world_cuts(struct world *w, const struct topic *t, int32_t partition) {
    return broker_partition(&w->broker, t, partition)->cuts;
}

bool world_shrunk(struct world *w, const struct topic *t, int32_t partition) {
    const struct partition *p = broker_partition(&w->broker, t, partition);
    bool shrunk = p->cuts > 0;
    for (int64_t o = 0; o < p->first; o++)
        shrunk = shrunk || p->entries[o].fate == ENTRY_DELETED;
    return shrunk;
}

/* ---- the beginning ---- */

/* What another Kafka left behind: rows, and positions that this one's topics have not reached when the
 * instance first looks. (Had they by then, nobody could tell.) */
static void make_stale(struct world *w, struct instance *i) {
    struct store *s = disk_image(i->disk);
    const struct topology *t = i->topology;
    struct buf key = {0};
    struct err e = {0};
    int64_t far = 1 + world_random(w, 8);
    struct slice position = {(const char *)&far, sizeof far},
                 row = SLICE("\0\0\0\0\1of another log, and long enough");
    bool ok = true;
    for (int32_t p = 0; p < w->broker.partition_count; p++) {
        for (size_t k = 0; t->views != NULL && t->sources[k].topic != NULL; k++) {
            struct slice inputs =
                arena_printf(&w->arena, "%s/%d:%lld", t->sources[k].topic->name, p, (long long)far);
            store_key_inputs(&key, t, t->views[0], p);
            ok = ok && store_apply(s, &(struct store_change){buf_slice(&key), inputs}, 1, &e);
        }
        for (size_t v = 0; t->views != NULL && t->views[v] != NULL; v++) {
            store_key_view_position(&key, t->views[v], p);
            ok = ok && store_apply(s, &(struct store_change){buf_slice(&key), position}, 1, &e);
            store_key_view(&key, t->views[v], p, SLICE("k0"));
            ok = ok && store_apply(s, &(struct store_change){buf_slice(&key), row}, 1, &e);
        }
        for (size_t v = 0; t->tables != NULL && v == 0; v++) { /* one: they are looked at in turn */
            store_key_table_position(&key, t->tables[v], p);
            ok = ok && store_apply(s, &(struct store_change){buf_slice(&key), position}, 1, &e);
            store_key_row(&key, t->tables[v], p, SLICE("k0"));
            ok = ok && store_apply(s, &(struct store_change){buf_slice(&key), row}, 1, &e);
        }
    }
    buf_free(&key);
    if (!ok)
        abort();
}

static void add_group(struct world *w, const struct topology *t, int instances) {
    struct group *g = &w->broker.groups[w->broker.group_count++];
    *g = (struct group){.topology = t, .partitions = w->broker.partition_count, .member_count = instances};
    while (t->sources != NULL && t->sources[g->source_count].topic != NULL)
        g->source_count++;
    broker_lose_offsets(g);
    for (int n = 0; n < instances; n++) {
        struct member *m = &g->members[n];
        *m = (struct member){.group = g, .number = n};
        snprintf(m->name, sizeof m->name, "%s-%d", t->name, n);
        struct instance *i = instance_add(w, m, t);
        if (i != NULL && w->plan->stale_stores)
            make_stale(w, i);
    }
}

struct world *world_create(const struct plan *plan, FILE *trace, struct buf *why) {
    struct world *w = xcalloc(1, sizeof *w);
    *w = (struct world){.now = plan->workload->begins > 0 ? plan->workload->begins : 1000,
                        .plan = plan,
                        .rng = plan->seed ^ 0x5eed,
                        .trace = trace,
                        .why = why};
    w->broker = (struct broker){.world = w, .arena = &w->arena, .partition_count = plan->partitions};
    w->registry = proxy_create();
    w->schemas = schemas_for(plan->workload, w->registry);
    registry_world = w;
    plan->workload->topologies(plan, w->topologies);
    for (int t = 0; w->topologies[t] != NULL; t++)
        add_group(w, w->topologies[t], plan->instances[t]);
    return w;
}

void world_destroy(struct world *w) {
    for (int k = 0; k < w->instance_count; k++) {
        while (w->instances[k]
                   .stepping) { /* whatever it is in the middle of fails now, so that it gives back all */
            w->instances[k].client->dead = true;
            enter(&w->instances[k], false);
            swapcontext(&w->scheduler, &w->instances[k].context);
        }
        instance_end(&w->instances[k], 0);
        disk_destroy(w->instances[k].disk);
    }
    for (size_t t = 0; t < sizeof w->broker.topics / sizeof *w->broker.topics; t++) {
        for (int32_t p = 0; w->broker.topics[t] != NULL && p < MAX_PARTITIONS; p++) {
            free(w->broker.topics[t][p].entries);
            free(w->broker.topics[t][p].lost);
        }
        free(w->broker.topics[t]);
    }
    registry_world = NULL;
    schemas_destroy(w->schemas);
    registry_destroy(w->registry);
    arena_free(&w->arena);
    free(w);
}

struct log *world_connect(struct world *w, int member) {
    struct group *g = &w->broker.groups[0];
    struct instance *i = instance_add(w, &g->members[member], g->topology);
    if (i == NULL)
        abort();
    struct log *log = client_create(i);
    i->client = (struct client *)log;
    return log;
}

bool world_run(const struct plan *plan, FILE *trace, struct buf *why) {
    struct world *w = world_create(plan, trace, why);
    while (!w->violated && !quiet(w))
        world_step(w);
    registry_world = NULL;
    if (!w->violated)
        plan->workload->check(w);
    bool ok = !w->violated;
    last_calls = w->calls;
    world_destroy(w);
    return ok;
}
