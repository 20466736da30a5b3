#include "process/settings.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { SLOTS = 100, REGISTRY_MS = 2000 };

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

static bool read_registry(struct registry_options *o, struct err *e) {
    *o = (struct registry_options){.url = text("REGISTRY_URL", "http://localhost:8081/apis/ccompat/v7"),
                                   .auth = text("REGISTRY_AUTH", NULL),
                                   .ca_file = text("REGISTRY_CA_FILE", NULL),
                                   .timeout_ms = REGISTRY_MS};
    if (strncmp(o->url, "http://", 7) != 0 && strncmp(o->url, "https://", 8) != 0) {
        _cleanup_(buf_free) struct buf shown = {0};
        registry_url_show(o->url, &shown);
        return err_set(e, ERR_CONFIG,
                       "REGISTRY_URL: \"" SLICE_FMT "\" does not begin with http:// or https://",
                       SLICE_ARG(buf_slice(&shown)));
    }
    if (o->auth != NULL && strchr(o->auth, ':') == NULL)
        return err_set(e, ERR_CONFIG, "REGISTRY_AUTH: what it is (a secret, not shown) is not user:password");
    if (o->ca_file != NULL && access(o->ca_file, R_OK) != 0)
        return err_set(e, ERR_CONFIG, "REGISTRY_CA_FILE: \"%s\" cannot be read: %s", o->ca_file,
                       strerror(errno));
    return true;
}

bool settings_read(struct settings *s, struct err *e) {
    struct trace_settings traces;
    long partitions, slot = -1, port, standbys, stale_hours;
    if (!number("PARTITIONS", 4, 1, 1000, &partitions, e) ||
        (strcmp(text("SLOT", "0"), "auto") != 0 && !number("SLOT", 0, 0, SLOTS - 1, &slot, e)) ||
        !number("STANDBYS", 1, 0, SLOTS, &standbys, e) ||
        !number("STALE_HOURS", 72, 1, 365 * 24, &stale_hours, e) || !number("PORT", 8080, 0, 65535, &port, e))
        return false;
    if (!trace_settings_read(&traces, e))
        return false;
    enum log_level level;
    if (!logger_level_of(text("LOG_LEVEL", "info"), &level))
        return err_set(e, ERR_CONFIG, "LOG_LEVEL: \"%s\" is not debug, info, warn or error",
                       getenv("LOG_LEVEL"));
    struct registry_options registry;
    struct kafka_property *properties;
    if (!read_registry(&registry, e) || !kafka_properties_read(environ, &properties, e))
        return false;
    *s = (struct settings){
        .properties = properties,
        .brokers = text("KAFKA_BROKERS", "localhost:9092"),
        .registry = registry,
        .data_dir = text("DATA_DIR", "data"),
        .address = text("LISTEN", "127.0.0.1"),
        .partitions = (int32_t)partitions,
        .slot = (int32_t)slot,
        .port = (uint16_t)port,
        .log_level = level,
        .standbys = (int32_t)standbys,
        .stale_hours = (int32_t)stale_hours,
        .traces = traces,
    };
    bool any = strcmp(s->address, "0.0.0.0") == 0 || strcmp(s->address, "::") == 0;
    const char *advertised = text("ADVERTISED", any ? "" : s->address);
    bool fits = strlen(advertised) < sizeof s->advertised;
    strcpy(s->advertised, fits ? advertised : "");
    if (fits && (*advertised != 0 || gethostname(s->advertised, sizeof s->advertised - 1) == 0))
        return true;
    settings_finish(s);
    return fits ? err_set(e, ERR_CONFIG, "ADVERTISED: this host has no name: %s", strerror(errno))
                : err_set(e, ERR_CONFIG, "ADVERTISED: has %zu characters or more", sizeof s->advertised);
}

void settings_finish(struct settings *s) {
    kafka_properties_free(s->properties);
    s->properties = NULL;
}

bool settings_take_slot(struct settings *s, const char *service, struct err *e) {
    char path[PATH_MAX];
    for (int32_t slot = 0; s->slot < 0 && slot < SLOTS; slot++) {
        snprintf(path, sizeof path, "%s/%s-%d.slot", s->data_dir, service, slot);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            return err_set(e, ERR_CONFIG, "SLOT=auto: %s: %s", path, strerror(errno));
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            s->slot = slot; /* the descriptor stays open, for the lock */
        else
            close(fd);
    }
    return s->slot >= 0 ||
           err_set(e, ERR_CONFIG, "SLOT=auto: all %d slots below %s are taken", SLOTS, s->data_dir);
}
