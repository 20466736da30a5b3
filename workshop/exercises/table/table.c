/* table BROKERS TOPIC: what a compacted topic comes to: the latest value of each key, as lines "key value" in
 * the order of the keys. A record without a value says that the key is deleted. Compaction may have thrown
 * away what is not the latest: that must make no difference. */
#include "lab.h"

enum { ROWS = 100 };

static struct row {
    char key[40], value[100];
} rows[ROWS];
static int count;

static int by_key(const void *a, const void *b) {
    return strcmp(((const struct row *)a)->key, ((const struct row *)b)->key);
}

static struct row *find(const rd_kafka_message_t *m) {
    for (int i = 0; i < count; i++)
        if (strlen(rows[i].key) == m->key_len && memcmp(rows[i].key, m->key, m->key_len) == 0)
            return &rows[i];
    return NULL;
}

static void take(const rd_kafka_message_t *m) {
    struct row *row = find(m);
    /* TODO: a new key, a new value of one that is there, or, where m->payload is NULL, one less. */
    (void)row;
}

int main(int argc, char **argv) {
    int64_t low, high;
    if (argc != 3)
        lab_fail("usage: table BROKERS TOPIC");
    rd_kafka_t *k = lab_client(RD_KAFKA_CONSUMER, lab_conf(argv[1], "group.id", "lab", "enable.auto.commit",
                                                           "false", "enable.partition.eof", "true", NULL));
    if (rd_kafka_query_watermark_offsets(k, argv[2], 0, &low, &high, 10000))
        lab_fail("no such topic");
    rd_kafka_topic_partition_list_t *from = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(from, argv[2], 0)->offset = low;
    rd_kafka_assign(k, from);
    rd_kafka_topic_partition_list_destroy(from);
    /* TODO: until the end. `high` is the next offset that will be written. Must there be a record at high -
     * 1? */
    for (bool end = low == high; !end;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(k, 1000);
        if (m == NULL)
            continue;
        end = true;
        rd_kafka_message_destroy(m);
    }
    rd_kafka_consumer_close(k);
    rd_kafka_destroy(k);
    qsort(rows, (size_t)count, sizeof *rows, by_key);
    for (int i = 0; i < count; i++)
        printf("%s %s\n", rows[i].key, rows[i].value);
    (void)take;
    return 0;
}
