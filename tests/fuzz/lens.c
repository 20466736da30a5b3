/* What the lens is asked, and what it reads: places, the grammar of a search against a value, the causes that
 * a header names, and the batches of a partition. The first byte says which. */
#include "fuzz.h"

#include "lens/causes.h"
#include "lens/query.h"
#include "lens/tape.h"

#include <jansson.h>

static void try_place(struct slice text) {
    struct place p;
    if (place_parse(text, &p))
        require(p.n >= 0, "%lld", (long long)p.n);
}

static void try_terms(struct slice in) {
    struct arena arena = {0};
    struct slice text = take_until(&in, 0, &arena);
    struct terms terms;
    struct err e = {0};
    json_t *value = json_loadb(in.size == 0 ? "" : in.data, in.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!terms_parse(text, &terms, &e))
        require(e.kind == ERR_INPUT, "%s", e.text);
    else if (value != NULL)
        terms_match_value(&terms, value);
    json_decref(value);
    arena_free(&arena);
}

static void try_causes(struct slice in) {
    enum { RECORDS = 8 };
    struct arena arena = {0};
    struct caused records[RECORDS];
    size_t n = 0, order[RECORDS];
    for (; n < RECORDS && in.size > 0; n++)
        records[n] = (struct caused){.topic = SLICE("t"),
                                     .partition = take_byte(&in) % 2,
                                     .offset = take_byte(&in) % 4,
                                     .timestamp = take_byte(&in),
                                     .causes = take_until(&in, '\n', &arena)};
    causal_order(records, n, order);
    for (size_t i = 0, seen = 0; i < n; i++) {
        require(order[i] < n && (seen >> order[i] & 1) == 0, "no order of %zu", n);
        seen |= (size_t)1 << order[i];
    }
    arena_free(&arena);
}

struct visit {
    int64_t next;
    uint64_t bytes;
};

static bool visited(void *context, const struct tape_entry *entry) {
    struct visit *v = context;
    struct slice rest = entry->record.headers;
    struct batch_header h;
    require(entry->offset == v->next, "offset %lld after %lld", (long long)entry->offset, (long long)v->next);
    v->next++;
    for (size_t i = 0; i < entry->record.key.size; i++)
        v->bytes += (unsigned char)entry->record.key.data[i];
    for (size_t i = 0; i < entry->record.value.size; i++)
        v->bytes += (unsigned char)entry->record.value.data[i];
    for (size_t n = 0; n < entry->record.header_count && batch_header_next(&rest, &h); n++)
        v->bytes += h.name.size + h.value.size;
    return v->next < 5000;
}

static bool no_unpacking(void *context, const struct batch *b, struct batch_record **records, size_t *count,
                         struct err *e) {
    (void)context, (void)b, (void)records, (void)count;
    return err_set(e, ERR_RETRY, "compressed");
}

static void try_batches(struct slice in) {
    struct visit v = {0};
    struct err e;
    bool committed = take_byte(&in) & 1;
    size_t aborted = take_byte(&in) % 3, size = 16 * aborted;
    if (size > in.size)
        return;
    struct fetch_part part = {.topic = SLICE("t"),
                              .end = 3000,
                              .stable = 2000,
                              .aborted = {in.data, size},
                              .aborted_count = aborted,
                              .batches = {in.data + size, in.size - size}};
    struct tape tape = {.to = 3000, .visit = visited, .unpack = no_unpacking, .context = &v};
    if (!tape_take(&tape, &part, committed, &e))
        require(e.kind == ERR_RETRY, "%s", e.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const tries[])(struct slice) = {try_place, try_terms, try_causes, try_batches};
    struct slice in = {(const char *)data, size};
    uint8_t what = take_byte(&in) % 4;
    tries[what](in);
    return 0;
}
