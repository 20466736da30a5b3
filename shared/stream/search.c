/* For the input from which a record follows that the broker refuses, see struct search. */
#include "stream/runtime.h"

enum { SEARCH_PARTS = 8 }; /* into which a transaction is divided that is refused */

void search_narrow(struct stream *s, const struct err *why) {
    struct search *q = &s->search;
    size_t n = s->transaction_records;
    counter_add(&s->refusals, 1);
    if (q->size == 0)
        notice(s, "%s; what it follows from is searched for in %zu inputs", why->text, n);
    if (q->culprit.place.topic != NULL) {
        /* Its letter is refused too: wait, and begin again with the record. */
        q->culprit = (struct suspect){0};
        q->found = false;
    } else if (q->size == 1 && q->last.place.topic != NULL) {
        q->culprit = q->last;
        q->expiring = n == 0;
        memcpy(q->why, why->text, sizeof q->why);
        s->fruitless = 0; /* go on at once */
    } else {
        q->left = n > q->left ? n : q->left;
        q->left = q->left > 0 ? q->left : 1;
        q->size = n > SEARCH_PARTS ? n / SEARCH_PARTS : 1;
    }
}

void search_passed(struct stream *s) {
    struct search *q = &s->search;
    q->left -= s->transaction_records < q->left ? s->transaction_records : q->left;
    if (q->found || (q->left == 0 && q->culprit.place.topic == NULL))
        *q = (struct search){0};
}

bool search_takes(struct stream *s, const struct log_record *r, struct err *e) {
    struct search *q = &s->search;
    bool comes = is_suspect(&q->culprit, r);
    if (!comes && q->culprit.place.topic == r->topic && q->culprit.place.partition == r->partition &&
        r->offset >= q->culprit.place.offset)
        *q = (struct search){0}; /* the log does not have it any more */
    q->last = (struct suspect){{r->topic, r->partition, r->offset}, r->timestamp};
    q->found = comes && !q->expiring;
    return !q->found || err_set(e, ERR_POISON, "%s", q->why);
}
