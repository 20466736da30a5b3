/* A byte buffer that grows, and an arena whose memory is given back all at once.
 *
 * One thread at a time. Running out of memory ends the process: there is nothing sensible to undo, and
 * the log has everything. */
#pragma once

#include "base/slice.h"

#include <stdint.h>

/* As malloc, but never NULL. */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
/* As calloc, but never NULL. */
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* As realloc, but never NULL. */
void *xrealloc(void *old, size_t size) __attribute__((returns_nonnull));
/* As strdup, but never NULL. */
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));

/* Bytes, `size` of them; it owns `data`, which may be NULL while there are none. Zero-initialise. */
struct buf {
    char *data;
    size_t size, capacity;
};

/* Gives the memory back; the buffer is empty then, and can be used again. */
void buf_free(struct buf *b);
/* The same for what was a secret: overwrites it first. (What it grew out of is not overwritten.) */
void buf_wipe(struct buf *b);
/* Empties it, and keeps the memory. */
static inline void buf_clear(struct buf *b) {
    b->size = 0;
}
/* Makes the capacity `extra` bytes more than size, at least. */
void buf_grow(struct buf *b, size_t extra);
/* Makes room for `extra` bytes behind size and returns where they begin. */
static inline char *buf_reserve(struct buf *b, size_t extra) {
    if (b->capacity - b->size < extra)
        buf_grow(b, extra);
    return b->data + b->size;
}
/* Copies `size` bytes behind what there is; none of them may be its own. */
static inline void buf_append(struct buf *b, const void *data, size_t size) {
    if (size == 0)
        return;
    memcpy(buf_reserve(b, size), data, size);
    b->size += size;
}
/* Copies a slice behind what there is. */
static inline void buf_append_slice(struct buf *b, struct slice s) {
    buf_append(b, s.data, s.size);
}
/* Appends one byte. */
static inline void buf_append_byte(struct buf *b, uint8_t byte) {
    *buf_reserve(b, 1) = (char)byte;
    b->size++;
}
/* The lowest `bytes` bytes of a number (1 to 8), the most significant first. */
void buf_append_be(struct buf *b, uint64_t n, int bytes);
/* Reads what buf_append_be() has written. */
uint64_t be_get(const char *at, int bytes);
/* A number in decimal. */
void buf_append_int(struct buf *b, int64_t n);
/* In sixteen hex digits. */
void buf_append_hex(struct buf *b, uint64_t n);
/* Sixteen hex digits that fall as `n` rises: keys that begin so sort newest first. */
void buf_append_descending(struct buf *b, int64_t n);
/* Appends formatted text, without a NUL. */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What is in it; valid until the buffer is changed. */
static inline struct slice buf_slice(const struct buf *b) {
    return (struct slice){b->data, b->size};
}

/* Memory for many small things that end together. Zero-initialise. */
struct arena {
    struct arena_block *block;
    size_t used;
};

/* Gives all memory back; the arena is empty then, and can be used again. */
void arena_free(struct arena *a);
/* Everything allocated becomes invalid; the first block is kept for the next use. */
void arena_reset(struct arena *a);
/* Bytes that it holds. */
size_t arena_size(const struct arena *a);
/* Aligned for any type, not zeroed. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((malloc, returns_nonnull));
/* A copy of the bytes. */
struct slice arena_copy(struct arena *a, struct slice s);
/* Formatted text, without a NUL. */
struct slice arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
