/* copy BROKERS FROM TO: each record of FROM becomes one of TO, "done: …", exactly once: also when it is
 * killed and started again. What is appended in a transaction is hidden from those who read committed records
 * only, until it commits. */
#include "lab.h"

static rd_kafka_t *in, *out;

static void must(rd_kafka_error_t *error) {
    if (error != NULL)
        lab_fail("%s", rd_kafka_error_string(error));
}

static void append(const char *topic, const rd_kafka_message_t *m) {
    char value[200];
    snprintf(value, sizeof value, "done: %.*s", (int)m->len, (const char *)m->payload);
    rd_kafka_resp_err_t err = rd_kafka_producev(out, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
                                                RD_KAFKA_V_VALUE(value, strlen(value)),
                                                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (err || rd_kafka_flush(out, 30000) != 0)
        lab_fail("not appended");
}

/* How far the group is: behind this record. */
static rd_kafka_topic_partition_list_t *behind(const rd_kafka_message_t *m) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, rd_kafka_topic_name(m->rkt), m->partition)->offset =
        m->offset + 1;
    return list;
}

static void handle(const char *to, const rd_kafka_message_t *m) {
    rd_kafka_topic_partition_list_t *position = behind(m);
    /* TODO: killed in the middle of the work, this has appended, and does not know it. Let both be one: a
     *       transaction begins (rd_kafka_begin_transaction), takes what is appended, and the position
     *       (rd_kafka_send_offsets_to_transaction, with the group's metadata), and commits. */
    rd_kafka_commit(in, position, 0);
    lab_work(m->payload, m->len);
    append(to, m);
    (void)must;
    rd_kafka_topic_partition_list_destroy(position);
}

int main(int argc, char **argv) {
    if (argc != 4)
        lab_fail("usage: copy BROKERS FROM TO");
    /* One identity, for group and transactions: who comes with it ends what a former one left open. */
    in = lab_client(RD_KAFKA_CONSUMER,
                    lab_conf(argv[1], "group.id", argv[3], "group.instance.id", "copy", "auto.offset.reset",
                             "earliest", "enable.auto.commit", "false", NULL));
    /* TODO: "transactional.id", argv[3]; and, before anything is read, rd_kafka_init_transactions(). */
    out = lab_client(RD_KAFKA_PRODUCER, lab_conf(argv[1], "enable.idempotence", "true", NULL));
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, argv[2], RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(in, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    for (;;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(in, 1000);
        if (m == NULL)
            continue;
        if (m->err)
            lab_fail("%s", rd_kafka_message_errstr(m));
        handle(argv[3], m);
        rd_kafka_message_destroy(m);
    }
}
