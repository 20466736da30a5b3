#include "kafka/internal.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int64_t kafka_now_ms(struct log *l) {
    (void)l;
    return clock_mono_us() / 1000;
}

static int64_t kafka_time_ms(struct log *l) {
    (void)l;
    return clock_wall_ms();
}

static bool kafka_poll(struct log *l, bool inputs, struct log_record *records, size_t max, int timeout_ms,
                       size_t *n, struct err *e) {
    struct kafka *k = kafka_of(l);
    *n = 0;
    if (inputs && atomic_load(&k->link.down) && kafka_still_away(k, e))
        return false;
    for (int attempt = 0;; attempt++) {
        uint64_t events;
        if (read(k->event, &events, sizeof events) < 0 && errno != EAGAIN)
            return err_set(e, ERR_FATAL, "eventfd: %s", strerror(errno));
        k->told = false;
        if (inputs) {
            if (!kafka_member_serve(k, e))
                return false;
            kafka_member_look(k);
        }
        if (k->producer != NULL)
            rd_kafka_poll(k->producer, 0);
        if (k->asker != NULL)
            rd_kafka_poll(k->asker, 0);
        kafka_readers_watch(k);
        *n += kafka_take(k, inputs, records, max);
        if (*n > 0 || k->told || attempt > 0 || timeout_ms == 0)
            return true;
        struct pollfd fd = {.fd = k->event, .events = POLLIN};
        if (poll(&fd, 1, timeout_ms) == 0)
            return true;
    }
}

static struct slice kafka_header(const struct log_record *r, const char *name) {
    rd_kafka_headers_t *headers;
    const void *value;
    size_t size;
    if (rd_kafka_message_headers(r->handle, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return SLICE_NONE;
    return (struct slice){value, size};
}

static size_t kafka_headers(const struct log_record *r, struct log_header *out, size_t max) {
    rd_kafka_headers_t *headers;
    size_t n = 0;
    if (rd_kafka_message_headers(r->handle, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    const void *value;
    while (n < max && rd_kafka_header_get_all(headers, n, &out[n].name, &value, &out[n].value.size) ==
                          RD_KAFKA_RESP_ERR_NO_ERROR)
        out[n++].value.data = value;
    return n;
}

void kafka_metrics(struct log *l, const char *topology, struct metrics *m) {
    static const char *const roles[CLIENTS] = {"group",          "inputs",       "backlog",
                                               "tables",         "changelogs",   "patient-inputs",
                                               "patient-tables", "transactions", "questions"};
    static const struct metric mended = {
        "insideout_kafka_group_mends_total", METRIC_COUNTER,
        "Times that this instance had to join again because the group had left tasks to nobody."};
    metrics_add(m, &mended, (double)counter_get(&kafka_of(l)->mended), "topology", topology, NULL);
    static const struct metric renewed = {"insideout_kafka_readers_renewed_total", METRIC_COUNTER,
                                          "Times that a reader was made anew because it got nothing although "
                                          "there was something, or an error that lasted."};
    for (int q = 0; q < READERS; q++)
        metrics_add(m, &renewed, (double)counter_get(&kafka_of(l)->renewed[q]), "topology", topology,
                    "client", roles[CLIENT_READERS + q], NULL);
    for (int i = 0; i < CLIENTS; i++)
        kafka_traffic_metrics(&kafka_of(l)->traffic[i], topology, roles[i], m);
}

/* A member that has tasks got over what it met. */
static bool kafka_troubled(struct log *l, char *text, size_t size) {
    struct kafka *k = kafka_of(l);
    bool stays_out = k->member_error != RD_KAFKA_RESP_ERR_NO_ERROR && k->tasks == 0;
    bool forbidden = k->forbidden.why.kind != ERR_NONE;
    if (k->strangers[0] != 0)
        snprintf(text, size, "%s", k->strangers);
    else if (forbidden)
        snprintf(text, size, "%s", k->forbidden.why.text);
    else if (stays_out)
        snprintf(text, size, "waiting for the group %s: %s", k->group, rd_kafka_err2str(k->member_error));
    else if (k->troubles > 0)
        snprintf(text, size, "%s", k->trouble);
    return k->strangers[0] != 0 || forbidden || stays_out || k->troubles > 0;
}

static void kafka_wake(struct log *l) {
    uint64_t one = 1;
    if (write(kafka_of(l)->event, &one, sizeof one) < 0)
        return; /* the counter is full: it wakes as it is */
}

static void kafka_destroy(struct log *l) {
    struct kafka *k = kafka_of(l);
    k->listener = (struct log_listener){0};
    kafka_producer_drop(k);
    free(k->producer_topics);
    kafka_readers_destroy(k);
    kafka_asker_drop(k);
    free(k->asker_topics);
    kafka_member_destroy(k);
    close(k->event);
    free(k->messages);
    free(k->partitions);
    kafka_link_finish(&k->link);
    free(k->group);
    free(k->identity);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

bool kafka_create(const struct kafka_options *o, struct log **log, struct err *e) {
    static const struct log_ops ops = {
        .now_ms = kafka_now_ms,
        .partitions = kafka_partitions,
        .subscribe = kafka_subscribe,
        .leave = kafka_leave,
        .read = kafka_read,
        .unread = kafka_unread,
        .poll = kafka_poll,
        .release = kafka_release,
        .header = kafka_header,
        .headers = kafka_headers,
        .time_ms = kafka_time_ms,
        .committed = kafka_committed,
        .ends = kafka_ends,
        .init = kafka_init,
        .begin = kafka_begin,
        .produce = kafka_produce,
        .commit = kafka_commit,
        .abort = kafka_abort,
        .visible = kafka_visible,
        .seen_end = kafka_seen_end,
        .troubled = kafka_troubled,
        .wake = kafka_wake,
        .destroy = kafka_destroy,
    };
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event < 0)
        return err_set(e, ERR_FATAL, "eventfd: %s", strerror(errno));
    struct kafka *k = xcalloc(1, sizeof *k);
    k->log.ops = &ops;
    k->event = event;
    pthread_mutex_init(&k->lock, NULL);
    kafka_link_init(&k->link, o->brokers, o->properties, k);
    k->group = o->group == NULL ? NULL : xstrdup(o->group);
    k->identity = xstrdup(o->identity);
    k->topic_count = o->topic_count;
    k->watch.pause_ms = o->watch_ms > 0 ? o->watch_ms : WATCH_MS;
    k->patient = o->patient;
    k->partitions = xcalloc(o->topic_count, sizeof *k->partitions);
    k->producer_topics = xcalloc(o->topic_count, sizeof(rd_kafka_topic_t *));
    k->asker_topics = xcalloc(o->topic_count, sizeof(rd_kafka_topic_t *));
    *log = &k->log;
    return true;
}
