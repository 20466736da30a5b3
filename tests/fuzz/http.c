/* What a client sends, byte by byte, to the routes of all services; with an end of the headers, so that most
 * of it is answered. */
#include "fuzz.h"
#include "suite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf request = {0};
    buf_append(&request, data, size);
    buf_append_slice(&request, SLICE("\r\n\r\n"));
    suite_ask(buf_slice(&request));
    buf_free(&request);
    return 0;
}
