#include "events/topic.h"

const struct topic *topic_find(const struct topic *const *table, size_t count, struct slice name) {
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(slice_of(table[i]->name), name))
            return table[i];
    }
    return NULL;
}

bool topic_names(const char *const *names, const char *service) {
    for (; *names != NULL; names++) {
        if (strcmp(*names, service) == 0)
            return true;
    }
    return false;
}
