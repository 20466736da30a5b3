/* log: topics for the exercises of part 1, and what is in them.
 *
 *   log create TOPIC PARTITIONS      log forget PREFIX      (deletes the topics that begin so)
 *   log write TOPIC [commit|abort]   of lines "partition<tab>key<tab>value" on standard input; - for no key,
 *                                    for no value, and for the partition of the key
 *   log read TOPIC [uncommitted]     lines "partition<tab>offset<tab>key<tab>value", from beginning to end
 *
 * Environment: KAFKA_BROKERS. Exit codes: 0; 1 with a line on standard error. */
#include "lab.h"

#include "log/partitions.h"

#include <unistd.h>

static const char *brokers;

static void check(rd_kafka_resp_err_t err, const char *what) {
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        lab_fail("log: %s: %s", what, rd_kafka_err2str(err));
}

static void check_error(rd_kafka_error_t *error, const char *what) {
    if (error != NULL)
        lab_fail("log: %s: %s", what, rd_kafka_error_string(error));
}

static void create(const char *topic, int partitions) {
    char why[300];
    rd_kafka_t *k = lab_client(RD_KAFKA_PRODUCER, lab_conf(brokers, NULL));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(k);
    rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(topic, partitions, -1, why, sizeof why);
    rd_kafka_CreateTopics(k, &t, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 20000);
    if (event == NULL)
        lab_fail("log: Kafka does not answer");
    check(rd_kafka_event_error(event), "create");
    size_t n;
    const rd_kafka_topic_result_t **result =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    check(rd_kafka_topic_result_error(result[0]), topic);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(t);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(k);
}

static void forget(const char *prefix) {
    rd_kafka_t *k = lab_client(RD_KAFKA_PRODUCER, lab_conf(brokers, NULL));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(k);
    const struct rd_kafka_metadata *all;
    check(rd_kafka_metadata(k, 1, NULL, &all, 20000), "metadata");
    for (int i = 0; i < all->topic_cnt; i++) {
        if (strncmp(all->topics[i].topic, prefix, strlen(prefix)) != 0)
            continue;
        rd_kafka_DeleteTopic_t *t = rd_kafka_DeleteTopic_new(all->topics[i].topic);
        rd_kafka_DeleteTopics(k, &t, 1, NULL, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 20000);
        if (event != NULL)
            rd_kafka_event_destroy(event);
        rd_kafka_DeleteTopic_destroy(t);
    }
    rd_kafka_metadata_destroy(all);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(k);
}

static int partitions_of(rd_kafka_t *k, const char *topic) {
    const struct rd_kafka_metadata *m;
    rd_kafka_topic_t *t = rd_kafka_topic_new(k, topic, NULL);
    check(rd_kafka_metadata(k, 0, t, &m, 20000), topic);
    check(m->topics[0].err, topic);
    int n = m->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(m);
    rd_kafka_topic_destroy(t);
    return n;
}

static void write_line(rd_kafka_topic_t *topic, int partitions, char *line) {
    const char *partition = strtok(line, "\t"), *key = strtok(NULL, "\t");
    char *value = strtok(NULL, "\n");
    if (value == NULL)
        lab_fail("log: a line needs partition, key and value");
    bool no_key = strcmp(key, "-") == 0, no_value = strcmp(value, "-") == 0;
    int32_t p = strcmp(partition, "-") == 0 ? partition_of(slice_of(key), partitions) : atoi(partition);
    if (rd_kafka_produce(topic, p, RD_KAFKA_MSG_F_COPY, no_value ? NULL : value, no_value ? 0 : strlen(value),
                         no_key ? NULL : key, no_key ? 0 : strlen(key), NULL) != 0)
        lab_fail("log: write: %s", rd_kafka_err2str(rd_kafka_last_error()));
}

static void write_all(const char *topic, const char *end) {
    char line[1000], id[40];
    snprintf(id, sizeof id, "lab-log-%d", (int)getpid());
    rd_kafka_t *k =
        lab_client(RD_KAFKA_PRODUCER, end == NULL ? lab_conf(brokers, "acks", "all", NULL)
                                                  : lab_conf(brokers, "transactional.id", id, NULL));
    int partitions = partitions_of(k, topic);
    rd_kafka_topic_t *t = rd_kafka_topic_new(k, topic, NULL);
    if (end != NULL) {
        check_error(rd_kafka_init_transactions(k, 20000), "init");
        check_error(rd_kafka_begin_transaction(k), "begin");
    }
    while (fgets(line, sizeof line, stdin) != NULL)
        write_line(t, partitions, line);
    check(rd_kafka_flush(k, 20000), "flush");
    if (end != NULL && strcmp(end, "commit") == 0)
        check_error(rd_kafka_commit_transaction(k, 20000), "commit");
    else if (end != NULL)
        check_error(rd_kafka_abort_transaction(k, 20000), "abort");
    rd_kafka_topic_destroy(t);
    rd_kafka_destroy(k);
}

static void read_all(const char *topic, bool uncommitted) {
    rd_kafka_t *k =
        lab_client(RD_KAFKA_CONSUMER, lab_conf(brokers, "group.id", "lab-log", "enable.partition.eof", "true",
                                               "enable.auto.commit", "false", "isolation.level",
                                               uncommitted ? "read_uncommitted" : "read_committed", NULL));
    int open = partitions_of(k, topic);
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(open);
    for (int32_t p = 0; p < open; p++)
        rd_kafka_topic_partition_list_add(all, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    check(rd_kafka_assign(k, all), "assign");
    rd_kafka_topic_partition_list_destroy(all);
    while (open > 0) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(k, 20000);
        if (m == NULL)
            lab_fail("log: %s does not come to its end", topic);
        if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            open--;
        else if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            printf("%d\t%lld\t%.*s\t%.*s\n", m->partition, (long long)m->offset,
                   m->key == NULL ? 1 : (int)m->key_len, m->key == NULL ? "-" : (const char *)m->key,
                   m->payload == NULL ? 1 : (int)m->len, m->payload == NULL ? "-" : (const char *)m->payload);
        rd_kafka_message_destroy(m);
    }
    rd_kafka_consumer_close(k);
    rd_kafka_destroy(k);
}

int main(int argc, char **argv) {
    brokers = getenv("KAFKA_BROKERS");
    if (brokers == NULL)
        brokers = "localhost:9092";
    const char *command = argc >= 3 ? argv[1] : "", *option = argc >= 4 ? argv[3] : NULL;
    if (strcmp(command, "create") == 0 && option != NULL)
        create(argv[2], atoi(option));
    else if (strcmp(command, "forget") == 0)
        forget(argv[2]);
    else if (strcmp(command, "write") == 0)
        write_all(argv[2], option);
    else if (strcmp(command, "read") == 0)
        read_all(argv[2], option != NULL);
    else
        lab_fail("usage: log create|forget|write|read TOPIC …");
    return 0;
}
