/* Runs a program beside what else happens, and keeps what it said. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct command;

/* Starts argv[0], found at that path, in directory / with nothing to read; both its outputs are kept, up to
 * 64 KiB, without what a terminal would make colour of. `ended` is called once, on a thread of its own, after
 * command_done() is true. ERR_RETRY: too many run already. */
WARN_UNUSED bool command_start(char *const *argv, void (*ended)(void *context), void *context,
                               struct command **c, struct err *e);

/* Whether it has ended. Then: its exit code, 128 + n where signal n ended it; what it said; how long it took.
 * Any thread. */
bool command_done(const struct command *c);
int command_code(const struct command *c);
struct slice command_said(const struct command *c);
double command_seconds(const struct command *c);

/* Gives it back; what still runs goes on and is not told of. Takes NULL. */
void command_release(struct command *c);
