/* An order is taken when the log has it: Order Created. Who does something about that is not known here.
 *
 * usage: orders PORT BROKERS TOPIC */
#include "lab.h"
#include "rpc.h"
#include "topic.h"

static rd_kafka_t *log_;
static const char *created;

static unsigned post_order(const char *method, const char *id, const char *customer, char reply[RPC_TEXT]) {
    (void)method, (void)reply;
    if (!topic_write(log_, created, id, customer))
        return 503;
    return 201;
}

int main(int argc, char **argv) {
    if (argc != 4)
        lab_fail("usage: orders PORT BROKERS TOPIC");
    created = argv[3];
    log_ = topic_writer(argv[2]);
    rpc_serve(argv[1], post_order);
}
