/* A connection of our own to a broker, for the few requests that librdkafka has no call for. TLS and SASL as
 * the properties for librdkafka say: ssl.ca…, ssl.certificate…, ssl.key…,
 * enable.ssl.certificate.verification, ssl.endpoint.identification.algorithm; sasl.mechanism PLAIN,
 * SCRAM-SHA-256 and SCRAM-SHA-512. Whatever else begins with ssl. or sasl. it cannot do, and says so. One
 * thread's at a time. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "kafka/properties.h"

#include <stdint.h>

struct kafka_wire;

/* No I/O yet; keeps nothing of what it is given. */
struct kafka_wire *kafka_wire_create(const char *host, uint16_t port,
                                     const struct kafka_property *properties);
/* Takes NULL. */
void kafka_wire_destroy(struct kafka_wire *w);

/* Sends a request, whose size goes before it, and waits for the answer, of up to `max` bytes; each step takes
 * at most `timeout_ms`, but for looking up the host's name. ERR_RETRY: the broker is away, does not let us
 * in, or a property is beyond this; the next call connects anew. */
WARN_UNUSED bool kafka_wire_ask(struct kafka_wire *w, struct slice request, struct buf *answer, size_t max,
                                int timeout_ms, struct err *e);
