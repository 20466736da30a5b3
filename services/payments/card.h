/* Card numbers, and the tokens that stand for them: an HMAC-SHA256 with a key that only this service has. The
 * same card has the same token, and nobody without the key can try numbers until one fits. Any thread. */
#pragma once

#include "base/err.h"
#include "base/slice.h"

enum { CARD_TOKEN_SIZE = 64, CARD_KEY_MIN = 32, CARD_KEY_MAX = 256 };

struct card_key {
    unsigned char bytes[CARD_KEY_MAX];
    size_t size;
};

/* The whole file is the key. ERR_CONFIG where it cannot be read, is too short, or others may read it too. */
WARN_UNUSED bool card_key_read(const char *path, struct card_key *key, struct err *e);

/* 12 to 19 digits, with spaces and dashes between them as people write them: *digits, wiped by the caller. */
struct card_digits {
    char text[19];
    size_t size;
};
bool card_number_read(struct slice text, struct card_digits *digits);

/* Lower-case hex, not NUL-terminated. */
void card_token(const struct card_key *key, const struct card_digits *digits, char token[CARD_TOKEN_SIZE]);

/* From here on a crash leaves no image of this process's memory behind. */
WARN_UNUSED bool card_forbid_dumps(struct err *e);
