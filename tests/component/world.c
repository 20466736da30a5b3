#include "world.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "events/registry.h"
#include "kafka/kafka.h"
#include "log/partitions.h"
#include "schemas/schemas.gen.h"
#include "store/store.h"
#include "stream/stream.h"
#include "topology/window.h"
#include "transaction/keys.h"
#include "transaction/transaction.h"
#include "transaction/txn.h"

#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { USERS = 40, WAIT_MS = 20000, RETRY_MS = 100, READ_MAX = 1000 };

static struct {
    char name[64], group[64], directory[128];
    char topic_names[5][64];
    struct topic clicks, counts, changes, letters, window_changes;
    struct view view, windows;
    struct source sources[2];
    const struct view *views[3];
    const struct topic *outputs[2];
    struct topology topology;

    /* of the test's process only */
    struct registry *registry;
    struct schemas *schemas;
    rd_kafka_t *writer;
    struct log *reader;
    int64_t sent[USERS], seen[USERS]; /* by user: numbers so far */
    int clicked, counted, letters_seen;
    int64_t pace, time; /* of clicks; 0: as they are written */
} world;

static const char *setting(const char *name, const char *fallback) {
    const char *value = getenv(name);
    return value == NULL ? fallback : value;
}

static const char *brokers(void) {
    return setting("KAFKA_BROKERS", "localhost:9092");
}

static void open_registry(struct registry **registry, struct schemas **schemas) {
    *registry = registry_http_create(&(struct registry_options){
        .url = setting("REGISTRY_URL", "http://localhost:8081/apis/ccompat/v7"), .timeout_ms = WAIT_MS});
    *schemas = schemas_create(*registry);
}

/* ---- the topology ---- */

static void on_click(struct txn *txn, const struct event *in) {
    const struct click *click = in->value;
    struct count c = {0};
    txn_get(txn, &world.view, SLICE_NONE, &c);
    c.count++;
    c.number = click->number;
    c.phase = (enum phase)(c.count % phase_enum.count); /* of which other versions have others */
    txn_put(txn, &world.view, SLICE_NONE, &c);
    txn_emit(txn, &world.counts, in->key, &c);

    struct slice window = time_sub(txn_arena(txn), window_tumbling(in->timestamp, 10000).start);
    struct count in_window = {0};
    txn_get(txn, &world.windows, window, &in_window);
    in_window.count++;
    txn_put(txn, &world.windows, window, &in_window);
}

static struct topic topic_here(const struct topic *t, int n) {
    struct topic here = *t;
    char name[sizeof world.name]; /* apart from what is written: some compilers would doubt it */
    memcpy(name, world.name, sizeof name);
    snprintf(world.topic_names[n], sizeof world.topic_names[n], "%s-%.40s", t->name, name);
    here.name = world.topic_names[n];
    return here;
}

static void enter(const char *name) {
    snprintf(world.name, sizeof world.name, "%s", name);
    snprintf(world.group, sizeof world.group, "counter-%.50s", name);
    snprintf(world.directory, sizeof world.directory, "/tmp/insideout-%s", name);
    world.clicks = topic_here(&topic_clicks, 0);
    world.clicks.dead_letters = world.group;
    world.counts = topic_here(&topic_counts, 1);
    world.changes = topic_here(&topic_count_changes, 2);
    world.letters = topic_here(&topic_letters, 3);
    world.view = (struct view){.name = "counts", .changelog = &world.changes};
    world.sources[0] = (struct source){.topic = &world.clicks, .handle = on_click};
    world.window_changes = topic_here(&topic_window_changes, 4);
    world.windows =
        (struct view){.name = "windows", .changelog = &world.window_changes, .retention_ms = 60000};
    world.views[0] = &world.view;
    world.views[1] = &world.windows;
    world.outputs[0] = &world.counts;
    world.topology = (struct topology){.name = world.group,
                                       .sources = world.sources,
                                       .views = world.views,
                                       .outputs = world.outputs,
                                       .dead_letters = &world.letters};
}

/* ---- an instance ---- */

static struct stream *running;

static void on_term(int number) {
    (void)number;
    /* NOLINTNEXTLINE(bugprone-signal-handler): an atomic store, and a write to an eventfd */
    stream_stop(running);
}

/* Dies in the moment in which it gives up tasks: they are in nobody's assignment yet. */
static void die_when_revoked(void *context) {
    static struct partitions before;
    struct partitions now;
    (void)context;
    stream_tasks(running, &now);
    for (int32_t p = 0; p < WORLD_PARTITIONS; p++)
        if (partitions_has(&before, p) && !partitions_has(&now, p))
            kill(getpid(), SIGKILL);
    before = now;
}

static bool register_schemas(struct schemas *s, struct err *e) {
    return schemas_register(s, &world.clicks, e) && schemas_register(s, &world.counts, e) &&
           schemas_register(s, &world.changes, e) && schemas_register(s, &world.letters, e) &&
           schemas_register(s, &world.window_changes, e);
}

static int run(int slot, int identity_slot) {
    struct err e = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
    struct registry *registry;
    struct stream_options o = {.topology = &world.topology, .partitions = WORLD_PARTITIONS};
    if (getenv("DIE_WHEN_REVOKED") != NULL)
        o.moved = die_when_revoked;
    char identity[128];
    snprintf(identity, sizeof identity, "%s-%d", world.group, identity_slot);
    struct kafka_options kafka = {
        .brokers = brokers(), .group = world.group, .identity = identity, .topic_count = topics_count};
    open_registry(&registry, &o.schemas);
    while (!store_open_rocksdb(world_view(slot), NULL, &o.store, &e) && e.kind == ERR_RETRY)
        usleep(RETRY_MS * 1000);
    if (o.store == NULL || !register_schemas(o.schemas, &e) || !kafka_create(&kafka, &o.log, &e)) {
        fprintf(stderr, "instance %d: %s\n", slot, e.text);
        return 1;
    }
    running = stream_create(&o);
    signal(SIGTERM, on_term);
    bool ok = stream_run(running, &e);
    if (!ok)
        fprintf(stderr, "instance %d: %s\n", slot, e.text);
    log_destroy(o.log);
    stream_destroy(running);
    store_close(o.store);
    schemas_destroy(o.schemas);
    registry_destroy(registry);
    return ok ? 0 : e.kind == ERR_FENCED ? 77 : 1;
}

static pid_t start(const char *program, int slot, int identity_slot) {
    char number[12], identity[12];
    snprintf(number, sizeof number, "%d", slot);
    snprintf(identity, sizeof identity, "%d", identity_slot);
    pid_t pid = fork();
    if (pid == 0) {
        execl(program, "instance", "instance", world.name, number, identity, (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

void world_main(int argc, char **argv) {
    if (argc != 5 || strcmp(argv[1], "instance") != 0)
        return;
    enter(argv[2]);
    exit(run(atoi(argv[3]), atoi(argv[4])));
}

const struct topic *world_clicks(void) {
    return &world.clicks;
}

const char *world_view(int slot) {
    static char path[160];
    snprintf(path, sizeof path, "%s/%d", world.directory, slot);
    return path;
}

pid_t world_start_as(int slot, int identity_slot) {
    return start("/proc/self/exe", slot, identity_slot);
}

pid_t world_start_version(int slot, int version) {
    return start(version == 2 ? WORLD_2 : WORLD_3, slot, slot);
}

pid_t world_start(int slot) {
    return world_start_as(slot, slot);
}

pid_t world_start_to_die(int slot) {
    setenv("DIE_WHEN_REVOKED", "1", 1);
    pid_t pid = world_start(slot);
    unsetenv("DIE_WHEN_REVOKED");
    return pid;
}

int world_exit(pid_t pid) {
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

void world_dead(pid_t pid) {
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

void world_kill(pid_t pid) {
    kill(pid, SIGKILL);
    world_dead(pid);
}

void world_stop(pid_t pid) {
    int status = 0;
    kill(pid, SIGTERM);
    for (int i = 0; i < 100 && waitpid(pid, &status, WNOHANG) == 0; i++)
        usleep(100 * 1000);
    if (kill(pid, 0) == 0)
        world_kill(pid);
    if (!WIFSIGNALED(status) ||
        WTERMSIG(status) != SIGTERM) /* before it had begun, while others did the work */
        assert_int_equal(status, 0);
}

/* ---- the test's own part ---- */

static void fine(bool ok, const struct err *e) {
    if (!ok)
        fail_msg("%s", e->text);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    (void)rk;
    (void)opaque;
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail_msg("a record was not written: %s", rd_kafka_err2str(m->err));
}

static void writer_create(void) {
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers(), text, sizeof text) != RD_KAFKA_CONF_OK ||
        rd_kafka_conf_set(conf, "enable.idempotence", "true", text, sizeof text) != RD_KAFKA_CONF_OK ||
        (world.writer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text)) == NULL)
        fail_msg("%s", text);
}

static void topics_create(bool limited) {
    const struct topic *const all[] = {&world.clicks, &world.counts, &world.changes, &world.letters,
                                       &world.window_changes};
    enum { COUNT = sizeof all / sizeof *all };
    rd_kafka_NewTopic_t *wanted[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        wanted[i] = rd_kafka_NewTopic_new(all[i]->name, WORLD_PARTITIONS, 1, NULL, 0);
    if (limited) {
        rd_kafka_NewTopic_set_config(wanted[1], "max.message.bytes", "20000");
        rd_kafka_NewTopic_set_config(wanted[1], "message.timestamp.before.max.ms", "172800000");
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(world.writer);
    rd_kafka_CreateTopics(world.writer, wanted, COUNT, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy_array(wanted, COUNT);
}

static void topics_delete(void) {
    rd_kafka_DeleteTopic_t *all[5];
    for (size_t i = 0; i < 5; i++)
        all[i] = rd_kafka_DeleteTopic_new(world.topic_names[i]);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(world.writer);
    rd_kafka_DeleteTopics(world.writer, all, 5, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteTopic_destroy_array(all, 5);
}

static void reader_create(void) {
    struct err e;
    struct kafka_options options = {.brokers = brokers(), .identity = "test", .topic_count = topics_count};
    fine(kafka_create(&options, &world.reader, &e), &e);
    for (int32_t p = 0; p < WORLD_PARTITIONS; p++) {
        struct log_position counts = {&world.counts, p, 0}, letters = {&world.letters, p, 0};
        fine(world.reader->ops->read(world.reader, LOG_TABLES, &counts, &e), &e);
        fine(world.reader->ops->read(world.reader, LOG_TABLES, &letters, &e), &e);
    }
}

void world_forget_group(void) {
    int64_t until = clock_mono_us() + WAIT_MS * INT64_C(1000);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(world.writer);
    for (bool gone = false; !gone; usleep(RETRY_MS * 1000)) {
        size_t n;
        rd_kafka_DeleteGroup_t *group = rd_kafka_DeleteGroup_new(world.group);
        rd_kafka_DeleteGroups(world.writer, &group, 1, NULL, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
        assert_non_null(event);
        const rd_kafka_group_result_t **results =
            rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event), &n);
        assert_int_equal(n, 1);
        gone = rd_kafka_group_result_error(results[0]) == NULL;
        rd_kafka_event_destroy(event);
        rd_kafka_DeleteGroup_destroy(group);
        assert_true(clock_mono_us() < until);
    }
    rd_kafka_queue_destroy(queue);
}

static void create_world(const char *name, bool limited) {
    struct err e;
    char unique[64];
    memset(&world, 0, sizeof world);
    snprintf(unique, sizeof unique, "%.30s-%d-%lld", name, (int)getpid(), (long long)clock_wall_ms());
    enter(unique);
    fine(mkdir(world.directory, 0700) == 0 || err_set(&e, ERR_FATAL, "%s", world.directory), &e);
    open_registry(&world.registry, &world.schemas);
    fine(register_schemas(world.schemas, &e), &e);
    writer_create();
    topics_create(limited);
    reader_create();
}

void world_create(const char *name) {
    create_world(name, false);
}

void world_create_limited(const char *name) {
    create_world(name, true);
}

void world_destroy(void) {
    char command[200];
    log_destroy(world.reader);
    topics_delete();
    rd_kafka_destroy(world.writer);
    schemas_destroy(world.schemas);
    registry_destroy(world.registry);
    snprintf(command, sizeof command, "rm -rf '%s'", world.directory);
    assert_int_equal(system(command), 0);
}

static void produce(const char *key, struct slice value, int32_t partition) {
    rd_kafka_resp_err_t error = __extension__ rd_kafka_producev(
        world.writer, RD_KAFKA_V_TOPIC(world.clicks.name), RD_KAFKA_V_PARTITION(partition),
        RD_KAFKA_V_KEY(key, slice_of(key).size), RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.size),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_TIMESTAMP(world.time), RD_KAFKA_V_END);
    world.time += world.pace;
    assert_int_equal(error, RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void flush(void) {
    assert_int_equal(rd_kafka_flush(world.writer, WAIT_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
}

void world_click(int count) {
    _cleanup_(buf_free) struct buf value = {0};
    struct err e;
    for (int i = 0; i < count; i++) {
        char key[24];
        int user = rand() % USERS;
        snprintf(key, sizeof key, "user-%d", user);
        buf_clear(&value);
        struct click click = {.number = ++world.sent[user]};
        fine(schemas_encode(world.schemas, &world.clicks, &click, &value, &e), &e);
        produce(key, buf_slice(&value), partition_of(slice_of(key), WORLD_PARTITIONS));
    }
    world.clicked += count;
    flush();
}

void world_click_in_vain(bool long_key) {
    _cleanup_(buf_free) struct buf value = {0};
    struct err e;
    char key[30000];
    snprintf(key, sizeof key, "user-%0*d", long_key ? (int)sizeof key - 6 : 1, 0);
    struct click click = {.number = -1};
    fine(schemas_encode(world.schemas, &world.clicks, &click, &value, &e), &e);
    world.time = long_key ? 0 : clock_wall_ms() - 10 * 24 * INT64_C(3600000);
    produce(key, buf_slice(&value), partition_of(slice_of(key), WORLD_PARTITIONS));
    world.time = 0;
    flush();
}

void world_pace(int64_t ms) {
    world.pace = ms;
    world.time = clock_wall_ms() - 24 * 3600 * 1000;
}

static bool count_key(void *context, struct slice key, struct slice value) {
    (void)key, (void)value;
    ++*(int *)context;
    return true;
}

void world_windows(int slot, int *rows, int *entries) {
    _cleanup_(buf_free) struct buf key = {0};
    struct store *store;
    struct err e;
    *rows = *entries = 0;
    fine(store_open_rocksdb(world_view(slot), NULL, &store, &e), &e);
    for (int32_t p = 0; p < WORLD_PARTITIONS; p++) {
        store_key_view(&key, &world.windows, p, SLICE(""));
        fine(store_scan(store, buf_slice(&key), SLICE_NONE, false, count_key, rows, &e), &e);
        store_key_index_of_view(&key, &world.windows, p);
        fine(store_scan(store, buf_slice(&key), SLICE_NONE, false, count_key, entries, &e), &e);
    }
    store_close(store);
}

void world_write(const char *key, struct slice value, int32_t partition) {
    produce(key, value, partition);
    flush();
}

static void see(const struct log_record *r) {
    struct err e;
    struct count c;
    _cleanup_(arena_free) struct arena arena = {0};
    int user = -1;
    if (r->topic == &world.letters) {
        world.letters_seen++;
        return;
    }
    char key[24];
    snprintf(key, sizeof key, SLICE_FMT, SLICE_ARG(r->key));
    assert_int_equal(sscanf(key, "user-%d", &user), 1);
    fine(schemas_decode(world.schemas, &count_type, r->value, &arena, &c, &e), &e);
    int64_t next = ++world.seen[user];
    if (c.count != next || c.number != next)
        fail_msg("%s at %d/%lld: count %lld of click %lld, and both should be %lld", key, r->partition,
                 (long long)r->offset, (long long)c.count, (long long)c.number, (long long)next);
    world.counted++;
}

int world_counted(int wait_ms) {
    static struct log_record records[READ_MAX];
    struct err e;
    size_t n;
    fine(world.reader->ops->poll(world.reader, false, records, READ_MAX, wait_ms, &n, &e), &e);
    for (size_t i = 0; i < n; i++)
        if (!records[i].end)
            see(&records[i]);
    world.reader->ops->release(world.reader, records, n);
    return world.counted;
}

void world_settle(int seconds) {
    int64_t until = clock_mono_us() + seconds * INT64_C(1000000);
    while (world_counted(50) < world.clicked)
        if (clock_mono_us() > until)
            fail_msg("%d of %d clicks are counted after %d s", world.counted, world.clicked, seconds);
    assert_int_equal(world.counted, world.clicked);
}

int world_letters(void) {
    world_counted(0);
    return world.letters_seen;
}
