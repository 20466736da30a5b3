/* An entry of the tape as JSON. */
#pragma once

#include "base/json.h"
#include "events/schemas.h"
#include "tape.h"

enum { RECORD_LARGE = 20 << 10 }; /* a larger value comes when it is asked for */

/* Who shows records: one request, one thread. */
struct shower {
    struct schemas *schemas;
    bool full;          /* large values too */
    bool registry_away; /* it was, a moment ago: it is not asked again for each record */
};

/* {"topic", "partition", "offset", "kind", …}: of what is a record also timestamp, key, value, headers,
 * schema, size; "error" and "hex" for a value that cannot be decoded, "keyHex" for a key that is no text.
 * Appends `more`, which is JSON members behind a comma, or empty. */
void record_json(struct shower *s, const char *topic, int32_t partition, const struct tape_entry *entry,
                 struct slice more, struct json *j);

/* Appends the value, decoded. False: it cannot be, or not now, and the text says why. */
WARN_UNUSED bool record_value(struct shower *s, struct slice value, struct buf *out, struct err *e);

/* A header's value; data NULL: there is none. */
struct slice record_header(const struct batch_record *r, const char *name);
