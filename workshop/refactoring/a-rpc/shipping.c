/* Ships an order to where its customer lives: it asks customers, and waits.
 *
 * usage: shipping PORT CUSTOMERS */
#include "lab.h"
#include "rpc.h"

static const char *customers;

static unsigned post_shipment(const char *method, const char *id, const char *customer,
                              char reply[RPC_TEXT]) {
    (void)method;
    char address[RPC_TEXT];
    if (rpc_call("GET", customers, "/customers", customer, NULL, address) != 200)
        return 503;
    printf("%s to %s\n", id, address); /* shipped */
    fflush(stdout);
    snprintf(reply, RPC_TEXT, "to %.200s", address);
    return 200;
}

int main(int argc, char **argv) {
    if (argc != 3)
        lab_fail("usage: shipping PORT CUSTOMERS");
    customers = argv[2];
    rpc_serve(argv[1], post_shipment);
}
