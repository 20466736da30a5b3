#include "service/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *text(const char *name, const char *fallback) {
    const char *value = getenv(name);
    return value == NULL || *value == 0 ? fallback : value;
}

static bool number(const char *name, long fallback, long min, long max, long *out, struct err *e) {
    const char *value = getenv(name);
    char *end;
    errno = 0;
    *out = value == NULL ? fallback : strtol(value, &end, 10);
    if (value != NULL && (*value == 0 || *end != 0 || errno != 0 || *out < min || *out > max))
        return err_set(e, ERR_CONFIG, "%s: \"%s\" is not an integer from %ld to %ld", name, value, min, max);
    return true;
}

bool settings_read(struct settings *s, struct err *e) {
    long partitions, slot, port;
    if (!number("PARTITIONS", 4, 1, 1000, &partitions, e) || !number("SLOT", 0, 0, 99, &slot, e) ||
        !number("PORT", 8080, 0, 65535, &port, e))
        return false;
    const char *registry_url = text("REGISTRY_URL", "http://localhost:8081/apis/ccompat/v7");
    if (strncmp(registry_url, "http://", 7) != 0 && strncmp(registry_url, "https://", 8) != 0)
        return err_set(e, ERR_CONFIG, "REGISTRY_URL: \"%s\" does not begin with http:// or https://",
                       registry_url);
    *s = (struct settings){
        .brokers = text("KAFKA_BROKERS", "localhost:9092"),
        .registry_url = registry_url,
        .data_dir = text("DATA_DIR", "data"),
        .address = text("LISTEN", "127.0.0.1"),
        .partitions = (int32_t)partitions,
        .slot = (int32_t)slot,
        .port = (uint16_t)port,
    };
    return true;
}
