#include "inventory_rules.h"

#include "base/num.h"

bool inventory_decide(int32_t on_hand, int64_t reserved, int32_t wanted, int32_t *hold) {
    if (sat_sub(on_hand, reserved) < wanted)
        return false;
    *hold = wanted > 0 ? wanted : 0;
    return true;
}
