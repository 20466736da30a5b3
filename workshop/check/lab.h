/* What every program of part 1 would say again: a configuration that is right, and work that takes a while.
 * All else in them is librdkafka's own interface: rdkafka.h, which is a pleasure to read. */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noreturn, format(printf, 1, 2))) static inline void lab_fail(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

/* A configuration of names and values, up to NULL. */
static inline rd_kafka_conf_t *lab_conf(const char *brokers, ...) {
    char why[300];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why) != RD_KAFKA_CONF_OK)
        lab_fail("%s", why);
    va_list args;
    va_start(args, brokers);
    for (const char *name; (name = va_arg(args, const char *)) != NULL;)
        if (rd_kafka_conf_set(conf, name, va_arg(args, const char *), why, sizeof why) != RD_KAFKA_CONF_OK)
            lab_fail("%s", why);
    va_end(args);
    return conf;
}

/* A client of that configuration, or the end. */
static inline rd_kafka_t *lab_client(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
    char why[300];
    rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof why);
    if (client == NULL)
        lab_fail("%s", why);
    return client;
}

/* Something slow that is done for each record: it says what, and is done when somebody presses Enter. The
 * check is that somebody, or kills the program in the meantime. */
static inline void lab_work(const void *value, size_t size) {
    printf("working on %.*s\n", (int)size, (const char *)value);
    fflush(stdout);
    for (int c; (c = getchar()) != '\n';)
        if (c == EOF)
            exit(0); /* nobody is there any more */
}
