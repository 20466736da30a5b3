#include "store/merged.h"

static bool give(struct merged *m, struct slice key, struct slice value) {
    m->stopped = value.data != NULL && !m->visit(m->visitor, key, value);
    return !m->stopped;
}

static bool give_change(struct merged *m) {
    bool on = give(m, m->change->key, m->change->value);
    m->change = m->next(m->context);
    return on;
}

static bool visit_below(void *context, struct slice key, struct slice value) {
    struct merged *m = context;
    int order = -1;
    while (m->change != NULL && (order = slice_compare(m->change->key, key)) != 0 &&
           (order < 0) != m->reverse)
        if (!give_change(m))
            return false;
    if (m->change == NULL)
        return !m->part && give(m, key, value);
    return order == 0 ? give_change(m) : give(m, key, value);
}

bool merged_scan(struct merged *m, struct store *below, struct slice prefix, struct slice from,
                 struct err *e) {
    m->change = m->next(m->context);
    if (!store_scan(below, prefix, from, m->reverse, visit_below, m, e))
        return false;
    while (!m->stopped && m->change != NULL)
        give_change(m);
    return true;
}
