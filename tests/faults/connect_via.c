/* LD_PRELOAD: connections to port CONNECT_FROM go to port CONNECT_VIA of the same host instead, where a proxy
 * cuts and slows them (proxy.py). Kafka tells its clients its own address, so there is no other way to get
 * between the two. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static in_port_t port_of(const char *name) {
    const char *text = getenv(name);
    return htons((in_port_t)(text == NULL ? 0 : atoi(text)));
}

typedef int connect_function(int, const struct sockaddr *, socklen_t);

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t size) {
    connect_function *next;
    void *symbol =
        dlsym(RTLD_NEXT, "connect"); /* POSIX has it that a function comes as a pointer to an object */
    memcpy(&next, &symbol, sizeof next);
    struct sockaddr_in in;
    if (address.__sockaddr__->sa_family == AF_INET && size >= sizeof in) {
        memcpy(&in, address.__sockaddr__, sizeof in);
        if (in.sin_port == port_of("CONNECT_FROM")) {
            in.sin_port = port_of("CONNECT_VIA");
            return next(fd, (const struct sockaddr *)&in, sizeof in);
        }
    }
    return next(fd, address.__sockaddr__, size);
}
