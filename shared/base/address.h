/* Email addresses. Any thread. */
#pragma once

#include "base/slice.h"

/* name@domain, as RFC 5321 has it without quotes and without numbers in brackets, and as RFC 6531 beyond
 * ASCII: such an address can stand in <> as it is. */
bool address_valid(struct slice address);

/* Whether only a mail server with SMTPUTF8 takes it. */
bool address_is_international(struct slice address);
