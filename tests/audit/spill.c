#include "spill.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The address space of each; the file below it is as large as is needed. */
#define SPILL_MAX ((size_t)64 << 30)

enum { GROW_MIN = 1 << 20, GROW_MAX = 64 << 20, LOOK_EACH = 256 };

static struct spill *all;
static size_t limit = (size_t)64 << 20;

static void refuse(const char *what) {
    fprintf(stderr, "audit: %s: %s (TMPDIR names another place)\n", what, strerror(errno));
    exit(2);
}

static struct spill *create(void) {
    struct spill *s = xcalloc(1, sizeof *s);
    const char *dir = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/audit-XXXXXX", dir != NULL && *dir != 0 ? dir : "/var/tmp");
    s->fd = mkostemp(path, O_CLOEXEC);
    if (s->fd < 0)
        refuse(path);
    unlink(path);
    s->data = mmap(NULL, SPILL_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, s->fd, 0);
    if (s->data == MAP_FAILED)
        refuse("cannot map a file");
    s->next = all;
    return all = s;
}

void *spill_room(struct spill **spill, size_t size) {
    if (*spill == NULL)
        *spill = create();
    struct spill *s = *spill;
    while (s->size < size) {
        size_t more = s->size < GROW_MIN ? GROW_MIN : s->size < GROW_MAX ? s->size : GROW_MAX;
        errno = posix_fallocate(s->fd, (off_t)s->size, (off_t)more);
        if (errno != 0 || s->size + more > SPILL_MAX)
            refuse("no room for a file");
        s->size += more;
    }
    return s->data;
}

void spill_free(struct spill *s) {
    if (s == NULL)
        return;
    struct spill **link = &all;
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    munmap(s->data, SPILL_MAX);
    close(s->fd);
    free(s);
}

/* What of files is mapped and in memory: the third number. */
static size_t held(void) {
    static int statm = -1;
    char text[128];
    unsigned long shared = 0;
    if (statm < 0)
        statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = pread(statm, text, sizeof text - 1, 0);
    if (n > 0) {
        text[n] = 0;
        sscanf(text, "%*s %*s %lu", &shared);
    }
    return shared * (size_t)sysconf(_SC_PAGESIZE);
}

void spill_touch(void) {
    static unsigned touches;
    static size_t others; /* the program's own files */
    if (++touches % LOOK_EACH != 0 || held() < others + limit)
        return;
    for (struct spill *s = all; s != NULL; s = s->next)
        if (madvise(s->data, s->size, MADV_DONTNEED) < 0)
            return;
    others = held();
}

void spill_limit(size_t bytes) {
    limit = bytes;
}
