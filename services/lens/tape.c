#include "tape.h"

#include "base/cleanup.h"

const char *tape_kind_name(enum tape_kind kind) {
    static const char *const names[] = {"record", "marker", "aborted", "undecided", "compacted"};
    return names[kind];
}

/* One answer, and which of its aborted transactions have ended so far. */
struct reading {
    struct tape *tape;
    const struct fetch_part *part;
    struct buf ended; /* a byte for each of part->aborted */
};

static void emit(struct tape *t, struct tape_entry *entry) {
    t->stopped = t->stopped || !t->visit(t->context, entry);
    if (!t->stopped)
        t->next = entry->offset + 1;
}

static void emit_gap(struct tape *t, int64_t before) {
    while (t->next < before && t->next < t->to && !t->stopped)
        emit(t, &(struct tape_entry){.kind = TAPE_COMPACTED, .offset = t->next, .producer = -1});
}

/* The aborted transaction of this producer that is open at this batch; -1: none. */
static int aborted_at(const struct reading *r, const struct batch *b) {
    for (size_t i = 0; i < r->part->aborted_count; i++) {
        struct fetch_aborted a = fetch_aborted_at(r->part, i);
        if (a.producer == b->producer && a.first <= b->last && r->ended.data[i] == 0)
            return (int)i;
    }
    return -1;
}

static void take_marker(struct reading *r, const struct batch *b) {
    struct tape *t = r->tape;
    bool commits = batch_commits(b);
    int aborted = commits ? -1 : aborted_at(r, b);
    if (aborted >= 0)
        r->ended.data[aborted] = 1;
    if (b->first >= t->next && b->first < t->to)
        emit(t, &(struct tape_entry){.kind = TAPE_MARKER,
                                     .offset = b->first,
                                     .timestamp = b->max_time,
                                     .producer = b->producer,
                                     .epoch = b->epoch,
                                     .transactional = true,
                                     .commits = commits});
}

static void take_record(struct reading *r, const struct batch *b, bool aborted,
                        const struct batch_record *record) {
    struct tape *t = r->tape;
    if (record->offset < t->next || t->stopped)
        return;
    emit_gap(t, record->offset);
    if (record->offset >= t->to || t->stopped)
        return;
    emit(t, &(struct tape_entry){.kind = record->offset >= r->part->stable ? TAPE_UNDECIDED
                                         : aborted                         ? TAPE_ABORTED
                                                                           : TAPE_RECORD,
                                 .offset = record->offset,
                                 .timestamp = record->timestamp,
                                 .producer = b->producer,
                                 .epoch = b->epoch,
                                 .transactional = b->transactional,
                                 .record = *record});
}

static bool take_records(struct reading *r, const struct batch *b, struct err *e) {
    struct tape *t = r->tape;
    bool aborted = b->transactional && aborted_at(r, b) >= 0;
    struct batch_record record, *records;
    size_t count;
    if (b->compressed) {
        if (!t->unpack(t->context, b, &records, &count, e))
            return false;
        for (size_t i = 0; i < count; i++)
            take_record(r, b, aborted, &records[i]);
        return true;
    }
    struct slice rest = b->records;
    for (int32_t i = 0; i < b->count && batch_record_next(b, &rest, &record); i++)
        take_record(r, b, aborted, &record);
    return true;
}

bool tape_take(struct tape *t, const struct fetch_part *part, bool committed, struct err *e) {
    struct reading r = {.tape = t, .part = part};
    struct slice rest = part->batches;
    struct batch b;
    bool ok = true, some = false;
    memset(buf_reserve(&r.ended, part->aborted_count + 1), 0, part->aborted_count + 1);
    while (ok && !t->stopped && t->next < t->to && batch_next(&rest, &b)) {
        some = true;
        /* An uncommitted answer does not say what was aborted: below the last stable offset it is of no use.
         */
        if (!committed && t->next < part->stable)
            break;
        emit_gap(t, b.first);
        if (b.control && b.count > 0)
            take_marker(&r, &b);
        else if (b.count > 0)
            ok = take_records(&r, &b, e);
        if (ok)
            emit_gap(t, b.last + 1);
    }
    if (!some && part->batches.size == 0 &&
        !t->crowded) /* there is nothing up to where such readers may read */
        emit_gap(t, committed ? part->stable : part->end);
    buf_free(&r.ended);
    return ok;
}
