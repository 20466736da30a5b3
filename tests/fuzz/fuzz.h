/* What the targets of libFuzzer share. A target is one file: LLVMFuzzerTestOneInput() gets what somebody
 * hostile might send, and ends the process (require) where an answer is not what the interface promises.
 * Crashes, leaks, undefined behaviour, hangs and large allocations are found by the sanitizers and by
 * run.py's limits. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(condition, ...)                                                                              \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "\n%s:%d: not so: %s: ", __FILE__, __LINE__, #condition);                        \
            fprintf(stderr, __VA_ARGS__);                                                                    \
            fputc('\n', stderr);                                                                             \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* Takes one byte off the input; 0 where there is none. */
static inline uint8_t take_byte(struct slice *in) {
    if (in->size == 0)
        return 0;
    uint8_t byte = (uint8_t)*in->data;
    *in = (struct slice){in->data + 1, in->size - 1};
    return byte;
}

/* Takes what is before the next `end`, or all. A copy in the arena, so that the sanitizer sees its bounds. */
static inline struct slice take_until(struct slice *in, char end, struct arena *arena) {
    const char *at = in->size == 0 ? NULL : memchr(in->data, end, in->size);
    size_t n = at == NULL ? in->size : (size_t)(at - in->data), rest = at == NULL ? n : n + 1;
    struct slice piece = {arena_alloc(arena, n + 1), n};
    if (n > 0)
        memcpy((char *)(uintptr_t)piece.data, in->data, n);
    *in = (struct slice){in->data + rest, in->size - rest};
    return piece;
}
