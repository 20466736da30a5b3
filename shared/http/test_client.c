#include "http/test_client.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

int client_connect(const struct http_server *s) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct timeval limit = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(http_server_port(s))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

void client_send(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        data += n, size -= (size_t)n;
    }
}

void client_print(int fd, const char *fmt, ...) {
    struct buf text = {0};
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    va_start(args, fmt);
    vsnprintf(buf_reserve(&text, (size_t)n + 1), (size_t)n + 1, fmt, args);
    va_end(args);
    client_send(fd, text.data, (size_t)n);
    buf_free(&text);
}

static bool read_exactly(int fd, char *to, size_t size) {
    for (size_t have = 0; have < size;) {
        ssize_t n = recv(fd, to + have, size - have, 0);
        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    return true;
}

bool client_read(int fd, bool head_only, struct reply *r) {
    *r = (struct reply){0};
    for (size_t size = 0; size < 4 || memcmp(r->head + size - 4, "\r\n\r\n", 4) != 0; size++) {
        assert_true(size < sizeof r->head - 1);
        if (!read_exactly(fd, r->head + size, 1)) /* no further: the next answer may follow */
            return false;
    }
    assert_int_equal(sscanf(r->head, "HTTP/1.1 %u", &r->status), 1);
    const char *length = strcasestr(r->head, "\r\nContent-Length:");
    r->body_size = length == NULL || head_only ? 0 : strtoul(length + 17, NULL, 10);
    assert_true(r->body_size < sizeof r->body);
    return read_exactly(fd, r->body, r->body_size);
}

bool client_closed(int fd) {
    char c;
    return recv(fd, &c, 1, 0) <= 0;
}

static struct reply last;

struct reply *ask(const struct http_server *s, const char *fmt, ...) {
    char text[16384];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < sizeof text);
    int fd = client_connect(s);
    client_send(fd, text, (size_t)n);
    bool answered = client_read(fd, strncmp(text, "HEAD ", 5) == 0, &last);
    close(fd);
    assert_true(answered);
    return &last;
}

struct reply *ask_get(const struct http_server *s, const char *path) {
    return ask(s, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
}

struct reply *ask_json(const struct http_server *s, const char *method, const char *path, const char *body) {
    if (body == NULL)
        return ask(s, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\r\n", method,
                   path);
    return ask(s,
               "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
               "%zu\r\n\r\n%s",
               method, path, strlen(body), body);
}
