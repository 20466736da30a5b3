#include "rpc.h"

#include "lab.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <microhttpd.h>
#include <unistd.h>

struct request {
    size_t size;
    char text[RPC_TEXT];
};

static enum MHD_Result on_request(void *handler, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data, size_t *size,
                                  void **state) {
    (void)version;
    struct request *r = *state;
    if (r == NULL)
        return (*state = calloc(1, sizeof *r)) != NULL ? MHD_YES : MHD_NO;
    if (*size > 0) {
        size_t n = *size < RPC_TEXT - 1 - r->size ? *size : RPC_TEXT - 1 - r->size;
        memcpy(r->text + r->size, data, n);
        r->size += n;
        *size = 0;
        return MHD_YES;
    }
    char reply[RPC_TEXT] = "";
    const char *id = strrchr(path, '/');
    unsigned status = (*(rpc_handler **)handler)(method, id == NULL ? "" : id + 1, r->text, reply);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(reply), reply, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result queued = MHD_queue_response(c, status, response);
    MHD_destroy_response(response);
    return queued;
}

static void on_end(void *context, struct MHD_Connection *c, void **state,
                   enum MHD_RequestTerminationCode how) {
    (void)context, (void)c, (void)how;
    free(*state);
}

void rpc_serve(const char *port, rpc_handler *handler) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL,
                         on_request, &handler, MHD_OPTION_SOCK_ADDR, &address,
                         MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL,
                         MHD_OPTION_END) == NULL)
        lab_fail("cannot listen on port %s", port);
    for (;;)
        pause();
}

static size_t keep(char *data, size_t one, size_t n, void *reply) {
    (void)one;
    size_t have = strlen(reply);
    size_t fits = n < RPC_TEXT - 1 - have ? n : RPC_TEXT - 1 - have;
    memcpy((char *)reply + have, data, fits);
    ((char *)reply)[have + fits] = 0;
    return n;
}

long rpc_call(const char *method, const char *port, const char *path, const char *id, const char *text,
              char reply[RPC_TEXT]) {
    char url[RPC_TEXT], ignored[RPC_TEXT] = "";
    long status = 0;
    snprintf(url, sizeof url, "http://127.0.0.1:%s%s/%s", port, path, id);
    CURL *curl = curl_easy_init();
    if (reply == NULL)
        reply = ignored;
    reply[0] = 0;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    if (text != NULL)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)RPC_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    return status;
}
