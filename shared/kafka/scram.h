/* SCRAM (RFC 5802) of a client without channel binding, as Kafka's brokers ask for it. Internal. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* Says words to the server and appends its reply. */
typedef bool kafka_say(void *to, struct slice words, struct buf *reply, struct err *e);

/* The whole exchange: SHA-512 or SHA-256. ERR_RETRY, or the error of `say`; where the server cannot prove
 * that it knows the password too, it fails. */
WARN_UNUSED bool kafka_scram(bool sha512, const char *user, const char *password, kafka_say *say, void *to,
                             struct err *e);
