#include "feeds/run.h"

#include "base/json.h"
#include "feeds/vector.h"

void feed_vector(const struct feed_run *r, struct buf *out) {
    size_t start = out->size;
    for (size_t k = 0; k < r->count; k++) {
        const struct feed_part *part = &r->parts[k];
        const char *topic = feed_topic(&r->feeds[k])->name;
        for (int32_t c = 0; c < part->cursor_count; c++) {
            int32_t p = part->cursors[c].partition;
            vector_put(out, start, topic, p, part->vector[p]);
        }
        for (int32_t p = 0; part->cursor_count == 0 && p < part->partitions; p++)
            if (part->vector[p] > 0)
                vector_put(out, start, topic, p, part->vector[p]);
    }
    if (out->size == start && r->count > 0) /* an empty id would be none */
        vector_put(out, start, feed_topic(&r->feeds[0])->name, 0, 0);
}

void feed_reset(struct feed_run *r, const char *event) {
    struct json j = {.out = r->out};
    buf_append_slice(r->out, SLICE("event: reset\ndata: "));
    json_begin_object(&j);
    json_key(&j, "event"), json_put_string(&j, slice_of(event));
    json_end_object(&j);
    buf_append_slice(r->out, SLICE("\n\n"));
    r->has_block = false;
}
