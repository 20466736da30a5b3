#include "store/filter.h"

#include "base/buf.h"

#include <stdlib.h>

enum {
    FIRST_KEYS = 16384, /* of the first segment; each has twice as many as the one before */
    BITS_A_KEY = 12,
    PROBES = 6,
    LINE_BITS = 512
};

struct line {
    uint64_t words[LINE_BITS / 64];
};

struct filter_segment {
    struct filter_segment *older;
    size_t count, capacity; /* of keys */
    size_t line_count;
    struct line lines[];
};

void filter_free(struct filter *f) {
    for (struct filter_segment *s = f->newest, *older; s != NULL; s = older) {
        older = s->older;
        free(s);
    }
    f->newest = NULL;
}

size_t filter_bytes(const struct filter *f) {
    size_t bytes = 0;
    for (const struct filter_segment *s = f->newest; s != NULL; s = s->older)
        bytes += sizeof *s + s->line_count * sizeof(struct line);
    return bytes;
}

static void grow(struct filter *f) {
    size_t capacity = f->newest == NULL ? FIRST_KEYS : f->newest->capacity * 2;
    size_t lines = capacity * BITS_A_KEY / LINE_BITS;
    struct filter_segment *s = xcalloc(1, sizeof *s + lines * sizeof(struct line));
    s->older = f->newest;
    s->capacity = capacity;
    s->line_count = lines;
    f->newest = s;
}

/* All bits of the result depend on all of the hash (MurmurHash3's finalizer). */
static uint64_t mix(uint64_t h) {
    h = (h ^ h >> 33) * 0xff51afd7ed558ccd;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53;
    return h ^ h >> 33;
}

/* The upper half chooses the line, the lower half, mixed once more, the bits in it. */
static size_t line_of(const struct filter_segment *s, uint64_t mixed) {
    return (size_t)((mixed >> 32) * s->line_count >> 32);
}

static uint64_t bits_of(uint64_t mixed) {
    return mix(mixed << 32 | 1);
}

static bool segment_has(const struct filter_segment *s, uint64_t mixed, uint64_t bits) {
    const struct line *line = &s->lines[line_of(s, mixed)];
    for (int i = 0; i < PROBES; i++, bits >>= 9)
        if ((line->words[bits >> 6 & 7] >> (bits & 63) & 1) == 0)
            return false;
    return true;
}

static bool has(const struct filter *f, uint64_t mixed, uint64_t bits) {
    for (const struct filter_segment *s = f->newest; s != NULL; s = s->older)
        if (segment_has(s, mixed, bits))
            return true;
    return false;
}

bool filter_may_have(const struct filter *f, uint64_t hash) {
    uint64_t mixed = mix(hash);
    return has(f, mixed, bits_of(mixed));
}

static void put(struct filter *f, uint64_t mixed, uint64_t bits) {
    if (f->newest == NULL || f->newest->count == f->newest->capacity)
        grow(f);
    struct filter_segment *s = f->newest;
    struct line *line = &s->lines[line_of(s, mixed)];
    for (int i = 0; i < PROBES; i++, bits >>= 9)
        line->words[bits >> 6 & 7] |= UINT64_C(1) << (bits & 63);
    s->count++;
}

bool filter_add(struct filter *f, uint64_t hash) {
    uint64_t mixed = mix(hash), bits = bits_of(mixed);
    if (has(f, mixed, bits))
        return false;
    put(f, mixed, bits);
    return true;
}

void filter_add_again(struct filter *f, uint64_t hash) {
    uint64_t mixed = mix(hash);
    put(f, mixed, bits_of(mixed));
}

void filter_add_beginnings(struct filter *f, struct slice key) {
    for (size_t end = 0; (end = filter_beginning(key, end)) > 0;)
        filter_add(f, slice_hash((struct slice){key.data, end}));
}

bool filter_lacks_beginning(const struct filter *f, struct slice prefix) {
    return prefix.size > 0 && prefix.data[prefix.size - 1] == '/' && !filter_may_have(f, slice_hash(prefix));
}
