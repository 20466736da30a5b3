/* What a partition's file holds, batch by batch, as a broker sends it: the Fetch request (version 5) over a
 * connection of our own (kafka_wire.h). librdkafka hands out records only; here are also the markers of
 * transactions, who wrote what in which of them, and so what each offset is that has no record.
 *
 * A connection is one thread's at a time. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "kafka/properties.h"

#include <stdint.h>

/* ---- batches: parsing only ---- */

struct batch {
    int64_t first, last; /* offsets; some between may be gone by compaction */
    int64_t base_time, max_time, producer;
    int16_t epoch;
    int32_t count;
    bool transactional, control, append_time, compressed;
    struct slice records;
};

struct batch_record {
    int64_t offset, timestamp;
    struct slice key, value; /* data NULL: none */
    struct slice headers;    /* see batch_header() */
    size_t header_count, size;
};

struct batch_header {
    struct slice name, value;
};

/* Takes the next whole batch off `bytes`. False: there is none, only part of one, or nonsense. */
bool batch_next(struct slice *bytes, struct batch *b);

/* Takes the next record off `rest`, which begins as b->records, of a batch that is not compressed. */
bool batch_record_next(const struct batch *b, struct slice *rest, struct batch_record *r);

/* Takes the next header off `rest`, which begins as r->headers. */
bool batch_header_next(struct slice *rest, struct batch_header *h);

/* Whether a control batch is the end of a committed transaction, not of an aborted one. */
bool batch_commits(const struct batch *b);

/* ---- fetching ---- */

struct fetch_want {
    const char *topic;
    int32_t partition;
    int64_t offset;
};

struct fetch_aborted { /* a transaction that was, and its first record in the partition */
    int64_t producer, first;
};

struct fetch_part {
    struct slice topic;
    int32_t partition;
    int error; /* Kafka's code, 0: none */
    int64_t end, stable, first;
    struct slice aborted; /* see fetch_aborted_at(); committed only */
    size_t aborted_count;
    struct slice batches;
};

enum { FETCH_OUT_OF_RANGE = 1, FETCH_UNKNOWN = 3, FETCH_NOT_LEADER = 6 };

/* What a code of Kafka's means, for people. */
const char *fetch_error_text(int code);

struct fetch_options {
    bool committed;            /* not beyond the last stable offset, and says what was aborted */
    int wait_ms, min_bytes;    /* the broker answers when it has so much, or after that time */
    int part_bytes, max_bytes; /* of a partition, of all; a first batch is whole however large it is */
};

struct fetcher;

/* No I/O yet. */
struct fetcher *fetcher_create(const char *host, uint16_t port, const struct kafka_property *properties);
/* Takes NULL. */
void fetcher_destroy(struct fetcher *f);

/* Asks, and waits for the answer; wants of one topic stand together. ERR_RETRY: the broker is away, or says
 * nonsense; the next call connects anew. */
WARN_UNUSED bool fetcher_ask(struct fetcher *f, const struct fetch_want *wants, size_t n,
                             const struct fetch_options *options, struct err *e);

/* The next partition of the answer, which is valid until the next question. False: no more. */
bool fetcher_next(struct fetcher *f, struct fetch_part *part);

struct fetch_aborted fetch_aborted_at(const struct fetch_part *part, size_t i);
