/* Records straight into topics, as fast as Kafka takes them. One thread. */
#pragma once

#include "events/schemas.h"
#include "kafka/producer.h"
#include "where.h"

struct writer;

/* `schemas` stay the caller's. */
WARN_UNUSED bool writer_create(const struct where *suite, struct schemas *schemas, size_t topic_count,
                               struct writer **out, struct err *e);
void writer_destroy(struct writer *w); /* takes NULL */

/* To be called for each topic before it is written to: it may be one that is no catalogue's, in the schema of
 * one that is. */
WARN_UNUSED bool writer_prepare(struct writer *w, const struct topic *t, const struct topic *schema,
                                struct err *e);

/* Waits where too much is under way. `timestamp` is in ms since 1970. */
WARN_UNUSED bool writer_write(struct writer *w, const struct topic *t, const struct topic *schema,
                              struct slice key, const void *value, int64_t timestamp, struct err *e);

/* What a program does that only writes: `write` writes `count` records to where the environment says that the
 * suite is. Prints {"perSecond": …}, or what is wrong, as `program`. Returns the exit code. */
int writer_run(const char *program, size_t topic_count, double count,
               bool (*write)(void *context, struct writer *w, struct err *e), void *context);

/* Waits until all is in the log; ERR_RETRY where something is not. */
WARN_UNUSED bool writer_flush(struct writer *w, struct err *e);
