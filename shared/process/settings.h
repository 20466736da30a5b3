/* What a service's process is told by its environment. docs/OPERATIONS.md lists all settings of the suite.
 *
 * With logger.h, what a process says, and news.h, what of it is worth saying, this is the lowest room of a
 * process: it knows no stream, no request and no service. Settings are read once, before any thread, and then
 * constant; the log has no state but its level, and any thread writes to it. */
#pragma once

#include "base/err.h"
#include "events/registry.h"
#include "kafka/properties.h"
#include "process/logger.h"
#include "trace/trace.h"

#include <stdint.h>

/* Each with the name of its variable, and what it is without. */
struct settings {
    const char *brokers;               /* KAFKA_BROKERS, localhost:9092 */
    struct kafka_property *properties; /* KAFKA_X_Y: librdkafka's x.y, see kafka_properties.h */
    struct registry_options registry;  /* REGISTRY_URL, http://localhost:8081/apis/ccompat/v7; REGISTRY_AUTH,
                                          user:password; REGISTRY_CA_FILE */
    const char *data_dir;              /* DATA_DIR, ./data: views are kept below it */
    const char *address;               /* LISTEN, 127.0.0.1 */
    char advertised[256];     /* ADVERTISED: the host that other instances find this one at. LISTEN, or where
                                 that is any address, the host's name */
    int32_t standbys;         /* STANDBYS, 1: instances that hold a partition beside its owner */
    int32_t partitions;       /* PARTITIONS, 4: what the topics must have */
    int32_t stale_hours;      /* STALE_HOURS, 72: how old what the store has may be, see stream_options */
    int32_t slot;             /* SLOT, 0: which instance of the service this is; -1 for "auto" */
    uint16_t port;            /* PORT, 8080: HTTP */
    enum log_level log_level; /* LOG_LEVEL, info: the least that is logged */
    struct trace_settings traces; /* OTEL_… */
};

/* Strings point into the environment. ERR_CONFIG names the setting and what it must be. To be finished after
 * it was read. */
WARN_UNUSED bool settings_read(struct settings *s, struct err *e);

/* Gives back what settings_read() has made; also of one that was zeroed. */
void settings_finish(struct settings *s);

/* Where the slot is "auto", takes the first that no living process below the same data_dir has, until this
 * process ends: so instances that share a directory tell each other apart, and one that is started again
 * finds its views. */
WARN_UNUSED bool settings_take_slot(struct settings *s, const char *service, struct err *e);
