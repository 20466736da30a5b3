#include "card.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static bool read_whole(int fd, struct card_key *key) {
    key->size = 0;
    for (;;) {
        ssize_t n = read(fd, key->bytes + key->size, sizeof key->bytes - key->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        key->size += (size_t)n;
    }
}

bool card_key_read(const char *path, struct card_key *key, struct err *e) {
    struct stat st;
    struct card_key k;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || !read_whole(fd, &k)) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        return err_set(e, ERR_CONFIG, "CARD_KEY_FILE: %s: %s", path, strerror(why));
    }
    close(fd);
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return err_set(e, ERR_CONFIG, "CARD_KEY_FILE: %s: others may read it: chmod 600", path);
    if (k.size < CARD_KEY_MIN || (size_t)st.st_size > sizeof k.bytes)
        return err_set(e, ERR_CONFIG, "CARD_KEY_FILE: %s: a key has %d to %d bytes", path, CARD_KEY_MIN,
                       CARD_KEY_MAX);
    *key = k;
    explicit_bzero(&k, sizeof k);
    return true;
}

bool card_number_read(struct slice text, struct card_digits *digits) {
    struct card_digits d = {.size = 0};
    bool ok = true;
    for (size_t i = 0; i < text.size && ok; i++) {
        if (text.data[i] == ' ' || text.data[i] == '-')
            continue;
        ok = text.data[i] >= '0' && text.data[i] <= '9' && d.size < sizeof d.text;
        if (ok)
            d.text[d.size++] = text.data[i];
    }
    ok = ok && d.size >= 12;
    if (ok)
        *digits = d;
    explicit_bzero(&d, sizeof d);
    return ok;
}

void card_token(const struct card_key *key, const struct card_digits *digits, char token[CARD_TOKEN_SIZE]) {
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    if (HMAC(EVP_sha256(), key->bytes, (int)key->size, (const unsigned char *)digits->text, digits->size, mac,
             &size) == NULL)
        abort(); /* out of memory */
    for (size_t i = 0; i < CARD_TOKEN_SIZE; i++)
        token[i] = "0123456789abcdef"[mac[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
    explicit_bzero(mac, sizeof mac);
}

/* The limit forbids files; a handler that the kernel pipes dumps to is not bound by it, and gets nothing of
 * the memory. (PR_SET_DUMPABLE would forbid both, and also hide from the supervisor's owner in which
 * directory the process is.) */
bool card_forbid_dumps(struct err *e) {
    struct rlimit none = {0, 0};
    int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
    bool ok = setrlimit(RLIMIT_CORE, &none) == 0 && fd >= 0 && write(fd, "0", 1) == 1;
    int why = errno;
    if (fd >= 0)
        close(fd);
    return ok || err_set(e, ERR_FATAL, "core dumps cannot be forbidden: %s", strerror(why));
}
