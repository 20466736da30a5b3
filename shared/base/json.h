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

/* A value that is being written. `out` is not owned. */
struct json {
    struct buf *out;
    bool comma; /* the next value needs one before it */
};

/* Begins an object: pairs of json_key() and a value follow. */
void json_begin_object(struct json *j);
/* Ends the object begun last. */
void json_end_object(struct json *j);
/* Begins an array: values follow. */
void json_begin_array(struct json *j);
/* Ends the array begun last. */
void json_end_array(struct json *j);
/* The key of the value that follows. */
void json_key(struct json *j, const char *key);
/* The same, of any bytes that are UTF-8. */
void json_key_slice(struct json *j, struct slice key);
/* A string; data NULL is an empty one. */
void json_put_string(struct json *j, struct slice s);
/* Beyond 2^53, where a browser would round it, as a string. */
void json_put_int(struct json *j, int64_t n);
/* A number; null where JSON has none for it. */
void json_put_double(struct json *j, double d);
/* True or false. */
void json_put_bool(struct json *j, bool b);
/* Null. */
void json_put_null(struct json *j);
/* A value that is JSON already. */
void json_put_raw(struct json *j, struct slice value);
