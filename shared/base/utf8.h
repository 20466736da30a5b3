/* UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF. Any thread. */
#pragma once

#include "base/slice.h"

/* The length of the character that `s` begins with, 0 when it begins with none. */
size_t utf8_char(struct slice s);

/* Whether all of it is UTF-8. */
bool utf8_valid(struct slice s);
