#include "legacy_fold.h"

#include "base/cleanup.h"
#include "base/num.h"
#include "names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct side { /* what a topic, or a table, says of a row */
    bool there, has_words, has_number;
    uint64_t words; /* hash: names may be long */
    double number;
};

struct row {
    struct side topic, table;
};

struct legacy_fold {
    struct names keys; /* table/key */
    struct row *rows;
    uint32_t capacity;
};

struct legacy_fold *legacy_fold_create(void) {
    return xcalloc(1, sizeof(struct legacy_fold));
}

void legacy_fold_destroy(struct legacy_fold *f) {
    if (f == NULL)
        return;
    free(f->rows);
    names_free(&f->keys);
    free(f);
}

static struct slice trimmed(struct slice s) {
    while (s.size > 0 && s.data[s.size - 1] == ' ')
        s.size--;
    return s;
}

static struct row *row_of(struct legacy_fold *f, struct slice table, struct slice key) {
    _cleanup_(buf_free) struct buf name = {0};
    key = trimmed(key);
    buf_printf(&name, SLICE_FMT "/" SLICE_FMT, SLICE_ARG(table), SLICE_ARG(key));
    uint32_t n = names_add(&f->keys, buf_slice(&name));
    if (n >= f->capacity) {
        uint32_t capacity = f->capacity * 2 + 64;
        f->rows = xrealloc(f->rows, capacity * sizeof *f->rows);
        memset(f->rows + f->capacity, 0, (capacity - f->capacity) * sizeof *f->rows);
        f->capacity = capacity;
    }
    return &f->rows[n];
}

static struct side side_of(struct slice words, bool has_number, double number) {
    return (struct side){.there = true,
                         .has_words = words.data != NULL,
                         .has_number = has_number,
                         .words = words.data != NULL ? slice_hash(trimmed(words)) : 0,
                         .number = has_number ? number : 0};
}

static bool is_same(const struct row *r) {
    const struct side *a = &r->topic, *b = &r->table;
    return a->there == b->there && a->has_words == b->has_words && a->words == b->words &&
           a->has_number == b->has_number && !(a->number < b->number || a->number > b->number);
}

void legacy_fold_stock(struct legacy_fold *f, struct slice key, const struct stock *row) {
    row_of(f, SLICE("stock"), key)->topic =
        row == NULL ? (struct side){0} : side_of(row->name, row->quantity.present, row->quantity.value);
}

void legacy_fold_movie(struct legacy_fold *f, struct slice key, const struct movie *row) {
    row_of(f, SLICE("movies"), key)->topic =
        row == NULL ? (struct side){0}
                    : side_of(row->title, row->release_year.present, row->release_year.value);
}

void legacy_fold_begin(struct legacy_fold *f) {
    for (uint32_t i = 0; i < f->keys.count; i++)
        f->rows[i].table = (struct side){0};
}

void legacy_fold_row(struct legacy_fold *f, struct slice table, struct slice key, struct slice words,
                     struct slice number) {
    char text[64];
    snprintf(text, sizeof text, SLICE_FMT, SLICE_ARG(number));
    row_of(f, table, key)->table =
        side_of(words, number.data != NULL, number.data != NULL ? strtod(text, NULL) : 0);
}

uint64_t legacy_fold_in_flight(const struct legacy_fold *f, struct buf *names) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < f->keys.count; i++)
        if (!is_same(&f->rows[i]) && n++ < AUDIT_EXAMPLES && names != NULL)
            buf_printf(names, "%slegacy row %s", names->size > 0 ? ", " : "", names_text(&f->keys, i));
    return n;
}

static void describe(struct buf *out, const struct side *s) {
    if (!s->there)
        buf_printf(out, "no row");
    else if (!s->has_number)
        buf_printf(out, "a row without number");
    else
        buf_printf(out, "%.16g", s->number);
}

void legacy_fold_judge(const struct legacy_fold *f, struct audit *a, bool quiescent) {
    for (uint32_t i = 0; i < f->keys.count; i++) {
        const struct row *r = &f->rows[i];
        audit_checked(a, AUDIT_LEGACY, r->table.there || r->topic.there);
        if (!quiescent || is_same(r))
            continue;
        _cleanup_(buf_free) struct buf topic = {0}, table = {0};
        describe(&topic, &r->topic);
        describe(&table, &r->table);
        audit_violation(a, AUDIT_LEGACY, "%s: the topic has " SLICE_FMT ", the table " SLICE_FMT "%s",
                        names_text(&f->keys, i), SLICE_ARG(buf_slice(&topic)), SLICE_ARG(buf_slice(&table)),
                        r->topic.there && r->table.there &&
                                (r->topic.words != r->table.words || r->topic.has_words != r->table.has_words)
                            ? ", and other words"
                            : "");
    }
}
