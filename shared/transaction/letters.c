/* Records that no handler writes: dead letters, and ticks. */
#include "transaction/internal.h"

#include "log/partitions.h"
#include <stdio.h>
#include <stdlib.h>

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
bool txn_tick(struct txn *txn, int32_t partition, int32_t partitions, int64_t time, struct err *e) {
    const struct topic *t = txn->topology->ticks;
    struct arena *a = &txn->overlay.arena;
    struct slice key;
    int n = 0;
    do
        key = arena_printf(a, "tick-%d", n++);
    while (partition_of(key, partitions) != partition);
    void *value = arena_alloc(a, t->value->size);
    memset(value, 0, t->value->size);
    set_field(t->value, value, "time", &time, sizeof time);
    buf_clear(&txn->bytes);
    if (!schemas_encode(txn->schemas, t, value, &txn->bytes, e))
        return false;
    struct event in = {.topic = t, .partition = partition, .offset = time, .timestamp = time};
    txn->in = &in;
    txn->trace = NULL;
    txn->sampled = txn->observer == NULL; /* nobody asked for it */
    txn->state = SLICE_NONE;
    txn->out_headers = NULL;
    *txn_emission(txn) = (struct emission){.topic = t,
                                           .partition = partition,
                                           .timestamp = time,
                                           .key = key,
                                           .value = arena_copy(a, buf_slice(&txn->bytes)),
                                           .headers = txn_headers(txn),
                                           .header_count = 1}; /* a trace that begins here, and no cause */
    txn->in = NULL;
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
static void encode_letter(struct txn *txn, const struct log_record *r, struct slice reason) {
    const struct topic *t = txn->topology->dead_letters;
    struct slice topic = slice_of(r->topic->name);
    struct slice payload = r->value.data == NULL ? SLICE("") : r->value;
    void *letter = arena_alloc(&txn->overlay.arena, t->value->size);
    memset(letter, 0, t->value->size);
    set_field(t->value, letter, "topic", &topic, sizeof topic);
    set_field(t->value, letter, "partition", &r->partition, sizeof r->partition);
    set_field(t->value, letter, "offset", &r->offset, sizeof r->offset);
    if (payload.size > RECORD_MAX) {
        reason = arena_printf(&txn->overlay.arena, SLICE_FMT " (payload cut from %zu bytes)",
                              SLICE_ARG(reason), payload.size);
        payload.size = RECORD_MAX;
    }
    set_field(t->value, letter, "reason", &reason, sizeof reason);
    set_field(t->value, letter, "payload", &payload, sizeof payload);
    buf_clear(&txn->bytes);
    txn->err.kind = ERR_NONE;
    if (!schemas_encode(txn->schemas, t, letter, &txn->bytes, &txn->err)) {
        fprintf(stderr, "dead letter of %s: %s\n", r->topic->name, txn->err.text);
        abort();
    }
}

void txn_dead_letter(struct txn *txn, const struct log_record *r, const struct log_header *kept,
                     size_t kept_count, const char *reason) {
    const struct topic *t = txn->topology->dead_letters;
    struct arena *a = &txn->overlay.arena;

    struct event in = {r->topic, r->partition, r->offset, r->timestamp, r->key, NULL, SLICE_NONE};
    txn->in = &in;
    struct slice traceparent = SLICE_NONE;
    for (size_t i = 0; i < kept_count; i++)
        if (strcmp(kept[i].name, "traceparent") == 0)
            traceparent = kept[i].value;
    txn_take_trace(txn, &(struct cause){r->topic, r->partition, r->offset}, traceparent);
    txn->state = SLICE_NONE; /* it is among those that are kept */
    txn->out_headers = NULL;
    encode_letter(txn, r, printable(a, reason));
    struct log_header *all = arena_alloc(a, (kept_count + 2) * sizeof *all);
    size_t n = 2, room = LETTER_HEADERS_MAX;
    memcpy(all, txn_headers(txn), 2 * sizeof *all);
    for (size_t i = 0; i < kept_count; i++) {
        size_t size = strlen(kept[i].name) + kept[i].value.size;
        if (strcmp(kept[i].name, "traceparent") == 0 || strcmp(kept[i].name, "caused-by") == 0 || size > room)
            continue;
        all[n++] =
            (struct log_header){arena_printf(a, "%s%c", kept[i].name, 0).data, arena_copy(a, kept[i].value)};
        room -= size;
    }
    *txn_emission(txn) = (struct emission){.topic = t,
                                           .partition = -1,
                                           .timestamp = r->timestamp,
                                           .key = all[1].value, /* topic/partition/offset */
                                           .value = arena_copy(a, buf_slice(&txn->bytes)),
                                           .headers = all,
                                           .header_count = n};
    txn->in = NULL;
}
