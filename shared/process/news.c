#include "process/news.h"

/* FNV-1a; two statuses that collide cost a line of the log. */
static uint64_t hash(const char *text) {
    uint64_t h = 14695981039346656037u;
    for (; *text != 0; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h;
}

bool is_news(struct told *t, bool well, const char *status) {
    if (*status == 0)
        return false;
    uint64_t h = hash(status);
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
