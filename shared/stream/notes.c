/* What people are told of a running topology. */
#include "stream/runtime.h"

#include <stdarg.h>
#include <stdio.h>

void notice(struct stream *s, const char *fmt, ...) {
    char text[600];
    if (s->o.notice == NULL)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    s->o.notice(s->o.context, text);
}

void note_moved(struct stream *s, const struct log_record *r) {
    struct topic_counts *c = &s->counts[r->topic->number];
    char text[300];
    counter_add(r->offset > r->was ? &c->deleted : &c->lost, 1);
    log_moved_text(r, text, sizeof text);
    notice(s, "%s", text);
}

void note_ahead(struct stream *s, const char *what, const struct log_position *end, int64_t position) {
    counter_add(&s->counts[end->topic->number].lost, 1);
    notice(s, "%s/%d: it was read up to %lld and %s %lld; %s is read anew", end->topic->name, end->partition,
           (long long)position,
           position > end->offset ? "ends at" : "has lost some of that, and ends again at",
           (long long)end->offset, what);
}
