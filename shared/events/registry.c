#include "events/registry.h"

void registry_destroy(struct registry *r) {
    if (r != NULL)
        r->destroy(r);
}
