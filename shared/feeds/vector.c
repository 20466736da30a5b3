#include "feeds/vector.h"

#include <limits.h>

enum { TOPIC_MAX = 249 }; /* Kafka's own limit */

void vector_put(struct buf *out, size_t start, const char *topic, int32_t partition, int64_t offset) {
    buf_printf(out, "%s%s/%d:%lld", out->size > start ? "," : "", topic, partition, (long long)offset);
}

static bool is_topic_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

/* Digits up to `end`, a character or the text's end. */
static bool take_number(struct slice *s, char end, int64_t max, int64_t *number) {
    int64_t n = 0;
    size_t i = 0;
    for (; i < s->size && s->data[i] != end; i++) {
        int digit = s->data[i] - '0';
        if (digit < 0 || digit > 9 || n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    if (i == 0)
        return false;
    *number = n;
    *s = (struct slice){s->data + i, s->size - i};
    return true;
}

static bool take_char(struct slice *s, char c) {
    if (s->size == 0 || s->data[0] != c)
        return false;
    *s = (struct slice){s->data + 1, s->size - 1};
    return true;
}

static bool take_entry(struct slice *s, struct slice *topic, int64_t *partition, int64_t *offset) {
    size_t n = 0;
    while (n < s->size && is_topic_char(s->data[n]))
        n++;
    *topic = (struct slice){s->data, n};
    *s = (struct slice){s->data + n, s->size - n};
    return n > 0 && n <= TOPIC_MAX && take_char(s, '/') && take_number(s, ':', INT32_MAX, partition) &&
           take_char(s, ':') && take_number(s, ',', INT64_MAX - 1, offset);
}

bool vector_parse(struct slice text, void (*each)(void *, struct slice, int32_t, int64_t), void *context) {
    struct slice topic;
    int64_t partition, offset;
    for (int pass = 0; pass < 2; pass++) /* look first, then tell */
        for (struct slice rest = text; rest.size > 0;) {
            if (!take_entry(&rest, &topic, &partition, &offset))
                return false;
            if (rest.size > 0 && (!take_char(&rest, ',') || rest.size == 0))
                return false;
            if (pass == 1)
                each(context, topic, (int32_t)partition, offset);
        }
    return true;
}
