#include "positions.h"

#include "base/id.h"
#include "base/num.h"
#include "geo.h"

const char *position_fault(const struct event *in) {
    const struct position *p = in->value;
    if (!id_valid(p->id))
        return "id: must match " ID_PATTERN;
    if (!slice_equal(in->key, p->id))
        return "id: differs from the record's key";
    return geo_valid(p->lat, p->lon) ? NULL : "lat, lon: no place on earth";
}

bool position_shown(const struct event *row, int64_t now_ms) {
    const struct position *p = row->value;
    return !slice_equal(p->status, SLICE("OFFLINE")) && sat_sub(now_ms, row->timestamp) <= POSITION_SHOWN_MS;
}
