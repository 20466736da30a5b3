#include "service/service.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "events/registry.h"
#include "kafka/kafka.h"
#include "service/acls.h"
#include "service/assignments.h"
#include "service/instance.h"
#include "service/logger.h"
#include "service/traces.h"

#include <errno.h>
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

enum exit_code { EXIT_AGAIN = 75, EXIT_FENCED = 77, EXIT_BAD_CONFIG = 78 };
enum {
    RETRY_MS = 250,
    HAND_OVER_MS = 6000,
    HAND_OVER_LOOK_MS = 5,
    DRAIN_MS = 10000,
    FILES = 8192,
    LETTERS_A_SECOND = 5
};

/* What jemalloc looks for: as small as a service should be, and what a flood took is given back soon. Weak:
 * whose program it is may say otherwise. */
extern const char *malloc_conf;
__attribute__((weak)) const char *malloc_conf = "narenas:1,dirty_decay_ms:300,muzzy_decay_ms:0";

static int exit_code_of(const struct err *e) {
    return e->kind == ERR_CONFIG ? EXIT_BAD_CONFIG : e->kind == ERR_FENCED ? EXIT_FENCED : EXIT_FAILURE;
}

/* ---- workers ---- */

/* Calls `step` until it succeeds, as long as what it needs is merely away. */
static bool persist(struct worker *w, bool (*step)(struct worker *, struct err *), struct err *e) {
    while (!step(w, e)) {
        if (e->kind != ERR_RETRY || atomic_load(&w->instance->stopping))
            return false;
        status_trouble(&w->status, e->text);
        poll(NULL, 0, RETRY_MS);
    }
    return true;
}

/* A store that was damaged is read from the log again: it is a cache. */
static void store_mended(void *context, const char *what) {
    struct worker *w = context;
    counter_add_shared(&w->store_repairs, 1);
    logger_write(LEVEL_WARN, "%s: %s", w->name, what);
}

static bool open_store(struct worker *w, struct err *e) {
    char path[4096];
    const struct instance *i = w->instance;
    snprintf(path, sizeof path, "%s/views/%s-%d/%s", i->settings.data_dir, i->service->name, i->settings.slot,
             w->name);
    const struct table *served = w->topology == NULL ? NULL : topology_served(w->topology);
    const struct store_options options = {.knows_keys = w->topology != NULL && w->topology->views != NULL,
                                          .mended = store_mended,
                                          .context = w};
    _cleanup_(buf_free) struct buf passing = {0};
    if (served == NULL)
        return store_delete_parts(path, e) && store_open_rocksdb(path, &options, &w->store, e);
    /* What a store has in memory and in its cache, shared among the partitions of a view. Its rows are
     * listed, which costs a look into each file. */
    size_t share = i->settings.partitions < 8 ? (size_t)i->settings.partitions : 8;
    stream_passing(served, &passing);
    struct store_options part = {.knows_keys = true,
                                 .merge_files = 16,
                                 .write_buffer_bytes = (4 << 20) / share,
                                 .block_cache_bytes = (4 << 20) / share,
                                 .passing = buf_slice(&passing),
                                 .mended = store_mended,
                                 .context = w};
    return store_open_parts(path, &options, &part, &w->store, e);
}

static bool register_all(struct schemas *s, const struct topic *const *topics, struct err *e) {
    for (; topics != NULL && *topics != NULL; topics++)
        if (!schemas_register(s, *topics, e))
            return false;
    return true;
}

static bool register_topology(struct schemas *s, const struct topology *t, struct err *e) {
    if (!register_all(s, t->outputs, e))
        return false;
    for (const struct view *const *v = t->views; v != NULL && *v != NULL; v++)
        if (!schemas_register(s, (*v)->changelog, e))
            return false;
    if (t->ticks != NULL && !schemas_register(s, t->ticks, e))
        return false;
    return t->dead_letters == NULL || schemas_register(s, t->dead_letters, e);
}

static bool register_schemas(struct worker *w, struct err *e) {
    struct instance *i = w->instance;
    if (w->topology != NULL && !register_topology(i->schemas, w->topology, e))
        return false;
    if (w->delivery != NULL && (!schemas_register(i->schemas, w->delivery->later, e) ||
                                !schemas_register(i->schemas, w->delivery->undelivered, e)))
        return false;
    if (w == i->workers) { /* the first one does it for the routes */
        if (!register_all(i->schemas, i->service->publishes, e))
            return false;
        for (const struct topic *const *t = i->service->publishes; t != NULL && *t != NULL; t++)
            if (!producer_prepare(i->producer, *t, e))
                return false;
        const struct table *rows = i->service->assignments;
        if (rows != NULL &&
            (!schemas_register(i->schemas, rows->topic, e) || !producer_prepare(i->producer, rows->topic, e)))
            return false;
        atomic_store(&i->publishes_registered, true);
    }
    return true;
}

static void worker_path(const struct worker *w, const char *suffix, char *path, size_t size) {
    const struct settings *s = &w->instance->settings;
    snprintf(path, size, "%s/views/%s-%d/%s.%s", s->data_dir, w->instance->service->name, s->slot, w->name,
             suffix);
}

/* Left behind by a process that was fenced, for the one after it: who it was in its group, and how often that
 * happened. Where the group still has the dead process as this member, nobody needs to wait until its session
 * is over. */
static const char fenced[] = "fenced", fencings[] = "fencings";

static bool identity_free(struct worker *w, struct err *e) {
    char path[4096], predecessor[256] = "";
    worker_path(w, fenced, path, sizeof path);
    FILE *mark = fopen(path, "re");
    if (mark == NULL)
        return true;
    if (fgets(predecessor, sizeof predecessor, mark) == NULL)
        predecessor[0] = 0; /* it was no member yet */
    fclose(mark);
    if (!kafka_identity_free(w->log, predecessor, e))
        return false;
    unlink(path);
    return true;
}

static void count_fencings(struct worker *w) {
    char path[4096];
    unsigned long long n;
    worker_path(w, fencings, path, sizeof path);
    FILE *f = fopen(path, "re");
    if (f != NULL && fscanf(f, "%llu", &n) == 1)
        atomic_store(&w->fencings, n);
    if (f != NULL)
        fclose(f);
}

static void mark_fenced(struct worker *w) {
    char path[4096];
    worker_path(w, fenced, path, sizeof path);
    FILE *f = fopen(path, "we");
    if (f == NULL)
        return; /* without it the next one fences once more */
    fputs(kafka_member_id(w->log), f);
    fclose(f);
    counter_add(&w->fencings, 1);
    worker_path(w, fencings, path, sizeof path);
    if ((f = fopen(path, "we")) == NULL)
        return;
    fprintf(f, "%llu\n", (unsigned long long)counter_get(&w->fencings));
    fclose(f);
}

/* A view is of one log. Where Kafka has become another one (its data lost, the service's kept), it starts
 * anew. */
static bool same_cluster(struct worker *w, struct err *e) {
    static const char key[] = "cluster";
    _cleanup_(arena_free) struct arena a = {0};
    char id[128];
    struct slice known, name = {key, sizeof key - 1};
    if (!kafka_cluster(w->log, id, sizeof id, e) || !store_get(w->store, name, &a, &known, e))
        return false;
    if (slice_equal(known, slice_of(id)))
        return true;
    if (known.data != NULL) {
        logger_write(LEVEL_WARN, "%s: Kafka is another cluster now; its view starts anew", w->name);
        if (!store_delete_prefix(w->store, SLICE(""), e))
            return false;
    }
    return store_apply(w->store, &(struct store_change){name, slice_of(id)}, 1, e);
}

static bool open_log(struct worker *w, struct err *e) {
    const struct instance *i = w->instance;
    char identity[256];
    snprintf(identity, sizeof identity, "%s-%d", w->name, i->settings.slot);
    bool member = w->delivery != NULL || w->topology->sources != NULL;
    struct kafka_options kafka = {.brokers = i->settings.brokers,
                                  .properties = i->settings.properties,
                                  .group = member ? w->name : NULL,
                                  .identity = identity,
                                  .topic_count = i->topic_count,
                                  .patient = i->service->patient};
    return kafka_create(&kafka, &w->log, e);
}

/* Whoever floods a topic with garbage does not flood the log too. */
static void dead_letter(void *context, const struct log_record *r, const char *reason,
                        struct slice traceparent) {
    struct worker *w = context;
    int64_t now = clock_mono_us();
    if (now - w->letters_since > 1000 * 1000) {
        if (w->letters > LETTERS_A_SECOND)
            logger_write(LEVEL_WARN, "%s: and %d more bad records", w->name, w->letters - LETTERS_A_SECOND);
        w->letters_since = now;
        w->letters = 0;
    }
    if (++w->letters <= LETTERS_A_SECOND)
        logger_write_trace(LEVEL_WARN, traceparent, "%s: bad record %s/%d/%lld: %s", w->name, r->topic->name,
                           r->partition, (long long)r->offset, reason);
}

static void notice(void *context, const char *text) {
    logger_write(LEVEL_WARN, "%s: %s", ((struct worker *)context)->name, text);
}

static bool same_registry(struct worker *w, struct err *e) {
    return stream_recognise_registry(w->store, w->instance->schemas, e);
}

/* Nothing is registered before it is known who is asked. */
static bool run_stream(struct worker *w, struct err *e) {
    struct instance *i = w->instance;
    if (!persist(w, open_store, e) || !persist(w, same_cluster, e) || !persist(w, same_registry, e) ||
        !persist(w, register_schemas, e) || !persist(w, identity_free, e))
        return false;
    struct stream_options options = {.topology = w->topology,
                                     .partitions = i->settings.partitions,
                                     .schemas = i->schemas,
                                     .store = w->store,
                                     .log = w->log,
                                     .context = w,
                                     .changed = instance_row_changed,
                                     .reread = instance_table_reread,
                                     .refreshed = instance_refreshed,
                                     .dead_letter = dead_letter,
                                     .stale_ms = i->settings.stale_hours * INT64_C(3600000),
                                     .divided = i->assignments != NULL,
                                     .moved = instance_moved,
                                     .owner = instance_owner,
                                     .advanced = instance_advanced,
                                     .notice = notice,
                                     .observer = traces_observer(w)};
    atomic_store(&w->stream, stream_create(&options));
    return atomic_load(&i->stopping) || stream_run(atomic_load(&w->stream), e);
}

static bool run_delivery(struct worker *w, struct err *e) {
    struct instance *i = w->instance;
    struct delivery_options options = {.delivery = w->delivery,
                                       .partitions = i->settings.partitions,
                                       .schemas = i->schemas,
                                       .log = w->log,
                                       .notice = notice,
                                       .context = w,
                                       .observer = traces_observer(w)};
    if (!persist(w, register_schemas, e) || !persist(w, identity_free, e))
        return false;
    atomic_store(&w->deliverer, deliverer_create(&options));
    return atomic_load(&i->stopping) || deliverer_run(atomic_load(&w->deliverer), e);
}

static bool work(struct worker *w, struct err *e) {
    if (!open_log(w, e))
        return false;
    return w->topology != NULL ? run_stream(w, e) : run_delivery(w, e);
}

static void *worker_main(void *context) {
    struct worker *w = context;
    char name[16];
    snprintf(name, sizeof name, "%.15s", w->name);
    prctl(PR_SET_NAME, name);
    if (!work(w, &w->err) && !atomic_load(&w->instance->stopping))
        w->exit_code = exit_code_of(&w->err);
    if (w->exit_code == EXIT_FENCED)
        mark_fenced(w);
    atomic_store(&w->ended, true);
    eventfd_write(w->instance->wake_fd, 1);
    return NULL;
}

static void *background_main(void *context) {
    struct instance *i = context;
    prctl(PR_SET_NAME, "background");
    i->service->background(i);
    return NULL;
}

static void worker_destroy(struct worker *w) {
    log_destroy(w->log); /* before the stream: it may still call back */
    stream_destroy(atomic_load(&w->stream));
    deliverer_destroy(atomic_load(&w->deliverer));
    traced_free(w->traced);
    store_close(w->store);
    status_finish(&w->status);
}

/* ---- the process ---- */

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
    if (telling_is_news(&w->telling, well, now))
        logger_write(trouble ? LEVEL_WARN : LEVEL_INFO, "%s: %s", w->name, now);
}

static void tell_publishing(struct instance *i) {
    char now[600];
    bool hindered = instance_hindered(i, now, sizeof now);
    if (telling_is_news(&i->publishing, !hindered, now))
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

/* With the route and not the path, which may have what is nobody's business in it. */
static void answered(void *context, const struct http_answered *a) {
    enum log_level level = a->status == 500 ? LEVEL_ERROR : LEVEL_DEBUG;
    struct slice parent, state;
    struct instance *i = context;
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
        count_fencings(w);
    }
    i->feeds = feeds_create(i);
    i->assignments = assignments_create(i);
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
    struct instance i = {.service = service, .wake_fd = eventfd(0, EFD_CLOEXEC)};
    struct err e = {0};
    logger_init(service->name, 0, LEVEL_INFO);
    if (!settings_read(&i.settings, &e) || !settings_take_slot(&i.settings, service->name, &e)) {
        logger_write(LEVEL_ERROR, "%s", e.text);
        settings_finish(&i.settings);
        return EXIT_BAD_CONFIG;
    }
    logger_init(service->name, i.settings.slot, i.settings.log_level);
    if (service->start != NULL && !service->start(&i.settings, &e)) {
        logger_write(LEVEL_ERROR, "%s", e.text);
        settings_finish(&i.settings);
        return exit_code_of(&e);
    }

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL); /* before any thread */
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
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
