#include "kafka/scram.h"

#include "base/cleanup.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { NONCE = 24, SALT_MAX = 1024, ITERATIONS_MAX = 1 << 20 };

struct digest {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size;
};

static void put_base64(struct buf *out, const void *bytes, size_t size) {
    unsigned char text[4 * (EVP_MAX_MD_SIZE + 2) / 3 + 1];
    int n = EVP_EncodeBlock(text, bytes, (int)size);
    buf_append(out, text, (size_t)n);
}

/* -1: it is no base64, or too long. */
static int get_base64(struct slice text, unsigned char *out, size_t max) {
    if (text.size == 0 || text.size % 4 != 0 || text.size / 4 * 3 > max)
        return -1;
    int n = EVP_DecodeBlock(out, (const unsigned char *)text.data, (int)text.size);
    for (size_t i = text.size; i > 0 && text.data[i - 1] == '='; i--)
        n--;
    return n;
}

static struct digest hmac(const EVP_MD *md, const struct digest *key, struct slice text) {
    struct digest d;
    HMAC(md, key->bytes, (int)key->size, (const unsigned char *)text.data, text.size, d.bytes, &d.size);
    return d;
}

/* The value of an attribute, "r=…"; data NULL: there is none. */
static struct slice attribute(struct slice text, char name) {
    for (size_t at = 0; at + 2 <= text.size;) {
        const char *comma = memchr(text.data + at, ',', text.size - at);
        size_t end = comma == NULL ? text.size : (size_t)(comma - text.data);
        if (end >= at + 2 && text.data[at] == name && text.data[at + 1] == '=')
            return (struct slice){text.data + at + 2, end - at - 2};
        at = end + 1;
    }
    return SLICE_NONE;
}

static void put_user(struct buf *out, const char *user) {
    for (; *user != 0; user++)
        if (*user == '=' || *user == ',')
            buf_printf(out, "%s", *user == '=' ? "=3D" : "=2C");
        else
            buf_append_byte(out, (uint8_t)*user);
}

static bool nonsense(struct err *e) {
    return err_set(e, ERR_RETRY, "SASL authentication: what the server says is no SCRAM");
}

static bool salted(const EVP_MD *md, const char *password, struct slice first, struct digest *out) {
    unsigned char salt[SALT_MAX];
    int size = get_base64(attribute(first, 's'), salt, sizeof salt);
    struct slice count = attribute(first, 'i');
    char text[16] = "";
    memcpy(text, count.data == NULL ? "" : count.data, count.size < sizeof text ? count.size : 0);
    int iterations = atoi(text);
    out->size = (unsigned)EVP_MD_get_size(md);
    return size > 0 && iterations > 0 && iterations <= ITERATIONS_MAX &&
           PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, size, iterations, md, (int)out->size,
                             out->bytes) == 1;
}

/* Who knows the salted password can sign; who knows its key only can check that. */
static void prove(const EVP_MD *md, const struct digest *key, struct slice message, struct buf *out) {
    struct digest client = hmac(md, key, SLICE("Client Key")), stored, signature;
    EVP_Digest(client.bytes, client.size, stored.bytes, &stored.size, md, NULL);
    signature = hmac(md, &stored, message);
    for (unsigned i = 0; i < client.size; i++)
        client.bytes[i] ^= signature.bytes[i];
    put_base64(out, client.bytes, client.size);
    OPENSSL_cleanse(&client, sizeof client);
}

static bool is_proof(const EVP_MD *md, const struct digest *key, struct slice message, struct slice final) {
    struct digest server = hmac(md, key, SLICE("Server Key")), wanted = hmac(md, &server, message);
    unsigned char given[SALT_MAX];
    int n = get_base64(attribute(final, 'v'), given, sizeof given);
    return n == (int)wanted.size && CRYPTO_memcmp(given, wanted.bytes, wanted.size) == 0;
}

bool kafka_scram(bool sha512, const char *user, const char *password, kafka_say *say, void *to,
                 struct err *e) {
    const EVP_MD *md = sha512 ? EVP_sha512() : EVP_sha256();
    _cleanup_(buf_free) struct buf bare = {0}, words = {0}, message = {0}, first = {0}, final = {0};
    unsigned char random[NONCE];
    struct digest key;
    if (RAND_bytes(random, sizeof random) != 1)
        abort(); /* no random numbers: nothing is safe */
    buf_printf(&bare, "n=");
    put_user(&bare, user);
    buf_printf(&bare, ",r=");
    size_t nonce_at = bare.size;
    put_base64(&bare, random, sizeof random);
    buf_printf(&words, "n,," SLICE_FMT, SLICE_ARG(buf_slice(&bare)));
    if (!say(to, buf_slice(&words), &first, e))
        return false;

    struct slice nonce = attribute(buf_slice(&first), 'r');
    size_t own = bare.size - nonce_at;
    if (nonce.data == NULL || nonce.size <= own || memcmp(nonce.data, bare.data + nonce_at, own) != 0 ||
        !salted(md, password, buf_slice(&first), &key))
        return nonsense(e);
    buf_clear(&words);
    buf_printf(&words, "c=biws,r=" SLICE_FMT, SLICE_ARG(nonce));
    buf_printf(&message, SLICE_FMT "," SLICE_FMT "," SLICE_FMT, SLICE_ARG(buf_slice(&bare)),
               SLICE_ARG(buf_slice(&first)), SLICE_ARG(buf_slice(&words)));
    buf_printf(&words, ",p=");
    prove(md, &key, buf_slice(&message), &words);
    bool ok = say(to, buf_slice(&words), &final, e) &&
              (is_proof(md, &key, buf_slice(&message), buf_slice(&final)) || nonsense(e));
    OPENSSL_cleanse(&key, sizeof key);
    return ok;
}
