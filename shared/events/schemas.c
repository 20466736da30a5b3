#include "events/schemas.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "events/plan.h"
#include "events/schema.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    BUCKETS = 64,
    PREFIX = 5,
    KNOWN_MAX = 256,   /* ids that are remembered, */
    MISSING_MAX = 256, /* and ids that are not there */
    MISSING_MS = 10 * 1000,
    CONFIRMED_MS = 1000, /* what the registry has just said it need not say again */
};

/* How the schema `id` is read as the type `as`; as == NULL: as JSON. All entries of an id are in one bucket.
 */
struct entry {
    struct entry *next;
    int32_t id;
    const struct event_type *as;
    struct plan *plan;
    struct buf schema;
};

struct registered {
    struct registered *next;
    const struct topic *topic;
    int32_t id;
};

/* What the registry has said, in which bytes, and when it said so last, in µs. */
struct said {
    struct schema_known known;
    uint64_t text; /* their hash */
    int64_t at;
};

/* An id that is not there, until it is asked for again. */
struct missing {
    int32_t id;
    int64_t until;
};

/* Lists only grow, at their head, under the lock, and what is in them never changes: readers need no lock. */
struct schemas {
    struct registry *registry;
    int64_t (*now_us)(void);
    pthread_mutex_t lock; /* also around the registry */
    struct entry *_Atomic entries[BUCKETS];
    struct registered *_Atomic registered[BUCKETS];
    struct said said[KNOWN_MAX];
    atomic_size_t said_count;
    struct missing missing[MISSING_MAX]; /* by id */
    atomic_bool foreign;                 /* the registry was another than the one of before */
};

struct schemas *schemas_create(struct registry *registry) {
    schema_end_without_memory();
    struct schemas *s = xcalloc(1, sizeof *s);
    s->registry = registry;
    s->now_us = clock_mono_us;
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void schemas_set_clock(struct schemas *s, int64_t (*now_us)(void)) {
    s->now_us = now_us;
}

void schemas_destroy(struct schemas *s) {
    if (s == NULL)
        return;
    for (int i = 0; i < BUCKETS; i++) {
        for (struct entry *e = s->entries[i], *next; e != NULL; e = next) {
            next = e->next;
            plan_destroy(e->plan);
            buf_free(&e->schema);
            free(e);
        }
        for (struct registered *r = s->registered[i], *next; r != NULL; r = next) {
            next = r->next;
            free(r);
        }
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void unlock(pthread_mutex_t **lock) {
    pthread_mutex_unlock(*lock);
}

static pthread_mutex_t *lock(struct schemas *s) {
    pthread_mutex_lock(&s->lock);
    return &s->lock;
}

#define LOCKED(s) __attribute__((unused)) _cleanup_(unlock) pthread_mutex_t *locked = lock(s)

/* --- Whether it is the same registry --- */

static struct said *find_said(struct schemas *s, int32_t id) {
    for (size_t i = 0; i < s->said_count; i++)
        if (s->said[i].known.id == id)
            return &s->said[i];
    return NULL;
}

/* What `id` is by this text. To parse it takes longer than all the rest: the same bytes are the same. */
static struct said read_text(struct schemas *s, int32_t id, struct slice text) {
    const struct said *before = find_said(s, id);
    uint64_t hash = slice_hash(text);
    bool same = before != NULL && before->text == hash;
    uint64_t fingerprint = same ? before->known.fingerprint : schema_fingerprint(text);
    return (struct said){{id, fingerprint}, hash, s->now_us()};
}

static void note_said(struct schemas *s, struct said said) {
    struct said *before = find_said(s, said.known.id);
    if (before != NULL)
        *before = said;
    else if (s->said_count < KNOWN_MAX)
        s->said[s->said_count++] = said;
}

/* What it has just said will do, unless it is asked anew. False with *differs: it says something else;
 * otherwise it says nothing. */
static bool confirm(struct schemas *s, const struct schema_known *known, bool anew, bool *differs,
                    struct err *err) {
    const struct said *said = anew ? NULL : find_said(s, known->id);
    bool found = false;
    _cleanup_(buf_free) struct buf text = {0};
    *differs = false;
    int64_t age = said == NULL ? -1 : s->now_us() - said->at;
    if (age >= 0 && age < CONFIRMED_MS * (int64_t)1000 && said->known.fingerprint == known->fingerprint)
        return true;
    if (!s->registry->schema_by_id(s->registry, known->id, &found, &text, err))
        return false;
    struct said now = found ? read_text(s, known->id, buf_slice(&text)) : (struct said){0};
    *differs = !found || now.known.fingerprint != known->fingerprint;
    if (*differs)
        return err_set(
            err, ERR_RETRY,
            "the registry is not the one of before: schema %d is %s; give it its data back, or begin "
            "without what was written by the other",
            known->id, found ? "another one there" : "not there");
    note_said(s, now);
    return true;
}

/* By the youngest id that is known: what an old backup lacks, and what ids given anew come to last. */
static bool same_registry(struct schemas *s, struct err *err) {
    const struct said *last = NULL;
    bool differs;
    for (size_t i = 0; i < s->said_count; i++)
        if (last == NULL || s->said[i].known.id > last->known.id)
            last = &s->said[i];
    if (last == NULL)
        return true;
    struct schema_known known = last->known;
    return confirm(s, &known, true, &differs, err);
}

size_t schemas_known_count(const struct schemas *s) {
    return atomic_load(&s->said_count);
}

size_t schemas_known(struct schemas *s, struct schema_known *known, size_t max) {
    LOCKED(s);
    size_t n = 0;
    for (; n < s->said_count && n < max; n++)
        known[n] = s->said[n].known;
    return n;
}

/* It is the one of before again. What was learned meanwhile may be of the other. */
static bool check_learned(struct schemas *s, struct err *err) {
    for (size_t i = 0; i < s->said_count; i++) {
        struct schema_known known = s->said[i].known;
        bool differs;
        if (confirm(s, &known, true, &differs, err))
            continue;
        return differs
                   ? err_set(
                         err, ERR_FATAL,
                         "the registry is the one of before again; this process has learned from another one")
                   : false;
    }
    atomic_store(&s->foreign, false);
    return true;
}

bool schemas_recognise(struct schemas *s, const struct schema_known *known, size_t n, struct err *err) {
    LOCKED(s);
    for (size_t i = 0; i < n; i++) {
        bool differs;
        if (confirm(s, &known[i], atomic_load(&s->foreign), &differs, err))
            continue;
        if (differs)
            atomic_store(&s->foreign, true);
        return false;
    }
    if (!atomic_load(&s->foreign))
        return true;
    if (n == 0) /* whoever remembers more will say when it is back */
        return err_set(err, ERR_RETRY, "the registry is not the one of before");
    return check_learned(s, err);
}

/* --- What is known of an id --- */

static const struct entry *find_entry(struct schemas *s, int32_t id, const struct event_type *as) {
    const struct entry *e = atomic_load_explicit(&s->entries[(uint32_t)id % BUCKETS], memory_order_acquire);
    while (e != NULL && (e->id != id || e->as != as))
        e = e->next;
    return e;
}

/* Takes the text. Under the lock; there is none yet. */
static const struct entry *put_entry(struct schemas *s, int32_t id, const struct event_type *as,
                                     struct buf *text) {
    struct entry *e = xmalloc(sizeof *e);
    struct entry *_Atomic *head = &s->entries[(uint32_t)id % BUCKETS];
    *e = (struct entry){*head, id, as, plan_create(buf_slice(text), as), *text};
    *text = (struct buf){0};
    atomic_store_explicit(head, e, memory_order_release);
    return e;
}

/* --- Registering, encoding --- */

static const struct registered *find_registered(struct schemas *s, const struct topic *topic) {
    const struct registered *r =
        atomic_load_explicit(&s->registered[topic->number % BUCKETS], memory_order_acquire);
    while (r != NULL && r->topic != topic)
        r = r->next;
    return r;
}

/* The level is set before the schema is added, so that it is checked by it; on a new subject, some
 * registries take it only afterwards. */
static bool add_to_registry(struct registry *r, const char *subject, const char *schema, int32_t *id,
                            struct err *err) {
    bool found;
    if (!r->set_compatibility(r, subject, "BACKWARD", &found, err) || !r->add(r, subject, schema, id, err))
        return false;
    if (!found && !r->set_compatibility(r, subject, "BACKWARD", &found, err))
        return false;
    return found || err_set(err, ERR_RETRY, "the registry does not know the subject that it just took");
}

/* How the registry itself gives what it took. So what is written can be read again, whatever becomes of it.
 */
static bool note_registered(struct schemas *s, int32_t id, const struct event_type *as, struct err *err) {
    bool found;
    _cleanup_(buf_free) struct buf text = {0};
    if (!s->registry->schema_by_id(s->registry, id, &found, &text, err))
        return false;
    if (!found)
        return err_set(err, ERR_RETRY, "the registry does not know the schema %d that it just took", id);
    note_said(s, read_text(s, id, buf_slice(&text)));
    if (find_entry(s, id, as) == NULL)
        put_entry(s, id, as, &text);
    return true;
}

bool schemas_register(struct schemas *s, const struct topic *topic, struct err *err) {
    LOCKED(s);
    if (find_registered(s, topic) != NULL)
        return true;
    _cleanup_(buf_free) struct buf subject = {0};
    buf_printf(&subject, "%s-value%c", topic->name, 0);
    int32_t id;
    if (!same_registry(s, err) ||
        !add_to_registry(s->registry, subject.data, topic->value->schema, &id, err) ||
        !note_registered(s, id, topic->value, err))
        return err_prefix(err, "schema of %s", subject.data);
    struct registered *r = xmalloc(sizeof *r);
    struct registered *_Atomic *head = &s->registered[topic->number % BUCKETS];
    *r = (struct registered){*head, topic, id};
    atomic_store_explicit(head, r, memory_order_release);
    return true;
}

bool schemas_encode(struct schemas *s, const struct topic *topic, const void *value, struct buf *out,
                    struct err *err) {
    const struct registered *r = find_registered(s, topic);
    if (r == NULL)
        return err_set(err, ERR_CONFIG, "%s: not registered by this process", topic->name);
    if (atomic_load_explicit(&s->foreign, memory_order_relaxed))
        return err_set(err, ERR_RETRY, "the registry is not the one of before");
    uint8_t prefix[PREFIX] = {0};
    for (int i = 0; i < 4; i++)
        prefix[1 + i] = (uint8_t)((uint32_t)r->id >> (24 - 8 * i));
    buf_append(out, prefix, sizeof prefix);
    if (event_encode(topic->value, value, out, err))
        return true;
    out->size -= sizeof prefix;
    return false;
}

/* --- Decoding --- */

/* Appends the text of schema `id`: one that was seen already, or the registry's. Under the lock. */
static bool schema_text(struct schemas *s, int32_t id, struct buf *text, struct err *err) {
    for (const struct entry *e = s->entries[(uint32_t)id % BUCKETS]; e != NULL; e = e->next) {
        if (e->id == id) {
            buf_append_slice(text, buf_slice(&e->schema));
            return true;
        }
    }
    struct missing *missing = &s->missing[(uint32_t)id % MISSING_MAX];
    bool found = false;
    if (missing->id != id || s->now_us() >= missing->until) {
        if (!s->registry->schema_by_id(s->registry, id, &found, text, err) || !same_registry(s, err))
            return false;
        if (!found)
            *missing = (struct missing){id, s->now_us() + MISSING_MS * (int64_t)1000};
    }
    return found || err_set(err, ERR_POISON, "the registry has no schema %d", id);
}

static bool add_entry(struct schemas *s, int32_t id, const struct event_type *as, const struct entry **entry,
                      struct err *err) {
    LOCKED(s);
    if ((*entry = find_entry(s, id, as)) != NULL)
        return true; /* another thread was first */
    _cleanup_(buf_free) struct buf text = {0};
    if (!schema_text(s, id, &text, err))
        return false;
    if (as != NULL)
        note_said(s, read_text(s, id, buf_slice(&text)));
    *entry = put_entry(s, id, as, &text);
    return true;
}

static bool plan_of(struct schemas *s, const struct event_type *as, struct slice payload,
                    const struct plan **plan, struct err *err) {
    const uint8_t *p = (const uint8_t *)payload.data;
    if (payload.size < PREFIX)
        return err_set(err, ERR_POISON, "%zu bytes, too short for a schema id", payload.size);
    if (p[0] != 0)
        return err_set(err, ERR_POISON, "byte 0: magic byte %d, not 0", p[0]);
    int32_t id = (int32_t)((uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4]);
    const struct entry *e = find_entry(s, id, as);
    if (e == NULL && !add_entry(s, id, as, &e, err))
        return false;
    *plan = e->plan;
    return true;
}

bool schemas_decode(struct schemas *s, const struct event_type *as, struct slice payload, struct arena *arena,
                    void *out, struct err *err) {
    const struct plan *plan;
    return plan_of(s, as, payload, &plan, err) && plan_decode(plan, payload, PREFIX, arena, out, err);
}

bool schemas_json(struct schemas *s, struct slice payload, struct buf *out, struct err *err) {
    const struct plan *plan;
    return plan_of(s, NULL, payload, &plan, err) && plan_json(plan, payload, PREFIX, out, err);
}

bool schemas_know(struct schemas *s, struct slice payload, struct err *err) {
    const struct plan *plan;
    return plan_of(s, NULL, payload, &plan, err);
}
