#include "index.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "causes.h"
#include "process/logger.h"
#include "reader.h"
#include "record.h"
#include "store/store.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    GENERATION_RECORDS = 2000000,
    GENERATIONS = 9,
    NAMES_MAX = 4096,
    VIEW_MS = 5000,
    RETRY_MS = 250,
    WAIT_MS = 250,      /* a broker waits so long for something new, … */
    WAITED_FOR_MS = 20, /* … and where a request waits for the index */
    PART_BYTES = 128 << 10,
    ROUND_BYTES = 1 << 20,
    BUSY_RECORDS = 500, /* of a round: then the next one comes later, and has more */
    BUSY_PAUSE_MS = 40,
    PAUSE_MS = 5,
    CAUSES_MAX = 64,
    RATE_MS = 2000,
};

struct part {
    uint16_t topic; /* its number in names */
    int32_t partition, broker;
    int64_t next, stable; /* stable -1: not known */
    uint64_t records, bytes, rate_records;
    struct index_figures told; /* after a round; the lock's, for whoever asks */
    bool changed;
    bool alone;       /* its next batch is larger than its share, or it has none: it is asked alone */
    bool passed_over; /* the last answer had nothing of it, and there is more */
};

struct index {
    struct cluster *cluster;
    struct store *store;
    struct reader *reader;
    char *names[NAMES_MAX]; /* by number; only grows */
    size_t name_count;
    _Atomic uint32_t generation;
    uint64_t in_generation;

    pthread_mutex_t lock; /* of what follows, up to `trouble` */
    pthread_cond_t caught_up;
    struct part *parts;
    size_t part_count;
    int64_t left;                   /* offsets to read, after the last round */
    int64_t caught_up_of_us;        /* when the last round began after which nothing was left */
    bool once, partial;             /* not all parts were asked in this round */
    size_t waiting, answered_bytes; /* requests; of a broker's answer */
    char trouble[480];

    /* Of a round. */
    struct arena arena;
    struct store_change *changes;
    size_t change_count, change_capacity, round_records, start;
    int64_t rate_at_us;
    struct part *taking;
};

/* ---- keys of the store: 'm' what it has; 'n' NAME, a topic's number; 'p' number partition, a position;
 * 'g' generation 'k' hash place, a record by its key; 'g' generation 'c' place place, by its cause ---- */

enum { PLACE = 14 };

static void put_place(struct buf *b, uint16_t topic, int32_t partition, int64_t offset) {
    buf_append_be(b, topic, 2);
    buf_append_be(b, (uint32_t)partition, 4);
    buf_append_be(b, (uint64_t)offset, 8);
}

static void put_key_prefix(struct buf *b, uint32_t generation, struct slice key) {
    buf_append_byte(b, 'g');
    buf_append_be(b, generation, 4);
    buf_append_byte(b, 'k');
    buf_append_be(b, slice_hash(key), 8);
}

static void put_cause_prefix(struct buf *b, uint32_t generation, uint16_t topic, int32_t partition,
                             int64_t offset) {
    buf_append_byte(b, 'g');
    buf_append_be(b, generation, 4);
    buf_append_byte(b, 'c');
    put_place(b, topic, partition, offset);
}

static void change(struct index *x, struct slice key, struct slice value) {
    if (x->change_count == x->change_capacity) {
        x->change_capacity = x->change_capacity == 0 ? 256 : 2 * x->change_capacity;
        x->changes = xrealloc(x->changes, x->change_capacity * sizeof *x->changes);
    }
    x->changes[x->change_count++] = (struct store_change){
        arena_copy(&x->arena, key), value.size == 0 ? SLICE("") : arena_copy(&x->arena, value)};
}

/* ---- names ---- */

/* -1: it has none. */
static int name_find(struct index *x, struct slice name) {
    int found = -1;
    pthread_mutex_lock(&x->lock);
    for (size_t i = 0; i < x->name_count && found < 0; i++)
        if (slice_equal(slice_of(x->names[i]), name))
            found = (int)i;
    pthread_mutex_unlock(&x->lock);
    return found;
}

/* NULL: there is none. As long as the index. */
static const char *name_of(struct index *x, size_t number) {
    pthread_mutex_lock(&x->lock);
    const char *name = number < NAMES_MAX ? x->names[number] : NULL;
    pthread_mutex_unlock(&x->lock);
    return name;
}

static bool load_name(void *context, struct slice key, struct slice value) {
    struct index *x = context;
    size_t number = value.size == 2 ? (size_t)be_get(value.data, 2) : NAMES_MAX;
    if (number < NAMES_MAX && x->names[number] == NULL) {
        x->names[number] = xcalloc(key.size, 1);
        memcpy(x->names[number], key.data + 1, key.size - 1);
        x->name_count = number + 1 > x->name_count ? number + 1 : x->name_count;
    }
    return true;
}

static bool name_make(struct index *x, const char *name, uint16_t *number, struct err *e) {
    int found = name_find(x, slice_of(name));
    *number = (uint16_t)(found < 0 ? (int)x->name_count : found);
    if (found >= 0)
        return true;
    if (x->name_count == NAMES_MAX)
        return err_set(e, ERR_FATAL, "more than %d topics", NAMES_MAX);
    _cleanup_(buf_free) struct buf key = {0}, value = {0};
    buf_printf(&key, "n%s", name);
    buf_append_be(&value, x->name_count, 2);
    if (!store_apply(x->store, &(struct store_change){buf_slice(&key), buf_slice(&value)}, 1, e))
        return false;
    pthread_mutex_lock(&x->lock);
    x->names[x->name_count++] = xstrdup(name);
    pthread_mutex_unlock(&x->lock);
    return true;
}

/* ---- life ---- */

static bool load(struct index *x, struct err *e) {
    struct slice meta;
    if (!store_scan(x->store, SLICE("n"), SLICE_NONE, false, load_name, x, e) ||
        !store_get(x->store, SLICE("m"), &x->arena, &meta, e))
        return false;
    for (size_t i = 0; i < x->name_count; i++) /* numbers have no gaps, unless the store is another's */
        if (x->names[i] == NULL)
            x->names[i] = xstrdup("");
    x->generation = meta.size >= 12 ? (uint32_t)be_get(meta.data, 4) : 0;
    x->in_generation = meta.size >= 12 ? be_get(meta.data + 4, 8) : 0;
    return true;
}

bool index_create(struct cluster *c, const char *dir, struct index **index_out, struct err *e) {
    struct index *x = xcalloc(1, sizeof *x);
    struct store_options options = {.write_buffer_bytes = 4 << 20, .block_cache_bytes = 4 << 20};
    pthread_mutex_init(&x->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&x->caught_up, &monotonic);
    pthread_condattr_destroy(&monotonic);
    x->cluster = c;
    x->reader = reader_create(c);
    snprintf(x->trouble, sizeof x->trouble, "the index has not begun");
    if (!store_open_rocksdb(dir, &options, &x->store, e) || !load(x, e)) {
        index_destroy(x);
        return false;
    }
    *index_out = x;
    return true;
}

void index_destroy(struct index *x) {
    if (x == NULL)
        return;
    store_close(x->store);
    reader_destroy(x->reader);
    for (size_t i = 0; i < x->name_count; i++)
        free(x->names[i]);
    free(x->parts);
    free(x->changes);
    arena_free(&x->arena);
    pthread_cond_destroy(&x->caught_up);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

/* ---- filling ---- */

static void add_causes(struct index *x, const struct tape_entry *entry) {
    struct slice causes = record_header(&entry->record, "caused-by");
    _cleanup_(buf_free) struct buf key = {0};
    struct cause cause;
    for (int n = 0; causes.size > 0 && n < CAUSES_MAX; n++) {
        if (!cause_next(&causes, &cause))
            continue; /* anybody may write anything there */
        int number = name_find(x, cause.topic);
        if (number < 0)
            continue; /* of a topic that there is not */
        buf_clear(&key);
        put_cause_prefix(&key, x->generation, (uint16_t)number, cause.partition, cause.offset);
        put_place(&key, x->taking->topic, x->taking->partition, entry->offset);
        change(x, buf_slice(&key), SLICE(""));
    }
}

static bool take_entry(void *context, const struct tape_entry *entry) {
    struct index *x = context;
    struct part *p = x->taking;
    if (entry->kind != TAPE_RECORD)
        return true;
    _cleanup_(buf_free) struct buf key = {0};
    if (entry->record.key.data != NULL) {
        put_key_prefix(&key, x->generation, entry->record.key);
        put_place(&key, p->topic, p->partition, entry->offset);
        change(x, buf_slice(&key), SLICE(""));
    }
    add_causes(x, entry);
    p->records++;
    p->rate_records++;
    p->bytes += entry->record.size;
    x->round_records++;
    x->in_generation++;
    return true;
}

static bool unpack(void *context, const struct batch *b, struct batch_record **records, size_t *count,
                   struct err *e) {
    struct index *x = context;
    return cluster_unpack(x->cluster, x->names[x->taking->topic], x->taking->partition, b, &x->arena, records,
                          count, e);
}

/* What is gone is passed over; where the log is shorter than the index says, it is another one. */
static bool out_of_range(struct index *x, struct part *p, struct err *e) {
    struct cluster_offset first = {x->names[p->topic], p->partition, CLUSTER_FIRST, -1};
    if (!cluster_offsets(x->cluster, &first, 1, false, e))
        return false;
    logger_write(LEVEL_WARN, "index: %s/%d has no offset %" PRId64 "; it goes on at %" PRId64, first.topic,
                 p->partition, p->next, first.offset);
    p->next = first.offset;
    p->changed = true;
    return true;
}

static bool take_part(struct index *x, struct part *p, const struct fetch_part *answer, struct err *e) {
    struct tape tape = {
        .next = p->next, .to = INT64_MAX, .visit = take_entry, .unpack = unpack, .context = x};
    if (answer->error == FETCH_OUT_OF_RANGE)
        return out_of_range(x, p, e);
    if (answer->error != 0)
        return err_set(e, ERR_RETRY, "%s/%d: %s", x->names[p->topic], p->partition,
                       fetch_error_text(answer->error));
    tape.crowded = !p->alone;
    x->taking = p;
    if (!tape_take(&tape, answer, true, e))
        return false;
    p->changed = p->changed || tape.next != p->next;
    p->alone = tape.next == p->next && answer->batches.size > 0;
    p->passed_over = tape.next == p->next && answer->batches.size == 0 && p->next < answer->stable;
    x->answered_bytes += answer->batches.size;
    p->next = tape.next;
    p->stable = answer->stable;
    return true;
}

static void put_positions(struct index *x) {
    _cleanup_(buf_free) struct buf key = {0}, value = {0};
    for (size_t i = 0; i < x->part_count; i++) {
        struct part *p = &x->parts[i];
        if (!p->changed)
            continue;
        p->changed = false;
        buf_clear(&key);
        buf_clear(&value);
        buf_append_byte(&key, 'p');
        buf_append_be(&key, p->topic, 2);
        buf_append_be(&key, (uint32_t)p->partition, 4);
        buf_append_be(&value, (uint64_t)p->next, 8);
        buf_append_be(&value, p->records, 8);
        buf_append_be(&value, p->bytes, 8);
        change(x, buf_slice(&key), buf_slice(&value));
    }
}

/* The oldest generation makes room for a new one. */
static bool next_generation(struct index *x, struct err *e) {
    if (x->in_generation < GENERATION_RECORDS)
        return true;
    x->generation++;
    x->in_generation = 0;
    if (x->generation < GENERATIONS)
        return true;
    _cleanup_(buf_free) struct buf prefix = {0};
    buf_append_byte(&prefix, 'g');
    buf_append_be(&prefix, x->generation - GENERATIONS, 4);
    return store_delete_prefix(x->store, buf_slice(&prefix), e);
}

static bool apply(struct index *x, struct err *e) {
    put_positions(x);
    if (x->change_count == 0)
        return true;
    _cleanup_(buf_free) struct buf meta = {0};
    buf_append_be(&meta, x->generation, 4);
    buf_append_be(&meta, x->in_generation, 8);
    change(x, SLICE("m"), buf_slice(&meta));
    bool ok = store_apply(x->store, x->changes, x->change_count, e);
    x->change_count = 0;
    arena_reset(&x->arena);
    return ok && next_generation(x, e);
}

/* ---- the parts ---- */

static bool load_part(struct index *x, struct part *p, struct err *e) {
    _cleanup_(buf_free) struct buf key = {0};
    struct slice value;
    buf_append_byte(&key, 'p');
    buf_append_be(&key, p->topic, 2);
    buf_append_be(&key, (uint32_t)p->partition, 4);
    if (!store_get(x->store, buf_slice(&key), &x->arena, &value, e))
        return false;
    if (value.size == 24) {
        p->next = (int64_t)be_get(value.data, 8);
        p->records = be_get(value.data + 8, 8);
        p->bytes = be_get(value.data + 16, 8);
    }
    return true;
}

/* Under the lock, or before others have the part. */
static void part_tell(struct part *p) {
    p->told.records = p->records;
    p->told.bytes = p->bytes;
    p->told.next = p->next;
}

static struct part *part_find(struct index *x, uint16_t topic, int32_t partition) {
    for (size_t i = 0; i < x->part_count; i++)
        if (x->parts[i].topic == topic && x->parts[i].partition == partition)
            return &x->parts[i];
    return NULL;
}

/* In the view's order, by topic. */
static bool follow(struct index *x, const struct cluster_view *v, struct err *e) {
    size_t count = 0, n = 0;
    bool ok = true;
    for (size_t i = 0; i < v->topic_count; i++)
        count += (size_t)v->topics[i].count;
    struct part *parts = xcalloc(count + 1, sizeof *parts);
    for (size_t i = 0; i < v->topic_count; i++)
        for (int32_t k = 0; ok && k < v->topics[i].count; k++) {
            struct part *p = &parts[n++];
            uint16_t topic;
            if (!name_make(x, v->topics[i].name, &topic, e)) {
                ok = false;
                break;
            }
            const struct part *old = part_find(x, topic, k);
            *p = old != NULL ? *old : (struct part){.topic = topic, .partition = k, .stable = -1};
            p->broker = v->topics[i].leaders[k];
            ok = old != NULL || load_part(x, p, e);
            part_tell(p);
        }
    pthread_mutex_lock(&x->lock);
    struct part *before = x->parts;
    x->parts = parts;
    x->part_count = n;
    pthread_mutex_unlock(&x->lock);
    free(before);
    return ok;
}

/* The store is of one log. */
static bool same_cluster(struct index *x, struct err *e) {
    char id[128];
    struct slice known;
    if (!cluster_id(x->cluster, id, sizeof id, e) ||
        !store_get(x->store, SLICE("cluster"), &x->arena, &known, e))
        return false;
    if (slice_equal(known, slice_of(id)))
        return true;
    if (known.data != NULL) {
        logger_write(LEVEL_WARN, "index: Kafka is another cluster now; it starts anew");
        if (!store_delete_prefix(x->store, SLICE("g"), e) || !store_delete_prefix(x->store, SLICE("p"), e))
            return false;
        x->generation = 0;
        x->in_generation = 0;
    }
    return store_apply(x->store, &(struct store_change){SLICE("cluster"), slice_of(id)}, 1, e);
}

/* ---- rounds ---- */

static bool ask_broker(struct index *x, const struct cluster_broker *b, int wait_ms, struct err *e) {
    struct fetch_want *wants = xcalloc(x->part_count + 1, sizeof *wants);
    struct fetch_part answer;
    struct fetcher *f;
    size_t n = 0, alone = x->part_count;
    for (size_t i = 0; i < x->part_count; i++)
        alone = x->parts[i].alone && x->parts[i].broker == b->id ? i : alone;
    for (size_t k = 0; k < x->part_count;
         k++) { /* another one is first each time: a broker has only so much room */
        size_t i = (x->start + k) % x->part_count;
        const struct part *p = &x->parts[i];
        if (p->broker == b->id && (alone == x->part_count || alone == i))
            wants[n++] = (struct fetch_want){x->names[p->topic], p->partition, p->next};
    }
    x->partial = x->partial || alone < x->part_count;
    struct fetch_options options = {.committed = true,
                                    .wait_ms = wait_ms,
                                    .min_bytes = 1,
                                    .part_bytes = alone < x->part_count ? ROUND_BYTES : PART_BYTES,
                                    .max_bytes = ROUND_BYTES};
    x->answered_bytes = 0;
    bool ok = n == 0 || reader_ask(x->reader, b, wants, n, &options, &f, e);
    while (ok && n > 0 && fetcher_next(f, &answer)) {
        int number = name_find(x, answer.topic);
        struct part *p = number < 0 ? NULL : part_find(x, (uint16_t)number, answer.partition);
        ok = p == NULL || take_part(x, p, &answer, e);
    }
    free(wants);
    /* There was room, and nothing came: asked alone, it will be clear that nothing is there. */
    for (size_t i = 0; ok && x->answered_bytes < PART_BYTES && i < x->part_count; i++)
        x->parts[i].alone = x->parts[i].alone || (x->parts[i].passed_over && x->parts[i].broker == b->id);
    return ok;
}

static size_t first_of_next_topic(const struct index *x) {
    for (size_t i = x->start + 1; i < x->part_count; i++)
        if (x->parts[i].topic != x->parts[i - 1].topic)
            return i;
    return 0;
}

static void tell_round(struct index *x, int64_t began_us) {
    bool all = !x->partial;
    int64_t now = clock_mono_us();
    pthread_mutex_lock(&x->lock);
    x->left = 0;
    for (size_t i = 0; i < x->part_count; i++) {
        struct part *p = &x->parts[i];
        all = all && p->stable >= 0 && p->next >= p->stable;
        if (now - x->rate_at_us > RATE_MS * 1000) {
            p->told.rate = (double)p->rate_records * 1e6 / (double)(now - x->rate_at_us);
            p->rate_records = 0;
        }
        part_tell(p);
        x->left += p->stable > p->next ? p->stable - p->next : 0;
    }
    if (now - x->rate_at_us > RATE_MS * 1000)
        x->rate_at_us = now;
    x->trouble[0] = 0;
    x->once = x->once || all;
    if (all) {
        x->caught_up_of_us = began_us;
        pthread_cond_broadcast(&x->caught_up);
    }
    pthread_mutex_unlock(&x->lock);
}

static bool round_of(struct index *x, const struct cluster_view *v, struct err *e) {
    int64_t began_us = clock_mono_us();
    pthread_mutex_lock(&x->lock);
    int wait_ms = x->waiting > 0 ? WAITED_FOR_MS : WAIT_MS;
    pthread_mutex_unlock(&x->lock);
    x->round_records = 0;
    x->partial = false;
    x->start = x->part_count == 0 ? 0 : first_of_next_topic(x);
    for (size_t i = 0; i < v->broker_count; i++)
        if (!ask_broker(x, &v->brokers[i], wait_ms / (int)v->broker_count, e))
            return false;
    if (!apply(x, e))
        return false;
    tell_round(x, began_us);
    return true;
}

/* `max_age_ms`: of what is known of the topics. */
static bool step(struct index *x, int64_t max_age_ms, int64_t *viewed_us, struct err *e) {
    struct cluster_view *v;
    if (!cluster_view_get(x->cluster, max_age_ms, &v, e))
        return false;
    bool ok = true;
    if (v->at_us != *viewed_us) {
        ok = (*viewed_us != 0 || same_cluster(x, e)) && follow(x, v, e);
        *viewed_us = v->at_us;
    }
    ok = ok && round_of(x, v, e);
    cluster_view_release(x->cluster, v);
    return ok;
}

void index_run(struct index *x, bool (*stopping)(void *context), void *context) {
    int64_t viewed_us = 0, max_age_ms = VIEW_MS;
    struct err e;
    while (!stopping(context)) {
        if (step(x, max_age_ms, &viewed_us, &e)) {
            max_age_ms = VIEW_MS;
            pthread_mutex_lock(&x->lock);
            bool waited_for = x->waiting > 0;
            pthread_mutex_unlock(&x->lock);
            poll(NULL, 0,
                 waited_for || !x->once            ? 0
                 : x->round_records > BUSY_RECORDS ? BUSY_PAUSE_MS
                                                   : PAUSE_MS);
            continue;
        }
        /* What was read of this round is read again; the store has it then as it has it now. */
        x->change_count = 0;
        arena_reset(&x->arena);
        pthread_mutex_lock(&x->lock);
        bool news = strcmp(x->trouble, e.text) != 0;
        snprintf(x->trouble, sizeof x->trouble, "%s", e.text);
        free(x->parts);
        x->parts = NULL;
        x->part_count = 0;
        x->left = 0;
        pthread_mutex_unlock(&x->lock);
        viewed_us = viewed_us == 0 ? 0 : 1;
        max_age_ms = 0; /* a topic may be gone, or led by another */
        if (news)
            logger_write(LEVEL_WARN, "index: %s", e.text);
        poll(NULL, 0, RETRY_MS);
    }
}

/* ---- asking ---- */

bool index_wait(struct index *x, int ms) {
    int64_t now = clock_mono_us(), until = now + ms * INT64_C(1000);
    struct timespec t = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};
    pthread_mutex_lock(&x->lock);
    x->waiting++;
    bool in_time = true;
    while (x->caught_up_of_us < now && in_time)
        in_time = pthread_cond_timedwait(&x->caught_up, &x->lock, &t) == 0;
    bool all = x->caught_up_of_us >= now;
    x->waiting--;
    pthread_mutex_unlock(&x->lock);
    return all;
}

bool index_ready(struct index *x, char *why, size_t size) {
    pthread_mutex_lock(&x->lock);
    bool ready = x->once && x->trouble[0] == 0;
    if (!ready && x->trouble[0] != 0)
        snprintf(why, size, "%s", x->trouble);
    else if (!ready)
        snprintf(why, size, "the index has %" PRId64 " offsets to read", x->left);
    pthread_mutex_unlock(&x->lock);
    return ready;
}

struct find {
    struct index *x;
    struct index_place *places;
    size_t max, n, cap, of_part, prefix;
    char last[6], last_valid; /* topic and partition that come now */
    bool more, full;
};

static bool find_one(void *context, struct slice key, struct slice value) {
    struct find *f = context;
    if (key.size != f->prefix + PLACE)
        return true;
    const char *at = key.data + f->prefix;
    if (f->last_valid == 0 || memcmp(f->last, at, sizeof f->last) != 0) {
        memcpy(f->last, at, sizeof f->last);
        f->last_valid = 1;
        f->of_part = 0;
    }
    f->full = f->n == f->max;
    if (f->full || f->of_part == f->cap) {
        f->more = true;
        return false;
    }
    const char *topic = name_of(f->x, (size_t)be_get(at, 2));
    if (topic == NULL)
        return true;
    f->of_part++;
    f->places[f->n++] = (struct index_place){topic, (int32_t)be_get(at + 2, 4), (int64_t)be_get(at + 6, 8)};
    (void)value;
    return true;
}

/* All partitions behind a prefix, from the last one on, newest first, and of each so many. */
static bool find_all(struct find *f, struct slice prefix, struct err *e) {
    _cleanup_(buf_free) struct buf from = {0};
    f->prefix = prefix.size;
    f->last_valid = 0;
    for (;;) {
        size_t before = f->n;
        bool more = f->more;
        f->more = false;
        if (!store_scan(f->x->store, prefix, from.size == 0 ? SLICE_NONE : buf_slice(&from), true, find_one,
                        f, e))
            return false;
        bool stopped = f->more;
        f->more = f->more || more;
        if (!stopped || f->full || (f->n == before && f->of_part == 0))
            return true;
        buf_clear(&from);
        buf_append_slice(&from, prefix);
        buf_append(&from, f->last, sizeof f->last);
        f->last_valid = 0;
    }
}

static bool find(struct index *x, struct find *f, void (*put_prefix)(struct buf *, uint32_t, const void *),
                 const void *what, struct err *e) {
    _cleanup_(buf_free) struct buf prefix = {0};
    f->x = x;
    f->cap = f->max / 4 > 16 ? f->max / 4 : 16;
    uint32_t latest = x->generation; /* which may be another one soon */
    for (uint32_t back = 0; back < GENERATIONS && back <= latest && !f->full; back++) {
        buf_clear(&prefix);
        put_prefix(&prefix, latest - back, what);
        if (!find_all(f, buf_slice(&prefix), e))
            return false;
    }
    return true;
}

static void prefix_of_key(struct buf *b, uint32_t generation, const void *what) {
    put_key_prefix(b, generation, *(const struct slice *)what);
}

bool index_find(struct index *x, struct slice key, struct index_place *places, size_t max, size_t *n,
                bool *more, struct err *e) {
    struct find f = {.places = places, .max = max};
    if (!find(x, &f, prefix_of_key, &key, e))
        return false;
    *n = f.n;
    *more = f.more;
    return true;
}

struct place_of {
    uint16_t topic;
    int32_t partition;
    int64_t offset;
};

static void prefix_of_cause(struct buf *b, uint32_t generation, const void *what) {
    const struct place_of *c = what;
    put_cause_prefix(b, generation, c->topic, c->partition, c->offset);
}

bool index_effects(struct index *x, const char *topic, int32_t partition, int64_t offset,
                   struct index_place *places, size_t max, size_t *n, bool *more, struct err *e) {
    struct find f = {.places = places, .max = max};
    int number = name_find(x, slice_of(topic));
    struct place_of cause = {(uint16_t)(number < 0 ? 0 : number), partition, offset};
    if (number >= 0 && !find(x, &f, prefix_of_cause, &cause, e))
        return false;
    *n = f.n;
    *more = f.more;
    return true;
}

bool index_figures(struct index *x, const char *topic, int32_t partition, struct index_figures *figures) {
    int number = name_find(x, slice_of(topic));
    pthread_mutex_lock(&x->lock);
    const struct part *p = number < 0 ? NULL : part_find(x, (uint16_t)number, partition);
    if (p != NULL)
        *figures = p->told;
    pthread_mutex_unlock(&x->lock);
    return p != NULL;
}
