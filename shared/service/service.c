#include "service/service.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "events/registry.h"
#include "feeds/feeds.h"
#include "instance/traces.h"
#include "kafka/kafka.h"
#include "partitions/assignments.h"
#include "process/logger.h"
#include "service/acls.h"
#include "service/health.h"
#include "service/worker.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    HAND_OVER_MS = 6000,
    HAND_OVER_LOOK_MS = 5,
    DRAIN_MS = 10000,
    FILES = 8192,
};

/* What jemalloc looks for: as small as a service should be, and what a flood took is given back soon. Weak:
 * whose program it is may say otherwise. */
extern const char *malloc_conf;
__attribute__((weak)) const char *malloc_conf = "narenas:1,dirty_decay_ms:300,muzzy_decay_ms:0";

static void *background_main(void *context) {
    struct instance *i = context;
    prctl(PR_SET_NAME, "background");
    i->service->background(i);
    return NULL;
}

static size_t count_topics(const struct service *service) {
    size_t count = 0;
#define SEE(t) (count = (size_t)(t)->number + 1 > count ? (size_t)(t)->number + 1 : count)
    for (const struct topology *const *t = service->topologies; *t != NULL; t++)
        count = topology_topics(*t) > count ? topology_topics(*t) : count;
    for (const struct topic *const *o = service->publishes; o != NULL && *o != NULL; o++)
        SEE(*o);
    for (const struct topic *const *o = service->follows; o != NULL && *o != NULL; o++)
        SEE(*o);
    for (const struct delivery *const *d = service->deliveries; d != NULL && *d != NULL; d++) {
        SEE((*d)->topic);
        SEE((*d)->later);
        SEE((*d)->undelivered);
    }
#undef SEE
    return count > 0 ? count : 1;
}

static int print_topologies(const struct service *service) {
    _cleanup_(buf_free) struct buf out = {0};
    for (const struct topology *const *t = service->topologies; *t != NULL; t++) {
        if (t != service->topologies)
            buf_append_byte(&out, ',');
        topology_json(*t, &out);
    }
    buf_printf(&out, "],\"deliveries\":[");
    for (const struct delivery *const *d = service->deliveries; d != NULL && *d != NULL; d++)
        buf_printf(&out, "%s{\"name\":\"%s\",\"topic\":\"%s\",\"later\":\"%s\",\"undelivered\":\"%s\"}",
                   d == service->deliveries ? "" : ",", (*d)->name, (*d)->topic->name, (*d)->later->name,
                   (*d)->undelivered->name);
    printf("{\"service\":\"%s\",\"topologies\":[" SLICE_FMT "]}\n", service->name,
           SLICE_ARG(buf_slice(&out)));
    return 0;
}

static int print_acls(const struct service *service, const char *principal) {
    _cleanup_(buf_free) struct buf out = {0}, own = {0};
    buf_printf(&own, "User:%s%c", service->name, 0);
    acls_put(service, principal == NULL ? own.data : principal, &out);
    printf(SLICE_FMT, SLICE_ARG(buf_slice(&out)));
    return 0;
}

/* One line in the log when what it is doing changes, and no thousand while it stays. */
static void tell(struct worker *w) {
    char now[sizeof w->status.text];
    bool trouble = worker_status(w, now, sizeof now), well = worker_ready(w) && !trouble;
    if (is_news(&w->told, well, now))
        logger_write(trouble ? LEVEL_WARN : LEVEL_INFO, "%s: %s", w->name, now);
}

static void tell_publishing(struct instance *i) {
    char now[600];
    bool hindered = instance_hindered(i, now, sizeof now);
    if (is_news(&i->told, !hindered, now))
        logger_write(hindered ? LEVEL_WARN : LEVEL_INFO, "requests: %s", now);
}

static bool overdue(struct worker *w) {
    struct stream *s = atomic_load(&w->stream);
    struct deliverer *d = atomic_load(&w->deliverer);
    int64_t deadline = s != NULL ? stream_deadline(s) : d != NULL ? deliverer_deadline(d) : 0;
    return deadline != 0 && clock_mono_us() > deadline;
}

/* Until a signal comes or a worker ends; returns the exit code. */
static int supervise(struct instance *i, int signals) {
    struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = i->wake_fd, .events = POLLIN}};
    bool all_ready = false;
    for (;;) {
        poll(fds, 2, all_ready ? 1000 : 50);
        all_ready = true;
        for (size_t k = 0; k < i->worker_count; k++) {
            struct worker *w = &i->workers[k];
            all_ready = all_ready && worker_ready(w);
            tell(w);
            if (overdue(w)) {
                logger_write(LEVEL_ERROR, "%s: a call to Kafka did not return in time; starting again",
                             w->name);
                _exit(EXIT_AGAIN); /* its thread cannot be had back */
            }
            if (atomic_load(&w->stream) != NULL && store_damaged(w->store)) {
                logger_write(LEVEL_ERROR, "%s: its store is damaged; starting again", w->name);
                _exit(EXIT_AGAIN); /* who opens it next makes it anew; others' stores are as after a kill */
            }
        }
        tell_publishing(i);
        assignments_update(i->assignments);
        if (fds[1].revents != 0)
            break;
        if (fds[0].revents != 0) {
            struct signalfd_siginfo info;
            if (read(signals, &info, sizeof info) == (ssize_t)sizeof info)
                logger_write(LEVEL_INFO, "stopping, by %s", strsignal((int)info.ssi_signo));
            return 0;
        }
    }
    for (size_t k = 0; k < i->worker_count; k++)
        if (i->workers[k].exit_code != 0) {
            logger_write(LEVEL_ERROR, "%s: %s", i->workers[k].name, i->workers[k].err.text);
            return i->workers[k].exit_code;
        }
    return EXIT_FAILURE;
}

/* Its stream has tasks that others wait for. */
static bool is_member(const struct worker *w) {
    const struct stream *s = atomic_load(&w->stream);
    return w->running && w->topology != NULL && w->topology->sources != NULL && s != NULL &&
           !stream_has_left(s) && !atomic_load(&w->ended);
}

/* The members of groups first: what they decide on others go on with at once. What they serve is there for
 * reading until others have it too. */
static void hand_over(struct instance *i) {
    int64_t since = clock_mono_us() / 1000;
    assignments_leave(i->assignments);
    for (size_t k = 0; k < i->worker_count; k++)
        if (is_member(&i->workers[k]))
            stream_leave(atomic_load(&i->workers[k].stream));
    for (size_t k = 0; k < i->worker_count; k++)
        while (is_member(&i->workers[k]) && clock_mono_us() / 1000 - since < HAND_OVER_MS)
            poll(NULL, 0, HAND_OVER_LOOK_MS);
    int64_t tasks = clock_mono_us() / 1000 - since;
    assignments_left(i->assignments, HAND_OVER_MS - (int)tasks);
    logger_write(LEVEL_INFO, "handed over its tasks within %lld ms, what it had for reading within %lld ms",
                 (long long)tasks, (long long)(clock_mono_us() / 1000 - since));
}

/* Whoever has not ended by the deadline is cut off: what was not committed is not lost, only not done. */
static void join_workers(struct instance *i) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += DRAIN_MS / 1000;
    atomic_store(&i->stopping, true);
    for (size_t k = 0; k < i->worker_count; k++) {
        struct worker *w = &i->workers[k];
        if (atomic_load(&w->stream) != NULL)
            stream_stop(atomic_load(&w->stream));
        if (atomic_load(&w->deliverer) != NULL)
            deliverer_stop(atomic_load(&w->deliverer));
    }
    for (size_t k = 0; k < i->worker_count; k++) {
        if (!i->workers[k].running)
            continue;
        if (pthread_clockjoin_np(i->workers[k].thread, NULL, CLOCK_MONOTONIC, &until) != 0) {
            logger_write(LEVEL_ERROR, "%s did not stop in time", i->workers[k].name);
            _exit(EXIT_AGAIN);
        }
        i->workers[k].running = false;
    }
    if (i->background_running && pthread_clockjoin_np(i->background, NULL, CLOCK_MONOTONIC, &until) != 0) {
        logger_write(LEVEL_ERROR, "%s did not stop in time", i->service->name);
        _exit(EXIT_AGAIN);
    }
    i->background_running = false;
}

/* Whether it is asked by machines, all day, and about the process itself. */
static bool is_internal(const char *route) {
    const struct http_route *const of[] = {health_routes, digest_routes};
    for (size_t k = 0; k < 2; k++)
        for (const struct http_route *r = of[k]; r->method != NULL; r++)
            if (strcmp(r->path, route) == 0)
                return true;
    return false;
}

/* With the route and not the path, which may have what is nobody's business in it. */
static void answered(void *context, const struct http_answered *a) {
    enum log_level level = a->status == 500 ? LEVEL_ERROR : LEVEL_DEBUG;
    struct slice parent, state;
    struct instance *i = context;
    if (!is_internal(a->route))
        traces_answered(i, a);
    if (!logger_wants(level))
        return;
    traces_request(i, a->exchange, &parent, &state);
    logger_write_trace(level, parent, "%s %s: %u in %.1f ms", a->method, a->route, a->status,
                       (double)a->duration_us / 1000);
}

static bool start_http(struct instance *i, struct err *e) {
    i->hosts[0] = i->settings.advertised; /* by other instances */
    i->hosts[1] = i->service->name;       /* among containers */
    struct http_config config = {.address = i->settings.address,
                                 .port = i->settings.port,
                                 .hosts = i->hosts,
                                 .answered = answered,
                                 .context = i};
    i->http = http_server_create(&config);
    http_server_mount(i->http, health_routes, i);
    http_server_mount(i->http, digest_routes, i);
    if (i->service->routes != NULL)
        http_server_mount(i->http, i->service->routes, i);
    return http_server_start(i->http, e);
}

static bool start(struct instance *i, struct err *e) {
    for (const struct topology *const *t = i->service->topologies; *t != NULL; t++)
        if (!topology_check(*t, e))
            return false;
    if (!traces_start(i, e))
        return false;
    i->registry = registry_http_create(&i->settings.registry);
    i->schemas = schemas_create(i->registry);
    i->topic_count = count_topics(i->service);
    struct producer_options options = {.brokers = i->settings.brokers,
                                       .properties = i->settings.properties,
                                       .topic_count = i->topic_count,
                                       .done = instance_published,
                                       .context = i};
    bool writes = i->service->publishes != NULL || i->service->assignments != NULL;
    if (writes && !producer_create(&options, &i->producer, e))
        return false;
    const struct delivery *const *deliveries = i->service->deliveries;
    size_t topologies = 0;
    while (i->service->topologies[topologies] != NULL)
        topologies++;
    size_t count = topologies;
    while (deliveries != NULL && deliveries[count - topologies] != NULL)
        count++;
    i->worker_count = count;
    i->workers = xcalloc(count, sizeof *i->workers);
    for (size_t k = 0; k < count; k++) {
        struct worker *w = &i->workers[k];
        w->instance = i;
        if (k < topologies) {
            w->topology = i->service->topologies[k];
            w->name = w->topology->name;
        } else {
            w->delivery = deliveries[k - topologies];
            w->name = w->delivery->name;
        }
        status_init(&w->status, "starting");
        worker_count_fencings(w);
    }
    i->feeds = feeds_create(i);
    i->assignments = assignments_create(i, i->service->assignments);
    if (!start_http(i, e))
        return false;
    for (size_t k = 0; k < i->worker_count; k++) {
        if (pthread_create(&i->workers[k].thread, NULL, worker_main, &i->workers[k]) != 0)
            return err_set(e, ERR_FATAL, "no thread for %s", i->workers[k].name);
        i->workers[k].running = true;
    }
    if (i->service->background == NULL)
        return true;
    if (pthread_create(&i->background, NULL, background_main, i) != 0)
        return err_set(e, ERR_FATAL, "no thread for %s", i->service->name);
    i->background_running = true;
    return true;
}

static void finish(struct instance *i, bool orderly) {
    alarm(2 * DRAIN_MS /
          1000); /* a client library that hangs must not keep the supervisor from starting anew */
    if (orderly)
        hand_over(i);
    join_workers(i);
    if (i->http != NULL)
        http_server_stop(i->http);
    feeds_destroy(i->feeds);
    assignments_destroy(i->assignments);
    producer_destroy(i->producer); /* wakes exchanges to the last */
    http_server_destroy(i->http);
    for (size_t k = 0; k < i->worker_count; k++)
        worker_destroy(&i->workers[k]);
    free(i->workers);
    traces_stop(i);
    schemas_destroy(i->schemas);
    registry_destroy(i->registry);
    settings_finish(&i->settings);
    close(i->wake_fd);
}

/* A stream of events is a connection each, and the usual limit of 1024 is for programs that use select(). */
static void raise_file_limit(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= FILES)
        return;
    files.rlim_cur = files.rlim_max < FILES ? files.rlim_max : FILES;
    setrlimit(RLIMIT_NOFILE, &files);
}

int service_main(int argc, char **argv, const struct service *service) {
    if (argc == 2 && strcmp(argv[1], "--topology") == 0)
        return print_topologies(service);
    if (argc == 2 && strcmp(argv[1], "--acls") == 0)
        return print_acls(service, NULL);
    if (argc == 2 && strncmp(argv[1], "--acls=User:", 12) == 0 && strpbrk(argv[1], " \n\"'\\") == NULL)
        return print_acls(service, argv[1] + 7);
    if (argc == 2 && strcmp(argv[1], "--ready") == 0)
        return health_ask();
    if (argc > 1) {
        fprintf(
            stderr,
            "usage: %s [--topology | --acls[=User:NAME] | --ready]\nSettings are environment variables: "
            "KAFKA_BROKERS, KAFKA_… (a property of librdkafka), REGISTRY_URL, DATA_DIR, PARTITIONS, SLOT, "
            "PORT, LISTEN, LOG_LEVEL, and OTEL_EXPORTER_OTLP_ENDPOINT and its like.\n",
            service->name);
        return strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    struct instance i = {.name = service->name,
                         .service = service,
                         .untraced = service->assignments == NULL ? NULL : service->assignments->topic,
                         .wake_fd = eventfd(0, EFD_CLOEXEC)};
    struct err e = {0};
    logger_init(service->name, 0, LEVEL_INFO);
    if (!settings_read(&i.settings, &e) || !settings_take_slot(&i.settings, service->name, &e)) {
        logger_write(LEVEL_ERROR, "%s", e.text);
        settings_finish(&i.settings);
        return EXIT_BAD_CONFIG;
    }
    logger_init(service->name, i.settings.slot, i.settings.log_level);

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL); /* before any thread, those of what start() opens too */
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    if (service->start != NULL && !service->start(&i.settings, &e)) {
        logger_write(LEVEL_ERROR, "%s", e.text);
        settings_finish(&i.settings);
        return exit_code_of(&e);
    }

    int signals = signalfd(-1, &set, SFD_CLOEXEC);

    int code;
    if (start(&i, &e)) {
        logger_write(LEVEL_INFO, "listening on http://%s:%d", i.settings.address, http_server_port(i.http));
        code = supervise(&i, signals);
    } else {
        logger_write(LEVEL_ERROR, "%s", e.text);
        code = exit_code_of(&e);
    }
    finish(&i, code == 0);
    close(signals);
    return code;
}
