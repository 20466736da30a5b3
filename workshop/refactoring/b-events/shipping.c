/* Ships each order that was created to where its customer lives: it asks customers, and waits, and asks
 * again.
 *
 * usage: shipping BROKERS TOPIC CUSTOMERS */
#include "lab.h"
#include "rpc.h"
#include "topic.h"

#include <unistd.h>

static const char *customers;

static void ship(const rd_kafka_message_t *order) {
    char customer[RPC_TEXT], address[RPC_TEXT];
    snprintf(customer, sizeof customer, "%.*s", (int)order->len, (const char *)order->payload);
    while (rpc_call("GET", customers, "/customers", customer, NULL, address) != 200)
        usleep(50000);
    printf("%.*s to %s\n", (int)order->key_len, (const char *)order->key, address); /* shipped */
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 4)
        lab_fail("usage: shipping BROKERS TOPIC CUSTOMERS");
    customers = argv[3];
    rd_kafka_t *reader = lab_client(
        RD_KAFKA_CONSUMER, lab_conf(argv[1], "group.id", argv[2], "auto.offset.reset", "earliest", NULL));
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, argv[2], RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(reader, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    for (;;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(reader, 1000);
        if (m == NULL)
            continue;
        if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            ship(m);
        rd_kafka_message_destroy(m);
    }
}
