#include "log/partitions.h"

/* murmur2 with the seed and the sign handling of org.apache.kafka.clients.producer: a join with topics that
 * Java clients write needs the same partition for the same key. */
static uint32_t murmur2(const unsigned char *p, size_t size) {
    const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28c ^ (uint32_t)size;
    for (; size >= 4; p += 4, size -= 4) {
        uint32_t k = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        k *= m;
        k ^= k >> 24;
        h = (h * m) ^ (k * m);
    }
    for (size_t i = size; i-- > 0;)
        h ^= (uint32_t)p[i] << (8 * i);
    if (size > 0)
        h *= m;
    h ^= h >> 13;
    h *= m;
    return h ^ h >> 15;
}

int32_t partition_of(struct slice key, int32_t count) {
    return (int32_t)((murmur2((const unsigned char *)key.data, key.size) & 0x7fffffff) % (uint32_t)count);
}
