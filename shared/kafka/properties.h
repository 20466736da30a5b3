/* Properties of librdkafka that whoever runs a program chooses: how brokers are reached (security.protocol,
 * sasl.…, ssl.…), how much is fetched, sent together, compressed, … They are stronger than what the runtime
 * would choose; those that it stands on are refused by name. */
#pragma once

#include "base/err.h"

/* By the name that librdkafka's CONFIGURATION.md gives it. */
struct kafka_property {
    const char *name, *value;
};

/* Whether each of `properties` (up to {0}; NULL: none) is one of librdkafka's, takes its value and is not the
 * runtime's. ERR_CONFIG names the property, its value unless that is a secret, and what is allowed. No I/O.
 * Any thread. */
WARN_UNUSED bool kafka_properties_check(const struct kafka_property *properties, struct err *e);

/* Those of an environment (NULL-terminated, of NAME=value), checked: KAFKA_X_Y=value is the property x.y;
 * also whether they go together, and the files are there that they name. KAFKA_BROKERS and what is for
 * brokers or put there by others is passed over: kafka_properties.c lists it. *properties (up to {0}, values
 * point into the environment) is the caller's. ERR_CONFIG as above, with the setting's name. */
WARN_UNUSED bool kafka_properties_read(char *const *environment, struct kafka_property **properties,
                                       struct err *e);

/* The value of a property; NULL where `properties` (may be NULL) has not got it. */
const char *kafka_property_of(const struct kafka_property *properties, const char *name);

/* Takes NULL. */
void kafka_properties_free(struct kafka_property *properties);
