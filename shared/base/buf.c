#include "base/buf.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void *checked(void *p) {
    if (p == NULL)
        abort();
    return p;
}

void *xmalloc(size_t size) {
    return checked(malloc(size > 0 ? size : 1));
}

void *xcalloc(size_t count, size_t size) {
    return checked(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *xrealloc(void *old, size_t size) {
    return checked(realloc(old, size > 0 ? size : 1));
}

char *xstrdup(const char *text) {
    return checked(strdup(text));
}

void buf_free(struct buf *b) {
    free(b->data);
    *b = (struct buf){0};
}

void buf_wipe(struct buf *b) {
    if (b->data != NULL)
        explicit_bzero(b->data, b->capacity);
    buf_free(b);
}

void buf_grow(struct buf *b, size_t extra) {
    size_t wanted = b->capacity * 2 > b->size + extra ? b->capacity * 2 : b->size + extra;
    b->capacity = wanted < 64 ? 64 : wanted;
    b->data = xrealloc(b->data, b->capacity);
}

void buf_append_int(struct buf *b, int64_t n) {
    char digits[20], *at = digits + sizeof digits;
    uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (n < 0)
        *--at = '-';
    buf_append(b, at, (size_t)(digits + sizeof digits - at));
}

void buf_append_hex(struct buf *b, uint64_t n) {
    char *at = buf_reserve(b, 16);
    for (int i = 15; i >= 0; i--, n >>= 4)
        at[i] = "0123456789abcdef"[n & 15];
    b->size += 16;
}

void buf_append_be(struct buf *b, uint64_t n, int bytes) {
    while (bytes-- > 0)
        buf_append_byte(b, (uint8_t)(n >> 8 * bytes));
}

uint64_t be_get(const char *at, int bytes) {
    uint64_t n = 0;
    for (int i = 0; i < bytes; i++)
        n = n << 8 | (unsigned char)at[i];
    return n;
}

void buf_append_descending(struct buf *b, int64_t n) {
    buf_append_hex(b, UINT64_MAX - ((uint64_t)n ^ (UINT64_C(1) << 63)));
}

void buf_printf(struct buf *b, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(buf_reserve(b, 128), 128, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    if (n >= 128) {
        buf_reserve(b, (size_t)n + 1);
        va_start(args, fmt);
        vsnprintf(b->data + b->size, (size_t)n + 1, fmt, args);
        va_end(args);
    }
    b->size += (size_t)n;
}

enum { ARENA_BLOCK = 64 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t size;
    alignas(max_align_t) char data[];
};

static struct arena_block *arena_block_create(size_t size, struct arena_block *next) {
    struct arena_block *block = xmalloc(sizeof *block + size);
    block->next = next;
    block->size = size;
    return block;
}

void arena_free(struct arena *a) {
    while (a->block != NULL) {
        struct arena_block *next = a->block->next;
        free(a->block);
        a->block = next;
    }
    *a = (struct arena){0};
}

void arena_reset(struct arena *a) {
    while (a->block != NULL && a->block->next != NULL) {
        struct arena_block *next = a->block->next;
        free(a->block);
        a->block = next;
    }
    a->used = 0;
}

size_t arena_size(const struct arena *a) {
    size_t size = a->used;
    for (const struct arena_block *b = a->block == NULL ? NULL : a->block->next; b != NULL; b = b->next)
        size += b->size;
    return size;
}

void *arena_alloc(struct arena *a, size_t size) {
    size_t align = alignof(max_align_t);
    size = (size + align - 1) & ~(align - 1);
    if (a->block == NULL || a->block->size - a->used < size) {
        a->block = arena_block_create(size > ARENA_BLOCK ? size : ARENA_BLOCK, a->block);
        a->used = 0;
    }
    void *p = a->block->data + a->used;
    a->used += size;
    return p;
}

struct slice arena_copy(struct arena *a, struct slice s) {
    if (s.data == NULL)
        return s;
    char *copy = arena_alloc(a, s.size);
    memcpy(copy, s.data, s.size);
    return (struct slice){copy, s.size};
}

struct slice arena_printf(struct arena *a, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    /* Most texts fit into what is left of the block: then one pass is enough. */
    size_t left = a->block == NULL ? 0 : a->block->size - a->used;
    char *text = left == 0 ? NULL : a->block->data + a->used;
    int n = vsnprintf(text, left, fmt, args);
    va_end(args);
    if (n < 0)
        abort();
    text = arena_alloc(a, (size_t)n + 1); /* what is left is a multiple of the alignment: the same place */
    if ((size_t)n >= left)
        vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    return (struct slice){text, (size_t)n};
}
