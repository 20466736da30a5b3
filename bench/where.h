/* Where the suite is that a program looks at from outside, as its environment says: KAFKA_BROKERS, KAFKA_… (a
 * property of librdkafka), REGISTRY_URL, REGISTRY_AUTH, REGISTRY_CA_FILE. */
#pragma once

#include "base/err.h"
#include "events/registry.h"
#include "kafka/properties.h"

struct where {
    const char *brokers;
    const struct kafka_property *properties; /* up to {0} */
    struct registry_options registry;
};

/* Read at the first call, which is the only one that can fail: ERR_CONFIG. NULL then. Before there are
 * threads. */
const struct where *where_suite_is(struct err *e);
