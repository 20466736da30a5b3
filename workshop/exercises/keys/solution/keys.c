/* keys BROKERS TOPIC: writes transfers, lines "account amount" on its input, to a topic of four partitions.
 * All of one account must be in one partition, in their order; and where services of the suite look for them.
 */
#include "lab.h"

int main(int argc, char **argv) {
    char line[200], account[100];
    if (argc != 3)
        lab_fail("usage: keys BROKERS TOPIC");
    rd_kafka_t *k = lab_client(
        RD_KAFKA_PRODUCER, lab_conf(argv[1], "enable.idempotence", "true", "partitioner", "murmur2", NULL));
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%99s", account) != 1)
            continue;
        rd_kafka_resp_err_t err = rd_kafka_producev(
            k, RD_KAFKA_V_TOPIC(argv[2]), RD_KAFKA_V_KEY(account, strlen(account)),
            RD_KAFKA_V_VALUE(line, strlen(line)), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        if (err)
            lab_fail("%s", rd_kafka_err2str(err));
    }
    if (rd_kafka_flush(k, 30000) != 0)
        lab_fail("Kafka does not answer");
    rd_kafka_destroy(k);
    return 0;
}
