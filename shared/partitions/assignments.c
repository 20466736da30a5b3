#include "partitions/assignments.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "log/partitions.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    RENEW_MS = 5000,  /* a row is written again after that: its instance lives */
    LINGER_MS = 3000, /* what is given away is deleted so much later: some still read it */
    LOOK_MS = 20,
};

struct assignments {
    struct instance *instance;
    const struct table *table; /* of the rows */
    struct relay *relay;
    int32_t partitions;
    int32_t slot;
    pthread_mutex_t lock; /* of what follows */
    bool known;           /* the others' rows were read once */
    bool leaving;
    struct members members; /* this one among them, as it is now */
    struct partitions here; /* what this one answers for */
    int64_t *delete_at;     /* by partition, what is given away: in ms of the monotonic clock; 0: it is not */
    struct member published;
    int64_t published_at;
};

/* ---- rows ---- */

static const struct event_field *field_of(const struct event_type *type, const char *name,
                                          enum event_kind kind) {
    for (size_t i = 0; i < type->field_count; i++)
        if (strcmp(type->fields[i].name, name) == 0 && type->fields[i].kind == kind)
            return &type->fields[i];
    fprintf(stderr, "%s has no %s\n", type->name, name);
    abort(); /* a bug in the schema */
}

static void set(const struct event_type *type, void *to, const char *name, enum event_kind kind,
                const void *value) {
    const struct event_field *f = field_of(type, name, kind);
    memcpy((char *)to + f->offset, value, f->size);
}

static void get(const struct event_type *type, const void *from, const char *name, enum event_kind kind,
                void *value) {
    const struct event_field *f = field_of(type, name, kind);
    memcpy(value, (const char *)from + f->offset, f->size);
}

struct records { /* as the generated arrays are */
    const char *items;
    size_t count;
};

const void *assignment_write(const struct event_type *type, struct slice service, const struct member *m,
                             struct arena *a) {
    const struct event_type *item = field_of(type, "partitions", EVENT_RECORDS)->type;
    char *row = arena_alloc(a, type->size), *items = arena_alloc(a, PARTITIONS_MAX * item->size);
    struct records list = {items, 0};
    struct slice address = slice_of(m->address);
    memset(row, 0, type->size);
    for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
        bool owned = partitions_has(&m->owned, p), held = partitions_has(&m->held, p);
        if (!owned && !held)
            continue;
        char *to = items + list.count++ * item->size;
        memset(to, 0, item->size);
        set(item, to, "partition", EVENT_INT, &p);
        set(item, to, "owned", EVENT_BOOLEAN, &owned);
        set(item, to, "held", EVENT_BOOLEAN, &held);
    }
    set(type, row, "service", EVENT_STRING, &service);
    set(type, row, "slot", EVENT_INT, &m->slot);
    set(type, row, "address", EVENT_STRING, &address);
    set(type, row, "leaving", EVENT_BOOLEAN, &m->leaving);
    set(type, row, "partitions", EVENT_RECORDS, &list);
    return row;
}

void assignment_read(const struct event_type *type, const void *row, struct slice *service,
                     struct member *m) {
    const struct event_type *item = field_of(type, "partitions", EVENT_RECORDS)->type;
    struct slice address;
    struct records list;
    get(type, row, "service", EVENT_STRING, service);
    get(type, row, "slot", EVENT_INT, &m->slot);
    get(type, row, "address", EVENT_STRING, &address);
    get(type, row, "leaving", EVENT_BOOLEAN, &m->leaving);
    get(type, row, "partitions", EVENT_RECORDS, &list);
    snprintf(m->address, sizeof m->address, SLICE_FMT, SLICE_ARG(address));
    for (size_t i = 0; i < list.count; i++) {
        const char *from = list.items + i * item->size;
        int32_t p;
        bool owned, held;
        get(item, from, "partition", EVENT_INT, &p);
        get(item, from, "owned", EVENT_BOOLEAN, &owned);
        get(item, from, "held", EVENT_BOOLEAN, &held);
        if (p < 0 || p >= PARTITIONS_MAX)
            continue;
        partitions_put(&m->owned, p, owned);
        partitions_put(&m->held, p, held);
    }
}

struct reading {
    struct assignments *a;
    struct members *members;
};

static bool read_row(void *context, const struct event *row) {
    struct reading *r = context;
    struct member m = {.time = row->timestamp};
    struct slice service;
    assignment_read(row->topic->value, row->value, &service, &m);
    if (slice_equal(service, slice_of(r->a->instance->name)))
        members_put(r->members, &m);
    return true;
}

static void publish(struct assignments *a, const struct member *self) {
    const char *service = a->instance->name;
    _cleanup_(arena_free) struct arena arena = {0};
    struct err e;
    char key[128];
    snprintf(key, sizeof key, "%s-%d", service, self->slot);
    const void *row = self->address[0] == 0
                          ? NULL
                          : assignment_write(a->table->topic->value, slice_of(service), self, &arena);
    if (instance_send(a->instance, a->table->topic, slice_of(key), row, &e)) {
        a->published = *self;
        a->published_at = clock_mono_us() / 1000;
    }
}

/* ---- this instance ---- */

/* Calls `each` for every stream that serves views, and is open. */
static void each_stream(struct assignments *a, void (*each)(void *context, struct stream *s), void *context) {
    struct instance *i = a->instance;
    for (size_t k = 0; k < i->worker_count && i->workers[k].topology != NULL; k++) {
        struct stream *s = atomic_load(&i->workers[k].stream);
        if (s != NULL && topology_served(i->workers[k].topology) != NULL)
            each(context, s);
    }
}

struct having {
    size_t streams;
    struct partitions owned, held, kept; /* kept: in the store, hydrated or not yet */
};

static void look(void *context, struct stream *s) {
    struct having *h = context;
    struct partitions owned, held, kept;
    stream_tasks(s, &owned);
    stream_held(s, &kept, &held);
    for (size_t n = 0; n < sizeof h->held.bits / sizeof *h->held.bits; n++) {
        h->owned.bits[n] |= owned.bits[n];
        h->kept.bits[n] |= kept.bits[n];
        h->held.bits[n] = h->streams == 0 ? held.bits[n] : h->held.bits[n] & held.bits[n];
    }
    h->streams++;
}

static void hold(void *context, struct stream *s) {
    stream_hold(s, context);
}

static bool same(const struct member *a, const struct member *b) {
    return a->leaving == b->leaving && strcmp(a->address, b->address) == 0 &&
           partitions_equal(&a->owned, &b->owned) && partitions_equal(&a->held, &b->held);
}

static bool same_members(const struct members *a, const struct members *b) {
    bool equal = a->count == b->count;
    for (size_t i = 0; equal && i < a->count; i++)
        equal = a->at[i].slot == b->at[i].slot && same(&a->at[i], &b->at[i]);
    return equal;
}

/* The rows of the others, and this one as it is. False: they are not all there yet. */
static bool gather(struct assignments *a, const struct having *have, struct members *all) {
    struct stream *s = instance_stream(a->instance, a->table);
    struct reading r = {a, all};
    struct err e;
    a->known = a->known || (s != NULL && stream_ready(s));
    if (!a->known || !stream_scan_rows(s, a->table, SLICE_NONE, read_row, &r, &e))
        return false;
    struct member self = {.slot = a->slot, .leaving = a->leaving, .owned = have->owned, .held = have->held};
    const struct settings *set = &a->instance->settings;
    bool v6 = strchr(set->advertised, ':') != NULL;
    snprintf(self.address, sizeof self.address, "%s%s%s:%u", v6 ? "[" : "", set->advertised, v6 ? "]" : "",
             http_server_port(a->instance->http));
    for (size_t i = 0; i < all->count; i++) /* nobody has said anything later */
        self.time = all->at[i].time >= self.time ? all->at[i].time + 1 : self.time;
    members_put(all, &self);
    return true;
}

static struct member *self_of(struct assignments *a, struct members *all) {
    struct member *m = all->at;
    while (m < all->at + all->count && m->slot != a->slot)
        m++;
    return m < all->at + all->count ? m : NULL;
}

/* What to have in the store, and of that, what to answer for. */
static void decide(struct assignments *a, const struct members *all, const struct member *self,
                   const struct having *have, struct partitions *keep, struct partitions *here) {
    int64_t now = clock_mono_us() / 1000;
    int standbys = a->instance->settings.standbys;
    for (int32_t p = 0; p < a->partitions; p++) {
        bool wanted = placement_wants(all, self, p, standbys) || partitions_has(&self->owned, p);
        bool kept = partitions_has(&have->kept, p);
        bool stays = wanted || (kept && !placement_spares(all, self, p, standbys));
        if (stays || !kept)
            a->delete_at[p] = 0;
        else if (a->delete_at[p] == 0)
            a->delete_at[p] = now + LINGER_MS;
        partitions_put(keep, p, stays || (kept && now < a->delete_at[p]));
        partitions_put(here, p, stays && partitions_has(&have->held, p));
    }
}

/* Under the lock. Returns whether something changed for those who wait. */
static bool update(struct assignments *a) {
    struct having have = {0};
    struct members *all = xcalloc(1, sizeof *all);
    struct partitions keep = {0}, here = {0};
    each_stream(a, look, &have);
    bool changed = false;
    if (gather(a, &have, all)) {
        struct member *self = self_of(a, all);
        decide(a, all, self, &have, &keep, &here);
        self->held = here;
        changed = !same_members(&a->members, all);
        a->members = *all;
        a->here = here;
        each_stream(a, hold, &keep);
        if (!same(&a->published, self) || clock_mono_us() / 1000 - a->published_at >= RENEW_MS)
            publish(a, self);
    }
    free(all);
    return changed;
}

void assignments_update(struct assignments *a) {
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    bool changed = update(a);
    pthread_mutex_unlock(&a->lock);
    if (changed)
        http_wake(a->instance->http, assignments_key());
}

/* ---- what others ask ---- */

static size_t holders(void *context, int32_t partition, char (*addresses)[RELAY_ADDRESS_SIZE]) {
    struct assignments *a = context;
    const struct member *found[MEMBERS_MAX];
    pthread_mutex_lock(&a->lock);
    size_t n = placement_holders(&a->members, self_of(a, &a->members), partition, found);
    n = n < RELAY_HOLDERS_MAX ? n : RELAY_HOLDERS_MAX;
    for (size_t i = 0; i < n; i++)
        memcpy(addresses[i], found[i]->address, sizeof found[i]->address);
    pthread_mutex_unlock(&a->lock);
    return n;
}

bool assignments_ready(struct assignments *a, struct buf *why) {
    if (a == NULL)
        return true;
    bool ready = true;
    pthread_mutex_lock(&a->lock);
    const struct member *self = self_of(a, &a->members);
    for (int32_t p = 0; ready && p < a->partitions; p++) {
        const struct member *found[MEMBERS_MAX];
        bool reachable = partitions_has(&a->here, p) || (placement_holders(&a->members, self, p, found) > 0 &&
                                                         member_lives(&a->members, found[0]));
        ready = a->known && !a->leaving && reachable;
        if (!ready)
            buf_printf(why, "%s",
                       !a->known    ? "reading who has what"
                       : a->leaving ? "leaving"
                                    : "hydrating partitions that no other instance has");
    }
    pthread_mutex_unlock(&a->lock);
    return ready;
}

void assignments_metrics(struct assignments *a, struct metrics *m) {
    static const struct metric owned_metric = {
        "insideout_partitions_owned", METRIC_GAUGE,
        "Partitions of the service's tables that are this instance's tasks."};
    static const struct metric held_metric = {
        "insideout_partitions_held", METRIC_GAUGE,
        "Partitions of the service's tables that this instance answers for."};
    if (a == NULL)
        return;
    int owned = 0, here = 0;
    pthread_mutex_lock(&a->lock);
    const struct member *self = self_of(a, &a->members);
    for (int32_t p = 0; p < a->partitions; p++) {
        owned += self != NULL && partitions_has(&self->owned, p);
        here += partitions_has(&a->here, p);
    }
    pthread_mutex_unlock(&a->lock);
    metrics_add(m, &owned_metric, owned, NULL);
    metrics_add(m, &held_metric, here, NULL);
    relay_metrics(a->relay, m);
}

bool assignments_here(struct assignments *a, int32_t partition) {
    pthread_mutex_lock(&a->lock);
    bool here = partitions_has(&a->here, partition);
    pthread_mutex_unlock(&a->lock);
    return here;
}

int32_t assignments_partition(const struct assignments *a, struct slice key) {
    return partition_of(key, a->partitions);
}

int32_t assignments_count(const struct assignments *a) {
    return a->partitions;
}

struct relay *assignments_relay(struct assignments *a) {
    return a->relay;
}

struct slice assignments_key(void) {
    return SLICE("h");
}

/* ---- its life ---- */

static void answered(void *context, const struct call *call) {
    struct assignments *a = context;
    char text[32];
    http_wake(a->instance->http, instance_address_key(text, sizeof text, 'c', call_waiter(call)));
}

struct assignments *assignments_create(struct instance *i, const struct table *t) {
    if (t == NULL)
        return NULL;
    struct assignments *a = xcalloc(1, sizeof *a);
    a->instance = i;
    a->table = t;
    a->partitions = i->settings.partitions;
    a->slot = i->settings.slot;
    a->delete_at = xcalloc((size_t)a->partitions, sizeof *a->delete_at);
    pthread_mutex_init(&a->lock, NULL);
    a->relay = relay_create(&(struct relay_options){.context = a, .holders = holders, .answered = answered});
    return a;
}

void assignments_destroy(struct assignments *a) {
    if (a == NULL)
        return;
    relay_destroy(a->relay);
    pthread_mutex_destroy(&a->lock);
    free(a->delete_at);
    free(a);
}

void assignments_leave(struct assignments *a) {
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->leaving = true;
    pthread_mutex_unlock(&a->lock);
    assignments_update(a);
}

/* Whether nobody misses this one any more: all that it has is elsewhere, or there is no elsewhere. */
static bool spared(struct assignments *a) {
    bool others = false, spares = true;
    pthread_mutex_lock(&a->lock);
    const struct member *self = self_of(a, &a->members);
    for (size_t i = 0; i < a->members.count; i++) {
        const struct member *m = &a->members.at[i];
        others = others || (m != self && !m->leaving && member_lives(&a->members, m));
    }
    for (int32_t p = 0; self != NULL && p < a->partitions; p++)
        if (partitions_has(&a->here, p) || partitions_has(&self->owned, p))
            spares = spares && placement_spares(&a->members, self, p, a->instance->settings.standbys);
    pthread_mutex_unlock(&a->lock);
    return !others || spares;
}

void assignments_left(struct assignments *a, int ms) {
    if (a == NULL)
        return;
    int64_t until = clock_mono_us() / 1000 + ms;
    for (assignments_update(a); !spared(a) && clock_mono_us() / 1000 < until; assignments_update(a))
        poll(NULL, 0, LOOK_MS);
    pthread_mutex_lock(&a->lock);
    struct member gone = {.slot = a->slot};
    publish(a, &gone);
    pthread_mutex_unlock(&a->lock);
}
