#include "peer.h"

#include "fuzz.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct slice *answers;
static size_t answer_count, next_answer;
static bool closing;
static int listener;

void peer_answers(const struct slice *each, size_t count, bool closes) {
    pthread_mutex_lock(&lock);
    answers = each;
    answer_count = count;
    next_answer = 0;
    closing = closes;
    pthread_mutex_unlock(&lock);
}

static size_t body_size(const char *head) {
    const char *at = strcasestr(head, "\r\nContent-Length:");
    return at == NULL ? 0 : strtoul(at + 17, NULL, 10);
}

/* Reads one request. False: the client has gone. */
static bool read_request(int fd, struct buf *in) {
    for (;;) {
        buf_reserve(in, 65536);
        in->data[in->size] = 0;
        const char *end = in->size == 0 ? NULL : strstr(in->data, "\r\n\r\n");
        if (end != NULL && in->size >= (size_t)(end + 4 - in->data) + body_size(in->data))
            return true;
        ssize_t n = recv(fd, in->data + in->size, 65535, 0);
        if (n <= 0)
            return false;
        in->size += (size_t)n;
    }
}

/* Whether the connection goes on. */
static bool answer(int fd) {
    pthread_mutex_lock(&lock);
    struct slice bytes = answer_count == 0 ? SLICE("") : answers[next_answer];
    next_answer += next_answer + 1 < answer_count;
    while (bytes.size > 0) {
        ssize_t n = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        bytes = (struct slice){bytes.data + n, bytes.size - (size_t)n};
    }
    bool goes_on = !closing && answer_count > 0;
    pthread_mutex_unlock(&lock);
    return goes_on;
}

static void *serve(void *context) {
    struct buf in = {0};
    (void)context;
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        do
            buf_clear(&in);
        while (read_request(fd, &in) && answer(fd));
        /* No TIME_WAIT, of which there would soon be too many; what was sent has arrived. */
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
        close(fd);
    }
    return NULL;
}

uint16_t peer_start(void) {
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof a;
    pthread_t thread;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(bind(listener, (struct sockaddr *)&a, size) == 0 && listen(listener, 64) == 0 &&
                getsockname(listener, (struct sockaddr *)&a, &size) == 0 &&
                pthread_create(&thread, NULL, serve, NULL) == 0,
            "no peer");
    return ntohs(a.sin_port);
}
