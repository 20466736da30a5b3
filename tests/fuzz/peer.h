/* A server on loopback, in a thread of its own, that answers each request with what it was told to. */
#pragma once

#include "base/slice.h"

#include <stdint.h>

/* Listens, for ever. */
uint16_t peer_start(void);

/* The bytes of the next answers, one for each request; after the last it gives that again. `each` is borrowed
 * until the next call. `closes`: after each answer. */
void peer_answers(const struct slice *each, size_t count, bool closes);
