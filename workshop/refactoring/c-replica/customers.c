/* Knows where customers live, and tells the log: Customer Updated. PUT /customers/c-7 with another address is
 * told, too.
 *
 * usage: customers PORT BROKERS TOPIC */
#include "book.h"
#include "lab.h"
#include "rpc.h"
#include "topic.h"

static rd_kafka_t *log_;
static const char *updated;

static unsigned put_customer(const char *method, const char *id, const char *address, char reply[RPC_TEXT]) {
    (void)reply;
    if (strcmp(method, "PUT") != 0 || book_number(id) < 0)
        return 404;
    return topic_write(log_, updated, id, address) ? 204 : 503;
}

int main(int argc, char **argv) {
    if (argc != 4)
        lab_fail("usage: customers PORT BROKERS TOPIC");
    updated = argv[3];
    log_ = topic_writer(argv[2]);
    for (int n = 0; n < CUSTOMERS; n++) {
        char id[RPC_TEXT], address[RPC_TEXT];
        snprintf(id, sizeof id, "c-%d", n);
        snprintf(address, sizeof address, "%d Main Street", n);
        if (!topic_write(log_, updated, id, address))
            lab_fail("the log does not take %s", id);
    }
    rpc_serve(argv[1], put_customer);
}
