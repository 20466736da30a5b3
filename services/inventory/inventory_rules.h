/* When stock is enough. Plain functions of plain values. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Whether an order of `wanted` pieces passes: on-hand stock − reserved ≥ wanted. Then *hold is what it
 * reserves: nothing for less than one piece. */
bool inventory_decide(int32_t on_hand, int64_t reserved, int32_t wanted, int32_t *hold);
