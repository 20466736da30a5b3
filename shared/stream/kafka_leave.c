/* The one request that librdkafka has no call for: a static member leaves its group (KIP-345). */
#include "base/buf.h"
#include "base/cleanup.h"
#include "stream/kafka_client.h"

#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LEAVE_GROUP = 13, VERSION = 3, ANSWER_MS = 1000, PATIENCE_S = 3 };

static void put_string(struct buf *b, const char *s) {
    buf_append_be(b, strlen(s), 2);
    buf_append(b, s, strlen(s));
}

static int connect_to(const char *host, uint16_t port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    char service[8];
    int fd = -1;
    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(host, service, &hints, &list) != 0)
        return -1;
    for (struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct timeval wait = {.tv_sec = ANSWER_MS / 1000};
        if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) != 0 ||
                        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0 ||
                        connect(fd, a->ai_addr, a->ai_addrlen) != 0)) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

static bool leave(const char *host, uint16_t port, const char *group, const char *instance) {
    _cleanup_(buf_free) struct buf body = {0}, request = {0};
    buf_append_be(&body, LEAVE_GROUP, 2);
    buf_append_be(&body, VERSION, 2);
    buf_append_be(&body, 1, 4); /* correlation */
    put_string(&body, instance);
    put_string(&body, group);
    buf_append_be(&body, 1, 4); /* members: */
    put_string(&body, "");      /* whichever has */
    put_string(&body, instance);
    buf_append_be(&request, body.size, 4);
    buf_append_slice(&request, buf_slice(&body));
    int fd = connect_to(host, port);
    if (fd < 0)
        return false;
    /* size, correlation, throttle, error */
    unsigned char answer[14];
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    bool left = send(fd, request.data, request.size, MSG_NOSIGNAL) == (ssize_t)request.size &&
                poll(&readable, 1, ANSWER_MS) == 1 &&
                recv(fd, answer, sizeof answer, MSG_WAITALL) == (ssize_t)sizeof answer && answer[12] == 0 &&
                answer[13] == 0;
    close(fd);
    return left;
}

/* ---- looking up a name has no time limit, so somebody else does all of it ---- */

struct leaving {
    char *host, *group, *instance;
    uint16_t port;
    bool left;
    atomic_int holders; /* the last one frees it */
};

static void let_go(struct leaving *l) {
    if (atomic_fetch_sub(&l->holders, 1) > 1)
        return;
    free(l->host);
    free(l->group);
    free(l->instance);
    free(l);
}

static void *leave_in_time(void *context) {
    struct leaving *l = context;
    l->left = leave(l->host, l->port, l->group, l->instance);
    let_go(l);
    return NULL;
}

bool kafka_leave_group(const char *host, uint16_t port, const char *group, const char *instance) {
    struct leaving *l = xcalloc(1, sizeof *l);
    *l = (struct leaving){xstrdup(host), xstrdup(group), xstrdup(instance), port, false, 2};
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
    let_go(l);
    return left;
}
