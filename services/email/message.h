/* An email as it goes over the wire: RFC 5322 with MIME. Whatever names, subjects and addresses contain, no
 * line of it is made by them: no control character gets through, and what is not plain ASCII is encoded (RFC
 * 2047). Plain functions of plain values. */
#pragma once

#include "base/buf.h"
#include "schemas/schemas.gen.h"

/* Appends the whole message, with CRLF at the end of each line. `from`: an address; `time`: of its Date, ms
 * since 1970. The address in `m` must be valid. */
void message_write(const struct email *m, struct slice from, int64_t time, struct buf *out);
