/* LD_PRELOAD: what a process believes of the world outside.
 *
 *   CONNECT_FROM, CONNECT_VIA   connections to the one port go to the other of the same host, where a proxy
 * cuts and slows them (proxy.py). Kafka tells its clients its own address, so there is no other way to get
 * between the two. CLOCK_FILE                  has an int64_t: by so many seconds the wall clock differs,
 * from when it is written. As after settimeofday(), also whoever waits for a time notices.
 *
 * libfaketime, which does the latter, cannot live with jemalloc. */
#include <arpa/inet.h>
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

/* The function that this one stands before. POSIX has it that it comes as a pointer to an object. */
#define NEXT(function)                                                                                       \
    __extension__({                                                                                          \
        static __typeof__(function) *next;                                                                   \
        void *symbol = next == NULL ? dlsym(RTLD_NEXT, #function) : NULL;                                    \
        if (symbol != NULL)                                                                                  \
            memcpy(&next, &symbol, sizeof next);                                                             \
        assert(next != NULL);                                                                                \
        next;                                                                                                \
    })

static in_port_t port_of(const char *name) {
    const char *text = getenv(name);
    return htons((in_port_t)(text == NULL ? 0 : atoi(text)));
}

typedef int connect_function(int, const struct sockaddr *, socklen_t);

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t size) {
    connect_function *next;
    void *symbol = dlsym(RTLD_NEXT, "connect");
    memcpy(&next, &symbol, sizeof next);
    struct sockaddr_in in;
    if (address.__sockaddr__->sa_family == AF_INET && size >= sizeof in) {
        memcpy(&in, address.__sockaddr__, sizeof in);
        if (in.sin_port == port_of("CONNECT_FROM")) {
            in.sin_port = port_of("CONNECT_VIA");
            return next(fd, (const struct sockaddr *)&in, sizeof in);
        }
    }
    return next(fd, address.__sockaddr__, size);
}

static const volatile int64_t *ahead; /* NULL: the clock is right */

__attribute__((constructor)) static void open_clock(void) {
    const char *path = getenv("CLOCK_FILE");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (page != MAP_FAILED)
        ahead = page;
}

/* Without libc's function: malloc itself asks for the time before any can be looked up. */
int clock_gettime(clockid_t clock, struct timespec *t) {
    if (syscall(SYS_clock_gettime, clock, t) != 0)
        return -1;
    if ((clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) && ahead != NULL)
        t->tv_sec += *ahead;
    return 0;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    *t = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *t) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    if (t != NULL)
        *t = now.tv_sec;
    return now.tv_sec;
}

/* Up to `until` of the wrong clock, as the right one has it, but no longer than it takes to notice that the
 * wrong one was set. False: it is over. */
static bool next_look(const struct timespec *until, struct timespec *look) {
    enum { LOOK_NS = 50000000, SECOND_NS = 1000000000 };
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t left = (int64_t)(until->tv_sec - now.tv_sec) * SECOND_NS + until->tv_nsec - now.tv_nsec;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, look);
    int64_t ns = look->tv_nsec + (left < 0 ? 0 : left > LOOK_NS ? LOOK_NS : left);
    *look = (struct timespec){look->tv_sec + ns / SECOND_NS, ns % SECOND_NS};
    return left > 0;
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until) {
    struct timespec look;
    if (ahead == NULL)
        return NEXT(cnd_timedwait)(condition, mutex, until);
    for (bool more = true; more;) {
        more = next_look(until, &look);
        int result = NEXT(cnd_timedwait)(condition, mutex, &look);
        if (result != thrd_timedout)
            return result;
    }
    return thrd_timedout;
}

/* A condition may go by the monotonic clock, which began with the machine. */
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    enum { YEAR_2001 = 1000000000 };
    struct timespec look;
    if (ahead == NULL || until->tv_sec < YEAR_2001)
        return NEXT(pthread_cond_timedwait)(condition, mutex, until);
    for (bool more = true; more;) {
        more = next_look(until, &look);
        int result = NEXT(pthread_cond_timedwait)(condition, mutex, &look);
        if (result != ETIMEDOUT)
            return result;
    }
    return ETIMEDOUT;
}
