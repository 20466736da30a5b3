/* Whether a view is what its changelog says. */
#include "base/cleanup.h"
#include "stream/runtime.h"
#include "transaction/keys.h"
#include "transaction/retention.h"

struct adding {
    const struct view *view;
    struct stream_digest *digest;
    size_t prefix, left;
};

static bool add_row(void *context, struct slice key, struct slice value) {
    struct adding *a = context;
    struct slice record_key = {key.data + a->prefix, key.size - a->prefix};
    if (a->left-- == 0) {
        buf_append_slice(&a->digest->next, key);
        return false;
    }
    row_digest(record_key, row_payload(a->view, value), a->digest->sum);
    a->digest->rows++;
    return true;
}

static void begin(struct stream_digest *d, int64_t position) {
    d->position = position; /* -1: nothing was ever written there */
    d->rows = 0;
    d->sum[0] = d->sum[1] = 0;
    buf_clear(&d->next);
    d->begun = true;
    d->tries++;
}

bool stream_digest(struct stream *s, const char *changelog, size_t most, struct stream_digest *d,
                   struct err *e) {
    _cleanup_(buf_free) struct buf position = {0}, prefix = {0}, from = {0};
    const struct view *const *v = s->topology->views;
    int64_t before, after;
    while (v != NULL && *v != NULL && strcmp((*v)->changelog->name, changelog) != 0)
        v++;
    if (v == NULL || *v == NULL)
        return err_set(e, ERR_CONFIG, "topology %s has no view over %s", s->topology->name, changelog);
    store_key_view_position(&position, *v, d->partition);
    store_key_view(&prefix, *v, d->partition, SLICE(""));
    if (!position_load(s, &position, &before, e))
        return false;
    if (!d->begun || before != d->position)
        begin(d, before);
    struct adding a = {*v, d, prefix.size, most};
    buf_append_slice(&from, buf_slice(&d->next));
    buf_clear(&d->next);
    if (!store_scan(s->o.store, buf_slice(&prefix), from.size == 0 ? SLICE_NONE : buf_slice(&from), false,
                    add_row, &a, e) ||
        !position_load(s, &position, &after, e))
        return false;
    if (after != before)
        d->begun = false; /* rows of two moments */
    d->done = d->begun && d->next.size == 0;
    return true;
}
