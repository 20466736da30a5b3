/* bench/positions: many cars report where they are, once a second each, and what that costs the services that
 * keep the view.
 *
 *   positions [--cars N] [--seconds N] [--http] [--json]
 *
 * Straight into the topic, or with --http through the gateway. Tells how much of one core each process of
 * driver and rider took meanwhile, of that its thread which keeps the table, and its memory. Environment:
 * KAFKA_BROKERS, REGISTRY_URL, GATEWAY_URL. Exit codes: 0; 1 not all reports were taken; 2 usage, or nothing
 * there to measure. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "events/registry.h"
#include "events/schemas.h"
#include "kafka/producer.h"
#include "options.h"
#include "processes.h"
#include "requests.h"
#include "samples.h"
#include "schemas/schemas.gen.h"
#include "where.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_MS = 15000, DRAIN_MS = 15000, CONNECTIONS = 64, WARM_S = 3 };

struct bench {
    double cars, seconds;
    bool http, json;
    struct requests *requests;
    struct producer *producer;
    struct registry *registry;
    struct schemas *schemas;
    int64_t start_us;
    size_t sent;
    atomic_size_t taken, lost;
    struct samples us; /* of HTTP */
};

/* ---- reports ---- */

/* Each car drives its own circle about a city of some 10 km. */
static struct position report(size_t car, size_t round, char id[16]) {
    double at = (double)car * 2.399963, turn = at + (double)round * 0.05;
    double r = 0.045 * sqrt((double)(car % 997) / 997);
    int size = snprintf(id, 16, "bench-%zu", car);
    return (struct position){.id = {id, (size_t)size},
                             .lat = 52.5 + r * sin(at) + 0.001 * sin(turn),
                             .lon = 13.4 + r * 1.6 * cos(at) + 0.0016 * cos(turn),
                             .heading = {true, fmod(turn * 57.29578, 360)},
                             .status = SLICE("ONLINE"),
                             .simulated = true};
}

static void on_acknowledged(void *context, void *ticket, int64_t offset) {
    struct bench *b = context;
    (void)ticket;
    atomic_fetch_add(offset >= 0 ? &b->taken : &b->lost, 1);
}

static bool send_record(struct bench *b, const struct position *p, struct err *err) {
    _cleanup_(buf_free) struct buf payload = {0};
    if (!schemas_encode(b->schemas, &topic_driver_positions, p, &payload, err))
        return false;
    struct log_message m = {.topic = &topic_driver_positions,
                            .timestamp = clock_wall_ms(),
                            .key = p->id,
                            .value = buf_slice(&payload)};
    return producer_send(b->producer, &m, NULL, err);
}

static void on_answer(void *context, int status, int64_t due_us) {
    struct bench *b = context;
    atomic_fetch_add(status == 202 ? &b->taken : &b->lost, 1);
    samples_add(&b->us, clock_mono_us() - due_us);
}

static bool send_post(struct bench *b, const struct position *r, int64_t due_us) {
    char path[64], body[200];
    snprintf(path, sizeof path, "/v1/drivers/" SLICE_FMT "/position", SLICE_ARG(r->id));
    int size = snprintf(body, sizeof body, "{\"lat\":%.6f,\"lon\":%.6f,\"heading\":%.1f,\"simulated\":true}",
                        r->lat, r->lon, r->heading.value);
    return requests_send(b->requests, path, (struct slice){body, (size_t)size}, due_us);
}

static size_t ended(const struct bench *b) {
    return atomic_load(&b->taken) + atomic_load(&b->lost);
}

/* Sends what is due by now; spread evenly over each second. */
static bool send_due(struct bench *b, struct err *err) {
    size_t cars = (size_t)b->cars;
    for (;;) {
        int64_t due = b->start_us + (int64_t)((double)b->sent * 1e6 / b->cars);
        if (due > clock_mono_us())
            return true;
        char id[16];
        struct position r = report(b->sent % cars, b->sent / cars, id);
        if (b->http && !send_post(b, &r, due))
            return true; /* all connections wait for an answer */
        if (!b->http && !send_record(b, &r, err))
            return false;
        b->sent++;
    }
}

static void pause_a_little(struct bench *b) {
    if (b->http)
        requests_wait(b->requests, 2);
    else
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static bool drive(struct bench *b, double seconds, struct err *err) {
    size_t until = b->sent + (size_t)(b->cars * seconds);
    while (b->sent < until) {
        if (!send_due(b, err))
            return false;
        pause_a_little(b);
    }
    return true;
}

static void drain(struct bench *b) {
    for (int64_t deadline = clock_mono_us() + DRAIN_MS * 1000;
         ended(b) < b->sent && clock_mono_us() < deadline;)
        pause_a_little(b);
}

/* ---- what it costs ---- */

/* Seconds of CPU in a stat file of /proc. */
static double cpu_seconds(const char *path, char name[32]) {
    unsigned long user = 0, system = 0;
    FILE *f = fopen(path, "re");
    if (f != NULL && fscanf(f, "%*d (%31[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", name,
                            &user, &system) != 3)
        user = system = 0;
    if (f != NULL)
        fclose(f);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

struct cost {
    double process, view;
};

static struct cost cost_of(pid_t pid) {
    char path[300], name[32] = "";
    struct cost c = {0};
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    c.process = cpu_seconds(path, name);
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    const struct dirent *entry;
    while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/stat", (int)pid, entry->d_name);
        double seconds = atoi(entry->d_name) > 0 ? cpu_seconds(path, name) : 0;
        size_t size = strlen(name);
        if (size > 5 && strcmp(name + size - 5, "-view") == 0)
            c.view += seconds;
    }
    if (tasks != NULL)
        closedir(tasks);
    return c;
}

static void tell(struct bench *b, const struct process *p, const struct cost *before, size_t n,
                 double seconds) {
    _cleanup_(buf_free) struct buf out = {0};
    struct json j = {.out = &out};
    json_begin_object(&j);
    json_key(&j, "cars"), json_put_int(&j, (int64_t)b->cars);
    json_key(&j, "perSecond"),
        json_put_double(&j, (double)b->sent / ((double)(clock_mono_us() - b->start_us) / 1e6));
    if (b->http)
        json_key(&j, "acceptedMs"), samples_json(&b->us, &j);
    json_key(&j, "lost"), json_put_int(&j, (int64_t)atomic_load(&b->lost));
    json_key(&j, "processes"), json_begin_array(&j);
    if (!b->json)
        printf("%.0f cars, one report a second each, %s\n%-16s %14s %14s %10s\n", b->cars,
               b->http ? "over HTTP" : "into the topic", "process", "% of a core", "of it: table", "MB");
    for (size_t i = 0; i < n; i++) {
        struct cost c = cost_of(p[i].pid);
        double all = (c.process - before[i].process) / seconds * 100,
               view = (c.view - before[i].view) / seconds * 100;
        if (!b->json)
            printf("%-16s %14.1f %14.1f %10.1f\n", p[i].name, all, view, (double)p[i].rss_bytes / 1e6);
        json_begin_object(&j);
        json_key(&j, "name"), json_put_string(&j, slice_of(p[i].name));
        json_key(&j, "cpuPercent"), json_put_double(&j, all);
        json_key(&j, "tablePercent"), json_put_double(&j, view);
        json_key(&j, "rssBytes"), json_put_int(&j, p[i].rss_bytes);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_end_object(&j);
    if (b->json)
        printf(SLICE_FMT "\n", SLICE_ARG(buf_slice(&out)));
    if (b->http && !b->json) {
        samples_print_head();
        samples_print(&b->us, "202 after");
    }
}

/* ---- the program ---- */

static const char *setting(const char *name, const char *fallback) {
    const char *value = getenv(name);
    return value == NULL || *value == 0 ? fallback : value;
}

static bool open_all(struct bench *b, struct err *err) {
    const struct where *suite = where_suite_is(err);
    if (suite == NULL)
        return false;
    struct producer_options options = {.brokers = suite->brokers,
                                       .properties = suite->properties,
                                       .topic_count = topics_count,
                                       .done = on_acknowledged,
                                       .context = b};
    if (b->http)
        return requests_create(setting("GATEWAY_URL", "http://localhost:8000"), CONNECTIONS, on_answer, b,
                               &b->requests, err);
    b->registry = registry_http_create(&suite->registry);
    b->schemas = schemas_create(b->registry);
    return schemas_register(b->schemas, &topic_driver_positions, err) &&
           producer_create(&options, &b->producer, err) &&
           producer_prepare(b->producer, &topic_driver_positions, err);
}

static bool run(struct bench *b, struct err *err) {
    static const char *const names[] = {"driver", "rider", NULL};
    struct process p[PROCESSES_MAX];
    struct cost before[PROCESSES_MAX] = {0}; /* of one that starts in between: none */
    const char *brokers = setting("KAFKA_BROKERS", "localhost:9092");
    if (processes_find(names, brokers, p) == 0)
        return err_set(err, ERR_RETRY, "no driver or rider runs with KAFKA_BROKERS=%s", brokers);
    if (!open_all(b, err))
        return false;
    b->start_us = clock_mono_us();
    if (!drive(b, WARM_S, err))
        return false;
    size_t n = processes_find(names, brokers, p);
    for (size_t i = 0; i < n; i++)
        before[i] = cost_of(p[i].pid);
    int64_t since = clock_mono_us();
    if (!drive(b, b->seconds, err))
        return false;
    double seconds = (double)(clock_mono_us() - since) / 1e6;
    n = processes_find(names, brokers, p);
    tell(b, p, before, n, seconds);
    drain(b);
    return true;
}

int main(int argc, char **argv) {
    struct bench b = {.cars = 5000, .seconds = 20};
    struct err err = {0};
    const struct option_spec specs[] = {{.name = "cars", .min = 1, .max = 1e6, .number = &b.cars},
                                        {.name = "seconds", .min = 1, .max = 3600, .number = &b.seconds},
                                        {.name = "http", .flag = &b.http},
                                        {.name = "json", .flag = &b.json},
                                        {0}};
    if (!options_parse(argc, argv, specs))
        return 2;
    bool ok = run(&b, &err);
    size_t missing = b.sent - atomic_load(&b.taken);
    if (!ok)
        fprintf(stderr, "positions: %s\n", err.text);
    else if (missing > 0)
        fprintf(stderr, "positions: %zu of %zu reports were not taken\n", missing, b.sent);
    requests_destroy(b.requests);
    producer_destroy(b.producer);
    schemas_destroy(b.schemas);
    registry_destroy(b.registry);
    samples_free(&b.us);
    return !ok ? 2 : missing > 0;
}
