/* What answers a request that was passed on to another instance: whatever bytes. */
#include "fuzz.h"
#include "peer.h"

#include "partitions/relay.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_answered;
static uint16_t port;

static size_t holders(void *context, int32_t partition, char (*addresses)[RELAY_ADDRESS_SIZE]) {
    (void)context, (void)partition;
    snprintf(addresses[0], RELAY_ADDRESS_SIZE, "127.0.0.1:%u", port);
    return 1;
}

static void answered(void *context, const struct call *call) {
    (void)context, (void)call;
    pthread_mutex_lock(&lock);
    is_answered = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct relay *relay;
    struct slice bytes = {(const char *)data, size};
    struct relay_answer a;
    if (relay == NULL) {
        port = peer_start();
        relay = relay_create(&(struct relay_options){.holders = holders, .answered = answered});
    }
    peer_answers(&bytes, 1, true);
    is_answered = false;
    struct call *call = relay_call(
        relay, &(struct relay_request){.method = "GET", .target = SLICE("/v1/orders/o-1"), .waits = true});
    pthread_mutex_lock(&lock);
    while (!is_answered)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    require(call_answer(call, &a), "not answered");
    require(a.status < 1000, "%u", a.status);
    for (size_t i = 0; i < a.location.size; i++)
        require(a.location.data[i] != '\r' && a.location.data[i] != '\n' && a.location.data[i] != 0, "%zu",
                i);
    call_release(call);
    peer_answers(NULL, 0, true);
    return 0;
}
