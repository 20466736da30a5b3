#include "testing/memory_log.h"

#include "log/partitions.h"
#include "schemas/schemas.gen.h"
#include "topology/topology.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct memory_log *of(struct log *l) {
    return (struct memory_log *)l;
}

static struct memory_partition *part(struct memory_log *l, const struct topic *t, int32_t partition) {
    assert_in_range(partition, 0, l->partitions[t->number] - 1);
    return &l->parts[t->number][partition];
}

/* Whether the call goes on; `*fails` whether it then fails. */
static bool enter(struct memory_log *l, enum log_call call, bool *fails, struct err *e) {
    static const char *const names[] = {"ends",  "committed", "poll",   "init",
                                        "begin", "produce",   "commit", "abort"};
    l->calls[call]++;
    if (l->during != NULL)
        l->during(l->context, call);
    *fails = l->faults[call].times > 0;
    if (!*fails)
        return true;
    l->faults[call].times--;
    err_set(e, l->faults[call].kind, "waiting for Kafka: %s fails", names[call]);
    return l->faults[call].done;
}

/* ---- records ---- */

static struct entry entry_copy(const struct entry *from) {
    size_t size = from->key.size + from->value.size + from->header_count * sizeof *from->headers + 1;
    for (size_t i = 0; i < from->header_count; i++)
        size += strlen(from->headers[i].name) + 1 + from->headers[i].value.size;
    struct entry copy = *from;
    copy.memory = xmalloc(size);
    copy.headers = copy.memory;
    char *at = (char *)(copy.headers + from->header_count);
    copy.key = slice_pack(&at, from->key);
    copy.value = slice_pack(&at, from->value);
    for (size_t i = 0; i < from->header_count; i++) {
        const char *name = from->headers[i].name;
        copy.headers[i].name = slice_pack(&at, (struct slice){name, strlen(name) + 1}).data;
        copy.headers[i].value = slice_pack(&at, from->headers[i].value);
    }
    return copy;
}

static int64_t append(struct memory_partition *p, const struct entry *e) {
    if (p->count == p->capacity)
        p->entries = xrealloc(p->entries, (p->capacity = p->capacity * 2 + 16) * sizeof *p->entries);
    p->entries[p->count] = entry_copy(e);
    return (int64_t)p->count++;
}

static int32_t place(const struct memory_log *l, const struct topic *t, int32_t partition, struct slice key) {
    return partition >= 0 ? partition : partition_of(key, l->partitions[t->number]);
}

int64_t memory_log_append_with(struct memory_log *l, const struct topic *t, int32_t partition,
                               struct slice key, struct slice value, const struct log_header *headers,
                               size_t header_count) {
    struct memory_partition *p = part(l, t, place(l, t, partition, key));
    return append(p, &(struct entry){.timestamp = l->time > 0 ? l->time : 1000 + (int64_t)p->count,
                                     .key = key,
                                     .value = value,
                                     .headers = (struct log_header *)(uintptr_t)headers,
                                     .header_count = header_count});
}

int64_t memory_log_append(struct memory_log *l, const struct topic *t, int32_t partition, struct slice key,
                          struct slice value) {
    return memory_log_append_with(l, t, partition, key, value, NULL, 0);
}

void memory_log_open(struct memory_log *l, const struct topic *t, int32_t partition, struct slice key,
                     struct slice value) {
    append(part(l, t, place(l, t, partition, key)),
           &(struct entry){.state = ENTRY_OPEN, .foreign = true, .key = key, .value = value});
}

/* Ends a transaction in each partition that it wrote to, with a marker behind it. */
static void end(struct memory_log *l, bool foreign, bool commit) {
    for (int t = 0; t < LOG_TOPICS_MAX; t++)
        for (int32_t k = 0; k < LOG_PARTITIONS_MAX; k++) {
            struct memory_partition *p = &l->parts[t][k];
            int64_t last = -1;
            struct log_delivered *delivered = foreign || l->reports_lost ? NULL : p->delivered;
            for (size_t i = 0; i < p->count; i++)
                if (p->entries[i].state == ENTRY_OPEN && p->entries[i].foreign == foreign) {
                    p->entries[i].state = commit ? ENTRY_COMMITTED : ENTRY_ABORTED;
                    last = (int64_t)i;
                    if (delivered != NULL)
                        log_deliver(delivered, last);
                }
            if (last >= 0)
                append(p, &(struct entry){.state = ENTRY_MARKER});
            if (!foreign)
                p->delivered = NULL;
        }
}

void memory_log_end(struct memory_log *l, bool commit) {
    end(l, true, commit);
}

void memory_log_trim(struct memory_log *l, const struct topic *t, int32_t partition, int64_t first) {
    part(l, t, partition)->first = first;
}

void memory_log_cut(struct memory_log *l, const struct topic *t, int32_t partition, int64_t end) {
    struct memory_partition *p = part(l, t, partition);
    while ((int64_t)p->count > end)
        free(p->entries[--p->count].memory);
}

int64_t memory_log_stable_end(const struct memory_log *l, const struct topic *t, int32_t partition) {
    const struct memory_partition *p = &l->parts[t->number][partition];
    size_t i = 0;
    while (i < p->count && p->entries[i].state != ENTRY_OPEN)
        i++;
    return (int64_t)i;
}

/* ---- questions ---- */

static int64_t log_now_ms(struct log *log) {
    return of(log)->now;
}

static int64_t log_time_ms(struct log *log) {
    return of(log)->time;
}

static bool log_partitions(struct log *log, const struct topic *t, int32_t *count, struct err *e) {
    if (of(log)->partitions[t->number] == 0)
        return err_set(e, ERR_RETRY, "waiting for the topic %s", t->name);
    *count = of(log)->partitions[t->number];
    return true;
}

static bool log_committed(struct log *log, struct log_committed *positions, size_t n, struct err *e) {
    bool fails;
    if (!enter(of(log), CALL_COMMITTED, &fails, e) || fails)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (positions[i].partition < of(log)->unstable_tasks)
            return err_set(e, ERR_RETRY, "waiting for stable offsets");
        const struct memory_partition *p = part(of(log), positions[i].topic, positions[i].partition);
        positions[i].offset = p->group;
        positions[i].time = p->group_time;
        positions[i].cuts = p->group_cuts;
    }
    return true;
}

static bool log_ends(struct log *log, struct log_position *positions, size_t n, bool committed,
                     struct err *e) {
    bool fails;
    if (!enter(of(log), CALL_ENDS, &fails, e) || fails)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct log_position *p = &positions[i];
        positions[i].offset = committed ? memory_log_stable_end(of(log), p->topic, p->partition)
                                        : (int64_t)part(of(log), p->topic, p->partition)->count;
    }
    return true;
}

/* Markers come with the commit here, but behind somebody else's open transaction nothing is seen. */
static bool log_visible(struct log *log, const struct log_position *positions, size_t n, struct err *e) {
    for (size_t i = 0; i < n; i++)
        if (memory_log_stable_end(of(log), positions[i].topic, positions[i].partition) < positions[i].offset)
            return err_set(e, ERR_UNKNOWN, "not to be seen");
    return true;
}

/* ---- the group ---- */

static bool log_subscribe(struct log *log, const struct topic *lead, const struct log_listener *listener,
                          struct err *e) {
    (void)lead;
    (void)e;
    of(log)->bound = *listener;
    of(log)->listener = &of(log)->bound;
    return true;
}

void memory_log_assign(struct memory_log *l, int32_t tasks) {
    for (l->task_count = 0; (int32_t)l->task_count < tasks; l->task_count++)
        l->tasks[l->task_count] = (int32_t)l->task_count;
    l->news = GROUP_ASSIGNS;
}

void memory_log_revoke(struct memory_log *l, int32_t task, bool lost) {
    l->tasks[0] = task;
    l->task_count = 1;
    l->news = lost ? GROUP_LOSES : GROUP_REVOKES;
}

static bool tell_group(struct memory_log *l) {
    int news = l->news;
    l->news = GROUP_QUIET;
    if (news == GROUP_ASSIGNS)
        l->listener->assigned(l->listener->context, l->tasks, l->task_count);
    else if (news != GROUP_QUIET)
        l->listener->revoked(l->listener->context, l->tasks, l->task_count, news == GROUP_LOSES);
    return news != GROUP_QUIET;
}

/* ---- reading ---- */

static bool log_read(struct log *log, enum log_queue q, const struct log_position *from, struct err *e) {
    struct memory_partition *p = part(of(log), from->topic, from->partition);
    (void)e;
    assert_false(p->readers[q].reading); /* librdkafka would not like it either */
    p->readers[q].reading = true;
    p->readers[q].position = from->offset < 0 ? p->first : from->offset;
    p->readers[q].end_told = -1;
    return true;
}

static void log_unread(struct log *log, enum log_queue q, const struct topic *t, int32_t partition) {
    part(of(log), t, partition)->readers[q].reading = false;
}

/* Whether the reader stands at what the log does not have; then it is moved. */
static bool move(struct memory_partition *p, enum log_queue q, const struct topic *t, int32_t k,
                 struct log_record *out) {
    int64_t was = p->readers[q].position, end = (int64_t)p->count, to = was > end ? end : was;
    to = to < p->first ? p->first : to;
    if (to == was)
        return false;
    p->readers[q].position = to;
    p->readers[q].end_told = -1;
    *out =
        (struct log_record){.moved = true, .queue = q, .topic = t, .partition = k, .offset = to, .was = was};
    return true;
}

static size_t take_partition(struct memory_log *l, enum log_queue q, const struct topic *t, int32_t k,
                             struct log_record *out, size_t max) {
    struct memory_partition *p = part(l, t, k);
    int64_t stable = memory_log_stable_end(l, t, k);
    size_t n = 0;
    if (!p->readers[q].reading)
        return 0;
    atomic_store(&p->readers[q].end_seen, stable + 1);
    if (max > 0 && move(p, q, t, k, out))
        return 1;
    for (int64_t *at = &p->readers[q].position; n < max && *at < stable; ++*at) {
        if (p->entries[*at].state != ENTRY_COMMITTED)
            continue;
        struct entry *copy = xmalloc(sizeof *copy); /* so that nobody keeps what is released */
        *copy = entry_copy(&p->entries[*at]);
        out[n++] = (struct log_record){.queue = q,
                                       .topic = t,
                                       .partition = k,
                                       .offset = *at,
                                       .timestamp = copy->timestamp,
                                       .key = copy->key,
                                       .value = copy->value,
                                       .handle = copy};
    }
    if (n < max && p->readers[q].position == stable && p->readers[q].end_told != stable) {
        p->readers[q].end_told = stable;
        out[n++] = (struct log_record){.end = true, .queue = q, .topic = t, .partition = k, .offset = stable};
    }
    return n;
}

static size_t take(struct memory_log *l, enum log_queue q, struct log_record *out, size_t max) {
    size_t n = 0;
    for (size_t i = 0; i < topics_count; i++)
        for (int32_t k = 0; k < l->partitions[i]; k++)
            n += take_partition(l, q, topics[i], k, out + n, max - n);
    return n;
}

static bool log_poll(struct log *log, bool inputs, struct log_record *records, size_t max, int timeout_ms,
                     size_t *n, struct err *e) {
    struct memory_log *l = of(log);
    bool fails;
    *n = 0;
    if (!enter(l, CALL_POLL, &fails, e) || fails)
        return false;
    bool told = inputs && tell_group(l);
    if (!l->tables_stuck && !(inputs && l->tables_lag))
        *n += take(l, LOG_TABLES, records, max);
    *n += take(l, LOG_CHANGELOGS, records + *n, max - *n);
    if (inputs)
        *n += take(l, LOG_INPUTS, records + *n, max - *n);
    if (inputs)
        *n += take(l, LOG_BACKLOG, records + *n, max - *n);
    if (*n == 0 && !told && !atomic_exchange(&l->woken, false))
        l->now += timeout_ms;
    l->given += *n;
    return true;
}

static void log_release(struct log *log, struct log_record *records, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct entry *copy = records[i].handle;
        if (copy != NULL)
            free(copy->memory);
        free(copy);
    }
    of(log)->given -= n;
}

static struct slice log_header(const struct log_record *r, const char *name) {
    const struct entry *copy = r->handle;
    for (size_t i = copy->header_count; i-- > 0;)
        if (strcmp(copy->headers[i].name, name) == 0)
            return copy->headers[i].value;
    return SLICE_NONE;
}

static size_t log_headers(const struct log_record *r, struct log_header *out, size_t max) {
    const struct entry *copy = r->handle;
    size_t n = copy->header_count < max ? copy->header_count : max;
    memcpy(out, copy->headers, n * sizeof *out);
    return n;
}

/* ---- transactions ---- */

static bool log_init(struct log *log, struct err *e) {
    bool fails;
    if (!enter(of(log), CALL_INIT, &fails, e) || fails)
        return false;
    for (int t = 0; t < LOG_TOPICS_MAX; t++) /* the old producer reports no more */
        for (int32_t k = 0; k < LOG_PARTITIONS_MAX; k++)
            of(log)->parts[t][k].delivered = NULL;
    end(of(log), false, false);
    of(log)->in_transaction = false;
    return true;
}

static bool log_begin(struct log *log, struct err *e) {
    bool fails;
    if (!enter(of(log), CALL_BEGIN, &fails, e) || fails)
        return false;
    assert_false(of(log)->in_transaction);
    of(log)->in_transaction = true;
    of(log)->refused = false;
    return true;
}

static bool log_produce(struct log *log, const struct log_message *m, struct err *e) {
    struct memory_log *l = of(log);
    bool fails;
    if (!enter(l, CALL_PRODUCE, &fails, e) || fails)
        return false;
    assert_true(l->in_transaction);
    size_t max = l->value_max[m->topic->number];
    if ((max > 0 && m->value.size > max) ||
        (l->clock_behind > 0 && m->timestamp > l->time - l->clock_behind + 60 * 60 * 1000)) {
        l->refused = true; /* the producer hears of it later */
        return true;
    }
    struct entry entry = {.state = ENTRY_OPEN,
                          .timestamp = m->timestamp,
                          .key = m->key,
                          .value = m->value,
                          .headers = (struct log_header *)(uintptr_t)m->headers,
                          .header_count = m->header_count};
    struct memory_partition *p = part(l, m->topic, m->partition);
    append(p, &entry);
    p->delivered = m->delivered;
    return true;
}

static bool log_commit(struct log *log, const struct log_committed *inputs, size_t n, struct err *e) {
    struct memory_log *l = of(log);
    bool fails;
    if (!enter(l, CALL_COMMIT, &fails, e))
        return false;
    assert_true(l->in_transaction);
    if (l->refused)
        return err_set(e, ERR_REFUSED, "Kafka refuses a record");
    for (size_t i = 0; i < n; i++) {
        struct memory_partition *p = part(l, inputs[i].topic, inputs[i].partition);
        assert_true(inputs[i].offset >= p->group || inputs[i].cuts > p->group_cuts ||
                    p->group > (int64_t)p->count); /* only forward */
        p->group = inputs[i].offset;
        p->group_time = inputs[i].time;
        p->group_cuts = inputs[i].cuts;
    }
    end(l, false, true);
    l->in_transaction = false;
    return !fails;
}

static bool log_abort(struct log *log, struct err *e) {
    bool fails;
    if (!enter(of(log), CALL_ABORT, &fails, e) || fails)
        return false;
    assert_true(of(log)->in_transaction);
    end(of(log), false, false);
    of(log)->in_transaction = false;
    return true;
}

/* ---- the rest ---- */

static int64_t log_seen_end(struct log *log, enum log_queue q, const struct topic *t, int32_t partition) {
    return atomic_load(&part(of(log), t, partition)->readers[q].end_seen) - 1;
}

static bool troubled(struct log *log, char *text, size_t size) {
    if (of(log)->trouble != NULL)
        snprintf(text, size, "%s", of(log)->trouble);
    return of(log)->trouble != NULL;
}

static void log_wake(struct log *log) {
    atomic_store(&of(log)->woken, true);
}

void memory_log_fail(struct memory_log *l, enum log_call call, enum err_kind kind, int times, bool done) {
    l->faults[call].kind = kind;
    l->faults[call].times = times;
    l->faults[call].done = done;
}

struct memory_log *memory_log_create(int32_t partitions) {
    static const struct log_ops ops = {
        .now_ms = log_now_ms,
        .partitions = log_partitions,
        .subscribe = log_subscribe,
        .read = log_read,
        .unread = log_unread,
        .poll = log_poll,
        .release = log_release,
        .header = log_header,
        .headers = log_headers,
        .time_ms = log_time_ms,
        .committed = log_committed,
        .ends = log_ends,
        .init = log_init,
        .begin = log_begin,
        .produce = log_produce,
        .commit = log_commit,
        .abort = log_abort,
        .visible = log_visible,
        .seen_end = log_seen_end,
        .troubled = troubled,
        .wake = log_wake,
    };
    struct memory_log *l = xcalloc(1, sizeof *l);
    l->log.ops = &ops;
    l->now = 1;
    assert_true(topics_count <= LOG_TOPICS_MAX && partitions <= LOG_PARTITIONS_MAX);
    for (size_t i = 0; i < topics_count; i++)
        l->partitions[i] = partitions;
    for (int t = 0; t < LOG_TOPICS_MAX; t++)
        for (int k = 0; k < LOG_PARTITIONS_MAX; k++)
            l->parts[t][k].group = -1;
    return l;
}

void memory_log_destroy(struct memory_log *l) {
    for (int t = 0; t < LOG_TOPICS_MAX; t++)
        for (int k = 0; k < LOG_PARTITIONS_MAX; k++) {
            for (size_t i = 0; i < l->parts[t][k].count; i++)
                free(l->parts[t][k].entries[i].memory);
            free(l->parts[t][k].entries);
        }
    free(l);
}

void memory_log_disconnect(struct memory_log *l) {
    for (int t = 0; t < LOG_TOPICS_MAX; t++)
        for (int k = 0; k < LOG_PARTITIONS_MAX; k++)
            memset(l->parts[t][k].readers, 0, sizeof l->parts[t][k].readers);
    l->listener = NULL;
}
