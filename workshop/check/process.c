/* All instances of a simulated world are in one process, but a learner's code must not notice: variables of
 * the file are those of one life of an instance, the clock is the world's, and a file is a file. */
#include "check.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct {
    char *at; /* the object's writable part: linked with -z norelro, so it is one */
    size_t size;
    char *pristine, *of[MAX_INSTANCES];
    int current; /* whose is in place */
    bool changed;
} variables = {.current = -1};

static struct world *clock_of; /* NULL: it is the machine's */
static bool clock_asked;

static int find_variables(struct dl_phdr_info *info, size_t size, void *base) {
    (void)size;
    if (info->dlpi_addr != *(ElfW(Addr) *)base)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type != PT_LOAD || (h->p_flags & PF_W) == 0)
            continue;
        variables.at = (char *)(info->dlpi_addr + h->p_vaddr);
        variables.size = h->p_memsz;
    }
    return 1;
}

const struct topology *process_open(const char *object, const char *topology, struct finding *f) {
    struct link_map *map;
    void *handle = dlopen(object, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        snprintf(f->verdict, sizeof f->verdict, "does-not-link");
        snprintf(f->text, sizeof f->text, "It compiles, but something is used that is not there: %s",
                 dlerror());
        return NULL;
    }
    const struct topology *t = dlsym(handle, topology);
    if (t == NULL) {
        snprintf(f->verdict, sizeof f->verdict, "no-topology");
        snprintf(f->text, sizeof f->text,
                 "There is no `const struct topology %s` in it (or it is static, so that nobody finds it).",
                 topology);
        return NULL;
    }
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0)
        abort();
    dl_iterate_phdr(find_variables, &map->l_addr);
    variables.pristine = xmalloc(variables.size);
    memcpy(variables.pristine, variables.at, variables.size);
    for (int i = 0; i < MAX_INSTANCES; i++)
        variables.of[i] = xmalloc(variables.size);
    return t;
}

static void put_away(void) {
    if (variables.current < 0)
        return;
    memcpy(variables.of[variables.current], variables.at, variables.size);
    variables.changed = variables.changed || memcmp(variables.at, variables.pristine, variables.size) != 0;
}

void process_enter(struct world *w, int instance, bool begins) {
    put_away();
    memcpy(variables.at, begins ? variables.pristine : variables.of[instance], variables.size);
    variables.current = instance;
    clock_of = w;
}

/* ---- the clock ---- */

/* These take the place of libc's for whatever is in this process. */
static int64_t real_ns(clockid_t id) {
    struct timespec t;
    syscall(SYS_clock_gettime, id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int clock_gettime(clockid_t id, struct timespec *t) {
    int64_t ns;
    if (clock_of == NULL || id != CLOCK_REALTIME) {
        ns = real_ns(id);
    } else {
        ns = world_now(clock_of) * 1000000;
        clock_asked = true;
    }
    *t = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    return 0;
}

time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t != NULL)
        *t = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *t = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

/* ---- a run ---- */

static void empty_directory(char *name, size_t size) {
    DIR *d = opendir(".");
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            snprintf(name, size, "%.*s", (int)size - 1, e->d_name);
            unlink(e->d_name);
        }
    if (d != NULL)
        closedir(d);
}

void process_run_begins(void) {
    char name[64];
    variables.current = -1;
    variables.changed = clock_asked = false;
    empty_directory(name, sizeof name);
}

struct deeds process_run_ends(void) {
    put_away();
    clock_of = NULL;
    struct deeds deeds = {.variables = variables.changed, .clock = clock_asked};
    empty_directory(deeds.file, sizeof deeds.file);
    return deeds;
}
