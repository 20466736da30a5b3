/* /metrics: what all parts of the process have counted, and the process itself, as Prometheus' clients have
 * it. */
#include "service/health.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "feeds/feeds.h"
#include "kafka/kafka.h"
#include "partitions/assignments.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double pages_bytes(long pages) {
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static int open_fds(void) {
    int n = -3; /* ".", "..", and the directory itself */
    DIR *d = opendir("/proc/self/fd");
    while (d != NULL && readdir(d) != NULL)
        n++;
    if (d != NULL)
        closedir(d);
    return n;
}

/* Seconds since 1970, by the kernel's word: the 22nd field of stat is in clock ticks since boot. */
static double start_time(void) {
    char text[1024] = "";
    unsigned long long ticks = 0;
    struct timespec now, up;
    FILE *f = fopen("/proc/self/stat", "re");
    if (f == NULL)
        return 0;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    const char *at = strrchr(text, ')'); /* behind the name, which may have anything in it */
    if (at == NULL ||
        sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &ticks) != 1)
        return 0;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &up);
    return (double)now.tv_sec - (double)up.tv_sec + (double)(now.tv_nsec - up.tv_nsec) / 1e9 +
           (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static void show_process(struct metrics *m) {
    static const struct metric cpu = {"process_cpu_seconds_total", METRIC_COUNTER,
                                      "Total user and system CPU time spent in seconds."};
    static const struct metric resident = {"process_resident_memory_bytes", METRIC_GAUGE,
                                           "Resident memory size in bytes."};
    static const struct metric virtual = {"process_virtual_memory_bytes", METRIC_GAUGE,
                                          "Virtual memory size in bytes."};
    static const struct metric fds = {"process_open_fds", METRIC_GAUGE, "Number of open file descriptors."};
    static const struct metric max_fds = {"process_max_fds", METRIC_GAUGE,
                                          "Maximum number of open file descriptors."};
    static const struct metric start = {"process_start_time_seconds", METRIC_GAUGE,
                                        "Start time of the process since unix epoch in seconds."};
    struct rusage usage;
    struct rlimit files;
    long size = 0, rss = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f != NULL) {
        if (fscanf(f, "%ld %ld", &size, &rss) != 2)
            size = rss = 0;
        fclose(f);
    }
    getrusage(RUSAGE_SELF, &usage);
    metrics_add(m, &cpu,
                (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
                NULL);
    metrics_add(m, &resident, pages_bytes(rss), NULL);
    metrics_add(m, &virtual, pages_bytes(size), NULL);
    metrics_add(m, &fds, open_fds(), NULL);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        metrics_add(m, &max_fds, (double)files.rlim_cur, NULL);
    metrics_add(m, &start, start_time(), NULL);
}

static void show_workers(struct instance *i, struct metrics *m) {
    static const struct metric fencings = {
        "insideout_fencings_total", METRIC_COUNTER,
        "Times that another process took this one's identity, over restarts of this one."};
    static const struct metric repairs = {
        "insideout_store_repairs_total", METRIC_COUNTER,
        "Stores, or files of them, that were found damaged and are read from the log again."};
    for (size_t k = 0; k < i->worker_count; k++) {
        struct worker *w = &i->workers[k];
        struct stream *s = atomic_load(&w->stream);
        struct deliverer *d = atomic_load(&w->deliverer);
        metrics_add(m, &fencings, (double)counter_get(&w->fencings), "topology", w->name, NULL);
        metrics_add(m, &repairs, (double)counter_get(&w->store_repairs), "topology", w->name, NULL);
        if (s != NULL)
            stream_metrics(s, m);
        if (d != NULL)
            deliverer_metrics(d, m);
        if ((s != NULL || d != NULL) && w->log != NULL)
            kafka_metrics(w->log, w->name, m);
    }
}

enum http_result metrics_answer(struct http_exchange *x, void *context) {
    static const struct metric build = {"insideout_build_info", METRIC_GAUGE, "1; what is running here."};
    struct instance *i = context;
    struct metrics m = {0};
    _cleanup_(buf_free) struct buf out = {0};
    char slot[12];
    snprintf(slot, sizeof slot, "%d", i->settings.slot);
    metrics_add(&m, &build, 1, "version", INSIDEOUT_VERSION, "service", i->name, "slot", slot, NULL);
    show_workers(i, &m);
    if (i->producer != NULL)
        producer_metrics(i->producer, &m);
    if (i->tracer != NULL)
        tracer_metrics(i->tracer, &m);
    assignments_metrics(i->assignments, &m);
    feeds_metrics(i->feeds, &m);
    http_metrics(i->http, &m);
    show_process(&m);
    metrics_write(&m, &out);
    metrics_free(&m);
    return http_reply_text(x, 200, "text/plain; version=0.0.4; charset=utf-8", buf_slice(&out));
}
