/* struct log_ops over the broker: what librdkafka does for one process. Between any two of its steps the
 * process may die, or stand still while others go on. */
#include "instance.h"

#include "base/cleanup.h"

#include <stdlib.h>

struct lent { /* a record that was given out: a copy, so that a use after release shows */
    const struct log_header *headers;
    size_t header_count;
    char bytes[];
};

static struct client *of(struct log *l) {
    return (struct client *)l;
}

static struct world *world_of(struct client *c) {
    return c->instance->world;
}

static struct broker *broker_of(struct client *c) {
    return world_broker(c->instance->world);
}

bool client_point(struct client *c, const char *what) {
    if (!c->dead)
        world_strike(world_of(c), c->instance, what);
    return !c->dead;
}

static bool gone(struct err *e) {
    return err_set(e, ERR_FATAL, "the process is dead");
}

#define POINT(c, what)                                                                                       \
    do {                                                                                                     \
        if (!client_point(c, what))                                                                          \
            return gone(e);                                                                                  \
    } while (0)

static bool away(struct err *e) {
    return err_set(e, ERR_RETRY, "waiting for the broker");
}

static bool fenced(struct client *c, struct err *e) {
    c->fenced = true;
    world_trace(world_of(c), "%s is fenced", c->instance->member->name);
    return err_set(e, ERR_FENCED, "fenced");
}

/* ---- questions ---- */

static int64_t client_now_ms(struct log *l) {
    return world_now(world_of(of(l))) + of(l)->instance->skew;
}

static int64_t client_time_ms(struct log *l) {
    return client_now_ms(l);
}

static bool client_partitions(struct log *l, const struct topic *t, int32_t *count, struct err *e) {
    struct client *c = of(l);
    uint64_t bit = UINT64_C(1) << t->number;
    if ((c->known_topics & bit) == 0) {
        POINT(c, "partitions");
        if (world_away(world_of(c)))
            return away(e);
        c->known_topics |= bit;
    }
    *count = broker_of(c)->partition_count;
    return true;
}

static bool client_committed(struct log *l, struct log_committed *positions, size_t n, struct err *e) {
    struct client *c = of(l);
    POINT(c, "committed");
    struct group *g = c->instance->member->group;
    int64_t until = world_now(world_of(c)) + 300;
    if (world_away(world_of(c)))
        return away(e);
    for (size_t i = 0; i < n; i++) {
        int source = 0;
        while (g->topology->sources[source].topic != positions[i].topic)
            source++;
        const struct committed *committed = &g->committed[source][positions[i].partition];
        while (broker_offset_pending(broker_of(c), committed)) {
            if (world_now(world_of(c)) >= until)
                return err_set(e, ERR_RETRY, "waiting for stable offsets");
            if (!world_wait(c->instance, until))
                return gone(e);
        }
        positions[i].offset = committed->offset;
        positions[i].time = committed->time;
        positions[i].cuts = committed->cuts;
    }
    POINT(c, "committed, answered");
    return true;
}

static bool client_ends(struct log *l, struct log_position *positions, size_t n, bool committed,
                        struct err *e) {
    struct client *c = of(l);
    POINT(c, "ends");
    if (world_away(world_of(c)))
        return away(e);
    for (size_t i = 0; i < n; i++) {
        struct partition *p = broker_partition(broker_of(c), positions[i].topic, positions[i].partition);
        positions[i].offset = committed ? broker_stable_end(broker_of(c), p) : p->count;
    }
    POINT(c, "ends, answered");
    return true;
}

/* ---- the group ---- */

static bool client_subscribe(struct log *l, const struct topic *lead, const struct log_listener *listener,
                             struct err *e) {
    struct client *c = of(l);
    (void)lead;
    POINT(c, "subscribe");
    c->listener = *listener;
    c->subscribed = true;
    return true;
}

static size_t tasks_of(uint32_t set, int32_t *tasks) {
    size_t n = 0;
    for (int32_t p = 0; p < MAX_PARTITIONS; p++)
        if (set & 1U << p)
            tasks[n++] = p;
    return n;
}

static void revoke(struct client *c, uint32_t set, bool lost) {
    int32_t tasks[MAX_PARTITIONS];
    size_t n = tasks_of(set, tasks);
    world_trace(world_of(c), "%s %s %x", c->instance->member->name, lost ? "lost" : "gives back", set);
    c->listener.revoked(c->listener.context, tasks, n, lost);
    c->held &= ~set;
}

static void assign(struct client *c, uint32_t set) {
    int32_t tasks[MAX_PARTITIONS];
    size_t n = tasks_of(set, tasks);
    world_trace(world_of(c), "%s gets %x", c->instance->member->name, set);
    c->held |= set;
    c->listener.assigned(c->listener.context, tasks, n);
}

static bool is_member(const struct client *c) {
    return c->instance->member->live == c && c->instance->member->present;
}

static void join(struct client *c) {
    struct member *m = c->instance->member;
    m->expires = 0;
    m->live = c;
    c->joined = true;
    if (!m->present) {
        m->present = true;
        broker_retarget(broker_of(c), m->group, false);
    }
}

/* Tells the listener what the coordinator wants. */
static bool serve_group(struct client *c, bool *told, struct err *e) {
    struct member *m = c->instance->member;
    struct group *g = m->group;
    if (!c->subscribed || c->instance->isolated_until > world_now(world_of(c)))
        return true;
    if (c->joined && m->live != c)
        return fenced(c, e); /* a static member with this name came after */
    bool first = !c->joined;
    if (first)
        join(c);
    if (!m->present) {
        if (c->held != 0) {
            *told = true;
            revoke(c, c->held, true);
            POINT(c, "lost, told");
        }
        join(c);
    }
    uint32_t give = 0, get = 0;
    for (int32_t p = 0; p < g->partitions; p++) {
        if (g->owner[p] == NULL)
            g->owner[p] = g->target[p];
        if (g->owner[p] == m && g->target[p] != m && (c->held & 1U << p))
            give |= 1U << p;
    }
    if (give != 0) {
        *told = true;
        revoke(c, give, false);
        POINT(c, "revoked, told");
    }
    if (!is_member(c)) /* its session ended in the meantime */
        return true;
    for (int32_t p = 0; p < g->partitions; p++) {
        if (g->owner[p] == m && g->target[p] != m && !(c->held & 1U << p)) {
            g->owner[p] = g->target[p];
            broker_of(c)->version++;
        }
        if (g->owner[p] == m && !(c->held & 1U << p))
            get |= 1U << p;
    }
    if (get != 0 || first) { /* told even where it gets nothing */
        *told = true;
        assign(c, get);
    }
    return true;
}

/* ---- reading ---- */

static int find_reading(struct client *c, enum log_queue q, const struct partition *p) {
    for (int i = 0; i < c->reading_count; i++)
        if (c->readings[i].queue == q && c->readings[i].p == p)
            return i;
    return -1;
}

static bool client_read(struct log *l, enum log_queue q, const struct log_position *from, struct err *e) {
    struct client *c = of(l);
    POINT(c, "read");
    struct partition *p = broker_partition(broker_of(c), from->topic, from->partition);
    if (find_reading(c, q, p) >= 0)
        return err_set(e, ERR_FATAL, "%s/%d is being read already", from->topic->name, from->partition);
    if (c->reading_count == sizeof c->readings / sizeof *c->readings)
        abort();
    int64_t position = from->offset < 0 ? p->first : from->offset;
    if (from->offset == 0 && p->first > 0 && p->topic->compacted)
        world_violation(world_of(c), "%s takes %s/%d, which begins at %lld, for one that was deleted",
                        c->instance->member->name, p->topic->name, p->number, (long long)p->first);
    c->readings[c->reading_count++] = (struct reading){q, p, position, -1, p->cuts, from->offset < 0};
    return true;
}

static void client_unread(struct log *l, enum log_queue q, const struct topic *t, int32_t partition) {
    struct client *c = of(l);
    int i = find_reading(c, q, broker_partition(broker_of(c), t, partition));
    if (i >= 0)
        c->readings[i] = c->readings[--c->reading_count];
}

static void lend(struct client *c, const struct reading *r, const struct entry *entry,
                 struct log_record *out) {
    struct lent *copy = xmalloc(sizeof *copy + entry->key.size + entry->value.size + 1);
    copy->headers = entry->headers;
    copy->header_count = entry->header_count;
    *out = (struct log_record){.queue = r->queue,
                               .topic = r->p->topic,
                               .partition = r->p->number,
                               .offset = entry->offset,
                               .timestamp = entry->timestamp,
                               .handle = copy};
    if (entry->key.data != NULL)
        out->key = (struct slice){memcpy(copy->bytes, entry->key.data, entry->key.size), entry->key.size};
    if (entry->value.data != NULL)
        out->value = (struct slice){
            memcpy(copy->bytes + entry->key.size, entry->value.data, entry->value.size), entry->value.size};
    c->lent++;
}

static void lend_end(const struct reading *r, struct log_record *out) {
    *out = (struct log_record){.end = true,
                               .queue = r->queue,
                               .topic = r->p->topic,
                               .partition = r->p->number,
                               .offset = r->position};
}

/* A reader that stands at what the log does not have is moved. One that was there when the log was cut knows
 * where, by the epochs of its leaders; who comes later sees only where it ends. */
static bool move(struct reading *r, struct log_record *out) {
    if (r->fresh)
        r->position = r->p->first;
    int64_t was = r->position, to = was > r->p->count ? r->p->count : was;
    for (; r->cuts < r->p->cuts; r->cuts++)
        to = to > r->p->cut_at[r->cuts] ? r->p->cut_at[r->cuts] : to;
    to = to < r->p->first ? r->p->first : to;
    if (to == was)
        return false;
    r->position = to;
    r->told_end = -1;
    *out = (struct log_record){.moved = true,
                               .queue = r->queue,
                               .topic = r->p->topic,
                               .partition = r->p->number,
                               .offset = to,
                               .was = was};
    return true;
}

/* Up to `max` records of one partition; now and then without the news of its end, which then comes with the
 * next fetch. */
static size_t fetch(struct client *c, struct reading *r, struct log_record *records, size_t max) {
    int64_t end = broker_stable_end(broker_of(c), r->p);
    size_t n = 0;
    if (move(r, records))
        return 1;
    int64_t position = r->position;
    for (; position < end && n < max; position++) {
        const struct entry *entry = &r->p->entries[position];
        if (entry->fate != ENTRY_THERE || !broker_visible(entry))
            continue;
        lend(c, r, entry, &records[n++]);
        r->fresh = false;
        r->position = position + 1;
    }
    if (position == end && n < max && r->told_end != end && (n == 0 || world_random(world_of(c), 2) > 0)) {
        r->position = r->told_end = end;
        r->fresh = false;
        lend_end(r, &records[n++]);
    }
    return n;
}

bool client_missed_cut(const struct client *c, const struct partition *p) {
    for (int i = 0; i < c->reading_count; i++)
        if (c->readings[i].p == p && c->readings[i].cuts < p->cuts)
            return true;
    return false;
}

bool client_reads_to_end(struct client *c, enum log_queue q, const struct topic *t, int32_t partition) {
    struct partition *p = broker_partition(broker_of(c), t, partition);
    int i = find_reading(c, q, p);
    return i >= 0 && c->readings[i].position == broker_stable_end(broker_of(c), p);
}

static size_t fetch_all(struct client *c, bool inputs, struct log_record *records, size_t max) {
    size_t n = 0, most = world_random(world_of(c), 16) == 0 ? max : 1 + world_random(world_of(c), 12);
    uint32_t first = c->reading_count > 0 ? world_random(world_of(c), (uint32_t)c->reading_count) : 0;
    struct reading *last = NULL;
    for (int k = 0; k < c->reading_count && n < most; k++) {
        struct reading *r = &c->readings[(first + (uint32_t)k) % (uint32_t)c->reading_count];
        if ((log_queue_of_inputs(r->queue) && !inputs) || r->p->stalled_until > world_now(world_of(c)))
            continue;
        size_t got = fetch(c, r, records + n, most - n);
        n += got;
        if (got > 0 && records[n - 1].end)
            last = r;
    }
    /* A full batch, as a flood would bring: the transaction stays open. */
    while (n > 0 && last != NULL && most == max && n < max)
        lend_end(last, &records[n++]);
    return n;
}

static void client_release(struct log *l, struct log_record *records, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (log_is_news(&records[i]))
            continue;
        struct lent *copy = records[i].handle;
        memset(copy->bytes, 0xdd, records[i].key.size + records[i].value.size);
        free(copy);
        of(l)->lent--;
    }
}

static void flush(struct client *c, size_t n);

static bool client_poll(struct log *l, bool inputs, struct log_record *records, size_t max, int timeout_ms,
                        size_t *n, struct err *e) {
    struct client *c = of(l);
    struct world *w = world_of(c);
    bool told = false;
    *n = 0;
    POINT(c, "poll");
    if (world_away(w)) {
        if (!world_wait(c->instance, world_now(w) + 100))
            return gone(e);
        return !inputs || world_random(w, 2) > 0 || away(e);
    }
    c->instance->looked = c->instance->looked || inputs; /* started */
    if (inputs && !serve_group(c, &told, e))
        return false;
    if (c->message_count > 0 && world_random(w, 2) == 0) /* a producer sends in the background */
        flush(c, c->message_count);
    size_t got = fetch_all(c, inputs, records, max);
    if (!client_point(c, "poll, records")) {
        client_release(l, records, got);
        return gone(e);
    }
    *n = got;
    if (got > 0 || told || timeout_ms == 0)
        return true;
    if (inputs && c->instance->stepping) {
        c->instance->sleeps_until = world_now(w) + timeout_ms;
        c->instance->seen = broker_of(c)->version;
    } else if (!world_wait(c->instance, world_now(w) + timeout_ms)) {
        return gone(e);
    }
    return true;
}

static struct slice client_header(const struct log_record *r, const char *name) {
    const struct lent *entry = r->handle;
    for (size_t i = 0; i < entry->header_count; i++)
        if (strcmp(entry->headers[i].name, name) == 0)
            return entry->headers[i].value;
    return SLICE_NONE;
}

static size_t client_headers(const struct log_record *r, struct log_header *headers, size_t max) {
    const struct lent *entry = r->handle;
    size_t n = entry->header_count < max ? entry->header_count : max;
    memcpy(headers, entry->headers, n * sizeof *headers);
    return n;
}

/* ---- transactions ---- */

static void messages_drop(struct client *c) {
    c->message_count = 0;
}

/* The broker's side of the transaction, made by the first call that needs it. Waits where the one before is
 * not complete: CONCURRENT_TRANSACTIONS. */
static bool in_broker(struct client *c) {
    struct member *m = c->instance->member;
    while (c->epoch == m->epoch && !txn_complete(m->current) && m->current != c->txn)
        if (!world_wait(c->instance, INT64_MAX))
            return false;
    if (c->epoch != m->epoch || c->doomed)
        return false;
    if (c->txn == NULL)
        c->txn = broker_begin(broker_of(c), m);
    return true;
}

/* Sends up to `n` of the messages that wait; those of a producer that was fenced get lost. */
static void flush(struct client *c, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct message *m = &c->messages[i];
        c->refused = c->refused || m->entry.value.size > VALUE_MAX;
        if (c->refused || world_away(world_of(c)) || !in_broker(c)) {
            c->doomed = true;
            break;
        }
        int64_t offset = broker_append(broker_of(c), m->p, &m->entry, c->txn);
        if (m->delivered != NULL && !c->report_missing)
            log_deliver(m->delivered, offset);
        if (m->delivered != NULL)
            c->report_missing = false;
    }
    c->message_count -= n;
    if (c->message_count > 0)
        memmove(c->messages, c->messages + n, c->message_count * sizeof *c->messages);
}

static enum reply take_reply(struct client *c) {
    enum reply reply = c->reply;
    c->reply = REPLY_GOOD;
    return reply;
}

static bool take_abort(struct client *c, struct err *e) {
    bool aborted = c->abort_next;
    c->abort_next = false;
    if (aborted)
        world_trace(world_of(c), "%s: an abortable error", c->instance->member->name);
    return aborted && !err_set(e, ERR_ABORT, "abortable");
}

static bool client_init(struct log *l, struct err *e) {
    struct client *c = of(l);
    struct member *m = c->instance->member;
    POINT(c, "init");
    if (c->fenced)
        world_violation(world_of(c), "%s was fenced, and goes on", m->name);
    messages_drop(c);
    c->begun = c->doomed = c->refused = false;
    c->txn = NULL;
    if (world_away(world_of(c)))
        return away(e);
    if (txn_open(m->current)) {
        m->epoch++;
        broker_end(broker_of(c), m->current, false);
    }
    int64_t until = world_now(world_of(c)) + 2000;
    while (!txn_complete(m->current)) {
        if (world_now(world_of(c)) >= until)
            return err_set(e, ERR_RETRY, "init: concurrent transactions");
        if (!world_wait(c->instance, until))
            return gone(e);
    }
    c->epoch = ++m->epoch;
    world_trace(world_of(c), "%s has epoch %d", m->name, m->epoch);
    POINT(c, "init, done");
    return take_reply(c) == REPLY_GOOD || err_set(e, ERR_RETRY, "init: no reply");
}

static bool client_begin(struct log *l, struct err *e) {
    struct client *c = of(l);
    POINT(c, "begin");
    if (c->begun || c->epoch < 0)
        return err_set(e, ERR_FATAL, "begin: in the wrong state");
    c->begun = true;
    return true;
}

static bool client_produce(struct log *l, const struct log_message *m, struct err *e) {
    struct client *c = of(l);
    struct arena *a = broker_of(c)->arena;
    POINT(c, "produce");
    if (!c->begun)
        return err_set(e, ERR_FATAL, "produce: no transaction");
    if (take_abort(c, e))
        return false;
    if (c->message_count == c->message_capacity)
        c->messages =
            xrealloc(c->messages, (c->message_capacity = c->message_capacity * 2 + 32) * sizeof *c->messages);
    struct log_header *headers = arena_alloc(a, (m->header_count + 1) * sizeof *headers);
    for (size_t i = 0; i < m->header_count; i++)
        headers[i] = (struct log_header){m->headers[i].name, arena_copy(a, m->headers[i].value)};
    c->messages[c->message_count++] = (struct message){broker_partition(broker_of(c), m->topic, m->partition),
                                                       {.key = arena_copy(a, m->key),
                                                        .value = arena_copy(a, m->value),
                                                        .headers = headers,
                                                        .header_count = m->header_count,
                                                        .timestamp = m->timestamp},
                                                       m->delivered};
    if (world_random(world_of(c), 3) == 0)
        flush(c, 1 + world_random(world_of(c), (uint32_t)c->message_count));
    POINT(c, "produce, done");
    return true;
}

/* What a producer learns whose epoch is not the latest: sometimes at once that it is fenced, sometimes only
 * that it must abort. */
static bool superseded(struct client *c, struct err *e) {
    if (c->epoch == c->instance->member->epoch && c->refused)
        return err_set(e, ERR_REFUSED, "a record is too large");
    if (c->epoch == c->instance->member->epoch)
        return err_set(e, ERR_ABORT, "a message was not delivered");
    return world_random(world_of(c), 2) == 0 ? fenced(c, e) : err_set(e, ERR_ABORT, "invalid epoch");
}

static bool send_offsets(struct client *c, const struct log_committed *inputs, size_t n, struct err *e) {
    struct group *g = c->instance->member->group;
    if (c->instance->member->live != c)
        return fenced(c, e);
    if (!is_member(c))
        return err_set(e, ERR_ABORT, "unknown member");
    for (size_t i = 0; i < n; i++) {
        int source = 0;
        while (g->topology->sources[source].topic != inputs[i].topic)
            source++;
        c->txn->offsets[c->txn->offset_count].committed = &g->committed[source][inputs[i].partition];
        c->txn->offsets[c->txn->offset_count++].to =
            (struct committed){inputs[i].offset, inputs[i].time, inputs[i].cuts};
        if (c->txn->offset_count == sizeof c->txn->offsets / sizeof *c->txn->offsets)
            abort();
    }
    return true;
}

/* EndTxn, whose reply may never come. */
static bool end(struct client *c, bool commit, struct err *e) {
    struct broker *b = broker_of(c);
    struct member *m = c->instance->member;
    enum reply reply = world_away(world_of(c)) ? REPLY_CALL_LOST : take_reply(c);
    if (reply == REPLY_CALL_LOST)
        return err_set(e, ERR_UNKNOWN, "no reply");
    if (reply == REPLY_CALL_LATE && b->late_count < (int)(sizeof b->late / sizeof *b->late)) {
        b->late[b->late_count++] = (struct late_end){
            m, c->epoch, commit, world_now(world_of(c)) + 1 + world_random(world_of(c), 3000)};
        return err_set(e, ERR_UNKNOWN, "no reply");
    }
    if (c->epoch != m->epoch)
        return superseded(c, e);
    if (!txn_open(c->txn)) /* it ended in another way */
        return err_set(e, ERR_UNKNOWN, "invalid state");
    broker_end(b, c->txn, commit);
    world_trace(world_of(c), "%s %s", m->name, commit ? "commits" : "aborts");
    if (reply == REPLY_LOST)
        return err_set(e, ERR_UNKNOWN, "no reply");
    c->txn = NULL;
    return true;
}

static bool client_commit(struct log *l, const struct log_committed *inputs, size_t n, struct err *e) {
    struct client *c = of(l);
    POINT(c, "commit");
    if (!c->begun)
        return err_set(e, ERR_FATAL, "commit: no transaction");
    if (take_abort(c, e))
        return false;
    if (n > 0) { /* messages are on their way meanwhile: the offsets can be there before them */
        if (world_away(world_of(c)) || !in_broker(c))
            return superseded(c, e);
        if (!send_offsets(c, inputs, n, e))
            return false;
        POINT(c, "commit, offsets sent");
    }
    flush(c, c->message_count);
    POINT(c, "commit, flushed");
    if (c->doomed)
        return superseded(c, e);
    if (c->txn != NULL && !end(c, true, e))
        return false;
    c->begun = false;
    POINT(c, "commit, done");
    return true;
}

static bool client_abort(struct log *l, struct err *e) {
    struct client *c = of(l);
    POINT(c, "abort");
    if (c->message_count > 0)
        flush(c, world_random(world_of(c), (uint32_t)c->message_count + 1));
    messages_drop(c);
    if (c->txn != NULL && !end(c, false, e))
        return false;
    c->begun = c->doomed = c->refused = false;
    POINT(c, "abort, done");
    return true;
}

static bool client_visible(struct log *l, const struct log_position *positions, size_t n, struct err *e) {
    struct client *c = of(l);
    POINT(c, "visible");
    if (world_away(world_of(c)))
        return err_set(e, ERR_UNKNOWN, "no answer");
    for (size_t i = 0; i < n; i++) {
        struct partition *p = broker_partition(broker_of(c), positions[i].topic, positions[i].partition);
        while (broker_stable_end(broker_of(c), p) < positions[i].offset) {
            if ((int64_t)p->count < positions[i].offset) /* it has lost them */
                return err_set(e, ERR_UNKNOWN, "not to be seen");
            if (!world_wait(c->instance, INT64_MAX))
                return gone(e);
        }
    }
    POINT(c, "visible, done");
    return true;
}

/* ---- the rest ---- */

static int64_t client_seen_end(struct log *l, enum log_queue q, const struct topic *t, int32_t partition) {
    (void)l, (void)q, (void)t, (void)partition;
    return -1; /* nobody looks at figures here */
}

static void client_wake(struct log *l) {
    of(l)->instance->sleeps_until = 0;
}

static void client_leave(struct log *l) {
    (void)l; /* a static member leaves silently, and what is open is aborted by whoever comes next */
}

struct log *client_create(struct instance *i) {
    static const struct log_ops ops = {
        .now_ms = client_now_ms,
        .partitions = client_partitions,
        .subscribe = client_subscribe,
        .read = client_read,
        .unread = client_unread,
        .poll = client_poll,
        .release = client_release,
        .header = client_header,
        .headers = client_headers,
        .time_ms = client_time_ms,
        .committed = client_committed,
        .ends = client_ends,
        .init = client_init,
        .begin = client_begin,
        .produce = client_produce,
        .commit = client_commit,
        .abort = client_abort,
        .visible = client_visible,
        .seen_end = client_seen_end,
        .wake = client_wake,
        .destroy = client_leave,
    };
    struct client *c = xcalloc(1, sizeof *c);
    c->log.ops = &ops;
    c->instance = i;
    c->epoch = -1;
    return &c->log;
}

void client_destroy(struct client *c) {
    if (c == NULL)
        return;
    if (c->lent != 0)
        abort();
    free(c->messages);
    free(c);
}
