/* poison: writes one record that nobody can read, as a bug or a stranger would, and prints its place.
 *
 *   poison TOPIC
 *
 * Environment: see where.h. Exit codes: 0; 1 when it was not written; 2 usage. */
#include "base/cleanup.h"
#include "events/topic.h"
#include "kafka/client.h"
#include "schemas/schemas.gen.h"
#include "where.h"

#include <stdio.h>
#include <stdlib.h>

enum { WAIT_MS = 10000, NOT_WRITTEN = 1, USAGE = 2 };

static const char key[] = "poison", value[] = "this is no Avro";

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    (void)rk;
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        printf("%s/%d/%lld\n", rd_kafka_topic_name(m->rkt), m->partition, (long long)m->offset);
    else
        fprintf(stderr, "%s\n", rd_kafka_message_errstr(m));
    *(int *)((struct kafka_link *)opaque)->owner =
        m->err == RD_KAFKA_RESP_ERR_NO_ERROR ? EXIT_SUCCESS : NOT_WRITTEN;
}

static void destroy(rd_kafka_t **rk) {
    if (*rk != NULL)
        rd_kafka_destroy(*rk);
}

static int poison(const char *topic) {
    static const struct kafka_property own[] = {
        {"message.timeout.ms", "9000"}, {"partitioner", "murmur2_random"}, {NULL, NULL}};
    const struct kafka_property *const settings[] = {own, NULL};
    static struct kafka_traffic traffic;
    struct err e;
    int code = NOT_WRITTEN;
    const struct where *suite = where_suite_is(&e);
    if (suite == NULL)
        return fprintf(stderr, "%s\n", e.text), NOT_WRITTEN;
    _cleanup_(kafka_link_finish) struct kafka_link link;
    kafka_link_init(&link, suite->brokers, suite->properties, &code);
    _cleanup_(destroy) rd_kafka_t *rk = NULL;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    if (!kafka_client(RD_KAFKA_PRODUCER, &link, settings, conf, &traffic, &rk, &e))
        return fprintf(stderr, "%s\n", e.text), NOT_WRITTEN;
    rd_kafka_resp_err_t error = rd_kafka_producev(
        rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(RD_KAFKA_PARTITION_UA),
        RD_KAFKA_V_KEY(key, sizeof key - 1), RD_KAFKA_V_VALUE((void *)value, sizeof value - 1),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        fprintf(stderr, "%s\n", rd_kafka_err2str(error));
    else if (rd_kafka_flush(rk, WAIT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        fprintf(stderr, "%s\n", (kafka_away(&link, rk, "no answer", &e), e.text));
    return code;
}

int main(int argc, char **argv) {
    const struct topic *t = argc == 2 ? topic_find(topics, topics_count, slice_of(argv[1])) : NULL;
    if (argc == 2 && t != NULL)
        return poison(t->name);
    if (argc == 2)
        fprintf(stderr, "no topic %s\n", argv[1]);
    else
        fprintf(stderr, "usage: poison TOPIC\n");
    return USAGE;
}
