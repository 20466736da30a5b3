#include "reader.h"

#include <inttypes.h>
#include <stdlib.h>

enum { PART_BYTES = 256 << 10, VIEW_MS = 5000, TRIES = 3 };

struct connection {
    struct connection *next;
    int32_t broker;
    char *host;
    uint16_t port;
    struct fetcher *fetcher;
};

struct reader {
    struct cluster *cluster;
    struct connection *connections;
    struct arena unpacked;
    uint64_t bytes;
};

struct reader *reader_create(struct cluster *c) {
    struct reader *r = xcalloc(1, sizeof *r);
    r->cluster = c;
    return r;
}

void reader_destroy(struct reader *r) {
    if (r == NULL)
        return;
    for (struct connection *c = r->connections, *next; c != NULL; c = next) {
        next = c->next;
        fetcher_destroy(c->fetcher);
        free(c->host);
        free(c);
    }
    arena_free(&r->unpacked);
    free(r);
}

uint64_t reader_bytes(const struct reader *r) {
    return r->bytes;
}

/* A broker that has moved gets a new one. */
static struct fetcher *fetcher_of(struct reader *r, const struct cluster_broker *b) {
    struct connection *c = r->connections;
    while (c != NULL && (c->broker != b->id || c->port != b->port || strcmp(c->host, b->host) != 0))
        c = c->next;
    if (c == NULL) {
        c = xcalloc(1, sizeof *c);
        *c = (struct connection){r->connections, b->id, xstrdup(b->host), b->port,
                                 fetcher_create(b->host, b->port, cluster_properties(r->cluster))};
        r->connections = c;
    }
    return c->fetcher;
}

bool reader_ask(struct reader *r, const struct cluster_broker *leader, const struct fetch_want *wants,
                size_t n, const struct fetch_options *options, struct fetcher **answer, struct err *e) {
    *answer = fetcher_of(r, leader);
    return fetcher_ask(*answer, wants, n, options, e);
}

static const struct cluster_broker *leader_of(const struct cluster_view *v, const char *topic,
                                              int32_t partition, struct err *e) {
    const struct cluster_topic *t = cluster_view_topic(v, slice_of(topic));
    if (t == NULL || partition < 0 || partition >= t->count) {
        err_set(e, ERR_INPUT, "%s has no partition %d", topic, partition);
        return NULL;
    }
    for (size_t i = 0; i < v->broker_count; i++)
        if (v->brokers[i].id == t->leaders[partition])
            return &v->brokers[i];
    err_set(e, ERR_RETRY, "Kafka is away: nobody leads %s/%d", topic, partition);
    return NULL;
}

static bool fetch_once(struct reader *r, const struct fetch_want *want, bool committed, int64_t max_age_ms,
                       struct fetch_part *part, struct err *e) {
    struct cluster_view *v;
    struct fetcher *answer;
    if (!cluster_view_get(r->cluster, max_age_ms, &v, e))
        return false;
    const struct cluster_broker *leader = leader_of(v, want->topic, want->partition, e);
    struct fetch_options options = {.committed = committed,
                                    .wait_ms = 0,
                                    .min_bytes = 0,
                                    .part_bytes = PART_BYTES,
                                    .max_bytes = PART_BYTES};
    bool ok = leader != NULL && reader_ask(r, leader, want, 1, &options, &answer, e);
    cluster_view_release(r->cluster, v);
    if (ok && !fetcher_next(answer, part))
        ok = err_set(e, ERR_RETRY, "Kafka is away: an empty answer");
    return ok;
}

static bool fetch(struct reader *r, const struct fetch_want *want, bool committed, struct fetch_part *part,
                  struct err *e) {
    for (int try = 0; try < TRIES; try++) {
        if (!fetch_once(r, want, committed, try == 0 ? VIEW_MS : 0, part, e)) {
            if (e->kind != ERR_RETRY)
                return false;
            continue; /* a broker that went away is led by another */
        }
        r->bytes += part->batches.size;
        if (part->error == 0)
            return true;
        if (part->error == FETCH_OUT_OF_RANGE)
            return err_set(e, ERR_INPUT, "%s/%d has no offset %" PRId64, want->topic, want->partition,
                           want->offset);
        if (part->error == FETCH_UNKNOWN)
            err_set(e, ERR_INPUT, "%s/%d is gone", want->topic, want->partition);
        else
            err_set(e, ERR_RETRY, "Kafka is away: the leader of %s/%d: %s", want->topic, want->partition,
                    fetch_error_text(part->error));
    }
    return false;
}

struct unpacking {
    struct reader *reader;
    const struct fetch_want *want;
    tape_visit *visit;
    void *context;
};

static bool unpack(void *context, const struct batch *b, struct batch_record **records, size_t *count,
                   struct err *e) {
    struct unpacking *u = context;
    arena_reset(&u->reader->unpacked);
    return cluster_unpack(u->reader->cluster, u->want->topic, u->want->partition, b, &u->reader->unpacked,
                          records, count, e);
}

static bool visit(void *context, const struct tape_entry *entry) {
    struct unpacking *u = context;
    return u->visit(u->context, entry);
}

bool reader_read(struct reader *r, const char *topic, int32_t partition, int64_t from, int64_t to,
                 tape_visit *each, void *context, struct reader_bounds *bounds, int64_t *next,
                 struct err *e) {
    struct fetch_want want = {topic, partition, from};
    struct unpacking u = {r, &want, each, context};
    struct tape tape = {.next = from, .to = to, .visit = visit, .unpack = unpack, .context = &u};
    bool committed = true;
    do {
        struct fetch_part part;
        int64_t before = tape.next;
        want.offset = tape.next;
        if (!fetch(r, &want, committed, &part, e))
            return false;
        *bounds = (struct reader_bounds){part.first, part.stable, part.end};
        tape.to = tape.to < part.end ? tape.to : part.end;
        if (!tape_take(&tape, &part, committed, e))
            return false;
        if (tape.next == before && !tape.stopped && tape.next < tape.to &&
            committed == (tape.next < part.stable))
            return err_set(e, ERR_RETRY, "%s/%d: what Kafka has at %" PRId64 " cannot be read", topic,
                           partition, before);
        committed = tape.next < part.stable;
    } while (tape.next < tape.to && !tape.stopped);
    *next = tape.next;
    return true;
}
