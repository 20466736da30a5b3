#include "causes.h"

#include "base/buf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool cause_next(struct slice *text, struct cause *cause) {
    const char *comma = memchr(text->data, ',', text->size);
    struct slice one = {text->data, comma == NULL ? text->size : (size_t)(comma - text->data)};
    *text = comma == NULL ? SLICE_NONE : (struct slice){comma + 1, text->size - one.size - 1};
    const char *last = memrchr(one.data, '/', one.size);
    const char *first = last == NULL ? NULL : memrchr(one.data, '/', (size_t)(last - one.data));
    char number[48];
    int read = 0;
    if (first == NULL || (size_t)(one.data + one.size - first) >= sizeof number)
        return false;
    snprintf(number, sizeof number, SLICE_FMT, (int)(one.data + one.size - first), first);
    cause->topic = (struct slice){one.data, (size_t)(first - one.data)};
    return sscanf(number, "/%" SCNd32 "/%" SCNd64 "%n", &cause->partition, &cause->offset, &read) == 2 &&
           number[read] == 0 && cause->partition >= 0 && cause->offset >= 0;
}

struct edges {
    size_t (*pairs)[2]; /* before, behind */
    size_t count, capacity;
};

static void add(struct edges *e, size_t before, size_t behind) {
    if (e->count == e->capacity) {
        e->capacity = e->capacity == 0 ? 64 : 2 * e->capacity;
        e->pairs = xrealloc(e->pairs, e->capacity * sizeof *e->pairs);
    }
    e->pairs[e->count][0] = before;
    e->pairs[e->count++][1] = behind;
}

static bool same_partition(const struct caused *a, const struct caused *b) {
    return a->partition == b->partition && slice_equal(a->topic, b->topic);
}

static void add_edges(struct edges *e, const struct caused *records, size_t n) {
    struct cause c;
    for (size_t i = 0; i < n; i++) {
        size_t previous = n;
        for (size_t k = 0; k < n; k++)
            if (k != i && same_partition(&records[k], &records[i]) && records[k].offset < records[i].offset &&
                (previous == n || records[k].offset > records[previous].offset))
                previous = k;
        if (previous < n)
            add(e, previous, i);
        for (struct slice causes = records[i].causes; causes.size > 0;)
            if (cause_next(&causes, &c))
                for (size_t k = 0; k < n; k++)
                    if (k != i && records[k].offset == c.offset && records[k].partition == c.partition &&
                        slice_equal(records[k].topic, c.topic))
                        add(e, k, i);
    }
}

/* Is `a` to be shown before `b`, of which neither follows from the other? */
static bool earlier(const struct caused *a, const struct caused *b) {
    int d = slice_compare(a->topic, b->topic);
    if (a->timestamp != b->timestamp)
        return a->timestamp < b->timestamp;
    return d != 0                         ? d < 0
           : a->partition != b->partition ? a->partition < b->partition
                                          : a->offset < b->offset;
}

void causal_order(const struct caused *records, size_t n, size_t *order) {
    struct edges e = {0};
    size_t *before = xcalloc(n + 1, sizeof *before);
    bool *done = xcalloc(n + 1, sizeof *done);
    add_edges(&e, records, n);
    for (size_t i = 0; i < e.count; i++)
        before[e.pairs[i][1]]++;
    for (size_t at = 0; at < n; at++) {
        size_t best = n, fewest = n;
        for (size_t i = 0; i < n; i++) {
            if (done[i])
                continue;
            if (before[i] == 0 && (best == n || earlier(&records[i], &records[best])))
                best = i;
            if (fewest == n || before[i] < before[fewest] ||
                (before[i] == before[fewest] && earlier(&records[i], &records[fewest])))
                fewest = i;
        }
        best = best < n ? best : fewest; /* a circle */
        done[best] = true;
        order[at] = best;
        for (size_t i = 0; i < e.count; i++)
            if (e.pairs[i][0] == best && before[e.pairs[i][1]] > 0)
                before[e.pairs[i][1]]--;
    }
    free(done);
    free(before);
    free(e.pairs);
}
