#include "stream/topology.h"

#include "base/buf.h"
#include "base/json.h"

static void topic_names_json(struct json *j, const char *key, const struct topic *const *topics) {
    json_key(j, key);
    json_begin_array(j);
    for (; topics != NULL && *topics != NULL; topics++)
        json_put_string(j, slice_of((*topics)->name));
    json_end_array(j);
}

size_t topology_topics(const struct topology *t) {
    int top = -1;
#define SEE(t) (top = (t) != NULL && (t)->index > top ? (t)->index : top)
    for (const struct source *s = t->sources; s != NULL && s->topic != NULL; s++)
        SEE(s->topic);
    for (const struct view *const *v = t->views; v != NULL && *v != NULL; v++)
        SEE((*v)->changelog);
    for (const struct table *const *r = t->tables; r != NULL && *r != NULL; r++)
        SEE((*r)->topic);
    for (const struct topic *const *o = t->outputs; o != NULL && *o != NULL; o++)
        SEE(*o);
    SEE(t->dead_letters);
    SEE(t->ticks);
#undef SEE
    return (size_t)top + 1;
}

void topology_json(const struct topology *t, struct buf *out) {
    struct json j = {.out = out};
    json_begin_object(&j);
    json_key(&j, "name");
    json_put_string(&j, slice_of(t->name));
    json_key(&j, "sources");
    json_begin_array(&j);
    for (const struct source *s = t->sources; s != NULL && s->topic != NULL; s++) {
        json_begin_object(&j);
        json_key(&j, "topic");
        json_put_string(&j, slice_of(s->topic->name));
        json_key(&j, "handled");
        json_put_bool(&j, s->handle != NULL);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_key(&j, "views");
    json_begin_array(&j);
    for (const struct view *const *v = t->views; v != NULL && *v != NULL; v++) {
        json_begin_object(&j);
        json_key(&j, "name");
        json_put_string(&j, slice_of((*v)->name));
        json_key(&j, "changelog");
        json_put_string(&j, slice_of((*v)->changelog->name));
        json_end_object(&j);
    }
    json_end_array(&j);
    json_key(&j, "tables");
    json_begin_array(&j);
    for (const struct table *const *r = t->tables; r != NULL && *r != NULL; r++) {
        json_begin_object(&j);
        json_key(&j, "name");
        json_put_string(&j, slice_of((*r)->name));
        json_key(&j, "topic");
        json_put_string(&j, slice_of((*r)->topic->name));
        json_end_object(&j);
    }
    json_end_array(&j);
    topic_names_json(&j, "outputs", t->outputs);
    json_key(&j, "deadLetters");
    if (t->dead_letters == NULL)
        json_put_null(&j);
    else
        json_put_string(&j, slice_of(t->dead_letters->name));
    json_end_object(&j);
}
