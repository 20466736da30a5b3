#include "lens.h"

#include "base/cleanup.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

enum { QUICK_THREADS = 2, THREADS = QUICK_THREADS + 1, QUEUE_MAX = 64, ANSWER_MS = 20000, IDLE_S = 1 };

struct queued {
    struct job job; /* first: a job is its queue's */
    struct queued *next;
    atomic_int owners; /* the exchange, and the queue or the thread */
    atomic_bool done, abandoned;
    job_run *run;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct queued *first[2], **last[2]; /* by kind */
    size_t count[2];
    struct instance *instance;
    pthread_t threads[THREADS];
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void queued_release(struct queued *q) {
    if (q == NULL || atomic_fetch_sub(&q->owners, 1) > 1)
        return;
    arena_free(&q->job.arena);
    buf_free(&q->job.body);
    free(q);
}

bool job_is_abandoned(const struct job *j) {
    return atomic_load(&((const struct queued *)(const void *)j)->abandoned) ||
           instance_stopping(pool.instance);
}

bool job_problem(struct job *j, unsigned status, const char *field, const char *fmt, ...) {
    va_list args;
    char text[1024];
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_clear(&j->body);
    buf_append_slice(&j->body, slice_of(text));
    buf_append_byte(&j->body, 0);
    j->status = status;
    j->field = field;
    return false;
}

bool job_failed(struct job *j, const char *field, const struct err *e) {
    return e->kind == ERR_INPUT ? job_problem(j, 404, field, "%s", e->text)
                                : job_problem(j, 503, NULL, "%s", e->text);
}

/* ---- threads ---- */

static struct queued *take(int thread) {
    struct queued *q = NULL;
    for (int kind = thread < QUICK_THREADS ? JOB_QUICK : JOB_SLOW; q == NULL && kind >= 0;
         kind = thread < QUICK_THREADS ? -1 : kind - 1) {
        q = pool.first[kind];
        if (q != NULL) {
            pool.first[kind] = q->next;
            pool.count[kind]--;
            if (q->next == NULL)
                pool.last[kind] = &pool.first[kind];
        }
    }
    return q;
}

static void do_job(struct queued *q, struct reader *reader) {
    char key[32];
    if (!atomic_load(&q->abandoned)) {
        q->job.reader = reader;
        q->run(&q->job);
        atomic_store(&q->done, true);
        int n = snprintf(key, sizeof key, "j%p", (void *)q);
        instance_wake(pool.instance, (struct slice){key, (size_t)n});
    }
    queued_release(q);
}

static void *thread_main(void *context) {
    int thread = (int)(intptr_t)context;
    struct reader *reader = reader_create(lens.cluster);
    prctl(PR_SET_NAME, thread < QUICK_THREADS ? "reads" : "searches");
    while (!instance_stopping(pool.instance)) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += IDLE_S;
        pthread_mutex_lock(&pool.lock);
        struct queued *q = take(thread);
        if (q == NULL) {
            pthread_cond_clockwait(&pool.more, &pool.lock, CLOCK_MONOTONIC, &until);
            q = take(thread);
        }
        pthread_mutex_unlock(&pool.lock);
        if (q != NULL)
            do_job(q, reader);
    }
    reader_destroy(reader);
    return NULL;
}

void jobs_start(struct instance *i) {
    pthread_mutex_lock(&pool.lock);
    pool.instance = i;
    pthread_mutex_unlock(&pool.lock);
    for (intptr_t n = 0; n < THREADS; n++)
        if (pthread_create(&pool.threads[n], NULL, thread_main, (void *)n) != 0)
            abort(); /* out of memory */
}

void jobs_join(void) {
    for (int n = 0; n < THREADS; n++)
        pthread_join(pool.threads[n], NULL);
}

/* ---- exchanges ---- */

static void exchange_ended(void *state) {
    struct queued *q = *(struct queued **)state;
    if (q != NULL)
        atomic_store(&q->abandoned, true);
    queued_release(q);
}

static struct request request_copy(const struct request *from, struct arena *a) {
    struct request r = *from;
    struct slice *slices[] = {&r.topic, &r.key, &r.partition_text, &r.value, &r.header, &r.after, &r.at};
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++)
        if (slices[i]->data != NULL)
            *slices[i] = arena_copy(a, *slices[i]);
    return r;
}

/* NULL: there are too many already. */
static struct queued *enqueue(enum job_kind kind, job_run *run, const struct request *request) {
    pthread_mutex_lock(&pool.lock);
    bool room = pool.count[kind] < QUEUE_MAX;
    struct queued *q = NULL;
    if (room) {
        q = xcalloc(1, sizeof *q);
        atomic_init(&q->owners, 2);
        q->job = (struct job){.status = 200};
        q->job.request = request_copy(request, &q->job.arena);
        q->run = run;
        if (pool.first[kind] == NULL)
            pool.last[kind] = &pool.first[kind];
        *pool.last[kind] = q;
        pool.last[kind] = &q->next;
        pool.count[kind]++;
    }
    pthread_mutex_unlock(&pool.lock);
    return q;
}

enum http_result job_answer(struct instance *i, struct http_exchange *x, enum job_kind kind, job_run *run,
                            const struct request *request) {
    static const char owner;
    struct queued **slot = http_state(x, &owner, sizeof(struct queued *), exchange_ended);
    char key[32];
    (void)i;
    http_deadline(x, ANSWER_MS);
    if (*slot == NULL) {
        *slot = enqueue(kind, run, request);
        if (*slot == NULL)
            return http_reply_problem(x, 503, NULL, "%d requests wait already", QUEUE_MAX);
        int n = snprintf(key, sizeof key, "j%p", (void *)*slot);
        http_watch(x, (struct slice){key, (size_t)n});
        pthread_cond_broadcast(&pool.more);
    }
    struct queued *q = *slot;
    if (!atomic_load(&q->done))
        return http_timed_out(x) ? instance_unavailable(x, "Kafka does not answer") : HTTP_WAIT;
    if (q->job.status != 200)
        return http_reply_problem(x, q->job.status, q->job.field, "%s", q->job.body.data);
    return http_reply_json(x, 200, buf_slice(&q->job.body));
}
