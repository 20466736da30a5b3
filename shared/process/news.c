#include "process/news.h"

#include "base/slice.h"

bool is_news(struct told *t, bool well, const char *status) {
    if (*status == 0)
        return false;
    uint64_t h = slice_hash(slice_of(status)); /* two that collide cost a line of the log */
    bool news = true;
    for (size_t i = 0; i < t->count && i < TOLD_MAX; i++)
        news = news && t->hashes[i] != h;
    if (well) {
        news = t->last != h;
        t->count = 0;
    }
    if (news)
        t->last = t->hashes[t->count++ % TOLD_MAX] = h;
    return news;
}
