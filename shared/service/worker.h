/* The thread of a worker: it opens its log and its store, registers its schemas, and runs its stream or its
 * delivery until that ends or fails. What is merely away it waits for. */
#pragma once

#include "instance/inside.h"

/* What supervisors go by; docs/OPERATIONS.md. */
enum exit_code { EXIT_AGAIN = 75, EXIT_FENCED = 77, EXIT_BAD_CONFIG = 78 };
int exit_code_of(const struct err *e);

/* Learns from the disk how often the processes before were fenced. Before the thread. */
void worker_count_fencings(struct worker *w);

/* The thread's; its context is the worker. It says on instance->wake_fd that it ends. */
void *worker_main(void *worker);

/* What its stream is created with; tests run one without a thread. */
struct stream_options worker_stream_options(struct worker *w);

/* After the thread has ended. */
void worker_destroy(struct worker *w);
