#include "http/internal.h"

#include "base/clock.h"

#include <assert.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    DEADLINE_DEFAULT_MS = 30 * 1000,
    DEADLINE_MAX_MS = 3600 * 1000,
    LOOK_US = 1000 * 1000, /* whose clients have gone */
};

/* The interest of one exchange in one key: in the list of its bucket and in that of its exchange. */
struct watch {
    struct watch *next, **link; /* *link == this */
    struct watch *next_of_exchange;
    struct http_exchange *exchange;
    size_t size;
    char key[];
};

void waiting_init(struct waiting *w) {
    pthread_mutex_init(&w->lock, NULL);
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake_fd < 0)
        abort(); /* no descriptors: this process is at its end */
}

void waiting_finish(struct waiting *w) {
    pthread_mutex_destroy(&w->lock);
    close(w->wake_fd);
    free(w->looked);
    free(w->sleepers);
}

void waiting_wake(struct waiting *w) {
    if (!atomic_exchange(&w->wakes, true))
        eventfd_write(w->wake_fd, 1);
}

/* Under the lock. An exchange that is not asleep runs once more when its present run wants to wait. */
static void exchange_wake(struct http_exchange *x) {
    x->woken = true;
    if (x->suspended) {
        x->suspended = x->pausing = false;
        x->server->waiting.suspended--;
        MHD_resume_connection(x->connection);
        waiting_wake(&x->server->waiting);
    }
}

static void timer_remove(struct http_exchange *x) {
    struct timers *t = x->timers;
    assert(t != NULL);
    *(x->earlier == NULL ? &t->first : &x->earlier->later) = x->later;
    *(x->later == NULL ? &t->last : &x->later->earlier) = x->earlier;
    x->timers = NULL;
}

/* From the end: a new time is mostly the last one. */
static void timer_set(struct waiting *w, struct http_exchange *x, enum timer kind, int64_t wake_us) {
    struct timers *t = &w->timers[kind];
    if (x->timers == t && x->wake_us == wake_us)
        return;
    if (x->timers != NULL)
        timer_remove(x);
    struct http_exchange *before = t->last;
    while (before != NULL && before->wake_us > wake_us)
        before = before->earlier;
    x->earlier = before;
    x->later = before == NULL ? t->first : before->later;
    *(x->earlier == NULL ? &t->first : &x->earlier->later) = x;
    *(x->later == NULL ? &t->last : &x->later->earlier) = x;
    x->timers = t;
    x->wake_us = wake_us;
    if (w->look_us == 0)
        w->look_us = clock_mono_us() + LOOK_US;
}

static struct http_exchange *timer_first(const struct waiting *w) {
    struct http_exchange *first = NULL;
    for (int k = 0; k < TIMERS; k++) {
        struct http_exchange *x = w->timers[k].first;
        if (x != NULL && (first == NULL || x->wake_us < first->wake_us))
            first = x;
    }
    return first;
}

/* Of a connection that is suspended the library does not see that it was closed. */
static void end_gone(struct waiting *w) {
    size_t n = 0;
    pthread_mutex_lock(&w->lock);
    if (w->suspended > w->capacity) {
        w->capacity = w->suspended + w->suspended / 2;
        w->looked = xrealloc(w->looked, w->capacity * sizeof *w->looked);
        w->sleepers = xrealloc(w->sleepers, w->capacity * sizeof(struct http_exchange *));
    }
    for (int k = 0; k < TIMERS; k++)
        for (struct http_exchange *x = w->timers[k].first; x != NULL; x = x->later)
            if (x->suspended) {
                w->sleepers[n] = x;
                w->looked[n++] = (struct pollfd){.fd = x->fd, .events = POLLRDHUP};
            }
    pthread_mutex_unlock(&w->lock);
    w->look_us = n > 0 ? clock_mono_us() + LOOK_US : 0;
    if (n == 0 || poll(w->looked, (nfds_t)n, 0) <= 0) /* nothing ends meanwhile but on this thread */
        return;
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < n; i++)
        if (w->looked[i].revents != 0) {
            w->sleepers[i]->gone = true;
            exchange_wake(w->sleepers[i]);
        }
    pthread_mutex_unlock(&w->lock);
}

int waiting_tend(struct waiting *w) {
    struct http_exchange *x;
    int64_t now = clock_mono_us();
    if (w->look_us != 0 && now >= w->look_us)
        end_gone(w);
    pthread_mutex_lock(&w->lock);
    while ((x = timer_first(w)) != NULL && x->wake_us <= now) {
        timer_remove(x);
        exchange_wake(x);
    }
    pthread_mutex_unlock(&w->lock);
    int64_t next_us = w->look_us;
    if (x != NULL && (next_us == 0 || x->wake_us < next_us))
        next_us = x->wake_us;
    return next_us == 0 ? -1 : next_us <= now ? 0 : (int)((next_us - now + 999) / 1000);
}

void waiting_drain(struct waiting *w) {
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    for (int k = 0; k < TIMERS; k++)
        for (struct http_exchange *x = w->timers[k].first; x != NULL; x = x->later)
            exchange_wake(x);
    pthread_mutex_unlock(&w->lock);
}

bool waiting_idle(struct waiting *w) {
    pthread_mutex_lock(&w->lock);
    bool idle = w->running == 0;
    pthread_mutex_unlock(&w->lock);
    return idle;
}

bool exchange_run(struct http_exchange *x) {
    struct waiting *w = &x->server->waiting;
    pthread_mutex_lock(&w->lock);
    if (!x->ran) {
        x->ran = true;
        x->first_run_us = clock_mono_us();
        w->running++;
    }
    x->woken = false;
    bool stopping = w->stopping;
    pthread_mutex_unlock(&w->lock);
    int64_t now = clock_mono_us();
    x->timed_out = x->deadline_us != 0 && now >= x->deadline_us;
    x->beat = x->streams && now >= x->beat_us;
    x->pause_us = 0;
    return !stopping;
}

bool exchange_may_wait(struct http_exchange *x) {
    struct waiting *w = &x->server->waiting;
    pthread_mutex_lock(&w->lock);
    bool may = x->waits || w->waiting < x->server->config.max_waiting;
    w->waiting += may && !x->waits;
    x->waits = may;
    pthread_mutex_unlock(&w->lock);
    return may;
}

bool exchange_sleep(struct http_exchange *x) {
    struct waiting *w = &x->server->waiting;
    bool pausing = x->pause_us != 0;
    enum timer kind = pausing ? TIMER_PAUSE : x->streams ? TIMER_BEAT : TIMER_DEADLINE;
    http_deadline(x, DEADLINE_DEFAULT_MS);
    int64_t wake_us = pausing ? x->pause_us : x->streams ? x->beat_us : x->deadline_us;
    pthread_mutex_lock(&w->lock);
    bool sleep = (pausing || !x->woken) && !w->stopping && clock_mono_us() < wake_us;
    if (sleep) {
        timer_set(w, x, kind, wake_us);
        x->suspended = true;
        x->pausing = pausing;
        w->suspended++;
        MHD_suspend_connection(x->connection);
    }
    pthread_mutex_unlock(&w->lock);
    return sleep;
}

void exchange_end(struct http_exchange *x) {
    struct waiting *w = &x->server->waiting;
    if (x->timers != NULL)
        timer_remove(x);
    pthread_mutex_lock(&w->lock);
    w->suspended -= x->suspended;
    w->waiting -= x->waits;
    w->streams -= x->streams;
    x->streams = x->waits = false;
    for (struct watch *watch = x->watches; watch != NULL;) {
        struct watch *next = watch->next_of_exchange;
        *watch->link = watch->next;
        if (watch->next != NULL)
            watch->next->link = watch->link;
        free(watch);
        watch = next;
    }
    x->watches = NULL;
    w->running -= x->ran;
    x->ran = false;
    pthread_mutex_unlock(&w->lock);
}

static struct watch **bucket_of(struct waiting *w, struct slice key) {
    return &w->buckets[slice_hash(key) % WATCH_BUCKETS];
}

static bool watches(const struct watch *watch, struct slice key) {
    return slice_equal((struct slice){watch->key, watch->size}, key);
}

void http_watch(struct http_exchange *x, struct slice key) {
    for (struct watch *watch = x->watches; watch != NULL; watch = watch->next_of_exchange)
        if (watches(watch, key))
            return;
    struct waiting *w = &x->server->waiting;
    struct watch *watch = xmalloc(sizeof *watch + key.size);
    memcpy(watch->key, key.data, key.size);
    watch->size = key.size;
    watch->exchange = x;
    watch->next_of_exchange = x->watches;
    x->watches = watch;
    watch->link = bucket_of(w, key);
    pthread_mutex_lock(&w->lock);
    watch->next = *watch->link;
    if (watch->next != NULL)
        watch->next->link = &watch->next;
    *watch->link = watch;
    pthread_mutex_unlock(&w->lock);
}

void http_wake(struct http_server *s, struct slice key) {
    struct waiting *w = &s->waiting;
    struct watch **bucket = bucket_of(w, key);
    pthread_mutex_lock(&w->lock);
    for (struct watch *watch = *bucket; watch != NULL; watch = watch->next)
        if (watches(watch, key) && !watch->exchange->pausing)
            exchange_wake(watch->exchange);
    pthread_mutex_unlock(&w->lock);
}

void http_deadline(struct http_exchange *x, int64_t ms) {
    if (x->deadline_us != 0)
        return;
    ms = ms < 0 ? 0 : ms > DEADLINE_MAX_MS ? DEADLINE_MAX_MS : ms;
    x->deadline_us = x->first_run_us + ms * 1000;
}

int64_t http_elapsed(const struct http_exchange *x) {
    return (clock_mono_us() - x->first_run_us) / 1000;
}

void http_waited(struct http_exchange *x, int64_t ms) {
    int64_t us = (ms < 0 ? 0 : ms > DEADLINE_MAX_MS ? DEADLINE_MAX_MS : ms) * 1000;
    x->first_run_us -= us;
    if (x->deadline_us != 0)
        x->deadline_us -= us;
    x->timed_out = x->deadline_us != 0 && clock_mono_us() >= x->deadline_us;
}

void http_postpone(struct http_exchange *x, int64_t ms) {
    if (x->deadline_us != 0)
        x->deadline_us += ms * 1000;
}

int64_t http_remaining(const struct http_exchange *x) {
    int64_t left_us = x->deadline_us - clock_mono_us();
    return left_us > 0 ? left_us / 1000 : 0;
}

bool http_timed_out(const struct http_exchange *x) {
    return x->timed_out;
}
