#include "requests.h"

#include "base/buf.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ANSWER_MAX = 4096, EVENTS = 64 };

struct connection {
    struct connection *next; /* of those that are free */
    int fd;                  /* -1: to be connected */
    bool busy;
    int64_t due_us;
    size_t size;
    char answer[ANSWER_MAX]; /* as far as it has come */
};

struct requests {
    struct addrinfo *address;
    char *host;
    requests_done *done;
    void *context;
    int epoll;
    struct connection *all, *free;
    size_t count;
    struct buf request;
};

static bool reconnect(struct requests *p, struct connection *c) {
    static const int on = 1;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = socket(p->address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (c->fd >= 0 && connect(c->fd, p->address->ai_addr, p->address->ai_addrlen) == 0 &&
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
        epoll_ctl(p->epoll, EPOLL_CTL_ADD, c->fd, &event) == 0)
        return true;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    return false;
}

static bool resolve(struct requests *p, const char *url, struct err *e) {
    const char *host = url + strlen("http://"), *port = strrchr(url, ':');
    if (strncmp(url, "http://", 7) != 0 || port <= host || strspn(port + 1, "0123456789") != strlen(port + 1))
        return err_set(e, ERR_CONFIG, "\"%s\" is not http://host:port", url);
    p->host = xstrdup(host);
    char *name = strndup(host, (size_t)(port - host));
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    int failed = name == NULL ? EAI_MEMORY : getaddrinfo(name, port + 1, &hints, &p->address);
    free(name);
    return failed == 0 || err_set(e, ERR_RETRY, "%s: %s", url, gai_strerror(failed));
}

bool requests_create(const char *url, size_t connections, requests_done *done, void *context,
                     struct requests **out, struct err *e) {
    struct requests *p = xcalloc(1, sizeof *p);
    p->done = done;
    p->context = context;
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->all = xcalloc(connections, sizeof *p->all);
    bool ok = resolve(p, url, e);
    for (; ok && p->count < connections; p->count++) {
        struct connection *c = &p->all[p->count];
        c->fd = -1;
        c->next = p->free;
        p->free = c;
        ok = reconnect(p, c) || err_set(e, ERR_RETRY, "%s: %s", url, strerror(errno));
    }
    if (!ok) {
        requests_destroy(p);
        return false;
    }
    *out = p;
    return true;
}

void requests_destroy(struct requests *p) {
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->count; i++)
        if (p->all[i].fd >= 0)
            close(p->all[i].fd);
    if (p->address != NULL)
        freeaddrinfo(p->address);
    close(p->epoll);
    buf_free(&p->request);
    free(p->host);
    free(p->all);
    free(p);
}

static void end(struct requests *p, struct connection *c, int status) {
    c->busy = false;
    c->size = 0;
    c->next = p->free;
    p->free = c;
    p->done(p->context, status, c->due_us);
}

bool requests_send(struct requests *p, const char *path, struct slice body, int64_t due_us) {
    struct connection *c = p->free;
    if (c == NULL)
        return false;
    p->free = c->next;
    c->busy = true;
    c->due_us = due_us;
    buf_clear(&p->request);
    buf_printf(&p->request, "%s %s HTTP/1.1\r\nHost: %s\r\n", body.data == NULL ? "GET" : "POST", path,
               p->host);
    if (body.data != NULL)
        buf_printf(&p->request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.size);
    buf_append_slice(&p->request, SLICE("\r\n"));
    buf_append_slice(&p->request, body);
    if (c->fd < 0 && !reconnect(p, c))
        end(p, c, 0);
    else if (write(c->fd, p->request.data, p->request.size) != (ssize_t)p->request.size) {
        reconnect(p, c);
        end(p, c, 0);
    }
    return true;
}

/* The status of an answer that is whole, with its body; 0: more is to come; -1: it is none. */
static int status_of(const struct connection *c) {
    const char *body = memmem(c->answer, c->size, "\r\n\r\n", 4);
    if (body == NULL)
        return c->size == ANSWER_MAX ? -1 : 0;
    body += 4;
    size_t length = 0;
    for (const char *line = c->answer; line < body; line = (const char *)memchr(line, '\n', c->size) + 1)
        if (strncasecmp(line, "Content-Length:", 15) == 0)
            length = strtoul(line + 15, NULL, 10);
    if ((size_t)(body - c->answer) + length > c->size)
        return length > ANSWER_MAX ? -1 : 0;
    return atoi(c->answer + strlen("HTTP/1.1 "));
}

static void receive(struct requests *p, struct connection *c) {
    ssize_t n = read(c->fd, c->answer + c->size, ANSWER_MAX - c->size);
    if (n > 0 && c->busy) {
        c->size += (size_t)n;
        int status = status_of(c);
        if (status == 0)
            return;
        if (status > 0) { /* a server takes so many requests on a connection, and says which is the last */
            if (memmem(c->answer, c->size, "\r\nConnection: close\r\n", 21) != NULL)
                reconnect(p, c);
            end(p, c, status);
            return;
        }
    }
    reconnect(p, c); /* the other side has closed it, or talks nonsense */
    if (c->busy)
        end(p, c, 0);
}

void requests_wait(struct requests *p, int timeout_ms) {
    struct epoll_event events[EVENTS];
    int n = epoll_wait(p->epoll, events, EVENTS, timeout_ms);
    for (int i = 0; i < n; i++)
        receive(p, events[i].data.ptr);
}
