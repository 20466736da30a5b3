/* poison: writes one record that nobody can read, as a bug or a stranger would, and prints its place.
 *
 *   poison TOPIC
 *
 * Environment: KAFKA_BROKERS (localhost:9092). Exit codes: 0; 1 when it was not written; 2 usage. */
#include "base/cleanup.h"
#include "events/topic.h"
#include "schemas/schemas.gen.h"

#include <librdkafka/rdkafka.h>
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
    *(int *)opaque = m->err == RD_KAFKA_RESP_ERR_NO_ERROR ? EXIT_SUCCESS : NOT_WRITTEN;
}

static void destroy(rd_kafka_t **rk) {
    if (*rk != NULL)
        rd_kafka_destroy(*rk);
}

static int poison(const char *topic) {
    const char *brokers = getenv("KAFKA_BROKERS");
    const char *const settings[][2] = {{"bootstrap.servers", brokers != NULL ? brokers : "localhost:9092"},
                                       {"partitioner", "murmur2_random"},
                                       {"message.timeout.ms", "9000"},
                                       {"allow.auto.create.topics", "false"}};
    char text[256];
    int code = NOT_WRITTEN;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, &code);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], text, sizeof text) != RD_KAFKA_CONF_OK)
            return fprintf(stderr, "%s\n", text), NOT_WRITTEN;
    _cleanup_(destroy) rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (rk == NULL)
        return fprintf(stderr, "%s\n", text), NOT_WRITTEN;
    rd_kafka_resp_err_t error =
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, sizeof key - 1),
                          RD_KAFKA_V_VALUE((void *)value, sizeof value - 1),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        fprintf(stderr, "%s\n", rd_kafka_err2str(error));
    else if (rd_kafka_flush(rk, WAIT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        fprintf(stderr, "Kafka does not answer\n");
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
