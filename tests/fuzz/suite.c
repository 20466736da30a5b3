#include "suite.h"

#include "clickstream/clickstream.h"
#include "customers/customers.h"
#include "email/email.h"
#include "fuzz.h"
#include "instance/inside.h"
#include "inventory/inventory.h"
#include "orders/orders.h"
#include "payments/payments.h"
#include "possible-fraud/possible_fraud.h"
#include "ratings/ratings.h"
#include "rides/driver/driver.h"
#include "rides/rider/rider.h"
#include "shipping/shipping.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ADDRESSES = 100, ROUTES_MAX = 64, SOON_MS = 3, SLOW_MS = 10 * 1000, IN_VAIN_MAX = 3 };

static const struct http_route *const services[] = {
    clickstream_routes, customers_routes, email_routes,   inventory_routes,
    orders_routes,      payments_routes,  ratings_routes, possible_fraud_routes,
    driver_routes,      rider_routes,     shipping_routes};

static struct instance instance = {.name = "suite"};
static struct http_route routes[ROUTES_MAX + 1];
static size_t route_count;

/* Events and the list of orders need a process with all that belongs to it; the target vectors has what they
 * parse. */
static bool is_alone(const struct http_route *r) {
    bool list = strcmp(r->method, "GET") == 0 && strcmp(r->path, "/v1/orders") == 0;
    return !list && !slice_starts_with(slice_of(r->path), SLICE("/v1/events/"));
}

static void start(void) {
    struct err e;
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        for (const struct http_route *r = services[i]; r->method != NULL; r++)
            if (is_alone(r)) {
                require(route_count < ROUTES_MAX, "more");
                routes[route_count++] = *r;
            }
    instance.http = http_server_create(&(struct http_config){.idle_timeout_s = 1}); /* for ever */
    http_server_mount(instance.http, routes, &instance);
    require(http_server_start(instance.http, &e), "%s", e.text);
}

const struct http_route *suite_route(size_t n, size_t *count) {
    if (instance.http == NULL)
        start();
    *count = route_count;
    return &routes[n];
}

static int connect_to(uint16_t port) {
    static uint32_t count;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
    /* An address has 28,000 ports, each of which is taken for a minute after its connection's end. */
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + count++ % ADDRESSES);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
    require(fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof from) == 0 &&
                connect(fd, (struct sockaddr *)&to, sizeof to) == 0,
            "port %u: %s", port, strerror(errno));
    return fd;
}

static bool lives(void) {
    static const char request[] = "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int fd = connect_to(http_server_port(instance.http));
    struct pollfd p = {.fd = fd, .events = POLLIN};
    bool answered = send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0 && poll(&p, 1, 3 * SLOW_MS) == 1;
    close(fd);
    return answered;
}

/* Whether something comes. On a machine that is busy with other things for so long, now and then nothing
 * does. */
static bool comes(struct pollfd *p) {
    static int in_vain;
    return poll(p, 1, SLOW_MS) == 1 || (++in_vain <= IN_VAIN_MAX && lives());
}

/* Waits for an answer before it ends its side: an end that comes together with the request is seen late. */
static void exchange(int fd, struct slice request, struct buf *answer) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    require(send(fd, request.data, request.size, MSG_NOSIGNAL) == (ssize_t)request.size, "not sent");
    bool answered = poll(&p, 1, SOON_MS) == 1;
    shutdown(fd, SHUT_WR);
    for (;;) {
        require(answered || comes(&p), "no answer to " SLICE_FMT, SLICE_ARG(request));
        ssize_t n = recv(fd, buf_reserve(answer, 65536), 65536, MSG_DONTWAIT);
        if (n <= 0)
            return;
        answer->size += (size_t)n;
        answered = false;
    }
}

/* A mistake in a handler, and not that this suite has no views, which the answer to a HEAD does not say. */
static bool is_mistake(struct slice request, const struct buf *answer) {
    return memmem(request.data, request.size, "HEAD ", 5) == NULL &&
           memmem(answer->data, answer->size, "HTTP/1.1 500", 12) != NULL &&
           memmem(answer->data, answer->size, "declares the table", 18) == NULL;
}

unsigned suite_ask(struct slice request) {
    static struct buf answer;
    unsigned status = 0;
    if (instance.http == NULL)
        start();
    buf_clear(&answer);
    int fd = connect_to(http_server_port(instance.http));
    exchange(fd, request, &answer);
    close(fd);
    if (answer.size == 0)
        return 0;
    require(!is_mistake(request, &answer), SLICE_FMT "\n" SLICE_FMT, SLICE_ARG(request),
            SLICE_ARG(buf_slice(&answer)));
    buf_append_byte(&answer, 0);
    const char *line = answer.data, *interim = "HTTP/1.1 100 Continue\r\n\r\n";
    if (strncmp(line, interim, strlen(interim)) == 0)
        line += strlen(interim);
    if (*line == 0) /* this side had ended before the answer came */
        return 0;
    require(sscanf(line, "HTTP/1.%*[01] %u ", &status) == 1, "%s", answer.data);
    require(status >= 200 && status < 600, "%s", answer.data);
    return status;
}
