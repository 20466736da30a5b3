#include "positions.h"

#include "base/id.h"
#include "base/num.h"
#include "geo.h"

bool position_check(struct step *s, const struct event *in) {
    const struct position *p = in->value;
    if (!id_valid(p->id))
        step_reject(s, "id: must match " ID_PATTERN);
    else if (!slice_equal(in->key, p->id))
        step_reject(s, "id: differs from the record's key");
    else if (!geo_valid(p->lat, p->lon))
        step_reject(s, "lat, lon: no place on earth");
    else
        return true;
    return false;
}

bool position_shown(const struct event *row, int64_t now_ms) {
    const struct position *p = row->value;
    return !slice_equal(p->status, SLICE("OFFLINE")) && sat_sub(now_ms, row->timestamp) <= POSITION_SHOWN_MS;
}
