/* A question to another program that waits for its answer: HTTP with a line of text as body, and five
 * seconds' patience. */
#pragma once

#include <stddef.h>

enum { RPC_TEXT = 256, RPC_TIMEOUT_MS = 5000 };

/* Answers what is asked: the HTTP status, and a line in `reply`, which is empty before. `id` is the last part
 * of the path. On a thread of the connection. */
typedef unsigned rpc_handler(const char *method, const char *id, const char *text, char reply[RPC_TEXT]);

/* Serves on 127.0.0.1 until the process is killed. */
__attribute__((noreturn)) void rpc_serve(const char *port, rpc_handler *handler);

/* Asks and waits. The status; 0: nobody answered in time. `reply` may be NULL. Any thread. */
long rpc_call(const char *method, const char *port, const char *path, const char *id, const char *text,
              char reply[RPC_TEXT]);
