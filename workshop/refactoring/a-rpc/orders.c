/* An order is taken when it has been shipped: it asks shipping, and waits.
 *
 * usage: orders PORT SHIPPING */
#include "lab.h"
#include "rpc.h"

static const char *shipping;

static unsigned post_order(const char *method, const char *id, const char *customer, char reply[RPC_TEXT]) {
    if (rpc_call(method, shipping, "/shipments", id, customer, reply) != 200)
        return 503;
    return 201;
}

int main(int argc, char **argv) {
    if (argc != 3)
        lab_fail("usage: orders PORT SHIPPING");
    shipping = argv[2];
    rpc_serve(argv[1], post_order);
}
