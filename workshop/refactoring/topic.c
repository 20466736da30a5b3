#include "topic.h"

#include "lab.h"

#include <stdatomic.h>

enum { WAITS, WRITTEN, LOST };

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
    (void)rk, (void)opaque;
    atomic_store((atomic_int *)m->_private, m->err == RD_KAFKA_RESP_ERR_NO_ERROR ? WRITTEN : LOST);
}

rd_kafka_t *topic_writer(const char *brokers) {
    rd_kafka_conf_t *conf = lab_conf(brokers, "enable.idempotence", "true", "acks", "all", "linger.ms", "0",
                                     "message.timeout.ms", "10000", NULL);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return lab_client(RD_KAFKA_PRODUCER, conf);
}

bool topic_write(rd_kafka_t *writer, const char *name, const char *key, const char *value) {
    atomic_int state = WAITS;
    if (rd_kafka_producev(writer, RD_KAFKA_VTYPE_TOPIC, name, RD_KAFKA_VTYPE_KEY, key, strlen(key),
                          RD_KAFKA_VTYPE_VALUE, (void *)(uintptr_t)value, strlen(value),
                          RD_KAFKA_VTYPE_MSGFLAGS, RD_KAFKA_MSG_F_COPY, RD_KAFKA_VTYPE_OPAQUE, &state,
                          RD_KAFKA_VTYPE_END) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    while (atomic_load(&state) == WAITS) /* message.timeout.ms at the most; whoever polls may hear of it */
        rd_kafka_poll(writer, 5);
    return atomic_load(&state) == WRITTEN;
}
