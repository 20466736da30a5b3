/* Reads whole topics as committed readers see them, for programs that look at the log from outside.
 *
 * Aim at where topics end, then read up to there; aim again to go on. One thread. */
#pragma once

#include "events/schemas.h"
#include "log/log.h"
#include "where.h"

struct reader;

/* Called for each record, in the log's order within a partition. */
typedef bool reader_each(void *context, const struct log_record *record, struct err *err);

/* Waits for Kafka and the topics, up to 10 s. `topics` up to NULL, of a catalogue of `topic_count`. Nothing
 * is read yet. ERR_RETRY when Kafka is away. */
WARN_UNUSED bool reader_create(const struct where *suite, const struct topic *const *topics,
                               size_t topic_count, struct reader **r, struct err *err);
void reader_destroy(struct reader *r); /* takes NULL */

/* The aim becomes where the topic ends now: for committed readers, or (`open`) behind what transactions have
 * written that are still open. */
WARN_UNUSED bool reader_aim(struct reader *r, const struct topic *t, bool open, struct err *err);

/* Where the topic's partitions are aimed at, in sum: it grows when anything is written. */
int64_t reader_aim_sum(const struct reader *r, const struct topic *t);

/* What lies before the aim is not read. */
void reader_skip(struct reader *r, const struct topic *t);

/* Reads everything between the position and the aim. ERR_RETRY when nothing comes for 30 s; a false `each`
 * ends it too. */
WARN_UNUSED bool reader_read(struct reader *r, reader_each *each, void *context, struct err *err);

/* What comes to a topic from here on, beyond any aim: waits up to `timeout_ms` for the first. All other
 * topics are left alone from the first call on. */
WARN_UNUSED bool reader_follow(struct reader *r, const struct topic *t, int timeout_ms, reader_each *each,
                               void *context, struct err *err);

int32_t reader_partitions(const struct reader *r, const struct topic *t);
bool reader_has_header(struct reader *r, const struct log_record *record, const char *name);

/* For decoding, and for the producer beside it. */
struct schemas *reader_schemas(struct reader *r);
