/* What the store says of positions: how far it holds a partition, how old that is, and where a task's
 * inputs are. And where the log's ends are. */
#include "stream/runtime.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    STALE_MS = 12 * 60 * 60 * 1000, /* Kafka keeps tombstones for a day, unless the topic says otherwise */
    TRUST_MS = 24 * 60 * 60 * 1000, /* a clock that is set back by more than this was wrong before */
};

int64_t time_of_day(struct stream *s) {
    int64_t now = now_ms(s), ahead = CALL0(s, time_ms) - now;
    s->clock = ahead > s->clock ? ahead : s->clock;
    return now + s->clock;
}

bool log_ends(struct stream *s, struct log_position *positions, size_t n, bool committed, struct err *e) {
    return n == 0 || GUARDED(s, CALL(s, ends, positions, n, committed, e));
}

bool log_ends_or_later(struct stream *s, struct log_position *at, size_t *n, bool committed, struct err *e) {
    if (log_ends(s, at, *n, committed, e))
        return true;
    *n = 0;
    return e->kind == ERR_RETRY;
}

bool position_load(struct stream *s, const struct buf *key, int64_t *position, struct err *e) {
    _cleanup_(arena_free) struct arena a = {0};
    struct slice value;
    TRY(store_get(s->o.store, buf_slice(key), &a, &value, e));
    *position = -1;
    if (value.size == sizeof *position)
        memcpy(position, value.data, sizeof *position);
    return true;
}

void position_put(struct overlay *o, const struct buf *key, int64_t position) {
    struct slice value = arena_copy(&o->arena, (struct slice){(const char *)&position, sizeof position});
    overlay_put(o, buf_slice(key), value, NULL, NULL);
}

static bool found(void *context, struct slice key, struct slice value) {
    (void)key, (void)value;
    *(bool *)context = true;
    return false;
}

bool any_with(struct stream *s, const struct buf *key, bool *any, struct err *e) {
    *any = false;
    return store_scan(s->o.store, buf_slice(key), SLICE_NONE, false, found, any, e);
}

bool sweep(struct stream *s, const struct buf *key, struct err *e) {
    bool any;
    TRY(any_with(s, key, &any, e));
    return !any || store_delete_prefix(s->o.store, buf_slice(key), e);
}

bool note_reindexed(struct stream *s, const struct table *t, const struct buf *positions, struct err *e) {
    bool any;
    TRY(any_with(s, positions, &any, e));
    if (!any)
        return true;
    counter_add(&s->reindexed, 1);
    notice(s, "table %s: its index is another one now, so it is read anew from %s", t->name, t->topic->name);
    return true;
}

void inputs_write(const struct stream *s, int32_t p, struct buf *out) {
    const struct task *task = &s->tasks[p];
    buf_clear(out);
    for (size_t i = 0; i < s->source_count; i++)
        if (task->inputs[i] >= 0)
            buf_printf(out, task->cuts[i] > 0 ? "%s%s/%d:%" PRId64 "#%" PRId64 : "%s%s/%d:%" PRId64,
                       out->size > 0 ? "," : "", s->topology->sources[i].topic->name, p, task->inputs[i],
                       task->cuts[i]);
    if (s->expires)
        buf_printf(out, "@%" PRId64, task->time.now);
}

/* Digits; -1 where it is something else. */
static int64_t number(struct slice text) {
    int64_t n = text.size > 0 && text.size < 19 ? 0 : -1;
    for (size_t i = 0; i < text.size && n >= 0; i++)
        n = text.data[i] >= '0' && text.data[i] <= '9' ? n * 10 + text.data[i] - '0' : -1;
    return n;
}

/* What is before the character, and behind it in *rest; all, and nothing, where there is none. */
static struct slice cut(struct slice text, char at, struct slice *rest) {
    const char *found = text.size > 0 ? memchr(text.data, at, text.size) : NULL;
    struct slice head = {text.data, found == NULL ? text.size : (size_t)(found - text.data)};
    *rest = found == NULL ? SLICE("") : (struct slice){found + 1, text.size - head.size - 1};
    return head;
}

void inputs_raise(struct stream *s, int32_t p, struct slice text) {
    struct task *task = &s->tasks[p];
    struct slice time, offset, partition, cuts;
    text = cut(text, '@', &time);
    if (number(time) > task->time.now)
        task->time.now = number(time);
    while (text.size > 0) {
        struct slice place = cut(cut(text, ',', &text), ':', &offset);
        struct slice topic = cut(place, '/', &partition);
        offset = cut(offset, '#', &cuts);
        int64_t n = number(cuts) > 0 ? number(cuts) : 0;
        for (size_t i = 0; i < s->source_count && number(partition) == p; i++)
            if (slice_equal(topic, slice_of(s->topology->sources[i].topic->name)) &&
                (n > task->cuts[i] || (n == task->cuts[i] && number(offset) > task->inputs[i]))) {
                task->inputs[i] = number(offset);
                task->cuts[i] = n;
            }
    }
}

void inputs_put(const struct stream *s, int32_t p, struct overlay *o) {
    _cleanup_(buf_free) struct buf key = {0}, text = {0};
    inputs_write(s, p, &text);
    struct slice value = arena_copy(&o->arena, buf_slice(&text));
    for (size_t i = 0; i < s->view_count; i++) {
        store_key_inputs(&key, s->topology, s->topology->views[i], p);
        overlay_put(o, buf_slice(&key), value, NULL, NULL);
    }
}

bool inputs_load(struct stream *s, int32_t p, struct err *e) {
    _cleanup_(arena_free) struct arena a = {0};
    _cleanup_(buf_free) struct buf key = {0};
    struct slice text;
    for (size_t i = 0; i < s->view_count; i++) {
        store_key_inputs(&key, s->topology, s->topology->views[i], p);
        TRY(store_get(s->o.store, buf_slice(&key), &a, &text, e));
        inputs_raise(s, p, text);
    }
    return true;
}

bool inputs_forget(struct stream *s, int32_t p, struct err *e) {
    _cleanup_(buf_free) struct buf key = {0};
    for (size_t i = 0; i < s->view_count; i++) {
        store_key_inputs(&key, s->topology, s->topology->views[i], p);
        TRY(store_apply(s->o.store, &(struct store_change){buf_slice(&key), SLICE_NONE}, 1, e));
    }
    return true;
}

void inputs_compare(struct stream *s, int32_t p) {
    struct task *task = &s->tasks[p];
    for (size_t i = 0; i < s->source_count; i++) {
        task->read[i] = task->inputs[i];
        if (task->inputs[i] <= task->committed[i])
            continue;
        counter_add(&s->recovered, 1);
        notice(s, "%s/%d: the group's offset is gone; it goes on at %" PRId64 ", as its state says",
               s->topology->sources[i].topic->name, p, task->inputs[i]);
        s->renew_at = 0; /* the group has it again soon */
    }
}

bool age_check(struct stream *s, const struct topic *t, int32_t p, const struct buf *key,
               const struct cursor *c, bool *stale, struct err *e) {
    int64_t current, now = time_of_day(s), limit = s->o.stale_ms > 0 ? s->o.stale_ms : STALE_MS;
    TRY(position_load(s, key, &current, e));
    if (current > now && current - TRUST_MS <= now)
        s->clock = current - now_ms(s); /* the clock was set back while this process did not look */
    int64_t age = now - (current > 0 ? current : 0);
    *stale = t->compacted && t->tombstones && c->position >= 0 && c->position < c->target && age > limit;
    if (!*stale)
        return true;
    counter_add(&s->outdated, 1);
    char hours[40] = "of an unknown age";
    if (current > 0)
        snprintf(hours, sizeof hours, "%" PRId64 " hours old", age / 3600000);
    notice(s,
           "%s/%d: what the store has of it is %s; what was deleted since may be gone from the log, so it is "
           "read "
           "anew",
           t->name, p, hours);
    return true;
}

void task_put_positions(struct stream *s, int32_t p, struct overlay *o) {
    struct task *task = &s->tasks[p];
    _cleanup_(buf_free) struct buf key = {0};
    inputs_put(s, p, o);
    for (size_t i = 0; i < s->view_count; i++) {
        const struct log_delivered *d = &task->changelogs[i];
        store_key_view_position(&key, s->topology->views[i], p);
        position_put(o, &key, d->was != 0 ? -1 : d->foreign ? d->known : d->next);
    }
}
