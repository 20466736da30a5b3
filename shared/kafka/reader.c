#include "kafka/internal.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LOCATE_MS = 200,  /* between two tries to find out what a lost reader can go on from */
    STUCK_LOOKS = 2,  /* so often in a row: its reader is stuck, or the error that it met lasts */
    HIDDEN_LOOKS = 5, /* longer than transaction.timeout.ms: nobody of ours has this transaction open */
    RENEWALS_MAX = 4, /* each time it takes twice as many looks, up to here */
};

/* No group: the consumer without one starts and stops partitions where it is told to. That no position is
 * reset by itself is a property of topics, see kafka_topic(). */
static const struct kafka_property reader_settings[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"isolation.level", "read_committed"},
    {"enable.partition.eof", "true"},
    {"fetch.queue.backoff.ms", "2"}, /* 1 s stalls a queue that was full */
    {"fetch.error.backoff.ms", "20"},
    {"queued.min.messages", "5000"}, /* a partition; keeps a flood's memory flat */
    {"queued.max.messages.kbytes", "1024"},
    {"fetch.message.max.bytes", "131072"},
    {"fetch.max.bytes", "4194304"},
    {NULL, NULL},
};

/* Tables and changelogs are read to their ends, and an end behind a transaction's marker shows by the next
 * fetch only. */
static const struct kafka_property aside_settings[] = {
    {"fetch.wait.max.ms", "100"},
    {NULL, NULL},
};

/* Thousands of small records a second, each worth a fetch if one asked for it at once. */
static const struct kafka_property patient_settings[] = {
    {"fetch.min.bytes", "65536"},
    {"fetch.wait.max.ms", "100"},
    {NULL, NULL},
};

static enum log_queue queue_of(int reader) {
    return reader == PATIENT_INPUTS   ? LOG_INPUTS
           : reader == PATIENT_TABLES ? LOG_TABLES
                                      : (enum log_queue)reader;
}

static int reader_of(const struct kafka *k, enum log_queue q, const struct topic *t) {
    const struct topic *const *patient = k->patient;
    while (patient != NULL && *patient != NULL && *patient != t)
        patient++;
    if (patient == NULL || *patient == NULL || (q != LOG_INPUTS && q != LOG_TABLES))
        return (int)q;
    return q == LOG_INPUTS ? PATIENT_INPUTS : PATIENT_TABLES;
}

static int64_t now_ms(void) {
    return clock_mono_us() / 1000;
}

/* ---- the clients ---- */

static bool reader_make(struct kafka *k, int q, rd_kafka_t **made, struct err *e) {
    const struct kafka_property *more = q >= PATIENT_INPUTS                ? patient_settings
                                        : log_queue_of_inputs(queue_of(q)) ? NULL
                                                                           : aside_settings;
    const struct kafka_property *const settings[] = {reader_settings, more, NULL};
    if (!kafka_role(k, CLIENT_READERS + q, rd_kafka_conf_new(), settings, made, e))
        return false;
    k->queues[q] = rd_kafka_queue_new(*made);
    rd_kafka_queue_t *main = rd_kafka_queue_get_main(*made);
    rd_kafka_queue_forward(main, k->queues[q]); /* its callbacks are served with the records */
    rd_kafka_queue_destroy(main);
    kafka_watch(k, k->queues[q]);
    k->topics[q] = xcalloc(k->topic_count, sizeof(rd_kafka_topic_t *));
    return true;
}

static void reader_set(struct kafka *k, int q, rd_kafka_t *rk) {
    pthread_mutex_lock(&k->lock);
    k->readers[q] = rk;
    pthread_mutex_unlock(&k->lock);
}

static bool reader(struct kafka *k, int q, rd_kafka_t **rk, struct err *e) {
    if (k->readers[q] == NULL) {
        if (!reader_make(k, q, rk, e))
            return false;
        if (k->readings[q] == NULL)
            k->readings[q] = xcalloc(k->topic_count, sizeof *k->readings[q]);
        reader_set(k, q, *rk);
    }
    *rk = k->readers[q];
    return true;
}

/* What each partition was read up to stays known. */
static void reader_drop(struct kafka *k, int q) {
    rd_kafka_t *rk = k->readers[q];
    if (rk == NULL)
        return;
    reader_set(k, q, NULL);
    for (size_t t = 0; t < k->topic_count; t++) /* destroying a reader that still reads can hang */
        for (int32_t p = 0; k->topics[q][t] != NULL && p < k->readings[q][t].count; p++)
            rd_kafka_consume_stop(k->topics[q][t], p);
    kafka_topics_destroy(k->topics[q], k->topic_count);
    free(k->topics[q]);
    rd_kafka_queue_destroy(k->queues[q]);
    k->queues[q] = NULL;
    rd_kafka_destroy(rk);
}

void kafka_readers_destroy(struct kafka *k) {
    if (k->watch.queue != NULL)
        rd_kafka_queue_destroy(k->watch.queue);
    k->watch.queue = NULL;
    for (int q = 0; q < READERS; q++) {
        reader_drop(k, q);
        for (size_t t = 0; k->readings[q] != NULL && t < k->topic_count; t++)
            free(k->readings[q][t].at);
        free(k->readings[q]);
    }
}

/* ---- what each reads ---- */

/* NULL: it never did. */
static struct reading *reading_of(const struct kafka *k, int q, const struct topic *t, int32_t partition) {
    struct readings *all = k->readings[q] == NULL ? NULL : &k->readings[q][t->number];
    return all == NULL || partition >= all->count ? NULL : &all->at[partition];
}

static struct reading *reading_add(struct kafka *k, int q, const struct topic *t, int32_t partition) {
    struct readings *all = &k->readings[q][t->number];
    all->topic = t;
    if (partition >= all->count) {
        all->at = xrealloc(all->at, (size_t)(partition + 1) * sizeof *all->at);
        memset(&all->at[all->count], 0, (size_t)(partition + 1 - all->count) * sizeof *all->at);
        all->count = partition + 1;
    }
    return &all->at[partition];
}

typedef void on_reading(struct kafka *k, int q, const struct topic *t, int32_t partition, struct reading *r,
                        void *context);

static void each_reading(struct kafka *k, int q, on_reading *each, void *context) {
    for (size_t t = 0; k->readings[q] != NULL && t < k->topic_count; t++)
        for (int32_t p = 0; p < k->readings[q][t].count; p++)
            if (k->readings[q][t].at[p].active)
                each(k, q, k->readings[q][t].topic, p, &k->readings[q][t].at[p], context);
}

static void trouble_over(struct kafka *k, struct reading *r) {
    k->troubles -= r->troubled;
    r->troubled = false;
    r->stuck = r->renewals = 0;
    r->error = RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void troubled(struct kafka *k, const struct topic *t, int32_t partition, struct reading *r,
                     const char *what) {
    snprintf(k->trouble, sizeof k->trouble, "waiting for Kafka: %s/%d from %lld on %s", t->name, partition,
             (long long)(r->position < 0 ? 0 : r->position), what);
    k->troubles += !r->troubled;
    r->troubled = true;
}

static bool reading_start(struct kafka *k, int q, const struct topic *t, int32_t partition, struct err *e) {
    rd_kafka_t *rk;
    if (!reader(k, q, &rk, e))
        return false;
    struct reading *r = reading_add(k, q, t, partition);
    int64_t offset = r->position < 0 ? RD_KAFKA_OFFSET_BEGINNING : r->position;
    k->lost -= r->lost;
    r->lost = false;
    r->active = true;
    // NOLINTNEXTLINE(clang-analyzer-*): readings are moved by reading_add() only
    if (rd_kafka_consume_start_queue(kafka_topic(rk, k->topics[q], t), partition, offset, k->queues[q]) == 0)
        return true;
    return err_set(e, ERR_FATAL, "reading %s/%d from %lld: %s", t->name, partition, (long long)r->position,
                   rd_kafka_err2str(rd_kafka_last_error()));
}

bool kafka_read(struct log *l, enum log_queue queue, const struct log_position *from, struct err *e) {
    struct kafka *k = kafka_of(l);
    rd_kafka_t *rk;
    int q = reader_of(k, queue, from->topic);
    if (!reader(k, q, &rk, e))
        return false;
    struct reading *r = reading_add(k, q, from->topic, from->partition);
    r->position = r->seen = from->offset;
    return reading_start(k, q, from->topic, from->partition, e);
}

void kafka_unread(struct log *l, enum log_queue queue, const struct topic *t, int32_t partition) {
    struct kafka *k = kafka_of(l);
    int q = reader_of(k, queue, t);
    struct reading *r = reading_of(k, q, t, partition);
    if (r == NULL || !r->active)
        return;
    rd_kafka_consume_stop(k->topics[q][t->number], partition);
    trouble_over(k, r);
    k->lost -= r->lost;
    r->lost = r->active = false;
}

/* ---- what comes ---- */

static void fill(struct log_record *r, enum log_queue q, rd_kafka_message_t *m) {
    rd_kafka_timestamp_type_t type;
    bool end = m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
    *r = (struct log_record){.end = end,
                             .queue = q,
                             .topic = rd_kafka_topic_opaque(m->rkt),
                             .partition = m->partition,
                             .offset = m->offset,
                             .handle = m};
    if (end)
        return;
    r->timestamp = rd_kafka_message_timestamp(m, &type);
    r->key = (struct slice){m->key, m->key_len};
    r->value = (struct slice){m->payload, m->len};
    if (m->payload == NULL && m->len == 0)
        r->value = SLICE_NONE;
}

/* Leaders move and brokers restart: most errors the reader gets over by itself. */
static void take_error(struct kafka *k, struct reading *r, const rd_kafka_message_t *m) {
    if (m->err != RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        r->error = m->err;
        return;
    }
    k->lost += !r->lost;
    r->lost = true;
    r->cut = m->offset >= 0 && m->offset < r->position ? m->offset : -1;
}

static size_t take(struct kafka *k, int q, struct log_record *records, size_t max) {
    if (k->queues[q] == NULL || max == 0)
        return 0;
    if (k->message_capacity < max)
        k->messages = xrealloc(k->messages, (k->message_capacity = max) * sizeof(rd_kafka_message_t *));
    ssize_t got = rd_kafka_consume_batch_queue(k->queues[q], 0, k->messages, max);
    size_t n = 0;
    for (ssize_t i = 0; i < got; i++) {
        rd_kafka_message_t *m = k->messages[i];
        struct reading *r =
            m->rkt == NULL ? NULL : reading_of(k, q, rd_kafka_topic_opaque(m->rkt), m->partition);
        if (r != NULL &&
            (m->err == RD_KAFKA_RESP_ERR_NO_ERROR || m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)) {
            fill(&records[n], queue_of(q), m);
            r->position = m->offset + !records[n++].end;
            trouble_over(k, r);
            continue;
        }
        if (r != NULL && r->active)
            take_error(k, r, m);
        rd_kafka_message_destroy(m);
    }
    k->drained[q] = k->drained[q] || got < (ssize_t)max;
    k->lent += n;
    return n;
}

static bool is_open(const struct kafka *k, int q, bool inputs) {
    return k->queues[q] != NULL && (inputs || queue_of(q) != LOG_INPUTS);
}

/* A flood of one kind leaves room for the others, but for the backlog; what they do not need it has too. */
static size_t take_all(struct kafka *k, bool inputs, struct log_record *records, size_t max) {
    static const int order[] = {PATIENT_TABLES, LOG_TABLES, LOG_CHANGELOGS, PATIENT_INPUTS, LOG_INPUTS};
    static const size_t count = sizeof order / sizeof *order;
    size_t kinds = 0, n = 0;
    for (size_t i = 0; i < count; i++)
        kinds += is_open(k, order[i], inputs);
    for (size_t i = 0; i < count; i++)
        if (is_open(k, order[i], inputs))
            n += take(k, order[i], records + n, (max - n) / kinds--);
    for (size_t i = count; i-- > 0 && n < max;)
        if (is_open(k, order[i], inputs))
            n += take(k, order[i], records + n, max - n);
    return n + (inputs ? take(k, LOG_BACKLOG, records + n, max - n) : 0);
}

/* ---- positions that are not in the log ---- */

struct moves {
    struct log_record *records;
    size_t n, max;
    bool inputs, away;
};

/* Below the start: to the start. Beyond the end, or cut off: to the end. */
static bool find(struct kafka *k, const struct topic *t, int32_t partition, const struct reading *r,
                 int64_t *to) {
    struct err e;
    struct log_position first = {t, partition, -1}, end = first;
    if (!kafka_offsets(k, &first, 1, RD_KAFKA_OFFSET_SPEC_EARLIEST, false, &e) ||
        !kafka_offsets(k, &end, 1, RD_KAFKA_OFFSET_SPEC_LATEST, false, &e))
        return false;
    int64_t last = r->cut >= 0 && r->cut < end.offset ? r->cut : end.offset;
    *to = r->position > last ? last : r->position;
    *to = *to < first.offset ? first.offset : *to;
    return true;
}

static void locate(struct kafka *k, int q, const struct topic *t, int32_t partition, struct reading *r,
                   void *context) {
    struct moves *moves = context;
    struct err e;
    int64_t to, was = r->position;
    if (!r->lost || moves->n == moves->max || moves->away ||
        (log_queue_of_inputs(queue_of(q)) && !moves->inputs))
        return;
    if (!find(k, t, partition, r, &to)) {
        moves->away = true;
        return;
    }
    rd_kafka_consume_stop(k->topics[q][t->number], partition);
    r->position = r->seen = to;
    if (!reading_start(k, q, t, partition, &e)) {
        r->position = was;
        k->lost += !r->lost;
        r->lost = true;
        return;
    }
    if (was >= 0 && to != was)
        moves->records[moves->n++] = (struct log_record){.moved = true,
                                                         .queue = queue_of(q),
                                                         .topic = t,
                                                         .partition = partition,
                                                         .offset = to,
                                                         .was = was};
}

size_t kafka_take(struct kafka *k, bool inputs, struct log_record *records, size_t max) {
    size_t n = take_all(k, inputs, records, max);
    if (k->lost == 0 || now_ms() < k->locate_at)
        return n;
    struct moves moves = {records, n, max, inputs, false};
    k->locate_at = now_ms() + LOCATE_MS;
    for (int q = 0; q < READERS; q++)
        each_reading(k, q, locate, &moves);
    k->lent += moves.n - n;
    return moves.n;
}

void kafka_release(struct log *l, struct log_record *records, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (records[i].handle != NULL)
            rd_kafka_message_destroy(records[i].handle);
    kafka_of(l)->lent -= n;
}

/* ---- the watch ---- */

static void start_again(struct kafka *k, int q, const struct topic *t, int32_t partition, struct reading *r,
                        void *context) {
    bool *ok = context;
    struct err e;
    r->stuck = 0;
    *ok = reading_start(k, q, t, partition, &e) && *ok;
}

/* What a client believes of brokers, leaders and their epochs goes with it; what it is to read stays. */
static void renew(struct kafka *k, int q) {
    bool ok = true;
    reader_drop(k, q);
    each_reading(k, q, start_again, &ok);
    k->renew[q] = !ok;
    counter_add(&k->renewed[q], 1);
}

struct look {
    const rd_kafka_ListOffsetsResultInfo_t **infos;
    size_t count;
    bool doubts; /* somebody is behind; is there anything for it? */
};

static const rd_kafka_topic_partition_t *find_in(const struct look *l, const struct topic *t,
                                                 int32_t partition) {
    for (size_t i = 0; i < l->count; i++) {
        const rd_kafka_topic_partition_t *p = rd_kafka_ListOffsetsResultInfo_topic_partition(l->infos[i]);
        if (p->partition == partition && strcmp(p->topic, t->name) == 0)
            return p;
    }
    return NULL;
}

static int64_t end_in(const struct look *l, const struct topic *t, int32_t partition) {
    const rd_kafka_topic_partition_t *p = find_in(l, t, partition);
    return p != NULL && p->err == RD_KAFKA_RESP_ERR_NO_ERROR ? p->offset : -1;
}

/* What the reader has met; or that there is no such topic any more, which it waits for without a word. */
static rd_kafka_resp_err_t error_in(const struct look *l, const struct topic *t, int32_t partition,
                                    const struct reading *r) {
    const rd_kafka_topic_partition_t *p = find_in(l, t, partition);
    bool gone = p != NULL && (p->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                              p->err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
                              p->err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION);
    return r->error == RD_KAFKA_RESP_ERR_NO_ERROR && gone ? p->err : r->error;
}

/* Whether it is time to make its reader anew. */
static void stuck(struct kafka *k, int q, struct reading *r) {
    if (r->stuck < STUCK_LOOKS << r->renewals)
        return;
    k->renew[q] = true;
    r->renewals += r->renewals < RENEWALS_MAX;
}

static void look(struct kafka *k, int q, const struct topic *t, int32_t partition, struct reading *r,
                 void *context) {
    struct look *l = context;
    int64_t end = end_in(l, t, partition);
    rd_kafka_resp_err_t error = error_in(l, t, partition, r);
    if (r->lost)
        return;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (++r->stuck >= STUCK_LOOKS) {
            troubled(k, t, partition, r, rd_kafka_err2str(error));
            stuck(k, q, r);
        }
        return;
    }
    /* What was not taken yet has come: then it is the application that takes its time. */
    bool behind = end >= 0 && r->position < end && r->position == r->seen && k->drained[q];
    r->seen = r->position;
    r->stuck = behind ? r->stuck + 1 : 0;
    l->doubts = l->doubts || r->stuck >= STUCK_LOOKS;
}

/* The same once more, with the ends of committed readers. */
static void look_closer(struct kafka *k, int q, const struct topic *t, int32_t partition, struct reading *r,
                        void *context) {
    int64_t end = end_in(context, t, partition);
    if (r->lost || r->error != RD_KAFKA_RESP_ERR_NO_ERROR || r->stuck < STUCK_LOOKS || end < 0)
        return;
    if (r->position < end) {
        troubled(k, t, partition, r, "does not come, and its reader is made anew");
        stuck(k, q, r);
    } else if (r->stuck >= HIDDEN_LOOKS) {
        troubled(k, t, partition, r, "is hidden by a transaction that somebody left open");
    }
}

static void add(struct kafka *k, int q, const struct topic *t, int32_t partition, struct reading *r,
                void *list) {
    (void)k, (void)q, (void)r;
    if (rd_kafka_topic_partition_list_find(list, t->name, partition) == NULL)
        rd_kafka_topic_partition_list_add(list, t->name, partition)->offset = RD_KAFKA_OFFSET_SPEC_LATEST;
}

static void watch_ask(struct kafka *k, bool committed) {
    struct err e;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (int q = 0; q < READERS; q++)
        each_reading(k, q, add, list);
    k->watch.committed = committed;
    k->watch.at = now_ms() + k->watch.pause_ms;
    if (list->cnt > 0 && !kafka_ask_offsets(k, list, committed, &k->watch.queue, &e))
        k->watch.queue = NULL; /* at the next look, then */
    rd_kafka_topic_partition_list_destroy(list);
}

static void watch_take(struct kafka *k, rd_kafka_event_t *event) {
    struct look l = {0};
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR)
        l.infos = rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event), &l.count);
    for (int q = 0; q < READERS; q++) {
        each_reading(k, q, k->watch.committed ? look_closer : look, &l);
        k->drained[q] = k->drained[q] && k->watch.committed;
    }
    rd_kafka_event_destroy(event);
    if (l.doubts)
        watch_ask(k, true);
}

void kafka_readers_watch(struct kafka *k) {
    for (int q = 0; q < READERS && k->lent == 0; q++)
        if (k->renew[q])
            renew(k, q);
    if (k->watch.queue != NULL) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(k->watch.queue, 0);
        if (event == NULL)
            return;
        rd_kafka_queue_destroy(k->watch.queue);
        k->watch.queue = NULL;
        watch_take(k, event);
    } else if (now_ms() >= k->watch.at && !atomic_load(&k->link.down)) {
        watch_ask(k, false);
    }
}

/* ---- for others ---- */

int64_t kafka_seen_end(struct log *l, enum log_queue q, const struct topic *t, int32_t partition) {
    struct kafka *k = kafka_of(l);
    int64_t first, end = -1;
    pthread_mutex_lock(&k->lock);
    rd_kafka_t *rk = k->readers[reader_of(k, q, t)];
    if (rk == NULL ||
        rd_kafka_get_watermark_offsets(rk, t->name, partition, &first, &end) != RD_KAFKA_RESP_ERR_NO_ERROR)
        end = -1;
    pthread_mutex_unlock(&k->lock);
    return end < 0 ? -1 : end;
}
