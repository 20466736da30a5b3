/* Writes JSON into a buffer: commas, escapes and nothing more. Always valid JSON: what is not UTF-8 in a
 * string becomes U+FFFD, NaN and infinities become null. One thread at a time.
 *
 *     struct json j = {.out = &buf};
 *     json_begin_object(&j);
 *     json_key(&j, "id"), json_put_string(&j, id);
 *     json_end_object(&j);
 */
#pragma once

#include "base/buf.h"

struct json {
    struct buf *out;
    bool comma; /* the next value needs one before it */
};

void json_begin_object(struct json *j);
void json_end_object(struct json *j);
void json_begin_array(struct json *j);
void json_end_array(struct json *j);
void json_key(struct json *j, const char *key);
void json_put_string(struct json *j, struct slice s);
/* Beyond 2^53, where a browser would round it, as a string. */
void json_put_int(struct json *j, int64_t n);
void json_put_double(struct json *j, double d);
void json_put_bool(struct json *j, bool b);
void json_put_null(struct json *j);
/* A value that is JSON already. */
void json_put_raw(struct json *j, struct slice value);
