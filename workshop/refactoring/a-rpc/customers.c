/* Knows where customers live, and says it to whoever asks. PUT /slow/MS makes it so slow.
 *
 * usage: customers PORT */
#include "book.h"
#include "lab.h"
#include "rpc.h"

#include <stdatomic.h>
#include <unistd.h>

static atomic_uint slow_ms;

static unsigned answer(const char *method, const char *id, const char *text, char reply[RPC_TEXT]) {
    (void)text;
    if (strcmp(method, "PUT") == 0) {
        slow_ms = (unsigned)atoi(id);
        return 204;
    }
    usleep(slow_ms * 1000);
    int n = book_number(id);
    if (n < 0)
        return 404;
    snprintf(reply, RPC_TEXT, "%d Main Street", n);
    return 200;
}

int main(int argc, char **argv) {
    if (argc != 2)
        lab_fail("usage: customers PORT");
    rpc_serve(argv[1], answer);
}
