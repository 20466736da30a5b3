/* Ids of things that have one: orders, customers, products. Any thread. */
#pragma once

#include "base/slice.h"

/* "." and ".." are no segment of a path. */
#define ID_PATTERN "[A-Za-z0-9._:-]{1,128}, . and .. apart"

/* Whether it is of ID_PATTERN, and neither "." nor "..". */
bool id_valid(struct slice id);

enum { UUID_SIZE = 36 };

/* A new UUID of version 7, not NUL-terminated: it sorts by `wall_ms` (milliseconds since 1970), the rest is
 * random. */
void uuid_make(char uuid[UUID_SIZE], long long wall_ms);
