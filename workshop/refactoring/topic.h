/* A topic, written by hand. */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

/* A producer that loses nothing: each record once, acknowledged by all. */
rd_kafka_t *topic_writer(const char *brokers);

/* Returns when the record is in the log; false: it may not be. Any thread. */
bool topic_write(rd_kafka_t *writer, const char *name, const char *key, const char *value);
