/* append BROKERS TOPIC: appends each line of its input to partition 0, and then reads the partition back from
 * its beginning, with the offset of each record: "0: first line". */
#include "lab.h"

/* Called when the broker has taken a record, or never will: from within rd_kafka_poll and rd_kafka_flush. */
static void delivered(rd_kafka_t *k, const rd_kafka_message_t *m, void *context) {
    (void)k, (void)context;
    if (m->err)
        lab_fail("not taken: %s", rd_kafka_message_errstr(m));
}

static void append(const char *brokers, const char *topic) {
    char line[200];
    rd_kafka_conf_t *conf = lab_conf(brokers, "acks", "all", "linger.ms", "50", NULL);
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *k = lab_client(RD_KAFKA_PRODUCER, conf);
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = 0;
        rd_kafka_resp_err_t err = rd_kafka_producev(k, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
                                                    RD_KAFKA_V_VALUE(line, strlen(line)),
                                                    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        if (err)
            lab_fail("%s", rd_kafka_err2str(err));
    }
    rd_kafka_destroy(k);
}

static void read_back(const char *brokers, const char *topic) {
    rd_kafka_t *k = lab_client(RD_KAFKA_CONSUMER, lab_conf(brokers, "group.id", "lab", "enable.partition.eof",
                                                           "true", "enable.auto.commit", "false", NULL));
    rd_kafka_topic_partition_list_t *from = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(from, topic, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(k, from);
    rd_kafka_topic_partition_list_destroy(from);
    for (bool end = false; !end;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(k, 1000);
        if (m == NULL)
            continue;
        if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            end = true;
        else if (m->err)
            lab_fail("%s", rd_kafka_message_errstr(m));
        else
            printf("%lld: %.*s\n", (long long)m->offset, (int)m->len, (const char *)m->payload);
        rd_kafka_message_destroy(m);
    }
    rd_kafka_consumer_close(k);
    rd_kafka_destroy(k);
}

int main(int argc, char **argv) {
    if (argc != 3)
        lab_fail("usage: append BROKERS TOPIC");
    append(argv[1], argv[2]);
    read_back(argv[1], argv[2]);
    return 0;
}
