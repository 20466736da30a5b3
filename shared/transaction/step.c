#include "base/cleanup.h"
#include "log/observer.h"
#include "log/partitions.h"
#include "transaction/retention.h"
#include "transaction/table.h"
#include "transaction/transaction.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CAUSES = 32,      /* how many inputs a changelog record names that stands for several */
    ROWS_KEPT = 10000 /* of tables, so that what is looked up again and again is not read again */
};

/* Kafka takes records of up to 1 MiB with all that belongs to them, and one that it refuses would abort its
 * transaction each time. A dead letter's headers have what is left. */
enum { RECORD_MAX = 1000 * 1000, LETTER_HEADERS_MAX = 40 * 1000 };

enum { TRACE_ID = 32 }; /* hex digits */

enum {
    ORIGINS = 8192, /* rows of joins of which it is remembered what made them */
    LINKS = 8,      /* of a record */
    STATE_MAX = 512 /* bytes of a tracestate that goes along */
};

struct origin {
    uint64_t row; /* its hash; 0: none */
    char span[SPAN_TEXT];
};

struct cause {
    const struct topic *topic;
    int32_t partition;
    int64_t offset;
};

/* What the changelog record of a changed key will say; beside the overlay's change of the same index. */
struct change {
    const struct view *view;
    int32_t partition;
    struct slice record_key;
    int64_t timestamp;
    char trace[TRACE_ID]; /* of the last cause, where it has one */
    bool has_trace, sampled;
    struct slice state; /* its tracestate; data NULL: none */
    size_t causes;
    struct cause only;  /* while there is one */
    struct cause *ring; /* of CAUSES, when there are more */
    uint64_t event;     /* the last that put it */
    struct room {
        char *data;
        size_t size;
    } room, spare; /* where the value is; where the one before the last event's was */
};

struct undo {
    size_t index;
    struct slice before;
    bool was_live;
};

struct step {
    const struct topology *topology;
    struct schemas *schemas;
    struct overlay overlay;
    struct overlay seen; /* rows of views as the store has them, which it keeps to the transaction's end */
    struct overlay rows; /* of tables, as they were looked up */
    struct change *changes;
    size_t change_capacity, put_count; /* put_count: of the overlay's changes, those that were put here */

    const struct event *in;         /* during a handler */
    uint64_t event;                 /* its number */
    struct arena scratch;           /* what lives as long as it does */
    struct task_time *time;         /* of its task */
    int64_t now;                    /* stream time, with the event that is handled */
    const char *trace;              /* the trace id of the input; NULL: it has none */
    struct log_header *out_headers; /* of all that follows from the input; NULL: not made yet */
    size_t out_header_count;
    bool sampled; /* what follows from the input */

    const struct observer *observer; /* NULL: none */
    struct slice state;              /* the input's tracestate; data NULL: none */
    struct origin *origins;          /* by the row's hash; NULL: nothing was remembered yet */
    char links[LINKS][SPAN_TEXT];
    struct slice link_texts[LINKS];
    size_t link_count;

    struct err err; /* kind ERR_NONE: all is well */
    struct undo *undo;
    size_t undo_count, undo_capacity;

    struct emission *emissions;
    size_t emission_count, emission_capacity, emission_taken;
    bool shown;                    /* a view has changed that is not private */
    bool stale, stale_lookup;      /* of fresh tables; one was looked up all the same */
    struct buf key, bytes, header; /* scratch */
    size_t prefix;                 /* of key: bytes before the record's key */
    const struct view *key_of;     /* whose entry of the incoming key it is; NULL: another */
};

struct step *step_create(const struct topology *t, struct schemas *schemas, struct store *store) {
    struct step *s = xcalloc(1, sizeof *s);
    s->topology = t;
    s->schemas = schemas;
    s->overlay.store = s->seen.store = s->rows.store = store;
    return s;
}

void step_destroy(struct step *s) {
    if (s == NULL)
        return;
    overlay_free(&s->overlay);
    overlay_free(&s->seen);
    overlay_free(&s->rows);
    arena_free(&s->scratch);
    free(s->origins);
    free(s->changes);
    free(s->undo);
    free(s->emissions);
    buf_free(&s->key);
    buf_free(&s->bytes);
    buf_free(&s->header);
    free(s);
}

static void key_begin(struct buf *out, char kind, const char *name) {
    buf_clear(out);
    buf_append_byte(out, (uint8_t)kind);
    buf_append(out, name, strlen(name) + 1);
}

static void key_partition(struct buf *out, int32_t partition) {
    buf_append_byte(out, (uint8_t)(partition >> 8));
    buf_append_byte(out, (uint8_t)partition);
}

void store_key_part(struct buf *out, const struct table *t, int32_t partition) {
    buf_clear(out);
    store_part(out, t->name, (uint16_t)partition);
}

static void key_of_table(struct buf *out, char kind, const struct table *t, int32_t partition,
                         struct slice key) {
    if (t->view == NULL) {
        key_begin(out, kind, t->name);
    } else {
        store_key_part(out, t, partition);
        buf_append_byte(out, (uint8_t)kind);
    }
    buf_append_slice(out, key);
}

void store_key_row(struct buf *out, const struct table *t, int32_t partition, struct slice record_key) {
    key_of_table(out, 't', t, partition, record_key);
}

void store_key_index(struct buf *out, const struct table *t, int32_t partition, struct slice index_key) {
    key_of_table(out, 'i', t, partition, index_key);
}

/* What a view has of a partition. */
static void key_of_view(struct buf *out, char kind, const struct view *v, int32_t partition) {
    if (v->served != NULL) {
        key_of_table(out, kind, v->served, partition, SLICE(""));
        return;
    }
    key_begin(out, kind, v->name);
    key_partition(out, partition);
}

void store_key_view(struct buf *out, const struct view *v, int32_t partition, struct slice record_key) {
    key_of_view(out, v->served != NULL ? 't' : 'v', v, partition);
    buf_append_slice(out, record_key);
}

void store_key_index_of_view(struct buf *out, const struct view *v, int32_t partition) {
    key_of_view(out, 'd', v, partition);
}

void store_key_positions(struct buf *out, const char *name) {
    key_begin(out, 'p', name);
}

void store_key_position(struct buf *out, const char *name, int32_t partition) {
    store_key_positions(out, name);
    key_partition(out, partition);
}

void store_key_table_positions(struct buf *out, const struct table *t, int32_t partition) {
    if (t->view == NULL)
        store_key_position(out, t->name, partition);
    else
        key_of_table(out, 'p', t, partition, SLICE(""));
}

void store_key_table_position(struct buf *out, const struct table *t, int32_t partition) {
    store_key_table_positions(out, t, partition);
    for (uint32_t version = t->index_version; version > 0; version >>= 8)
        buf_append_byte(out, (uint8_t)version); /* rows of another have other index keys */
}

void store_key_view_positions(struct buf *out, const struct view *v, int32_t partition) {
    key_of_view(out, 'p', v, partition);
}

void store_key_view_position(struct buf *out, const struct view *v, int32_t partition) {
    if (v->served != NULL)
        store_key_table_position(out, v->served, partition);
    else
        store_key_position(out, v->name, partition);
    if (v->retention_ms > 0)
        buf_append_byte(out, 'd'); /* rows are stored in another way, with an index */
}

void store_key_age(struct buf *out, const char *name, int32_t partition) {
    key_begin(out, 'a', name);
    key_partition(out, partition);
}

void store_key_view_age(struct buf *out, const struct view *v, int32_t partition) {
    key_of_view(out, 'a', v, partition);
}

void store_key_inputs(struct buf *out, const struct topology *t, const struct view *v, int32_t partition) {
    if (v->served != NULL) {
        key_of_view(out, 's', v, partition);
        return;
    }
    key_begin(out, 's', t->name);
    key_partition(out, partition);
}

static bool failed(const struct step *s) {
    return s->err.kind != ERR_NONE;
}

void step_reject(struct step *s, const char *fmt, ...) {
    if (failed(s))
        return;
    va_list args;
    va_start(args, fmt);
    s->err.kind = ERR_POISON;
    vsnprintf(s->err.text, sizeof s->err.text, fmt, args);
    va_end(args);
}

struct arena *step_arena(struct step *s) {
    return &s->scratch;
}

/* What no record is to blame for, and no other one will make better. */
__attribute__((format(printf, 2, 3))) static void refuse(struct step *s, const char *fmt, ...) {
    char what[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    if (!failed(s))
        err_set(&s->err, ERR_CONFIG, "topology %s %s", s->topology->name, what);
}

/* The key of a view's entry, in the scratch buffer: as it is in the store, and behind s->prefix as it is in
 * the changelog ("key/sub"). Most handlers put what they just got. */
static void entry_key(struct step *s, const struct view *v, struct slice sub) {
    if (s->key_of == v && sub.data == NULL)
        return;
    if (!topology_has_view(s->topology, v)) {
        refuse(s, "uses the view %s, which it does not declare", v->name);
        return;
    }
    if ((sub.data != NULL || v->expired != NULL) && memchr(s->in->key.data, '/', s->in->key.size) != NULL)
        step_reject(s, "key \"" SLICE_FMT "\": a slash is for sub-keys", SLICE_ARG(s->in->key));
    store_key_view(&s->key, v, s->in->partition, s->in->key);
    s->prefix = s->key.size - s->in->key.size;
    s->key_of = sub.data == NULL ? v : NULL;
    if (sub.data != NULL) {
        buf_append_byte(&s->key, '/');
        buf_append_slice(&s->key, sub);
    }
}

static struct slice record_key(const struct step *s) {
    return (struct slice){s->key.data + s->prefix, s->key.size - s->prefix};
}

/* Our own state cannot be read, which is no fault of the record: it waits. */
static bool unreadable(struct step *s, const char *what, const char *name, struct slice key) {
    err_prefix(&s->err, "%s %s, key " SLICE_FMT, what, name, SLICE_ARG(key));
    if (s->err.kind == ERR_POISON)
        s->err.kind = ERR_RETRY;
    return false;
}

/* A row that the store has is read from it once in a transaction. That it has none, it mostly knows at once:
 * that is not remembered. */
static bool get(struct step *s, struct slice key, struct slice *value) {
    if (overlay_find(&s->overlay, key, value) || overlay_find(&s->seen, key, value))
        return true;
    if (!store_get(s->seen.store, key, &s->seen.arena, value, &s->err))
        return false;
    if (value->data != NULL)
        overlay_put(&s->seen, key, *value, NULL, NULL);
    return true;
}

bool step_get(struct step *s, const struct view *v, struct slice sub, void *value) {
    entry_key(s, v, sub);
    struct slice bytes;
    if (failed(s) || !get(s, buf_slice(&s->key), &bytes) || bytes.data == NULL)
        return false;
    return schemas_decode(s->schemas, v->changelog->value, row_payload(v, bytes), &s->scratch, value,
                          &s->err) ||
           unreadable(s, "view", v->name, record_key(s));
}

/* What the broker would refuse: found out here, where it is known what it follows from. */
static void check_record(struct step *s, const struct topic *t, size_t key, size_t value) {
    if (key == 0)
        step_reject(s, "a record for %s without a key follows from it", t->name);
    if (key + value > RECORD_MAX)
        step_reject(s, "a record for %s of %zu bytes follows from it, more than %d", t->name, key + value,
                    RECORD_MAX);
}

/* A copy of a change's new value. It takes the place of the value before the last: so what is put again and
 * again needs no more memory. The last one stays, for undo and for what this event has read. */
static struct slice keep(struct step *s, struct change *c, struct slice value) {
    struct room to = {0};
    if (c->event != s->event) {
        to = c->spare;
        c->spare = c->room;
        c->event = s->event;
    }
    if (value.data != NULL && (to.data == NULL || to.size < value.size)) {
        to.size = value.size + 16; /* numbers grow */
        to.data = arena_alloc(&s->overlay.arena, to.size);
    }
    c->room = to;
    if (value.data == NULL)
        return value;
    memcpy(to.data, value.data, value.size);
    return (struct slice){to.data, value.size};
}

/* A change that can be undone. It is no view's, unless what is returned is filled in; NULL where the key was
 * changed before. */
static struct change *put(struct step *s, struct slice key, struct slice value) {
    if (s->undo_count == s->undo_capacity)
        s->undo = xrealloc(s->undo, (s->undo_capacity = s->undo_capacity * 2 + 8) * sizeof *s->undo);
    struct undo *u = &s->undo[s->undo_count++];
    size_t known = s->overlay.count;
    u->index = overlay_put(&s->overlay, key, SLICE_NONE, &u->before, &u->was_live);
    bool new = u->index == known;
    if (u->index >= s->change_capacity)
        s->changes = xrealloc(s->changes, (s->change_capacity = u->index * 2 + 64) * sizeof *s->changes);
    struct change *c = &s->changes[u->index];
    if (new)
        *c = (struct change){.partition = -1};
    s->put_count = s->overlay.count;
    s->overlay.changes[u->index].value = keep(s, c, value);
    return new ? c : NULL;
}

static void undo(struct step *s, const struct undo *u) {
    struct change *c = &s->changes[u->index];
    overlay_undo(&s->overlay, u->index, u->before, u->was_live);
    c->room = c->spare = (struct room){0}; /* one of them has the value; neither is written again */
}

/* An entry in a view's index of what is due. */
static void put_due(struct step *s, const struct view *v, int64_t stamp, struct slice record_key) {
    _cleanup_(buf_free) struct buf entry = {0};
    store_key_due(&entry, v, s->in->partition, stamp, record_key);
    put(s, buf_slice(&entry), SLICE(""));
    int64_t end = retention_end(v, stamp);
    s->time->due = end < s->time->due ? end : s->time->due;
}

/* A number that depends on the input and on who handles it, for trace ids: the same at each replay. */
static uint64_t trace_number(const struct cause *in, const char *salt) {
    uint64_t h =
        0xcbf29ce484222325 ^ (uint64_t)in->offset * 0x9e3779b97f4a7c15 ^ (uint64_t)in->partition << 48;
    for (const char *p = in->topic->name; *p != 0; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3;
    for (const char *p = salt; *p != 0; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3;
    h ^= h >> 31;
    h *= 0xbf58476d1ce4e5b9;
    return h ^ h >> 27;
}

/* Is each of them one of 0-9a-f? Without a branch for each: every record has such a text. */
static bool all_hex(const char *text, size_t size) {
    unsigned bad = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned digit = (unsigned char)text[i] - '0', letter = (unsigned char)text[i] - 'a';
        bad |= (digit > 9) & (letter > 5);
    }
    return bad == 0;
}

/* The trace id in a valid traceparent; NULL: it is none. */
static const char *trace_of(struct slice t) {
    if (t.size != 55 || !slice_starts_with(t, SLICE("00-")) || t.data[35] != '-' || t.data[52] != '-')
        return NULL;
    bool valid = all_hex(t.data + 3, 32) && all_hex(t.data + 36, 16) && all_hex(t.data + 53, 2);
    return valid ? t.data + 3 : NULL;
}

static bool is_sampled(struct slice valid) {
    return hex_digit(valid.data[54]) & 1;
}

/* The trace that an input has (NULL: one of its own). */
static void append_trace(const struct cause *in, const char *trace, struct buf *out) {
    if (trace != NULL) {
        buf_append(out, trace, TRACE_ID);
    } else {
        buf_append_hex(out, trace_number(in, "a") | 1);
        buf_append_hex(out, trace_number(in, "b"));
    }
}

/* Of what a topology makes of an input. */
static void append_span(const struct topology *t, const struct cause *in, struct buf *out) {
    buf_append_hex(out, trace_number(in, t->name) | 1);
}

/* Of what follows from an input: its trace with a span of ours. */
static void append_traceparent(struct step *s, const struct cause *in, const char *trace, bool sampled,
                               struct buf *out) {
    buf_append_slice(out, SLICE("00-"));
    append_trace(in, trace, out);
    buf_append_byte(out, '-');
    append_span(s->topology, in, out);
    buf_append_slice(out, sampled ? SLICE("-01") : SLICE("-00"));
}

/* Of whatever follows from an input with this header. */
static void take_trace(struct step *s, const struct cause *in, struct slice traceparent) {
    s->trace = trace_of(traceparent);
    if (s->observer == NULL) {
        s->sampled = s->trace == NULL || is_sampled(traceparent);
        return;
    }
    buf_clear(&s->header);
    append_trace(in, s->trace, &s->header);
    s->sampled = s->observer->samples(s->observer->context, s->trace != NULL ? traceparent : SLICE_NONE,
                                      s->header.data);
}

static void append_cause(struct buf *out, const struct cause *in) {
    buf_append_slice(out, slice_of(in->topic->name));
    buf_append_byte(out, '/');
    buf_append_int(out, in->partition);
    buf_append_byte(out, '/');
    buf_append_int(out, in->offset);
}

static bool digits(struct slice text, int64_t *number) {
    *number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || i == 18)
            return false;
        *number = *number * 10 + text.data[i] - '0';
    }
    return text.size > 0;
}

bool step_wrote(const struct topology *t, struct slice traceparent, struct slice caused_by) {
    const char *end = caused_by.data + caused_by.size, *at = end, *part[2];
    char name[250];
    if (trace_of(traceparent) == NULL || caused_by.data == NULL)
        return false;
    for (int i = 0; i < 2; i++) { /* topic/partition/offset: the slashes, from behind */
        while (at > caused_by.data && *--at != '/')
            ;
        if (at == caused_by.data)
            return false;
        part[i] = at;
    }
    while (at > caused_by.data && at[-1] != ',')
        at--;
    int64_t partition, offset;
    size_t size = (size_t)(part[1] - at);
    if (size >= sizeof name ||
        !digits((struct slice){part[1] + 1, (size_t)(part[0] - part[1] - 1)}, &partition) ||
        !digits((struct slice){part[0] + 1, (size_t)(end - part[0] - 1)}, &offset))
        return false;
    memcpy(name, at, size);
    name[size] = 0;
    _cleanup_(buf_free) struct buf span = {0};
    append_span(t, &(struct cause){&(struct topic){.name = name}, (int32_t)partition, offset}, &span);
    return span.size == 16 && memcmp(traceparent.data + 36, span.data, 16) == 0;
}

/* The headers of everything that is emitted for the input: its trace, and its place. */
static const struct log_header *headers(struct step *s) {
    if (s->out_headers != NULL)
        return s->out_headers;
    struct arena *a = &s->overlay.arena;
    const struct cause cause = {s->in->topic, s->in->partition, s->in->offset};
    s->out_headers = arena_alloc(a, 3 * sizeof *s->out_headers);
    buf_clear(&s->header);
    append_traceparent(s, &cause, s->trace, s->sampled, &s->header);
    s->out_headers[0] = (struct log_header){"traceparent", arena_copy(a, buf_slice(&s->header))};
    buf_clear(&s->header);
    append_cause(&s->header, &cause);
    s->out_headers[1] = (struct log_header){"caused-by", arena_copy(a, buf_slice(&s->header))};
    s->out_header_count = 2;
    if (s->state.data != NULL)
        s->out_headers[s->out_header_count++] = (struct log_header){"tracestate", arena_copy(a, s->state)};
    return s->out_headers;
}

static struct emission *emission_add(struct step *s) {
    if (s->emission_count == s->emission_capacity)
        s->emissions = xrealloc(s->emissions, (s->emission_capacity = s->emission_capacity * 2 + 64) *
                                                  sizeof *s->emissions);
    return &s->emissions[s->emission_count++];
}

/* What is put and deleted within a transaction has never been: neither the store nor the log hears of it. */
static void forget_unborn(struct step *s, const struct undo *last) {
    struct slice stored;
    if (last->was_live && last->before.data != NULL &&
        store_get(s->overlay.store, buf_slice(&s->key), &s->scratch, &stored, &s->err) && stored.data == NULL)
        s->overlay.live[last->index] = false;
}

/* What follows from the input: to the key's partition, or, as a view's (NULL: none), to the input's. The
 * value is in the overlay's arena. */
static void emit(struct step *s, const struct topic *t, const struct view *v, struct slice key,
                 struct slice value) {
    const struct log_header *all = headers(s);
    *emission_add(s) = (struct emission){.topic = t,
                                         .partition = v != NULL ? s->in->partition : -1,
                                         .timestamp = s->in->timestamp,
                                         .key = arena_copy(&s->overlay.arena, key),
                                         .value = value,
                                         .headers = all,
                                         .header_count = s->out_header_count,
                                         .view = v};
}

/* The row whose key is in the scratch buffer, as it is stored. */
static void put_row(struct step *s, const struct view *v, struct slice row) {
    if (v->retention_ms > 0 && row.data != NULL) {
        struct slice old;
        if (!get(s, buf_slice(&s->key), &old))
            return;
        if (old.data == NULL || row_stamp(old) > s->now) /* it was put before a crash, at a later time */
            put_due(s, v, s->now, record_key(s));
    }
    struct change *c = put(s, buf_slice(&s->key), row);
    s->shown = s->shown || !v->private;
    if (c != NULL) {
        c->view = v;
        c->partition = s->in->partition;
        c->record_key = arena_copy(&s->overlay.arena, record_key(s));
    }
    if (v->events) {
        emit(s, v->changelog, v, record_key(s), arena_copy(&s->overlay.arena, row_payload(v, row)));
        return;
    }
    if (row.data == NULL)
        forget_unborn(s, &s->undo[s->undo_count - 1]);
}

static void put_entry(struct step *s, const struct view *v, struct slice sub, struct slice row) {
    entry_key(s, v, sub);
    check_record(s, v->changelog, record_key(s).size, row_payload(v, row).size);
    if (!failed(s))
        put_row(s, v, row);
}

void step_put(struct step *s, const struct view *v, struct slice sub, const void *value) {
    buf_clear(&s->bytes);
    row_begin(v, v->retention_ms > 0 ? s->now : s->in->timestamp, &s->bytes);
    if (!failed(s) && schemas_encode(s->schemas, v->changelog, value, &s->bytes, &s->err))
        put_entry(s, v, sub, buf_slice(&s->bytes));
}

void step_delete(struct step *s, const struct view *v, struct slice sub) {
    if (!v->changelog->tombstones)
        refuse(s, "deletes from the view %s, whose changelog %s knows no tombstones", v->name,
               v->changelog->name);
    if (!failed(s))
        put_entry(s, v, sub, SLICE_NONE);
}

/* Copies of what a scan has visited, so that it can be changed while it is gone through. */
struct rows {
    struct arena *arena;
    size_t prefix;   /* bytes of each key to leave out */
    struct slice to; /* of what is left; SLICE_NONE: no end */
    struct row {
        struct slice key, value;
    } * items;
    size_t count, capacity;
};

static bool collect_row(void *context, struct slice key, struct slice value) {
    struct rows *r = context;
    key = (struct slice){key.data + r->prefix, key.size - r->prefix};
    if (r->to.data != NULL && slice_compare(key, r->to) >= 0)
        return false;
    if (r->count == r->capacity)
        r->items = xrealloc(r->items, (r->capacity = r->capacity * 2 + 16) * sizeof *r->items);
    r->items[r->count++] = (struct row){arena_copy(r->arena, key), arena_copy(r->arena, value)};
    return true;
}

void step_each(struct step *s, const struct view *v, struct slice from, struct slice to,
               bool (*each)(void *, struct slice, const void *), void *context) {
    entry_key(s, v, SLICE(""));
    _cleanup_(buf_free) struct buf first = {0};
    buf_append_slice(&first, buf_slice(&s->key));
    buf_append_slice(&first, from);
    struct rows rows = {.arena = &s->scratch, .prefix = s->key.size, .to = to};
    if (!failed(s) &&
        overlay_scan(&s->overlay, buf_slice(&s->key), buf_slice(&first), collect_row, &rows, &s->err))
        for (size_t i = 0; i < rows.count && !failed(s); i++) {
            void *value = arena_alloc(&s->scratch, v->changelog->value->size);
            if (!schemas_decode(s->schemas, v->changelog->value, row_payload(v, rows.items[i].value),
                                &s->scratch, value, &s->err))
                unreadable(s, "view", v->name, rows.items[i].key);
            else if (!each(context, rows.items[i].key, value))
                break;
        }
    free(rows.items);
}

bool step_lookup(struct step *s, const struct table *t, struct slice key, void *row) {
    struct slice bytes;
    if (!topology_has_table(s->topology, t))
        refuse(s, "looks up the table %s, which it does not declare", t->name);
    else if (t->view != NULL)
        refuse(s, "looks up the table %s, of which another instance may have the row", t->name);
    if (t->fresh && s->stale && !failed(s)) {
        s->stale_lookup = true;
        err_set(&s->err, ERR_RETRY, "table %s is to be read to its end first", t->name);
    }
    s->key_of = NULL;
    store_key_row(&s->key, t, -1, key);
    if (failed(s) || !overlay_remember(&s->rows, buf_slice(&s->key), &bytes, &s->err) || bytes.data == NULL)
        return false;
    struct slice payload = table_row_payload(t, bytes);
    return schemas_decode(s->schemas, t->topic->value, payload, &s->scratch, row, &s->err) ||
           unreadable(s, "table", t->name, key);
}

static void emit_bytes(struct step *s, const struct topic *t, struct slice key, struct slice value) {
    check_record(s, t, key.size, value.size);
    if (!failed(s))
        emit(s, t, NULL, key, value);
}

void step_emit(struct step *s, const struct topic *t, struct slice key, const void *value) {
    const struct topic *const *o = s->topology->outputs;
    while (o != NULL && *o != NULL && *o != t)
        o++;
    if (o == NULL || *o == NULL)
        refuse(s, "emits to %s, which it does not declare", t->name);
    if (value == NULL && !t->tombstones)
        refuse(s, "emits a tombstone to %s, which has none", t->name);
    buf_clear(&s->bytes);
    if (failed(s) || (value != NULL && !schemas_encode(s->schemas, t, value, &s->bytes, &s->err)))
        return;
    emit_bytes(s, t, key, value == NULL ? SLICE_NONE : arena_copy(&s->overlay.arena, buf_slice(&s->bytes)));
}

bool record_well_formed(const struct log_record *r, int32_t partitions, struct err *e) {
    if (r->key.data == NULL || r->key.size == 0)
        return err_set(e, ERR_POISON, "no key");
    if (r->value.data == NULL && !r->topic->tombstones)
        return err_set(e, ERR_POISON, "a tombstone, in a topic that has none");
    int32_t home = partition_of(r->key, partitions);
    if (home != r->partition)
        return err_set(e, ERR_POISON, "key \"" SLICE_FMT "\" belongs to partition %d of %d (murmur2), not %d",
                       SLICE_ARG(r->key), home, partitions, r->partition);
    return true;
}

/* Checks what is the same for all topics; fills in->value. */
static bool decode(struct step *s, const struct source *source, const struct log_record *r,
                   int32_t partitions, struct event *in) {
    struct log_record at_home = *r;
    if (source->forward_misplaced && r->key.size > 0)
        at_home.partition = partition_of(r->key, partitions);
    if (!record_well_formed(&at_home, partitions, &s->err))
        return false;
    if (r->value.data == NULL)
        return true;
    void *value = arena_alloc(&s->scratch, r->topic->value->size);
    in->value = value;
    return schemas_decode(s->schemas, r->topic->value, r->value, &s->scratch, value, &s->err);
}

static const struct cause *cause_at(const struct change *c, size_t k) {
    return c->causes == 1 ? &c->only : &c->ring[k % CAUSES];
}

/* The current input changed this key; it may have done so several times. */
static void add_cause(struct change *c, struct step *s) {
    struct cause now = {s->in->topic, s->in->partition, s->in->offset};
    c->timestamp = c->view->retention_ms > 0 ? s->now : s->in->timestamp; /* the row's stamp */
    c->sampled = s->sampled;
    c->state = s->state.data == NULL ? SLICE_NONE : arena_copy(&s->overlay.arena, s->state);
    c->has_trace = s->trace != NULL; /* what is put again and again is written once: no text until then */
    if (s->trace != NULL)
        memcpy(c->trace, s->trace, TRACE_ID);
    if (c->causes > 0) {
        const struct cause *last = cause_at(c, c->causes - 1);
        if (last->topic == now.topic && last->partition == now.partition && last->offset == now.offset)
            return;
    }
    if (c->causes == 1) {
        c->ring = arena_alloc(&s->overlay.arena, CAUSES * sizeof *c->ring);
        c->ring[0] = c->only;
    }
    if (c->causes == 0)
        c->only = now;
    else
        c->ring[c->causes % CAUSES] = now;
    c->causes++;
}

static void begin(struct step *s, const struct event *in, struct slice traceparent, struct task_time *time) {
    s->in = in;
    s->event++;
    s->key_of = NULL;
    arena_reset(&s->scratch);
    take_trace(s, &(struct cause){in->topic, in->partition, in->offset}, traceparent);
    s->link_count = 0;
    s->time = time;
    s->now = in->timestamp > time->now ? in->timestamp : time->now;
    s->out_headers = NULL;
    s->err.kind = ERR_NONE;
    s->stale_lookup = false;
    s->undo_count = 0;
    if (s->rows.count > ROWS_KEPT)
        overlay_clear(&s->rows);
}

/* Whether the changelog will say what has become of the key. */
static bool is_logged(const struct change *c) {
    return c->view != NULL && !c->view->events;
}

/* Keeps what was done since begin(), or undoes it all; `emitted` is what there was before. */
static bool end(struct step *s, size_t emitted, struct err *e) {
    for (size_t i = s->undo_count; failed(s) && i-- > 0;)
        undo(s, &s->undo[i]);
    for (size_t i = 0; !failed(s) && i < s->undo_count; i++)
        if (is_logged(&s->changes[s->undo[i].index]))
            add_cause(&s->changes[s->undo[i].index], s);
    s->in = NULL;
    if (!failed(s))
        return true;
    s->emission_count = emitted;
    *e = s->err;
    return false;
}

bool step_run(struct step *s, const struct source *source, const struct log_record *r,
              struct slice traceparent, int32_t partitions, struct task_time *time, struct err *e) {
    struct event in = {r->topic, r->partition, r->offset, r->timestamp, r->key, NULL, SLICE_NONE};
    size_t emitted = s->emission_count;
    begin(s, &in, traceparent, time);
    bool decoded = decode(s, source, r, partitions, &in);
    bool handled = decoded && partition_of(in.key, partitions) == in.partition;
    if (decoded && !handled)
        emit_bytes(s, in.topic, in.key, arena_copy(&s->overlay.arena, r->value));
    else if (handled && source->handle != NULL)
        source->handle(s, &in);
    bool ok = end(s, emitted, e);
    if (handled && (ok || s->err.kind == ERR_POISON))
        time->now = s->now;
    return ok;
}

bool step_handles(struct step *s, const struct source *source, const struct log_record *r, int32_t partitions,
                  bool *handles, struct err *e) {
    struct event in;
    arena_reset(&s->scratch);
    s->err.kind = ERR_NONE;
    *handles = decode(s, source, r, partitions, &in) && partition_of(r->key, partitions) == r->partition;
    if (!failed(s) || s->err.kind == ERR_POISON)
        return true;
    *e = s->err;
    return false;
}

/* The row of an entry that is due, if it is still there: away with it, or with the entry to where it is. */
static void expire_row(struct step *s, const struct view *v, const struct due *due, struct event *in,
                       handler *expired, size_t *rows) {
    struct slice stored;
    const char *slash = memchr(due->record_key.data, '/', due->record_key.size);
    in->key = due->record_key;
    if (slash != NULL) {
        in->key.size = (size_t)(slash - in->key.data);
        in->sub = (struct slice){slash + 1, due->record_key.size - in->key.size - 1};
    }
    put(s, due->entry, SLICE_NONE);
    store_key_view(&s->key, v, in->partition, due->record_key);
    s->prefix = s->key.size - due->record_key.size;
    if (!get(s, buf_slice(&s->key), &stored) || stored.data == NULL)
        return;
    if (retention_end(v, row_stamp(stored)) >= s->now) {
        put_due(s, v, row_stamp(stored), due->record_key);
        return;
    }
    put_row(s, v, SLICE_NONE);
    ++*rows;
    if (expired == NULL)
        return;
    void *value = arena_alloc(&s->scratch, v->changelog->value->size);
    in->value = value;
    if (schemas_decode(s->schemas, v->changelog->value, row_payload(v, stored), &s->scratch, value, &s->err))
        expired(s, in);
    else
        unreadable(s, "view", v->name, due->record_key);
}

/* Each entry by itself. What a handler rejects is undone, and the row goes all the same. */
static bool expire_entry(struct step *s, const struct view *v, const struct due *due,
                         const struct log_record *r, struct slice traceparent, struct task_time *time,
                         struct expiry *x, struct err *e) {
    handler *expired = x->silent ? NULL : v->expired;
    x->rejected += x->silent && v->expired != NULL;
    for (;;) {
        struct event in = {.topic = r->topic, .partition = r->partition, .offset = r->offset};
        in.timestamp = r->timestamp > time->now ? r->timestamp : time->now;
        size_t emitted = s->emission_count, rows = x->rows;
        begin(s, &in, traceparent, time);
        expire_row(s, v, due, &in, expired, &x->rows);
        if (end(s, emitted, e))
            return true;
        if (e->kind != ERR_POISON || expired == NULL)
            return false;
        x->rows = rows;
        x->rejected++;
        expired = NULL;
    }
}

bool step_expire(struct step *s, const struct log_record *r, struct slice traceparent, size_t limit,
                 struct task_time *time, struct expiry *x, struct err *e) {
    int64_t now = r->timestamp > time->now ? r->timestamp : time->now, since = time->due;
    *x = (struct expiry){.silent = x->silent};
    if (now <= since)
        return true;
    bool ok = true;
    time->due = INT64_MAX; /* entries that are put lower it */
    for (const struct view *const *v = s->topology->views; ok && v != NULL && *v != NULL; v++) {
        if ((*v)->retention_ms == 0)
            continue;
        struct due_list list = {.limit = limit};
        ok = retention_due(&s->overlay, *v, r->partition, since, now, &list, e);
        for (size_t i = 0; ok && i < list.count; i++)
            ok = expire_entry(s, *v, &list.items[i], r, traceparent, time, x, e);
        time->due = list.next < time->due ? list.next : time->due;
        free(list.items);
    }
    time->due = ok ? time->due : since;
    x->more = time->due < now;
    return ok;
}

/* Dead letters and ticks are structs of the suite's own; their members are found by their Avro names. */
static void set_field(const struct event_type *type, void *value, const char *name, const void *from,
                      size_t size) {
    for (size_t i = 0; i < type->field_count; i++)
        if (strcmp(type->fields[i].name, name) == 0 && type->fields[i].size == size) {
            memcpy((char *)value + type->fields[i].offset, from, size);
            return;
        }
    fprintf(stderr, "the record %s has no field %s of %zu bytes\n", type->name, name, size);
    abort();
}

/* Its key is whatever belongs to the partition: ticks are for all keys. */
bool step_tick(struct step *s, int32_t partition, int32_t partitions, int64_t time, struct err *e) {
    const struct topic *t = s->topology->ticks;
    struct arena *a = &s->overlay.arena;
    struct slice key;
    int n = 0;
    do
        key = arena_printf(a, "tick-%d", n++);
    while (partition_of(key, partitions) != partition);
    void *value = arena_alloc(a, t->value->size);
    memset(value, 0, t->value->size);
    set_field(t->value, value, "time", &time, sizeof time);
    buf_clear(&s->bytes);
    if (!schemas_encode(s->schemas, t, value, &s->bytes, e))
        return false;
    struct event in = {.topic = t, .partition = partition, .offset = time, .timestamp = time};
    s->in = &in;
    s->trace = NULL;
    s->sampled = s->observer == NULL; /* nobody asked for it */
    s->state = SLICE_NONE;
    s->out_headers = NULL;
    *emission_add(s) = (struct emission){.topic = t,
                                         .partition = partition,
                                         .timestamp = time,
                                         .key = key,
                                         .value = arena_copy(a, buf_slice(&s->bytes)),
                                         .headers = headers(s),
                                         .header_count = 1}; /* a trace that begins here, and no cause */
    s->in = NULL;
    return true;
}

/* A reason can quote hostile bytes, and the record's text must be UTF-8. */
static struct slice printable(struct arena *a, const char *text) {
    size_t size = strlen(text);
    char *copy = arena_alloc(a, size + 1);
    for (size_t i = 0; i < size; i++)
        copy[i] = (char)(text[i] < 0x20 || text[i] > 0x7e ? '?' : text[i]);
    return (struct slice){copy, size};
}

/* Into s->bytes. A payload at the limit of what a record may be is cut, so that the letter always fits. */
static void encode_letter(struct step *s, const struct log_record *r, struct slice reason) {
    const struct topic *t = s->topology->dead_letters;
    struct slice topic = slice_of(r->topic->name);
    struct slice payload = r->value.data == NULL ? SLICE("") : r->value;
    void *letter = arena_alloc(&s->overlay.arena, t->value->size);
    memset(letter, 0, t->value->size);
    set_field(t->value, letter, "topic", &topic, sizeof topic);
    set_field(t->value, letter, "partition", &r->partition, sizeof r->partition);
    set_field(t->value, letter, "offset", &r->offset, sizeof r->offset);
    if (payload.size > RECORD_MAX) {
        reason = arena_printf(&s->overlay.arena, SLICE_FMT " (payload cut from %zu bytes)", SLICE_ARG(reason),
                              payload.size);
        payload.size = RECORD_MAX;
    }
    set_field(t->value, letter, "reason", &reason, sizeof reason);
    set_field(t->value, letter, "payload", &payload, sizeof payload);
    buf_clear(&s->bytes);
    s->err.kind = ERR_NONE;
    if (!schemas_encode(s->schemas, t, letter, &s->bytes, &s->err)) {
        fprintf(stderr, "dead letter of %s: %s\n", r->topic->name, s->err.text);
        abort();
    }
}

void step_dead_letter(struct step *s, const struct log_record *r, const struct log_header *kept,
                      size_t kept_count, const char *reason) {
    const struct topic *t = s->topology->dead_letters;
    struct arena *a = &s->overlay.arena;

    struct event in = {r->topic, r->partition, r->offset, r->timestamp, r->key, NULL, SLICE_NONE};
    s->in = &in;
    struct slice traceparent = SLICE_NONE;
    for (size_t i = 0; i < kept_count; i++)
        if (strcmp(kept[i].name, "traceparent") == 0)
            traceparent = kept[i].value;
    take_trace(s, &(struct cause){r->topic, r->partition, r->offset}, traceparent);
    s->state = SLICE_NONE; /* it is among those that are kept */
    s->out_headers = NULL;
    encode_letter(s, r, printable(a, reason));
    struct log_header *all = arena_alloc(a, (kept_count + 2) * sizeof *all);
    size_t n = 2, room = LETTER_HEADERS_MAX;
    memcpy(all, headers(s), 2 * sizeof *all);
    for (size_t i = 0; i < kept_count; i++) {
        size_t size = strlen(kept[i].name) + kept[i].value.size;
        if (strcmp(kept[i].name, "traceparent") == 0 || strcmp(kept[i].name, "caused-by") == 0 || size > room)
            continue;
        all[n++] =
            (struct log_header){arena_printf(a, "%s%c", kept[i].name, 0).data, arena_copy(a, kept[i].value)};
        room -= size;
    }
    *emission_add(s) = (struct emission){.topic = t,
                                         .partition = -1,
                                         .timestamp = r->timestamp,
                                         .key = all[1].value, /* topic/partition/offset */
                                         .value = arena_copy(a, buf_slice(&s->bytes)),
                                         .headers = all,
                                         .header_count = n};
    s->in = NULL;
}

size_t step_pending(const struct step *s) {
    return s->emission_count - s->emission_taken;
}

bool step_awaited(const struct step *s) {
    return s->shown || s->emission_count > 0;
}

size_t step_bytes(const struct step *s) {
    return arena_size(&s->overlay.arena) + arena_size(&s->seen.arena) +
           s->overlay.count * sizeof *s->changes + s->emission_count * sizeof *s->emissions;
}

struct emission *step_emissions(struct step *s, size_t *count) {
    struct emission *first = s->emissions + s->emission_taken;
    *count = s->emission_count - s->emission_taken;
    s->emission_taken = s->emission_count;
    return first;
}

bool step_changelogs(struct step *s, int32_t partition,
                     bool (*each)(void *context, const struct emission *record), void *context) {
    for (size_t i = 0; i < s->overlay.count; i++) {
        struct change *c = &s->changes[i];
        if (!s->overlay.live[i] || c->partition != partition || !is_logged(c))
            continue;
        buf_clear(&s->bytes);
        buf_clear(&s->header);
        for (size_t k = c->causes > CAUSES ? c->causes - CAUSES : 0; k < c->causes; k++) {
            if (s->bytes.size > 0)
                buf_append_byte(&s->bytes, ',');
            append_cause(&s->bytes, cause_at(c, k));
        }
        append_traceparent(s, cause_at(c, c->causes - 1), c->has_trace ? c->trace : NULL, c->sampled,
                           &s->header);
        struct log_header all[] = {{"traceparent", buf_slice(&s->header)},
                                   {"caused-by", buf_slice(&s->bytes)},
                                   {"tracestate", c->state}};
        struct emission record = {.topic = c->view->changelog,
                                  .partition = c->partition,
                                  .timestamp = c->timestamp,
                                  .key = c->record_key,
                                  .value = row_payload(c->view, s->overlay.changes[i].value),
                                  .headers = all,
                                  .header_count = c->state.data == NULL ? 2 : 3,
                                  .view = c->view};
        if (!each(context, &record))
            return false;
    }
    return true;
}

/* ---- views that are served ---- */

static bool is_served(const struct step *s, size_t i) {
    return s->overlay.live[i] && s->changes[i].view != NULL && s->changes[i].view->served != NULL;
}

bool step_index(struct step *s, struct err *e) {
    for (size_t i = 0; i < s->put_count; i++) {
        const struct store_change *row = &s->overlay.changes[i];
        struct slice before;
        if (!is_served(s, i) || s->changes[i].view->served->index == NULL)
            continue;
        if (!overlay_find(&s->seen, row->key, &before) &&
            !store_get(s->overlay.store, row->key, &s->overlay.arena, &before, e))
            return false;
        if (!table_reindex(s->changes[i].view->served, &s->overlay, s->schemas, s->changes[i].partition,
                           s->changes[i].record_key, before, row->value, e))
            return false;
    }
    return true;
}

void step_served(const struct step *s,
                 void (*each)(void *context, const struct table *t, struct slice key, int32_t partition),
                 void *context) {
    for (size_t i = 0; i < s->put_count; i++)
        if (is_served(s, i))
            each(context, s->changes[i].view->served, s->changes[i].record_key, s->changes[i].partition);
}

/* ---- traces ---- */

void step_observe(struct step *s, const struct observer *o) {
    s->observer = o;
}

void step_tracestate(struct step *s, struct slice state) {
    s->state = state.size <= STATE_MAX ? state : SLICE_NONE;
}

bool step_span(struct step *s, const struct log_record *r, struct slice traceparent, char out[SPAN_TEXT]) {
    const struct cause cause = {r->topic, r->partition, r->offset};
    take_trace(s, &cause, traceparent);
    if (!s->sampled)
        return false;
    buf_clear(&s->header);
    append_traceparent(s, &cause, s->trace, true, &s->header);
    memcpy(out, s->header.data, SPAN_TEXT - 1);
    out[SPAN_TEXT - 1] = 0;
    return true;
}

bool step_followed(const struct step *s) {
    return s->out_headers != NULL || s->undo_count > 0;
}

size_t step_links(const struct step *s, const struct slice **links) {
    *links = s->link_texts;
    return s->link_count;
}

static struct origin *origin_of(struct step *s, const struct view *v, struct slice sub, uint64_t *row) {
    entry_key(s, v, sub);
    *row = slice_hash(buf_slice(&s->key)) | 1;
    if (s->origins == NULL)
        s->origins = xcalloc(ORIGINS, sizeof *s->origins);
    return &s->origins[*row / 2 % ORIGINS];
}

void step_made(struct step *s, const struct view *v, struct slice sub) {
    if (s->observer == NULL || failed(s) || !s->sampled)
        return;
    uint64_t row;
    struct origin *o = origin_of(s, v, sub, &row);
    o->row = row;
    const struct cause cause = {s->in->topic, s->in->partition, s->in->offset};
    buf_clear(&s->header);
    append_traceparent(s, &cause, s->trace, true, &s->header);
    memcpy(o->span, s->header.data, SPAN_TEXT - 1);
}

void step_joins(struct step *s, const struct view *v, struct slice sub) {
    if (s->observer == NULL || failed(s) || !s->sampled || s->link_count == LINKS)
        return;
    uint64_t row;
    const struct origin *o = origin_of(s, v, sub, &row);
    if (o->row != row)
        return;
    memcpy(s->links[s->link_count], o->span, SPAN_TEXT);
    s->link_texts[s->link_count] = (struct slice){s->links[s->link_count], SPAN_TEXT - 1};
    s->link_count++;
}

void step_tables_changed(struct step *s) {
    overlay_clear(&s->rows);
}

void step_task_gone(struct step *s) {
    overlay_clear(&s->seen);
}

void step_tables_fresh(struct step *s, bool fresh) {
    s->stale = !fresh;
}

bool step_looked_up_stale(const struct step *s) {
    return s->stale_lookup;
}

struct overlay *step_overlay(struct step *s) {
    return &s->overlay;
}

void step_clear(struct step *s) {
    overlay_clear(&s->overlay);
    overlay_clear(&s->seen);
    s->emission_count = s->emission_taken = s->put_count = 0;
    s->shown = false;
}
