#include "processes.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_named(const char *const *names, const char *name) {
    for (; *names != NULL; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static FILE *open_proc(pid_t pid, const char *file, const char *mode) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    return fopen(path, mode);
}

static bool has_brokers(pid_t pid, const char *brokers) {
    FILE *f = open_proc(pid, "environ", "re");
    char *line = NULL;
    size_t size = 0;
    bool found = false;
    while (f != NULL && !found && getdelim(&line, &size, 0, f) >= 0)
        found = strncmp(line, "KAFKA_BROKERS=", 14) == 0 && strcmp(line + 14, brokers) == 0;
    free(line);
    if (f != NULL)
        fclose(f);
    return found;
}

static bool read_status(struct process *p) {
    FILE *f = open_proc(p->pid, "status", "re");
    char line[256];
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        int64_t kb;
        sscanf(line, "Name: %15s", p->name);
        if (sscanf(line, "VmRSS: %" SCNd64, &kb) == 1)
            p->rss_bytes = kb * 1024;
        if (sscanf(line, "VmHWM: %" SCNd64, &kb) == 1)
            p->peak_bytes = kb * 1024;
    }
    if (f != NULL)
        fclose(f);
    return p->rss_bytes > 0;
}

size_t processes_find(const char *const *names, const char *brokers, struct process *out) {
    DIR *proc = opendir("/proc");
    size_t n = 0;
    const struct dirent *entry;
    while (proc != NULL && n < PROCESSES_MAX && (entry = readdir(proc)) != NULL) {
        struct process p = {.pid = (pid_t)atoi(entry->d_name)};
        if (p.pid > 0 && read_status(&p) && is_named(names, p.name) && has_brokers(p.pid, brokers))
            out[n++] = p;
    }
    if (proc != NULL)
        closedir(proc);
    return n;
}

void processes_reset_peaks(const struct process *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        FILE *f = open_proc(p[i].pid, "clear_refs", "we");
        if (f == NULL)
            continue;
        fputs("5", f);
        fclose(f);
    }
}
