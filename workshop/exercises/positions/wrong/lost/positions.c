/* positions BROKERS TOPIC READER: works on the records of partition 0 one by one, from where this reader
 * stands. Its position is its own affair: the next offset, in the file READER.position. A reader that lags,
 * one that begins again, one more: the log does not notice. */
#include "lab.h"

static char file_name[200];

static int64_t position(void) {
    long long offset = 0; /* without a file: at the beginning */
    FILE *f = fopen(file_name, "r");
    if (f != NULL) {
        if (fscanf(f, "%lld", &offset) != 1)
            lab_fail("%s: no offset", file_name);
        fclose(f);
    }
    return offset;
}

static void save(int64_t offset) {
    char new_name[210];
    snprintf(new_name, sizeof new_name, "%s.new", file_name);
    FILE *f = fopen(new_name, "w");
    if (f == NULL || fprintf(f, "%lld\n", (long long)offset) < 0 || fclose(f) != 0 ||
        rename(new_name, file_name) != 0)
        lab_fail("%s cannot be written", file_name);
}

int main(int argc, char **argv) {
    if (argc != 4)
        lab_fail("usage: positions BROKERS TOPIC READER");
    snprintf(file_name, sizeof file_name, "%s.position", argv[3]);
    rd_kafka_t *k = lab_client(RD_KAFKA_CONSUMER, lab_conf(argv[1], "group.id", "lab", "enable.partition.eof",
                                                           "true", "enable.auto.commit", "false", NULL));
    rd_kafka_topic_partition_list_t *from = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(from, argv[2], 0)->offset = position();
    rd_kafka_assign(k, from);
    rd_kafka_topic_partition_list_destroy(from);
    for (bool end = false; !end;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(k, 1000);
        if (m == NULL)
            continue;
        if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            end = true;
        } else if (m->err) {
            lab_fail("%s", rd_kafka_message_errstr(m));
        } else {
            save(m->offset + 1);
            lab_work(m->payload, m->len);
        }
        rd_kafka_message_destroy(m);
    }
    rd_kafka_consumer_close(k);
    rd_kafka_destroy(k);
    return 0;
}
