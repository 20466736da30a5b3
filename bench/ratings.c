/* ratings: how fast ratings that are in the log already become counts and sums, exactly once; and how fast
 * the views come back from the log. Beside each, what a bare consumer of librdkafka takes to read the same
 * records.
 *
 *   ratings [--count N] [--movies N] [--json]      N ratings (2000000) of N movies (500), popular ones more
 * often
 *
 * Runs the service's program by itself, on a view of its own: the suite's must be stopped (./demo stop
 * ratings).
 *   --timeout S   gives up after so long (300)
 * Environment: KAFKA_BROKERS (localhost:9092), REGISTRY_URL, PARTITIONS.
 * Exit codes: 0; 1 when not all were counted, or Kafka is away; 2 usage. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "client.h"
#include "events/registry.h"
#include "events/schemas.h"
#include "options.h"
#include "processes.h"
#include "schemas/schemas.gen.h"
#include "taste.h"
#include "where.h"
#include "writer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 50, BATCH = 1000, REQUEST_MS = 15000 };

static const char *const service_name[] = {"ratings", NULL};

struct bench {
    double count, movies, timeout_s;
    bool json;
    const struct where *suite;
    char program[4096], data_dir[64], url[64];
    struct client *client;
    pid_t pid;
    struct result {
        double records, seconds, peer_records, peer_seconds;
    } counted, hydrated;
    int64_t peak_bytes, hydrated_peak_bytes;
    double cpu_us; /* of the service, a rating */
};

static void pause_ms(long ms) {
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static double seconds_since(int64_t us) {
    return (double)(clock_mono_us() - us) / 1e6;
}

/* ---- writing ---- */

static bool write_all(struct bench *b, struct schemas *s, struct err *err) {
    struct writer *w;
    if (!writer_create(b->suite, s, topics_count, &w, err))
        return false;
    uint64_t random = 1;
    bool ok = writer_prepare(w, &topic_raw_ratings, &topic_raw_ratings, err);
    for (size_t sent = 0; ok && sent < (size_t)b->count; sent++) {
        struct raw_rating r = {.movie_id = 1 + (int64_t)taste_movie(&random, (size_t)b->movies)};
        r.rating_tenths = taste_tenths(&random, r.movie_id);
        char key[24];
        int size = snprintf(key, sizeof key, "%" PRId64, r.movie_id);
        ok = writer_write(w, &topic_raw_ratings, &topic_raw_ratings, (struct slice){key, (size_t)size}, &r,
                          clock_wall_ms(), err);
    }
    ok = ok && writer_flush(w, err);
    writer_destroy(w);
    return ok;
}

/* ---- the peer: a consumer that does nothing with what it reads ---- */

struct peer {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
};

static bool peer_open(const struct bench *b, struct peer *p, struct err *err) {
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *const values[][2] = {
        {"bootstrap.servers", b->suite->brokers}, {"group.id", "bench"},
        {"enable.auto.commit", "false"},          {"isolation.level", "read_committed"},
        {"enable.partition.eof", "true"},         {"check.crcs", "false"},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        rd_kafka_conf_set(conf, values[i][0], values[i][1], text, sizeof text);
    p->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (p->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return err_set(err, ERR_CONFIG, "%s", text);
    }
    rd_kafka_poll_set_consumer(p->rk);
    p->queue = rd_kafka_queue_get_consumer(p->rk);
    return true;
}

static void peer_close(struct peer *p) {
    if (p->rk == NULL)
        return;
    rd_kafka_queue_destroy(p->queue);
    rd_kafka_consumer_close(p->rk);
    rd_kafka_destroy(p->rk);
}

/* Partitions of the topics, each from `from` (by topic, then partition; NULL: the beginning). */
static rd_kafka_topic_partition_list_t *partitions_of(struct peer *p, const struct topic *const *topics_,
                                                      struct err *err) {
    const struct rd_kafka_metadata *m;
    if (rd_kafka_metadata(p->rk, 1, NULL, &m, REQUEST_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        err_set(err, ERR_RETRY, "Kafka does not answer");
        return NULL;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (; *topics_ != NULL; topics_++)
        for (int i = 0; i < m->topic_cnt; i++)
            if (strcmp(m->topics[i].topic, (*topics_)->name) == 0)
                rd_kafka_topic_partition_list_add_range(list, (*topics_)->name, 0,
                                                        m->topics[i].partition_cnt - 1);
    rd_kafka_metadata_destroy(m);
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = RD_KAFKA_OFFSET_BEGINNING;
    return list;
}

/* Where the partitions end now. */
static bool aim_at_ends(struct peer *p, rd_kafka_topic_partition_list_t *list, struct err *err) {
    for (int i = 0; i < list->cnt; i++) {
        int64_t low;
        if (rd_kafka_query_watermark_offsets(p->rk, list->elems[i].topic, list->elems[i].partition, &low,
                                             &list->elems[i].offset,
                                             REQUEST_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
            return err_set(err, ERR_RETRY, "Kafka does not answer");
    }
    return true;
}

/* Reads to the ends; the time counts from the first record. */
static bool peer_read(struct peer *p, const rd_kafka_topic_partition_list_t *list, struct result *r,
                      struct err *err) {
    static rd_kafka_message_t *messages[BATCH];
    int open = list->cnt;
    int64_t first = 0, last = 0, deadline = clock_mono_us() + 60 * INT64_C(1000000);
    rd_kafka_assign(p->rk, list);
    while (open > 0) {
        ssize_t n = rd_kafka_consume_batch_queue(p->queue, 500, messages, BATCH);
        for (ssize_t i = 0; i < n; i++) {
            if (messages[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
                open--;
            else if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                last = clock_mono_us();
                first = first == 0 ? last : first;
                r->peer_records++;
            }
            rd_kafka_message_destroy(messages[i]);
        }
        if (clock_mono_us() > deadline)
            return err_set(err, ERR_RETRY, "a bare consumer does not come to the end");
    }
    r->peer_seconds = (double)(last - first) / 1e6;
    rd_kafka_assign(p->rk, NULL);
    return true;
}

/* ---- the service ---- */

static int free_port(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int port =
        bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && getsockname(fd, (struct sockaddr *)&a, &size) == 0
            ? ntohs(a.sin_port)
            : 0;
    close(fd);
    return port;
}

static bool service_start(struct bench *b, struct err *err) {
    char port[16];
    snprintf(port, sizeof port, "%d", free_port());
    snprintf(b->url, sizeof b->url, "http://127.0.0.1:%s", port);
    fflush(NULL);
    b->pid = fork();
    if (b->pid < 0)
        return err_set(err, ERR_FATAL, "fork: %s", strerror(errno));
    if (b->pid == 0) {
        setenv("KAFKA_BROKERS", b->suite->brokers, 1);
        setenv("REGISTRY_URL", b->suite->registry.url, 1);
        setenv("DATA_DIR", b->data_dir, 1);
        setenv("PORT", port, 1);
        setenv("SLOT", "0", 1);
        if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
            _exit(1);
        execl(b->program, "ratings", (char *)NULL);
        _exit(127);
    }
    client_destroy(b->client);
    b->client = NULL;
    return client_create(b->url, &b->client, err);
}

static void service_stop(struct bench *b) {
    if (b->pid <= 0)
        return;
    kill(b->pid, SIGTERM);
    waitpid(b->pid, NULL, 0);
    b->pid = 0;
}

/* CPU time of the processes that were waited for. */
static double ended_cpu_us(void) {
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static bool service_lives(struct bench *b, struct err *err) {
    int status;
    if (waitpid(b->pid, &status, WNOHANG) == 0)
        return true;
    b->pid = 0;
    return err_set(err, ERR_FATAL, "%s ended with %d", b->program,
                   WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static void on_answer(void *context, const struct answer *a) {
    struct buf *out = context;
    buf_clear(out);
    if (a->status == 200)
        buf_append_slice(out, a->body);
    buf_append_byte(out, 0);
}

/* The body of a GET, "" where none came. */
static const char *get(struct bench *b, const char *path, struct buf *body) {
    client_send(b->client, "GET", path, SLICE_NONE, REQUEST_MS, on_answer, body);
    while (client_busy(b->client) > 0)
        client_wait(b->client, 100);
    return body->data;
}

/* A metric's value; its name is followed by a label that begins with `label`. */
static int64_t metric(const char *metrics, const char *start) {
    const char *at = strstr(metrics, start);
    at = at == NULL ? NULL : strchr(at, ' ');
    return at == NULL ? 0 : strtoll(at, NULL, 10);
}

/* From the first ratings that are seen counted to the commit of the last. */
static bool count_all(struct bench *b, struct err *err) {
    static const char in[] = "insideout_records_in_total{topology=\"ratings\",topic=\"raw-ratings\"}";
    static const char commits[] = "insideout_transactions_committed_total{topology=\"ratings\"}";
    _cleanup_(buf_free) struct buf body = {0};
    int64_t start = clock_mono_us(), first = 0, before = 0, seen = 0, done = -1;
    while (done < 0 || metric(body.data, commits) <= done) {
        pause_ms(LOOK_MS);
        if (!service_lives(b, err))
            return false;
        seen = metric(get(b, "/metrics", &body), in);
        if (first == 0 && seen > 0)
            first = clock_mono_us(), before = seen;
        if (done < 0 && seen >= (int64_t)b->count)
            done = metric(body.data, commits) - (seconds_since(first) > 1 ? 0 : 1);
        if (done >= 0 && seconds_since(start) > b->timeout_s)
            break;
        if (seconds_since(start) > b->timeout_s)
            return err_set(err, ERR_RETRY, "%" PRId64 " of %.0f ratings were counted within %.0f s", seen,
                           b->count, b->timeout_s);
    }
    b->counted.records = (double)(seen - before);
    b->counted.seconds = seconds_since(first);
    return true;
}

/* From the first record that is seen read to the view being ready. */
static bool hydrate_all(struct bench *b, struct err *err) {
    _cleanup_(buf_free) struct buf body = {0};
    int64_t start = clock_mono_us(), first = 0;
    double before = 0;
    for (;;) {
        pause_ms(2);
        if (!service_lives(b, err))
            return false;
        json_t *status = json_loads(get(b, "/v1/ratings/status", &body), 0, NULL), *stream;
        double records = 0;
        size_t i;
        json_array_foreach(json_object_get(status, "streams"), i, stream) {
            records += (double)json_integer_value(json_object_get(stream, "records"));
        }
        bool ready = json_is_true(json_object_get(status, "ready"));
        json_decref(status);
        if (first == 0 && records > 0)
            first = clock_mono_us(), before = records;
        if (ready) {
            b->hydrated.records = records - before;
            b->hydrated.seconds = seconds_since(first);
            return true;
        }
        if (seconds_since(start) > b->timeout_s)
            return err_set(err, ERR_RETRY, "not ready after %.0f s: %s", b->timeout_s, body.data);
    }
}

static int64_t peak(const struct bench *b) {
    struct process all[PROCESSES_MAX];
    size_t n = processes_find(service_name, b->suite->brokers, all);
    for (size_t i = 0; i < n; i++)
        if (all[i].pid == b->pid)
            return all[i].peak_bytes;
    return 0;
}

static void remove_views(const struct bench *b) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", b->data_dir);
    if (system(command) != 0) /* NOLINT: a directory that mkdtemp made */
        fprintf(stderr, "ratings: %s is left behind\n", b->data_dir);
}

/* ---- the run ---- */

static bool measure_counting(struct bench *b, struct peer *p, struct schemas *s, struct err *err) {
    const struct topic *const raw[] = {&topic_raw_ratings, NULL};
    rd_kafka_topic_partition_list_t *list = partitions_of(p, raw, err);
    bool ok = list != NULL && aim_at_ends(p, list, err);
    /* The service catches up first with what others wrote, so that only ours is left. */
    ok = ok && service_start(b, err) && hydrate_all(b, err);
    service_stop(b);
    int64_t start = clock_mono_us();
    ok = ok && write_all(b, s, err);
    if (ok)
        fprintf(stderr, "%.0f ratings written in %.2f s\n", b->count, seconds_since(start));
    double before = ended_cpu_us();
    ok = ok && peer_read(p, list, &b->counted, err) && service_start(b, err) && count_all(b, err);
    if (ok)
        b->peak_bytes = peak(b);
    service_stop(b);
    b->cpu_us = (ended_cpu_us() - before) / b->count;
    if (list != NULL)
        rd_kafka_topic_partition_list_destroy(list);
    return ok;
}

static bool measure_hydration(struct bench *b, struct peer *p, struct err *err) {
    const struct topic *const kept[] = {&topic_rated_movies, &topic_rating_totals, &topic_rating_history,
                                        NULL};
    rd_kafka_topic_partition_list_t *list = partitions_of(p, kept, err);
    bool ok = list != NULL && peer_read(p, list, &b->hydrated, err);
    remove_views(b);
    ok = ok && service_start(b, err) && hydrate_all(b, err);
    if (ok)
        b->hydrated_peak_bytes = peak(b);
    service_stop(b);
    if (list != NULL)
        rd_kafka_topic_partition_list_destroy(list);
    return ok;
}

static double rate(double records, double seconds) {
    return seconds > 0 ? records / seconds : 0;
}

static void put(struct json *j, const char *name, const struct result *r, int64_t bytes) {
    json_key(j, name), json_begin_object(j);
    json_key(j, "records"), json_put_int(j, (int64_t)r->records);
    json_key(j, "perSecond"), json_put_double(j, rate(r->records, r->seconds));
    json_key(j, "peerRecords"), json_put_int(j, (int64_t)r->peer_records);
    json_key(j, "peerPerSecond"), json_put_double(j, rate(r->peer_records, r->peer_seconds));
    json_key(j, "ratio"),
        json_put_double(j, rate(r->records, r->seconds) / rate(r->peer_records, r->peer_seconds));
    json_key(j, "peakRssBytes"), json_put_int(j, bytes);
    json_end_object(j);
}

static void print(const char *what, const struct result *r, int64_t bytes) {
    double ours = rate(r->records, r->seconds), bare = rate(r->peer_records, r->peer_seconds);
    printf("%-40s %10.0f records/s in %6.2f s  bare consumer: %10.0f records/s  ratio %.2f  %6.1f MB\n", what,
           ours, r->seconds, bare, ours / bare, (double)bytes / 1048576);
}

static void report(const struct bench *b) {
    if (!b->json) {
        print("raw-ratings counted, exactly once", &b->counted, b->peak_bytes);
        printf("%-40s %10.2f us of CPU a rating\n", "", b->cpu_us);
        print("views hydrated from the log", &b->hydrated, b->hydrated_peak_bytes);
        return;
    }
    _cleanup_(buf_free) struct buf out = {0};
    struct json j = {.out = &out};
    json_begin_object(&j);
    put(&j, "counted", &b->counted, b->peak_bytes);
    put(&j, "hydrated", &b->hydrated, b->hydrated_peak_bytes);
    json_key(&j, "cpuMicrosecondsPerRating"), json_put_double(&j, b->cpu_us);
    json_end_object(&j);
    printf(SLICE_FMT "\n", SLICE_ARG(buf_slice(&out)));
}

static bool prepare(struct bench *b, const char *self, struct err *err) {
    struct process all[PROCESSES_MAX];
    if (processes_find(service_name, b->suite->brokers, all) > 1) /* the first is this program */
        return err_set(err, ERR_CONFIG, "the service ratings runs on %s: stop it first (./demo stop ratings)",
                       b->suite->brokers);
    const char *slash = strrchr(self, '/');
    snprintf(b->program, sizeof b->program, "%.*s../services/ratings/ratings",
             slash == NULL ? 0 : (int)(slash - self + 1), self);
    if (access(b->program, X_OK) != 0)
        return err_set(err, ERR_CONFIG, "%s: %s", b->program, strerror(errno));
    snprintf(b->data_dir, sizeof b->data_dir, "/tmp/ratings-bench-XXXXXX");
    return mkdtemp(b->data_dir) != NULL || err_set(err, ERR_FATAL, "%s: %s", b->data_dir, strerror(errno));
}

int main(int argc, char **argv) {
    struct bench b = {.count = 2000000, .movies = 500, .timeout_s = 300};
    struct err err = {0};
    const struct option_spec options[] = {
        {.name = "count", .min = 1, .max = 1e9, .number = &b.count},
        {.name = "movies", .min = 1, .max = 1e6, .number = &b.movies},
        {.name = "timeout", .min = 1, .max = 86400, .number = &b.timeout_s},
        {.name = "json", .flag = &b.json},
        {0},
    };
    if (!options_parse(argc, argv, options)) {
        fprintf(stderr, "usage: ratings [--count N] [--movies N] [--timeout S] [--json]\n");
        return 2;
    }
    b.suite = where_suite_is(&err);
    if (b.suite == NULL)
        return fprintf(stderr, "ratings: %s\n", err.text), 1;
    struct registry *registry = registry_http_create(&b.suite->registry);
    struct schemas *schemas = schemas_create(registry);
    struct peer peer = {0};
    bool ok = prepare(&b, argv[0], &err);
    bool prepared = ok;
    ok = ok && peer_open(&b, &peer, &err) && measure_counting(&b, &peer, schemas, &err) &&
         measure_hydration(&b, &peer, &err);
    if (ok)
        report(&b);
    else
        fprintf(stderr, "ratings: %s\n", err.text);
    service_stop(&b);
    if (prepared)
        remove_views(&b);
    client_destroy(b.client);
    peer_close(&peer);
    schemas_destroy(schemas);
    registry_destroy(registry);
    return ok ? 0 : 1;
}
