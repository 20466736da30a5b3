#include "tail/tail.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "log/figures.h"
#include "log/partitions.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    RING_BYTES = 512 * 1024, /* of a partition's latest records */
    RING_RECORDS = 4096,
    RING_BEFORE = 1000, /* of these are taken in when a partition opens, for who was away for a moment */
    FETCH_BYTES = 128 * 1024, /* of a fetch, … */
    FETCH_RECORDS = 1000,
    FETCH_LOOKED_AT = 50000, /* … and how many it looks at before others get their turn */
    BUCKETS = 512,
    BATCH = 1000,
    LINGER_MS = 30 * 1000, /* a partition is read for so long after the last cursor has gone */
    RETRY_MS = 500,
    HEADERS_MAX = 16,
    PORTION = 64, /* records that a reader visits before it looks again what there is */
    IDLE_MS = 5000,
    ASKED_MAX = 64,
};

/* A copy, in the ring or of a fetch, and with who visits it. */
struct record {
    struct tail_record r;
    atomic_uint owners;
    struct record *older, *newer; /* with the same hash of the key; or `newer` alone, in a fetch */
    uint32_t bucket;
    size_t size;
    struct buf json;
    char memory[];
};

enum part_state { PART_CLOSED, PART_WANTED, PART_OPEN };

struct tail_part {
    struct tail_part *next_part; /* never changes */
    const struct topic *topic;
    int32_t partition;
    enum part_state state;
    size_t cursors, keyed; /* that follow; of these, those with a key */
    uint64_t tickets, end_wanted,
        end_for;                   /* cursors so far; who wants to know the end; whoever it is known for */
    int64_t first, next, end;      /* what the ring has is [first, next); a committed end that was seen */
    uint64_t cuts;                 /* how often the log has lost its last records, */
    int64_t cut;                   /* and where it ended then */
    int64_t idle_since, reread_at; /* 0: not */
    struct record **ring;          /* RING_RECORDS, in order */
    size_t ring_first, ring_count, ring_bytes;
    struct record **newest; /* by bucket */
    struct tail_fetch *fetching;
    bool told;
};

struct tail_fetch {
    struct tail_fetch *next;
    struct tail_part *part;
    const void *owner;
    struct buf key;
    bool has_key, follows, done, at_end, abandoned;
    enum { PLACE_KEPT, PLACE_DELETED, PLACE_AHEAD } place; /* then `moved_to` is where the records begin */
    int64_t from, to, moved_to;
    size_t bytes, count, max, looked_at;
    struct record *first, *last;
};

struct tail {
    struct tail_options o;
    pthread_mutex_t lock;      /* of all below, but not while the log is asked */
    struct tail_part ***parts; /* by the topic's number, then partition; what is there stays */
    struct tail_part *_Atomic all;
    struct tail_fetch *queue, **queue_end;
    atomic_uint_fast64_t opened; /* how often somebody wanted to know an end */
    uint64_t opened_seen;
    int64_t retry_at, fetch_at; /* not before; 0: nothing to try again */
    struct {
        counter deleted, lost;
    } *moved; /* positions, by the topic's number */
    struct log_record records[BATCH];
    atomic_bool stopping;
};

#define LOG(t, f, ...) ((t)->o.log->ops->f((t)->o.log, __VA_ARGS__))

static void lock(struct tail *t) {
    pthread_mutex_lock(&t->lock);
}

static void unlock(struct tail *t) {
    pthread_mutex_unlock(&t->lock);
}

static void log_wake(struct tail *t) {
    t->o.log->ops->wake(t->o.log);
}

static int64_t now_ms(struct tail *t) {
    return t->o.log->ops->now_ms(t->o.log);
}

/* ---- records ---- */

static uint32_t bucket_of(struct slice key) {
    return (uint32_t)(slice_hash(key) % BUCKETS);
}

static struct record *record_copy(struct tail *t, const struct log_record *from) {
    struct log_header headers[HEADERS_MAX];
    size_t n = t->o.log->ops->headers(from, headers, HEADERS_MAX);
    size_t size = sizeof(struct record) + n * sizeof *headers + from->key.size + from->value.size;
    for (size_t i = 0; i < n; i++)
        size += strlen(headers[i].name) + 1 + headers[i].value.size;
    struct record *r = xmalloc(size);
    struct log_header *copies = (struct log_header *)(void *)r->memory;
    char *at = r->memory + n * sizeof *copies;
    for (size_t i = 0; i < n; i++) {
        copies[i].name = slice_pack(&at, (struct slice){headers[i].name, strlen(headers[i].name) + 1}).data;
        copies[i].value = slice_pack(&at, headers[i].value);
    }
    *r = (struct record){.owners = 1, .size = size, .bucket = bucket_of(from->key)};
    r->r = (struct tail_record){from->topic,
                                from->partition,
                                from->offset,
                                from->timestamp,
                                slice_pack(&at, from->key),
                                slice_pack(&at, from->value),
                                copies,
                                n};
    return r;
}

static void record_release(struct record *r) {
    if (atomic_fetch_sub(&r->owners, 1) != 1)
        return;
    buf_free(&r->json);
    free(r);
}

static void put_value(struct tail *t, const struct tail_record *r, struct json *j) {
    _cleanup_(buf_free) struct buf value = {0};
    struct err e;
    bool ok = r->value.data == NULL || schemas_json(t->o.schemas, r->value, &value, &e);
    json_key(j, "value");
    if (ok && r->value.data != NULL)
        json_put_raw(j, buf_slice(&value));
    else
        json_put_null(j);
    if (!ok)
        json_key(j, "error"), json_put_string(j, slice_of(e.text));
}

static void put_record(struct tail *t, const struct tail_record *r, struct buf *out) {
    struct json j = {.out = out};
    json_begin_object(&j);
    json_key(&j, "topic"), json_put_string(&j, slice_of(r->topic->name));
    json_key(&j, "partition"), json_put_int(&j, r->partition);
    json_key(&j, "offset"), json_put_int(&j, r->offset);
    json_key(&j, "timestamp"), json_put_int(&j, r->timestamp);
    json_key(&j, "key");
    if (r->key.data == NULL)
        json_put_null(&j);
    else
        json_put_string(&j, r->key);
    put_value(t, r, &j);
    json_end_object(&j);
}

struct slice tail_json(struct tail *t, const struct tail_record *r) {
    struct record *own = (struct record *)(uintptr_t)r; /* its first member */
    lock(t);
    bool made = own->json.size > 0;
    unlock(t);
    if (made)
        return buf_slice(&own->json);
    _cleanup_(buf_free) struct buf json = {0};
    put_record(t, r, &json);
    lock(t);
    if (own->json.size == 0) { /* nobody else was quicker */
        own->json = json;
        json = (struct buf){0};
    }
    unlock(t);
    return buf_slice(&own->json);
}

/* ---- names ---- */

enum name { NAME_OWNER = 'o', NAME_PART = 'p', NAME_KEY = 'k', NAME_TOPIC = 't' };

static void put_name(struct buf *out, enum name kind, const struct tail_cursor *c) {
    buf_clear(out);
    if (kind == NAME_OWNER)
        buf_printf(out, "o%p", c->owner);
    else
        buf_printf(out, "%c%s/", kind, c->topic->name);
    if (kind == NAME_PART)
        buf_printf(out, "%d", c->partition);
    if (kind == NAME_KEY)
        buf_append_slice(out, c->key);
}

void tail_names(const struct tail_cursor *c, void (*each)(void *context, struct slice name), void *context) {
    const enum name kinds[] = {NAME_OWNER, NAME_PART, c->key.data != NULL ? NAME_KEY : NAME_TOPIC};
    _cleanup_(buf_free) struct buf name = {0};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        put_name(&name, kinds[i], c);
        each(context, buf_slice(&name));
    }
}

static void wake(struct tail *t, enum name kind, const struct tail_cursor *like) {
    _cleanup_(buf_free) struct buf name = {0};
    put_name(&name, kind, like);
    t->o.wake(t->o.context, buf_slice(&name));
}

/* ---- the ring ---- */

static struct record *ring_at(const struct tail_part *p, size_t i) {
    return p->ring[(p->ring_first + i) % RING_RECORDS];
}

static void ring_drop(struct tail_part *p) {
    struct record *r = ring_at(p, 0);
    p->ring_first = (p->ring_first + 1) % RING_RECORDS;
    p->ring_count--;
    p->ring_bytes -= r->size;
    p->first = r->r.offset + 1;
    if (r->newer != NULL)
        r->newer->older = NULL;
    else
        p->newest[r->bucket] = NULL;
    record_release(r);
}

static void ring_add(struct tail_part *p, struct record *r) {
    while (p->ring_count > 0 && (p->ring_count == RING_RECORDS || p->ring_bytes + r->size > RING_BYTES))
        ring_drop(p);
    p->ring[(p->ring_first + p->ring_count++) % RING_RECORDS] = r;
    p->ring_bytes += r->size;
    r->older = p->newest[r->bucket];
    if (r->older != NULL)
        r->older->newer = r;
    p->newest[r->bucket] = r;
}

static void ring_free(struct tail_part *p) {
    while (p->ring_count > 0)
        ring_drop(p);
    free(p->ring);
    free(p->newest);
    p->ring = p->newest = NULL;
}

/* The place of the first record that is not before `offset`. */
static size_t ring_find(const struct tail_part *p, int64_t offset) {
    size_t low = 0, high = p->ring_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ring_at(p, middle)->r.offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- partitions ---- */

/* NULL: nobody has ever asked for it. */
static struct tail_part *part_find(struct tail *t, const struct topic *topic, int32_t partition) {
    return t->parts[topic->number] == NULL ? NULL : t->parts[topic->number][partition];
}

static struct tail_part *part_of(struct tail *t, const struct topic *topic, int32_t partition) {
    assert(partition >= 0 && partition < PARTITIONS_MAX);
    if (t->parts[topic->number] == NULL)
        t->parts[topic->number] = xcalloc(PARTITIONS_MAX, sizeof(struct tail_part *));
    struct tail_part **slot = &t->parts[topic->number][partition];
    if (*slot == NULL) {
        struct tail_part *p = xcalloc(1, sizeof *p);
        *p = (struct tail_part){.next_part = atomic_load(&t->all), .topic = topic, .partition = partition};
        *slot = p;
        atomic_store(&t->all, p);
    }
    return *slot;
}

void tail_open(struct tail *t, struct tail_cursor *c) {
    lock(t);
    struct tail_part *p = c->part = part_of(t, c->topic, c->partition);
    c->cuts = p->cuts;
    if (c->once == 0) {
        c->ticket = ++p->tickets;
        p->cursors++;
        p->keyed += c->key.data != NULL;
        p->idle_since = 0;
        if (p->state == PART_CLOSED)
            p->state = PART_WANTED;
        if (p->state == PART_WANTED || c->offset > p->next) {
            p->end_wanted = c->ticket;
            atomic_fetch_add(&t->opened, 1);
        }
    }
    unlock(t);
    log_wake(t);
}

static void fetch_free(struct tail_fetch *f) {
    while (f->first != NULL) {
        struct record *next = f->first->newer;
        record_release(f->first);
        f->first = next;
    }
    buf_free(&f->key);
    free(f);
}

/* Under the lock. */
static void fetch_drop(struct tail_cursor *c) {
    if (c->fetch != NULL && c->fetch->done)
        fetch_free(c->fetch);
    else if (c->fetch != NULL)
        c->fetch->abandoned = true;
    c->fetch = NULL;
}

void tail_close(struct tail *t, struct tail_cursor *c) {
    if (c->part == NULL)
        return;
    lock(t);
    fetch_drop(c);
    if (c->once == 0) {
        c->part->cursors--;
        c->part->keyed -= c->key.data != NULL;
        if (c->part->cursors == 0)
            c->part->idle_since = now_ms(t);
    }
    unlock(t);
    c->part = NULL;
}

static bool read_new(struct tail *t, const struct tail_part *p, struct err *e) {
    struct log_position from = {p->topic, p->partition, p->next > 0 ? p->next : -1};
    return LOG(t, read, LOG_TABLES, &from, e);
}

/* Takes what is known now of a partition's end; opens it, the first time. */
static bool part_end(struct tail *t, struct tail_part *p, int64_t end, uint64_t ticket, struct err *e) {
    lock(t);
    bool opens = p->state == PART_WANTED;
    p->end = end > p->end || opens ? end : p->end;
    p->end_for = ticket;
    if (opens) {
        p->first = p->next = end > RING_BEFORE ? end - RING_BEFORE : 0;
        p->ring = xcalloc(RING_RECORDS, sizeof(struct record *));
        p->newest = xcalloc(BUCKETS, sizeof(struct record *));
        p->state = PART_OPEN;
    }
    unlock(t);
    if (opens && !read_new(t, p, e))
        return false;
    wake(t, NAME_PART, &(struct tail_cursor){.topic = p->topic, .partition = p->partition});
    return true;
}

/* Asks the log where those partitions end that somebody wants to know of, and begins to read the ones that
 * are new. It can take seconds, so not under the lock. */
static bool find_ends(struct tail *t, struct err *e) {
    struct log_position ends[ASKED_MAX];
    struct tail_part *parts[ASKED_MAX];
    uint64_t tickets[ASKED_MAX];
    size_t n = 0, known = 0;
    t->opened_seen = atomic_load(&t->opened);
    lock(t);
    for (struct tail_part *p = atomic_load(&t->all); p != NULL && n < ASKED_MAX; p = p->next_part)
        if (p->end_wanted > p->end_for) {
            parts[n] = p;
            tickets[n++] = p->tickets;
        }
    unlock(t);
    for (size_t i = 0; i < n; i++) {
        int32_t count;
        struct err missing; /* a topic that is not there keeps nobody else waiting */
        if (!LOG(t, partitions, parts[i]->topic, &count, &missing) || parts[i]->partition >= count)
            continue;
        parts[known] = parts[i];
        tickets[known] = tickets[i];
        ends[known++] = (struct log_position){parts[i]->topic, parts[i]->partition, -1};
    }
    struct err away;
    if (known > 0 && !LOG(t, ends, ends, known, true, &away))
        known = 0;
    t->retry_at = known < n ? now_ms(t) + RETRY_MS : n == ASKED_MAX ? 1 : 0;
    for (size_t i = 0; i < known; i++)
        if (!part_end(t, parts[i], ends[i].offset, tickets[i], e))
            return false;
    return true;
}

/* Partitions that nobody has followed for a while, and those to read again. */
static bool tend_parts(struct tail *t, struct err *e) {
    int64_t now = now_ms(t);
    for (struct tail_part *p = atomic_load(&t->all); p != NULL; p = p->next_part) {
        lock(t);
        bool close = p->cursors == 0 && p->state != PART_CLOSED && now - p->idle_since > LINGER_MS;
        bool was_open = p->state == PART_OPEN;
        if (close) {
            ring_free(p);
            p->state = PART_CLOSED;
            p->reread_at = 0;
        }
        unlock(t);
        if (close && was_open)
            LOG(t, unread, LOG_TABLES, p->topic, p->partition);
        if (p->reread_at != 0 && now >= p->reread_at) {
            p->reread_at = 0;
            if (!read_new(t, p, e))
                return false;
        }
    }
    return true;
}

/* ---- fetches ---- */

static void fetch_begin(struct tail *t, struct tail_cursor *c) {
    struct tail_fetch *f = c->fetch = xcalloc(1, sizeof *f);
    f->part = c->part;
    f->owner = c->owner;
    f->from = f->to = c->offset;
    f->max = c->once > 0 ? c->once : FETCH_RECORDS;
    f->has_key = c->key.data != NULL;
    f->follows = c->once == 0;
    if (f->has_key)
        buf_append_slice(&f->key, c->key);
    *t->queue_end = f;
    t->queue_end = &f->next;
}

/* `fails`: it has got nowhere, so the next one waits a little. */
static void fetch_end(struct tail *t, struct tail_part *p, bool fails) {
    struct tail_fetch *f = p->fetching;
    if (fails)
        t->fetch_at = now_ms(t) + RETRY_MS;
    else
        LOG(t, unread, LOG_CHANGELOGS, p->topic, p->partition);
    lock(t);
    struct tail_cursor like = {.owner = f->owner};
    bool abandoned = f->abandoned;
    p->fetching = NULL;
    f->done = true;
    if (abandoned)
        fetch_free(f);
    unlock(t);
    if (!abandoned)
        wake(t, NAME_OWNER, &like);
}

/* False: nothing is to be read; it is `fails` because nobody knows, or the fetch begins at the end or beyond.
 * Who follows knows the end; a reader that begins beyond it would wait for ever. */
static bool fetch_has_more(struct tail *t, struct tail_fetch *f, bool *fails) {
    int32_t count; /* which the log then knows */
    struct err away;
    struct log_position end = {f->part->topic, f->part->partition, -1};
    *fails = !LOG(t, partitions, end.topic, &count, &away) || end.partition >= count ||
             (!f->follows && !LOG(t, ends, &end, 1, true, &away));
    if (*fails || f->follows || (f->from >= 0 && f->from < end.offset))
        return !*fails;
    f->place = f->from > end.offset ? PLACE_AHEAD : PLACE_KEPT;
    f->at_end = true;
    f->to = f->moved_to = end.offset;
    return false;
}

/* Those whose partition is not being fetched from already. */
static bool start_fetches(struct tail *t, struct err *e) {
    struct tail_fetch *started[32], *f;
    size_t n = 0;
    if (now_ms(t) < t->fetch_at)
        return true;
    t->fetch_at = 0;
    lock(t);
    for (struct tail_fetch **at = &t->queue; (f = *at) != NULL && n < 32;) {
        if (!f->abandoned && f->part->fetching != NULL) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        if (f->next == NULL)
            t->queue_end = at;
        f->next = NULL;
        if (f->abandoned) {
            fetch_free(f);
            continue;
        }
        f->part->fetching = f;
        started[n++] = f;
    }
    unlock(t);
    for (size_t i = 0; i < n; i++) {
        bool fails;
        struct log_position from = {started[i]->part->topic, started[i]->part->partition,
                                    started[i]->from > 0 ? started[i]->from : -1};
        if (!fetch_has_more(t, started[i], &fails))
            fetch_end(t, started[i]->part, fails);
        else if (!LOG(t, read, LOG_CHANGELOGS, &from, e))
            return false;
    }
    return true;
}

/* ---- records that come ---- */

/* Whether the record's schema is known, or known to be none. */
static bool know(struct tail *t, const struct log_record *r) {
    struct err e;
    return r->value.data == NULL || schemas_know(t->o.schemas, r->value, &e) || e.kind != ERR_RETRY;
}

static void count_moved(struct tail *t, const struct log_record *r) {
    counter_add(r->offset < r->was ? &t->moved[r->topic->number].lost : &t->moved[r->topic->number].deleted,
                1);
}

/* What is in memory is not deleted for whoever reads that. */
static void fetch_moved(struct tail *t, struct tail_fetch *f, const struct log_record *r) {
    struct tail_part *p = f->part;
    lock(t);
    bool memory = f->follows && p->state == PART_OPEN && r->offset > p->first && p->first >= f->to;
    f->place = r->offset < r->was ? PLACE_AHEAD : PLACE_DELETED;
    f->to = f->moved_to = memory ? p->first : r->offset;
    unlock(t);
    count_moved(t, r);
    if (f->place == PLACE_AHEAD) {
        f->at_end = true;
        fetch_end(t, p, false);
    }
}

static void take_fetched(struct tail *t, const struct log_record *r) {
    struct tail_part *p = part_find(t, r->topic, r->partition);
    struct tail_fetch *f = p == NULL ? NULL : p->fetching;
    if (f != NULL && r->moved) {
        fetch_moved(t, f, r);
        return;
    }
    if (f == NULL || r->offset < f->to)
        return; /* of one that has ended */
    lock(t);
    bool reached = f->follows && p->state == PART_OPEN && r->offset >= p->first;
    bool wanted = !f->abandoned && !reached && !r->end;
    unlock(t);
    if (wanted && !know(t, r)) {
        LOG(t, unread, LOG_CHANGELOGS, p->topic, p->partition);
        fetch_end(t, p, true);
        return;
    }
    f->to = r->offset + wanted;
    f->at_end = r->end;
    if (wanted && (!f->has_key || slice_equal(r->key, buf_slice(&f->key)))) {
        struct record *copy = record_copy(t, r);
        *(f->first == NULL ? &f->first : &f->last->newer) = copy;
        f->last = copy;
        f->bytes += copy->size;
        f->count++;
    }
    if (!wanted || f->count >= f->max || f->bytes >= FETCH_BYTES || ++f->looked_at >= FETCH_LOOKED_AT)
        fetch_end(t, p, false);
}

/* What is in memory is not in the log, or not before what comes next: whoever is not there yet fetches. */
static void part_moved(struct tail *t, struct tail_part *p, const struct log_record *r) {
    char text[300];
    bool lost = r->offset < r->was;
    lock(t);
    while (p->ring_count > 0)
        ring_drop(p);
    p->first = p->next = r->offset;
    p->end = lost || p->next > p->end ? p->next : p->end;
    p->cuts += lost;
    p->cut = lost ? r->offset : p->cut;
    unlock(t);
    count_moved(t, r);
    log_moved_text(r, text, sizeof text);
    if (lost && t->o.notice != NULL)
        t->o.notice(t->o.context, text);
    wake(t, NAME_PART, &(struct tail_cursor){.topic = p->topic, .partition = p->partition});
}

static void take_new(struct tail *t, const struct log_record *r) {
    struct tail_part *p = part_find(t, r->topic, r->partition);
    if (p != NULL && p->ring != NULL && r->moved) {
        part_moved(t, p, r);
        return;
    }
    if (p == NULL || p->reread_at != 0 || r->offset < p->next || p->ring == NULL)
        return;
    if (!r->end && !know(t, r)) {
        LOG(t, unread, LOG_TABLES, p->topic, p->partition);
        p->reread_at = now_ms(t) + RETRY_MS;
        return;
    }
    struct record *copy = r->end ? NULL : record_copy(t, r);
    lock(t);
    p->next = r->offset + !r->end;
    p->end = p->next > p->end ? p->next : p->end;
    if (copy != NULL)
        ring_add(p, copy);
    bool keyed = copy != NULL && p->keyed > 0;
    p->told = p->told || (copy != NULL && p->cursors > p->keyed);
    unlock(t);
    if (keyed)
        wake(t, NAME_KEY, &(struct tail_cursor){.topic = r->topic, .key = r->key});
}

static void tell_topics(struct tail *t) {
    for (struct tail_part *p = atomic_load(&t->all); p != NULL; p = p->next_part) {
        if (p->told)
            wake(t, NAME_TOPIC, &(struct tail_cursor){.topic = p->topic});
        p->told = false;
    }
}

bool tail_step(struct tail *t, int wait_ms, struct err *e) {
    size_t n = 0;
    bool again = t->retry_at != 0 && now_ms(t) >= t->retry_at;
    if ((again || t->opened_seen != atomic_load(&t->opened)) && !find_ends(t, e))
        return false;
    if (!tend_parts(t, e) || !start_fetches(t, e))
        return false;
    if (!LOG(t, poll, false, t->records, BATCH, wait_ms, &n, e))
        return e->kind == ERR_RETRY;
    for (size_t i = 0; i < n; i++) {
        if (t->records[i].queue == LOG_TABLES)
            take_new(t, &t->records[i]);
        else
            take_fetched(t, &t->records[i]);
    }
    LOG(t, release, t->records, n);
    tell_topics(t);
    return true;
}

/* Whether there is something to try again, or a partition to close one day. */
static bool busy(struct tail *t) {
    bool open = t->retry_at != 0 || t->fetch_at != 0;
    for (struct tail_part *p = atomic_load(&t->all); p != NULL && !open; p = p->next_part)
        open = p->ring != NULL;
    return open;
}

bool tail_run(struct tail *t, struct err *e) {
    while (!atomic_load(&t->stopping))
        if (!tail_step(t, busy(t) ? RETRY_MS / 2 : IDLE_MS, e))
            return false;
    return true;
}

void tail_stop(struct tail *t) {
    atomic_store(&t->stopping, true);
    log_wake(t);
}

/* ---- reading ---- */

/* What a reader visits without the lock: it may take its time, and look things up. */
struct portion {
    struct record *records[PORTION]; /* owned */
    size_t count;
    int64_t then; /* where the cursor is behind them */
    bool more;    /* look again */
};

/* False: the portion is full. */
static bool portion_add(struct portion *p, const struct tail_cursor *c, struct record *r) {
    if (c->key.data != NULL && !slice_equal(r->r.key, c->key))
        return true;
    if (p->count == PORTION)
        return false;
    atomic_fetch_add(&r->owners, 1);
    p->records[p->count++] = r;
    p->then = r->r.offset + 1;
    return true;
}

static bool add_with_key(struct portion *to, const struct tail_cursor *c, struct record *newest) {
    struct record *oldest = NULL;
    for (struct record *r = newest; r != NULL && r->r.offset >= c->offset; r = r->older)
        oldest = r;
    for (struct record *r = oldest; r != NULL; r = r->newer)
        if (!portion_add(to, c, r))
            return false;
    return true;
}

static enum tail_state take_ring(struct tail_cursor *c, const struct tail_part *p, struct portion *to) {
    bool all = true;
    if (c->key.data != NULL)
        all = add_with_key(to, c, p->newest[bucket_of(c->key)]);
    for (size_t i = ring_find(p, c->offset); c->key.data == NULL && i < p->ring_count && all; i++)
        all = portion_add(to, c, ring_at(p, i));
    to->more = !all;
    if (all)
        to->then = p->next > c->offset ? p->next : c->offset;
    return p->next < p->end ? TAIL_COMING : TAIL_CAUGHT_UP;
}

/* TAIL_CAUGHT_UP: with this fetch, which stays until all its records were visited. */
static enum tail_state take_fetch(struct tail *t, struct tail_cursor *c, struct portion *to) {
    struct tail_fetch *f = c->fetch;
    if (f == NULL)
        fetch_begin(t, c);
    if (f == NULL || !f->done)
        return TAIL_COMING;
    if (f->place != PLACE_KEPT) {
        enum tail_state moved = f->place == PLACE_AHEAD ? TAIL_AHEAD : TAIL_DELETED;
        f->place = PLACE_KEPT;
        c->offset = to->then = f->moved_to;
        if (moved == TAIL_AHEAD)
            fetch_drop(c);
        return moved;
    }
    for (struct record *r = f->first; r != NULL; r = r->newer)
        if (r->r.offset >= c->offset && !portion_add(to, c, r))
            break;
    to->more = to->count > 0;
    if (to->more)
        return TAIL_COMING;
    c->offset = f->to > c->offset ? f->to : c->offset;
    enum tail_state state = c->once > 0 && !f->at_end ? TAIL_STOPPED : TAIL_CAUGHT_UP;
    fetch_free(f);
    c->fetch = NULL;
    return state;
}

static enum tail_state take(struct tail *t, struct tail_cursor *c, struct portion *to) {
    struct tail_part *p = c->part;
    if (c->once > 0)
        return take_fetch(t, c, to);
    if (p->state != PART_OPEN || (c->offset > p->next && p->end_for < c->ticket))
        return TAIL_STARTING;
    if (c->offset < 0)
        c->offset = p->end;
    int64_t end = c->cuts != p->cuts && p->cut < p->end ? p->cut : p->end;
    c->cuts = p->cuts;
    if (c->offset > end) {
        fetch_drop(c);
        c->offset = to->then = end;
        return TAIL_AHEAD;
    }
    while (c->offset < p->first) {
        enum tail_state s = take_fetch(t, c, to);
        if (s != TAIL_CAUGHT_UP)
            return s;
    }
    return take_ring(c, p, to);
}

/* False: the visitor wants no more. */
static bool visit_portion(struct portion *p, struct tail_cursor *c,
                          bool (*visit)(void *context, const struct tail_record *r), void *context) {
    bool goes_on = true;
    for (size_t i = 0; i < p->count; i++) {
        goes_on = goes_on && visit(context, &p->records[i]->r);
        if (goes_on)
            c->offset = p->records[i]->r.offset + 1;
        record_release(p->records[i]);
    }
    if (goes_on && p->then > c->offset)
        c->offset = p->then;
    return goes_on;
}

enum tail_state tail_read(struct tail *t, struct tail_cursor *c,
                          bool (*visit)(void *context, const struct tail_record *r), void *context) {
    for (;;) {
        struct portion p = {.then = c->offset};
        lock(t);
        bool had_fetch = c->fetch != NULL;
        enum tail_state state = take(t, c, &p);
        bool asks = c->fetch != NULL && !had_fetch;
        unlock(t);
        if (asks)
            log_wake(t);
        if (!visit_portion(&p, c, visit, context))
            return TAIL_STOPPED;
        if (!p.more)
            return state;
    }
}

/* ---- life ---- */

struct tail *tail_create(const struct tail_options *options) {
    struct tail *t = xcalloc(1, sizeof *t);
    t->o = *options;
    t->parts = xcalloc(options->topic_count, sizeof(struct tail_part **));
    t->moved = xcalloc(options->topic_count, sizeof *t->moved);
    t->queue_end = &t->queue;
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void tail_destroy(struct tail *t) {
    if (t == NULL)
        return;
    for (struct tail_fetch *f = t->queue, *next; f != NULL; f = next) {
        next = f->next;
        fetch_free(f);
    }
    for (struct tail_part *p = atomic_load(&t->all), *next; p != NULL; p = next) {
        next = p->next_part;
        if (p->fetching != NULL)
            fetch_free(p->fetching);
        ring_free(p);
        free(p);
    }
    for (size_t i = 0; i < t->o.topic_count; i++)
        free(t->parts[i]);
    free(t->parts);
    free(t->moved);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

void tail_metrics(struct tail *t, struct metrics *m) {
    lock(t);
    for (size_t i = 0; i < t->o.topic_count; i++) {
        int32_t p = 0;
        while (t->parts[i] != NULL && p < PARTITIONS_MAX && t->parts[i][p] == NULL)
            p++;
        if (t->parts[i] != NULL && p < PARTITIONS_MAX)
            figure_moved_add(m, "feeds", t->parts[i][p]->topic->name, &t->moved[i].deleted,
                             &t->moved[i].lost);
    }
    unlock(t);
}
