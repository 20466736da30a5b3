/* A client for tests that sends exactly the bytes it is given. Every failure fails the test. */
#pragma once

#include "http/server.h"

struct reply {
    unsigned status;
    char head[4096]; /* status line and headers */
    char body[200000];
    size_t body_size;
};

/* Connects; reads give up after 10 s. */
int client_connect(const struct http_server *s);
/* Without caring whether the server still listens to it. */
void client_send(int fd, const char *data, size_t size);
void client_print(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One whole answer. `head_only`: of a HEAD. False: the connection was closed before one came. */
bool client_read(int fd, bool head_only, struct reply *r);
/* Nothing comes any more, and the server has closed the connection. */
bool client_closed(int fd);

/* One connection, one request; static storage. */
struct reply *ask(const struct http_server *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct reply *ask_get(const struct http_server *s, const char *path);
/* A well-formed request with `body`, unless NULL, as application/json. */
struct reply *ask_json(const struct http_server *s, const char *method, const char *path, const char *body);
