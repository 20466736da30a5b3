/* The one request that librdkafka has no call for: a static member leaves its group (KIP-345). */
#include "base/buf.h"
#include "base/cleanup.h"
#include "kafka/client.h"
#include "kafka/wire.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { LEAVE_GROUP = 13, VERSION = 3, ANSWER_MS = 1000, ANSWER_MAX = 64 << 10, PATIENCE_S = 3 };

static void put_string(struct buf *b, const char *s) {
    buf_append_be(b, strlen(s), 2);
    buf_append(b, s, strlen(s));
}

static bool leave(struct kafka_wire *to, const char *group, const char *instance) {
    _cleanup_(buf_free) struct buf request = {0}, answer = {0};
    struct err e;
    buf_append_be(&request, LEAVE_GROUP, 2);
    buf_append_be(&request, VERSION, 2);
    buf_append_be(&request, 1, 4); /* correlation */
    put_string(&request, instance);
    put_string(&request, group);
    buf_append_be(&request, 1, 4); /* members: */
    put_string(&request, "");      /* whichever has */
    put_string(&request, instance);
    /* correlation, throttle, error, … */
    return kafka_wire_ask(to, buf_slice(&request), &answer, ANSWER_MAX, ANSWER_MS, &e) && answer.size >= 10 &&
           be_get(answer.data + 8, 2) == 0;
}

/* ---- looking up a name has no time limit, so somebody else does all of it ---- */

struct leaving {
    struct kafka_wire *to;
    char *group, *instance;
    bool left;
    atomic_int holders; /* the last one frees it */
};

static void let_go(struct leaving *l) {
    if (atomic_fetch_sub(&l->holders, 1) > 1)
        return;
    kafka_wire_destroy(l->to);
    free(l->group);
    free(l->instance);
    free(l);
}

static void *leave_in_time(void *context) {
    struct leaving *l = context;
    l->left = leave(l->to, l->group, l->instance);
    let_go(l);
    return NULL;
}

bool kafka_leave_group(const struct kafka_property *properties, const char *host, uint16_t port,
                       const char *group, const char *instance) {
    struct leaving *l = xcalloc(1, sizeof *l);
    *l = (struct leaving){kafka_wire_create(host, port, properties), xstrdup(group), xstrdup(instance), false,
                          2};
    struct timespec until;
    pthread_t thread;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_S;
    bool ended = false;
    if (pthread_create(&thread, NULL, leave_in_time, l) != 0)
        let_go(l); /* of the thread that there is not */
    else if (!(ended = pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) == 0))
        pthread_detach(thread);
    bool left = ended && l->left;
    // NOLINTNEXTLINE(clang-analyzer-*): this one is the last, or the thread is
    let_go(l);
    return left;
}
