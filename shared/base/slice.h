/* A run of bytes that somebody else owns: strings, keys and payloads are passed as slices, never copied
 * without need. Not NUL-terminated. data == NULL means "none" where a function says so. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed bytes. */
struct slice {
    const char *data;
    size_t size;
};

/* A string literal's bytes. */
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
/* None: data is NULL. */
#define SLICE_NONE ((struct slice){NULL, 0})

/* For printf: a slice's place in the format … */
#define SLICE_FMT "%.*s"
/* … and its arguments. */
#define SLICE_ARG(s) (int)(s).size, (s).data

/* A string's bytes, which stay the caller's; none for NULL. */
static inline struct slice slice_of(const char *text) {
    return (struct slice){text, text == NULL ? 0 : strlen(text)};
}

/* The same bytes; none equals empty. */
static inline bool slice_equal(struct slice a, struct slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Byte order, shorter first; as RocksDB and Kafka's tools sort keys. */
static inline int slice_compare(struct slice a, struct slice b) {
    size_t n = a.size < b.size ? a.size : b.size;
    int d = n == 0 ? 0 : memcmp(a.data, b.data, n);
    return d != 0 ? d : (a.size > b.size) - (a.size < b.size);
}

/* FNV-1a over words: for keys that are short, and that nobody can choose to collide at a profit. */
static inline uint64_t slice_hash(struct slice s) {
    uint64_t h = 0xcbf29ce484222325 ^ s.size, word = 0;
    for (; s.size >= 8; s.data += 8, s.size -= 8) {
        memcpy(&word, s.data, 8);
        h = (h ^ word) * 0x100000001b3;
        h ^= h >> 32;
    }
    word = 0;
    for (size_t i = 0; i < s.size; i++)
        word = word << 8 | (unsigned char)s.data[i];
    h = (h ^ word) * 0x100000001b3;
    return h ^ h >> 29 ^ h >> 47;
}

/* A copy at *at, where there is room for it, and moves *at behind it; none of none. */
static inline struct slice slice_pack(char **at, struct slice s) {
    if (s.data == NULL)
        return SLICE_NONE;
    struct slice copy = {*at, s.size};
    memcpy(*at, s.data, s.size);
    *at += s.size;
    return copy;
}

/* Whether `s` begins with `prefix`. */
static inline bool slice_starts_with(struct slice s, struct slice prefix) {
    return s.size >= prefix.size && (prefix.size == 0 || memcmp(s.data, prefix.data, prefix.size) == 0);
}

/* What a hexadecimal digit is worth; -1: it is none. */
static inline int hex_digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Adds a row to a sum that says whether two sets of rows are the same, whatever their order; nobody is kept
 * from making two that look the same on purpose. */
static inline void row_digest(struct slice key, struct slice value, uint64_t sum[2]) {
    uint64_t k = slice_hash(key), v = slice_hash(value);
    for (int i = 0; i < 2; i++) {
        uint64_t x = (k + 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9 ^
                     (v << 31 | v >> 33) * (0x94d049bb133111eb + 2 * (uint64_t)i);
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
        x = (x ^ x >> 27) * 0x94d049bb133111eb;
        sum[i] += x ^ x >> 31;
    }
}
