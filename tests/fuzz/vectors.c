/* Places that clients and other instances send back: the vector of offsets (Last-Event-ID, the lens'
 * `after`), the cursor of a page of orders, and the lines in which another instance gives its part of a page.
 * The first byte says which. */
#include "fuzz.h"

#include "base/id.h"
#include "feeds/vector.h"
#include "orders/orders.h"
#include "partitions/merge.h"

static void put(void *context, struct slice topic, int32_t partition, int64_t offset) {
    char name[256];
    require(topic.size > 0 && topic.size < sizeof name && partition >= 0 && offset >= 0, "%zu", topic.size);
    snprintf(name, sizeof name, SLICE_FMT, SLICE_ARG(topic));
    vector_put(context, 0, name, partition, offset);
}

/* What is read is written the same, but for zeros before a number. */
static void try_vector(struct slice text) {
    struct buf once = {0}, twice = {0};
    if (vector_parse(text, put, &once)) {
        require(once.size <= text.size, "%zu", once.size);
        require(vector_parse(buf_slice(&once), put, &twice), SLICE_FMT, SLICE_ARG(buf_slice(&once)));
        require(slice_equal(buf_slice(&once), buf_slice(&twice)), SLICE_FMT, SLICE_ARG(buf_slice(&twice)));
    } else {
        require(once.size == 0, "told of half a vector");
    }
    buf_free(&once);
    buf_free(&twice);
}

static void try_lines(struct slice lines) {
    struct arena arena = {0};
    struct buf out = {0};
    struct merge all = {.arena = &arena};
    merge_read(&all, lines, orders_list_place_valid);
    merge_sort(&all);
    for (size_t i = 0; i < all.count; i++)
        require(orders_list_place_valid(all.items[i].place), "item %zu", i);
    merge_write(&all, all.count, &out);
    struct merge again = {.arena = &arena};
    merge_read(&again, buf_slice(&out), orders_list_place_valid);
    require(again.count == all.count, "%zu of %zu", again.count, all.count);
    buf_free(&out);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice in = {(const char *)data, size};
    uint8_t what = take_byte(&in) % 3;
    if (what == 0)
        try_vector(in);
    else if (what == 1)
        try_lines(in);
    else if (orders_list_place_valid(in)) /* 16 digits, and then */
        require(id_valid((struct slice){in.data + 16, in.size - 16}), "no id");
    return 0;
}
