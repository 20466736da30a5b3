#include "ratings_rules.h"

#include <assert.h>

bool movie_id_parse(struct slice key, int64_t *id) {
    bool negative = key.size > 0 && key.data[0] == '-';
    int64_t n = 0;
    size_t i = negative;
    if (i == key.size || key.size > 20 || (key.data[i] == '0' && key.size > 1))
        return false;
    for (; i < key.size; i++) {
        int digit = key.data[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(n, 10, &n) ||
            __builtin_sub_overflow(n, digit, &n)) /* below zero there is room for one more */
            return false;
    }
    if (!negative && n == INT64_MIN)
        return false;
    *id = negative ? n : -n;
    return true;
}

static const size_t slots[DISTRIBUTION_SIZE] = {
    offsetof(struct rating_distribution, from0), offsetof(struct rating_distribution, from1),
    offsetof(struct rating_distribution, from2), offsetof(struct rating_distribution, from3),
    offsetof(struct rating_distribution, from4), offsetof(struct rating_distribution, from5),
    offsetof(struct rating_distribution, from6), offsetof(struct rating_distribution, from7),
    offsetof(struct rating_distribution, from8), offsetof(struct rating_distribution, from9),
};

void totals_add(struct rating_totals *t, int32_t tenths) {
    assert(tenths >= 0 && tenths <= RATING_MAX_TENTHS);
    t->rating_count++;
    t->rating_sum_tenths += tenths;
    int n = tenths == RATING_MAX_TENTHS ? DISTRIBUTION_SIZE - 1 : tenths / 10;
    ++*(int64_t *)(void *)((char *)&t->distribution + slots[n]);
}

int64_t totals_distribution(const struct rating_totals *t, int n) {
    return *(const int64_t *)(const void *)((const char *)&t->distribution + slots[n]);
}

double rating_average(int64_t count, int64_t sum_tenths) {
    return count == 0 ? 0 : (double)sum_tenths / ((double)count * 10);
}

struct rating_history history_add(const struct rating_history *h, const struct rating_totals *t,
                                  int64_t timestamp, struct arena *a) {
    struct rating_history next = {.interval_ms = h->interval_ms};
    bool thin = h->points.count >= HISTORY_POINTS_MAX;
    size_t step = thin ? 2 : 1, n = 0;
    struct rating_point *points = arena_alloc(a, (h->points.count + 1) * sizeof *points);
    for (size_t i = 0; i < h->points.count; i += step)
        points[n++] = h->points.items[i];
    points[n++] = (struct rating_point){timestamp, t->rating_count, t->rating_sum_tenths};
    if (thin)
        next.interval_ms *= 2;
    next.points.items = points;
    next.points.count = n;
    return next;
}

/* ---- lists ---- */

const char *movie_order_name(enum movie_order order) {
    static const char *const names[MOVIE_ORDERS] = {"rating", "count", "title", "year"};
    return names[order];
}

static void put_u64(struct buf *out, uint64_t n) {
    for (int shift = 56; shift >= 0; shift -= 8)
        buf_append_byte(out, (uint8_t)(n >> shift));
}

static void put_i64(struct buf *out, int64_t n) {
    put_u64(out, (uint64_t)n ^ UINT64_C(1) << 63);
}

__extension__ typedef unsigned __int128 u128;

/* sum / count, higher first: the whole part and 128 bits of the fraction. Two fractions whose denominators
 * are below 2^63 and that differ do so by more than 2^-126, so nothing is lost. */
static void put_average(struct buf *out, uint64_t count, uint64_t sum) {
    u128 rest = sum % count;
    buf_append_byte(out, (uint8_t)~(sum / count));
    for (int i = 0; i < 2; i++) {
        rest <<= 64;
        put_u64(out, ~(uint64_t)(rest / count));
        rest %= count;
    }
}

enum { TITLE_KEY_MAX = 64 };

static uint8_t fold(char c) {
    return (uint8_t)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* No title: last. A byte of 0 ends it, so that a shorter one comes first. */
static void put_title(struct buf *out, struct slice title) {
    assert(title.data != NULL || title.size == 0);
    buf_append_byte(out, title.data == NULL ? 2 : 1);
    for (size_t i = 0; i < title.size && i < TITLE_KEY_MAX; i++)
        buf_append_byte(out, fold(title.data[i]));
    buf_append_byte(out, 0);
}

void movie_list_prefix(enum movie_order order, struct buf *out) {
    const char *name = movie_order_name(order);
    buf_append(out, name, strlen(name));
    buf_append_byte(out, '/');
}

void movie_list_key(enum movie_order order, const struct rated_movie *m, struct buf *out) {
    bool rated = m->rating_count > 0 && m->rating_sum_tenths >= 0;
    movie_list_prefix(order, out);
    switch (order) {
    case BY_RATING:
        buf_append_byte(out, rated ? 1 : 2);
        if (rated)
            put_average(out, (uint64_t)m->rating_count, (uint64_t)m->rating_sum_tenths);
        put_i64(out, ~m->rating_count);
        break;
    case BY_COUNT:
        put_i64(out, ~m->rating_count);
        break;
    case BY_TITLE:
        put_title(out, m->title);
        break;
    case BY_YEAR:
        put_i64(out, ~(m->release_year.present ? (int64_t)m->release_year.value : INT64_MIN));
        put_title(out, m->title);
        break;
    case MOVIE_ORDERS:
        break;
    }
    put_i64(out, m->movie_id);
}

static bool begins(const char *at, struct slice text) {
    for (size_t i = 0; i < text.size; i++)
        if (fold(at[i]) != fold(text.data[i]))
            return false;
    return true;
}

bool title_matches(struct slice title, struct slice text) {
    if (text.size == 0)
        return true;
    for (size_t i = 0; i + text.size <= title.size; i++)
        if (begins(title.data + i, text))
            return true;
    return false;
}
