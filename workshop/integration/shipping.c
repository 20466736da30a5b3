/* Shipping by the log: each order that was not read yet becomes a shipment, to the end of the topic. The
 * shipment and how far the orders have been read are one transaction. With "crash" it is killed between the
 * two, at its first order.
 *
 * usage: shipping BROKERS ORDERS SHIPMENTS [crash] */
#include "lab.h"

#include <signal.h>

enum { WAIT_MS = 20000 };

static void check(rd_kafka_error_t *error, const char *what) {
    if (error != NULL)
        lab_fail("%s: %s", what, rd_kafka_error_string(error));
}

static void ship(rd_kafka_t *writer, rd_kafka_t *reader, const char *shipments,
                 const rd_kafka_message_t *order, bool crash) {
    check(rd_kafka_begin_transaction(writer), "begin");
    rd_kafka_producev(writer, RD_KAFKA_VTYPE_TOPIC, shipments, RD_KAFKA_VTYPE_KEY, order->key, order->key_len,
                      RD_KAFKA_VTYPE_VALUE, order->payload, order->len, RD_KAFKA_VTYPE_MSGFLAGS,
                      RD_KAFKA_MSG_F_COPY, RD_KAFKA_VTYPE_END);
    rd_kafka_flush(writer, WAIT_MS);
    if (crash)
        raise(SIGKILL);
    rd_kafka_topic_partition_list_t *position = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(position, rd_kafka_topic_name(order->rkt), order->partition)->offset =
        order->offset + 1;
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(reader);
    check(rd_kafka_send_offsets_to_transaction(writer, position, group, WAIT_MS), "position");
    check(rd_kafka_commit_transaction(writer, WAIT_MS), "commit");
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(position);
}

int main(int argc, char **argv) {
    if (argc != 4 && argc != 5)
        lab_fail("usage: shipping BROKERS ORDERS SHIPMENTS [crash]");
    const char *brokers = argv[1], *orders = argv[2];
    rd_kafka_t *writer =
        lab_client(RD_KAFKA_PRODUCER, lab_conf(brokers, "log_level", "2", "transactional.id", orders, NULL));
    check(rd_kafka_init_transactions(writer, WAIT_MS), "init"); /* ends what a process before left open */
    rd_kafka_t *reader = lab_client(
        RD_KAFKA_CONSUMER, lab_conf(brokers, "group.id", orders, "auto.offset.reset", "earliest",
                                    "enable.auto.commit", "false", "enable.partition.eof", "true", NULL));
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(all, orders, 0)->offset = RD_KAFKA_OFFSET_STORED;
    rd_kafka_assign(reader, all);
    rd_kafka_topic_partition_list_destroy(all);
    for (bool end = false; !end;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(reader, WAIT_MS);
        if (m == NULL)
            lab_fail("%s does not come to its end", orders);
        if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            ship(writer, reader, argv[3], m, argc == 5);
        else if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            end = true;
        rd_kafka_message_destroy(m);
    }
    rd_kafka_consumer_close(reader);
    rd_kafka_destroy(reader);
    rd_kafka_destroy(writer);
}
