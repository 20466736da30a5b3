/* Only where ThreadSanitizer is in the program: it does not know the threads and locks of C11, of which
 * librdkafka's are. A thread that it has not seen begin crashes in it, and a lock that it does not see is
 * none. So they are here once more, on POSIX's, which are what glibc's are made of. Nor does it know
 * pthread_clockjoin_np(): who is joined so goes on for ever, to it. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t) && sizeof(cnd_t) == sizeof(pthread_cond_t),
               "glibc's are");

/* What is not built with it is not judged by it either: only the locks of other libraries count. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "ignore_noninstrumented_modules=1 second_deadlock_stack=1";
}

static int result(int error) {
    return error == 0           ? thrd_success
           : error == EBUSY     ? thrd_busy
           : error == ETIMEDOUT ? thrd_timedout
           : error == ENOMEM    ? thrd_nomem
                                : thrd_error;
}

struct begin {
    thrd_start_t run;
    void *context;
};

static void *begin(void *context) {
    struct begin b = *(struct begin *)context;
    free(context);
    return (void *)(intptr_t)b.run(b.context);
}

int thrd_create(thrd_t *thread, thrd_start_t run, void *context) {
    struct begin *b = malloc(sizeof *b);
    if (b == NULL)
        return thrd_nomem;
    *b = (struct begin){run, context};
    int error = pthread_create(thread, NULL, begin, b);
    if (error != 0)
        free(b);
    return result(error);
}

int thrd_join(thrd_t thread, int *value) {
    void *returned = NULL;
    int error = pthread_join(thread, &returned);
    if (value != NULL)
        *value = (int)(intptr_t)returned;
    return result(error);
}

int thrd_detach(thrd_t thread) {
    return result(pthread_detach(thread));
}

int pthread_clockjoin_np(pthread_t thread, void **value, clockid_t clock, const struct timespec *until) {
    for (;;) {
        struct timespec now;
        int error = pthread_tryjoin_np(thread, value);
        clock_gettime(clock, &now);
        bool over =
            now.tv_sec > until->tv_sec || (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec);
        if (error != EBUSY || over)
            return error == EBUSY ? ETIMEDOUT : error;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
}

int mtx_init(mtx_t *m, int type) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    if ((type & mtx_recursive) != 0)
        pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    int error = pthread_mutex_init((pthread_mutex_t *)m, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return result(error);
}

int mtx_lock(mtx_t *m) {
    return result(pthread_mutex_lock((pthread_mutex_t *)m));
}

int mtx_trylock(mtx_t *m) {
    return result(pthread_mutex_trylock((pthread_mutex_t *)m));
}

int mtx_unlock(mtx_t *m) {
    return result(pthread_mutex_unlock((pthread_mutex_t *)m));
}

void mtx_destroy(mtx_t *m) {
    pthread_mutex_destroy((pthread_mutex_t *)m);
}

int cnd_init(cnd_t *c) {
    return result(pthread_cond_init((pthread_cond_t *)c, NULL));
}

int cnd_signal(cnd_t *c) {
    return result(pthread_cond_signal((pthread_cond_t *)c));
}

int cnd_broadcast(cnd_t *c) {
    return result(pthread_cond_broadcast((pthread_cond_t *)c));
}

int cnd_wait(cnd_t *c, mtx_t *m) {
    return result(pthread_cond_wait((pthread_cond_t *)c, (pthread_mutex_t *)m));
}

int cnd_timedwait(cnd_t *c, mtx_t *m, const struct timespec *until) {
    return result(pthread_cond_timedwait((pthread_cond_t *)c, (pthread_mutex_t *)m, until));
}

void cnd_destroy(cnd_t *c) {
    pthread_cond_destroy((pthread_cond_t *)c);
}
