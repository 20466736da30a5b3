/* group BROKERS TOPIC GROUP: works on the records of a topic together with others of the same group. They
 * share the partitions; when one dies, others take over where it was. */
#include "lab.h"

int main(int argc, char **argv) {
    if (argc != 4)
        lab_fail("usage: group BROKERS TOPIC GROUP");
    /* A member that is silent for a session is out, and its partitions go to others. */
    rd_kafka_t *k =
        lab_client(RD_KAFKA_CONSUMER, lab_conf(argv[1], "group.id", argv[3], "auto.offset.reset", "earliest",
                                               "session.timeout.ms", "6000", "heartbeat.interval.ms", "500",
                                               "enable.auto.commit", "false", NULL));
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, argv[2], RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(k, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    for (;;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(k, 1000);
        if (m == NULL)
            continue;
        if (m->err)
            lab_fail("%s", rd_kafka_message_errstr(m));
        lab_work(m->payload, m->len);
        rd_kafka_resp_err_t err = rd_kafka_commit_message(k, m, 0);
        if (err)
            fprintf(stderr, "not committed: %s\n", rd_kafka_err2str(err)); /* then it comes again */
        rd_kafka_message_destroy(m);
    }
}
