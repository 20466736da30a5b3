/* What people talk to. It knows whom to ask about orders, and passes on what that one says.
 *
 * usage: webserver PORT ORDERS */
#include "lab.h"
#include "rpc.h"

static const char *orders;

static unsigned post_order(const char *method, const char *id, const char *customer, char reply[RPC_TEXT]) {
    long status = rpc_call(method, orders, "/orders", id, customer, reply);
    return status == 0 ? 503 : (unsigned)status;
}

int main(int argc, char **argv) {
    if (argc != 3)
        lab_fail("usage: webserver PORT ORDERS");
    orders = argv[2];
    rpc_serve(argv[1], post_order);
}
