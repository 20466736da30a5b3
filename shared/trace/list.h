/* Lists as the standard's settings have them: name=value,name=value, values percent-encoded. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arena;

/* False: *wrong is the number of the first entry that is none, from 1 on. `header`: names and values must be
 * such that an HTTP header can have them. */
bool list_check(const char *list, bool header, size_t *wrong);

/* Calls `each` for every entry of a list that was checked, decoded and NUL-terminated, for the time of the
 * call. */
void list_each(const char *list, void (*each)(void *context, const char *name, const char *value),
               void *context);
