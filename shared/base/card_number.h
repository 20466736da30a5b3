/* Card numbers where none belong: in ids, which go everywhere. Any thread. */
#pragma once

#include "base/slice.h"

/* 13 to 19 digits with the right check digit that begin as card numbers do, in one piece or in groups with
 * signs between them. Digits of a UUID, of a long hexadecimal number or of an article (EAN) are none, so that
 * ids which machines make are not taken for one by chance. */
bool has_card_number(struct slice text);
