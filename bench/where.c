#include "where.h"

#include <stdlib.h>
#include <unistd.h>

enum { REGISTRY_MS = 10000 };

static const char *setting(const char *name, const char *fallback) {
    const char *value = getenv(name);
    return value == NULL || *value == 0 ? fallback : value;
}

const struct where *where_suite_is(struct err *e) {
    static struct where where;
    static struct kafka_property *properties;
    if (properties == NULL && !kafka_properties_read(environ, &properties, e))
        return NULL;
    where =
        (struct where){.brokers = setting("KAFKA_BROKERS", "localhost:9092"),
                       .properties = properties,
                       .registry = {.url = setting("REGISTRY_URL", "http://localhost:8081/apis/ccompat/v7"),
                                    .auth = setting("REGISTRY_AUTH", NULL),
                                    .ca_file = setting("REGISTRY_CA_FILE", NULL),
                                    .timeout_ms = REGISTRY_MS}};
    return &where;
}
