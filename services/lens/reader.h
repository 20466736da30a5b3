/* Reads ranges of partitions, each offset of them. One thread's. */
#pragma once

#include "cluster.h"
#include "tape.h"

struct reader;

/* Borrows the cluster. No I/O. */
struct reader *reader_create(struct cluster *c);
/* Takes NULL. */
void reader_destroy(struct reader *r);

struct reader_bounds { /* of a partition, as the last answer had them: the first offset, where committed
                          readers stop, and the end */
    int64_t first, stable, end;
};

/* Visits [from, to), or as much of it as there is, each offset once and in order, until the visitor says no.
 * *next is where it stopped. ERR_INPUT: there is no such partition, or no such offset in it (any more).
 * ERR_RETRY: Kafka is away. */
WARN_UNUSED bool reader_read(struct reader *r, const char *topic, int32_t partition, int64_t from, int64_t to,
                             tape_visit *visit, void *context, struct reader_bounds *bounds, int64_t *next,
                             struct err *e);

/* Bytes that were fetched since the reader was made. */
uint64_t reader_bytes(const struct reader *r);

/* One question to the leader of all `wants`; the answer is the fetcher's. ERR_RETRY. */
WARN_UNUSED bool reader_ask(struct reader *r, const struct cluster_broker *leader,
                            const struct fetch_want *wants, size_t n, const struct fetch_options *options,
                            struct fetcher **answer, struct err *e);
