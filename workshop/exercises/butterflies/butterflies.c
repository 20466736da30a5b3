/* Each caterpillar becomes a butterfly: same name, and wings twice as wide as the caterpillar was long. */
#include "schemas/schemas.gen.h"
#include "topology/topology.h"
#include "transaction/txn.h"

static void on_caterpillar(struct txn *txn, const struct event *in) {
    const struct caterpillar *c = in->value;
    /* TODO: one new event in topic_butterflies, with the key of `in`:
     *       txn_emit(txn, &topic_…, key, &(struct butterfly){.name = …, .wingspan = …}); */
    (void)txn, (void)c;
}

const struct topology butterflies = {
    .name = "butterflies",
    .sources = (const struct source[]){{.topic = &topic_caterpillars, .handle = on_caterpillar}, {0}},
    .outputs = (const struct topic *const[]){&topic_butterflies, NULL},
};
