#include "topology/topology.h"

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
#define SEE(t) (top = (t) != NULL && (t)->number > top ? (t)->number : top)
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

/* ---- what it may not be ---- */

bool topology_has_view(const struct topology *t, const struct view *v) {
    for (const struct view *const *has = t->views; has != NULL && *has != NULL; has++)
        if (*has == v)
            return true;
    return false;
}

const struct table *topology_served(const struct topology *t) {
    for (const struct view *const *v = t->views; v != NULL && *v != NULL; v++)
        if ((*v)->served != NULL)
            return (*v)->served;
    return NULL;
}

bool topology_has_table(const struct topology *t, const struct table *table) {
    for (const struct table *const *has = t->tables; has != NULL && *has != NULL; has++)
        if (*has == table)
            return true;
    return false;
}

static const struct event_field *field_of(const struct topic *t, const char *name, enum event_kind kind) {
    for (const struct event_field *f = t->value->fields; f < t->value->fields + t->value->field_count; f++)
        if (strcmp(f->name, name) == 0 && f->kind == kind && !f->nullable)
            return f;
    return NULL;
}

static bool lacks(const struct topology *t, const struct topic *of, const char *name, struct err *e) {
    return err_set(e, ERR_CONFIG, "topology %s: the record of %s has no field %s as it should be", t->name,
                   of->name, name);
}

static bool letters_check(const struct topology *t, struct err *e) {
    static const struct {
        const char *name;
        enum event_kind kind;
    } fields[] = {{"topic", EVENT_STRING},
                  {"partition", EVENT_INT},
                  {"offset", EVENT_LONG},
                  {"reason", EVENT_STRING},
                  {"payload", EVENT_BYTES}};
    for (size_t i = 0; t->dead_letters != NULL && i < sizeof fields / sizeof *fields; i++)
        if (field_of(t->dead_letters, fields[i].name, fields[i].kind) == NULL)
            return lacks(t, t->dead_letters, fields[i].name, e);
    return true;
}

static bool sources_check(const struct topology *t, struct err *e) {
    bool ticks = t->ticks == NULL;
    for (const struct source *s = t->sources; s != NULL && s->topic != NULL; s++) {
        ticks = ticks || s->topic == t->ticks;
        for (const struct source *o = t->sources; o < s; o++)
            if (o->topic == s->topic)
                return err_set(e, ERR_CONFIG, "topology %s: %s is two of its sources", t->name,
                               s->topic->name);
        if (t->dead_letters == NULL && s->topic->dead_letters != NULL &&
            strcmp(s->topic->dead_letters, t->name) == 0)
            return err_set(e, ERR_CONFIG,
                           "topology %s: the bad records of %s are its business, and it has no dead letters",
                           t->name, s->topic->name);
    }
    if (!ticks)
        return err_set(e, ERR_CONFIG, "topology %s: its ticks, %s, are none of its sources", t->name,
                       t->ticks->name);
    if (t->ticks != NULL && field_of(t->ticks, "time", EVENT_LONG) == NULL)
        return lacks(t, t->ticks, "time", e);
    if (t->ticks != NULL && t->tick_ms <= 0)
        return err_set(e, ERR_CONFIG, "topology %s: ticks every %lld ms", t->name, (long long)t->tick_ms);
    return true;
}

static bool view_check(const struct topology *t, const struct view *v, struct err *e) {
    const struct topic *c = v->changelog;
    const char *what = NULL;
    if (t->sources == NULL)
        what = "without a source nothing ever changes it";
    else if (v->events && v->retention_ms > 0)
        what = "it cannot be events and expire";
    else if (v->expired != NULL && v->retention_ms <= 0)
        what = "it has a handler for what expires, and nothing does";
    else if (v->retention_ms > 0 && !c->tombstones)
        what = "it expires, and its changelog knows no tombstones";
    else if (c->retention_ms >= 0 && (v->retention_ms <= 0 || v->retention_ms > c->retention_ms))
        what = "its changelog forgets what it keeps";
    else if (v->served != NULL && v->served->view != v)
        what = "it is served by a table that does not name it";
    else if (v->served != NULL && v->served->topic != c)
        what = "it is served by a table of another topic";
    return what == NULL ||
           err_set(e, ERR_CONFIG, "topology %s: view %s over %s: %s", t->name, v->name, c->name, what);
}

static bool table_check(const struct topology *t, const struct table *table, struct err *e) {
    const char *what = NULL;
    if (table->view != NULL && table->view->served != table)
        what = "its view is not served by it";
    else if (table->view != NULL && topology_has_view(t, table->view))
        what = "its view is of this topology, and who asks for it must not wait for transactions";
    else if (table->view != NULL && (table->fresh || table->accepts != NULL || table->replaced != NULL))
        what =
            "no handler looks it up, and its rows are its view's: it cannot be fresh, or say which are rows";
    else if (table->replaced != NULL && table->index == NULL)
        what = "what a row has replaced is for the index that it lacks";
    return what == NULL || err_set(e, ERR_CONFIG, "topology %s: table %s: %s", t->name, table->name, what);
}

/* Their places in the store are by name. */
static bool twice(const struct topology *t, const char *what, const char *name, struct err *e) {
    return err_set(e, ERR_CONFIG, "topology %s has two %s %s", t->name, what, name);
}

static bool names_check(const struct topology *t, struct err *e) {
    static const struct view *const no_views[] = {NULL};
    static const struct table *const no_tables[] = {NULL};
    const struct view *const *views = t->views != NULL ? t->views : no_views;
    const struct table *const *tables = t->tables != NULL ? t->tables : no_tables;
    for (const struct view *const *v = views; *v != NULL; v++)
        for (const struct view *const *o = views; o < v; o++) {
            if (strcmp((*o)->name, (*v)->name) == 0)
                return twice(t, "views called", (*v)->name, e);
            if ((*o)->changelog == (*v)->changelog)
                return twice(t, "views over the changelog", (*v)->changelog->name, e);
            if ((*o)->served != NULL && (*v)->served != NULL &&
                strcmp((*o)->served->name, (*v)->served->name) == 0)
                return twice(t, "views served as", (*v)->served->name, e);
        }
    for (const struct table *const *r = tables; *r != NULL; r++) {
        for (const struct table *const *o = tables; o < r; o++)
            if (strcmp((*o)->name, (*r)->name) == 0)
                return twice(t, "tables called", (*r)->name, e);
        for (const struct view *const *v = views; *v != NULL; v++)
            if (strcmp((*v)->name, (*r)->name) == 0)
                return twice(t, "things called", (*r)->name, e);
    }
    return true;
}

bool topology_check(const struct topology *t, struct err *e) {
    if (!letters_check(t, e) || !sources_check(t, e) || !names_check(t, e))
        return false;
    for (const struct view *const *v = t->views; v != NULL && *v != NULL; v++)
        if (!view_check(t, *v, e))
            return false;
    for (const struct table *const *r = t->tables; r != NULL && *r != NULL; r++)
        if (!table_check(t, *r, e))
            return false;
    return true;
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
