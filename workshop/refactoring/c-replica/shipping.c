/* Ships each order that was created to where its customer lives, by its own copy of the customers: it asks
 * nobody.
 *
 * usage: shipping BROKERS ORDERS CUSTOMERS */
#include "book.h"
#include "lab.h"
#include "rpc.h"
#include "topic.h"

static char addresses[CUSTOMERS][RPC_TEXT]; /* the replica */
static rd_kafka_queue_t *customers;

static bool update(int wait_ms) {
    rd_kafka_message_t *m = rd_kafka_consume_queue(customers, wait_ms);
    if (m == NULL)
        return false;
    char id[RPC_TEXT];
    snprintf(id, sizeof id, "%.*s", (int)m->key_len, (const char *)m->key);
    int n = book_number(id);
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR && n >= 0)
        snprintf(addresses[n], RPC_TEXT, "%.*s", (int)m->len, (const char *)m->payload);
    rd_kafka_message_destroy(m);
    return true;
}

static void ship(const rd_kafka_message_t *order) {
    char customer[RPC_TEXT];
    snprintf(customer, sizeof customer, "%.*s", (int)order->len, (const char *)order->payload);
    int n = book_number(customer);
    while (update(0))
        ;
    while (n >= 0 && addresses[n][0] == 0)
        update(1000);
    printf("%.*s to %s\n", (int)order->key_len, (const char *)order->key,
           n < 0 ? "nobody" : addresses[n]); /* shipped */
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 4)
        lab_fail("usage: shipping BROKERS ORDERS CUSTOMERS");
    rd_kafka_t *hydrator = lab_client(RD_KAFKA_CONSUMER, lab_conf(argv[1], "group.id", argv[3], NULL));
    rd_kafka_topic_t *topic = rd_kafka_topic_new(hydrator, argv[3], NULL);
    customers = rd_kafka_queue_new(hydrator);
    rd_kafka_consume_start_queue(topic, 0, RD_KAFKA_OFFSET_BEGINNING, customers);
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
