/* control: what the pages' panel can do to the suite: some of the launcher's commands, by HTTP.
 *
 *   control DEMO SOCKET TOKEN PLACES NAMES…    DEMO: the launcher; SOCKET: where to listen; TOKEN: a file;
 *                                              PLACES: a file of JSON; NAMES: of services, then -- and the
 * rest
 *
 * It exists where the launcher runs, behind the gateway only, and not in containers. The verbs are a fixed
 * list, names are compared with those that there are, and no shell sees what was sent. Whoever asks needs the
 * token that `up` prints; a page of another site is refused whatever it has. Its exit codes are those of a
 * service. */
#include "base/cleanup.h"
#include "base/json.h"
#include "command.h"
#include "events/topic.h"
#include "http/body.h"
#include "http/server.h"
#include "schemas/schemas.gen.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

enum { ANSWER_MS = 290000, NUMBER_MAX = 10, TOKEN_MAX = 128 };

struct control {
    struct http_server *server;
    char *demo;
    const char *places;
    char token[TOKEN_MAX + 1];
    char **services, **others; /* names; both end with NULL */
};

/* ---- what may be done ---- */

enum target { SERVICE, PROCESS, TOPIC }; /* PROCESS: a service, or what they stand on */

static const struct verb {
    const char *name;
    enum target target;
    bool numbered; /* takes a number too: of instances */
} verbs[] = {
    {"kill", PROCESS, false}, {"stop", PROCESS, false},   {"start", PROCESS, false}, {"slow", SERVICE, false},
    {"scale", SERVICE, true}, {"rewind", SERVICE, false}, {"poison", TOPIC, false},
};

/* What it is called here; NULL: there is none. */
static char *among(char *const *names, struct slice name) {
    while (*names != NULL && !slice_equal(slice_of(*names), name))
        names++;
    return *names;
}

static const char *find_target(const struct control *c, enum target kind, struct slice name) {
    const struct topic *t = kind == TOPIC ? topic_find(topics, topics_count, name) : NULL;
    const char *found = kind == TOPIC ? NULL : among(c->services, name);
    if (kind == PROCESS && found == NULL)
        found = among(c->others, name);
    return t != NULL ? t->name : found;
}

/* ---- who may ask ---- */

/* In a time that says nothing of how much of it is right. */
static bool is_token(const struct control *c, struct slice given) {
    size_t size = strlen(c->token);
    unsigned char wrong = given.size != size;
    for (size_t i = 0; i < size && i < given.size; i++)
        wrong |= (unsigned char)(c->token[i] ^ given.data[i]);
    return wrong == 0;
}

/* A page of another site, whose browser says so. */
static bool is_foreign(struct http_exchange *x) {
    struct slice site = http_header(x, "Sec-Fetch-Site"), origin = http_header(x, "Origin");
    if (site.data != NULL && !slice_equal(site, SLICE("same-origin")) && !slice_equal(site, SLICE("none")))
        return true;
    return origin.data != NULL &&
           !slice_equal(origin, http_header(x, "Insideout-Origin")); /* of the gateway */
}

static bool may(const struct control *c, struct http_exchange *x) {
    const struct slice scheme = SLICE("Bearer ");
    struct slice given = http_header(x, "Authorization");
    if (is_foreign(x)) {
        http_reply_problem(x, 403, NULL, "a page of another site may not do that");
        return false;
    }
    if (slice_starts_with(given, scheme) &&
        is_token(c, (struct slice){given.data + scheme.size, given.size - scheme.size}))
        return true;
    http_reply_header(x, "WWW-Authenticate", "Bearer");
    http_reply_problem(x, 401, NULL, "that needs the token in the address that ./demo up printed");
    return false;
}

/* ---- routes ---- */

static void put_names(struct json *j, const char *key, char *const *names) {
    json_key(j, key), json_begin_array(j);
    for (; *names != NULL; names++)
        json_put_string(j, slice_of(*names));
    json_end_array(j);
}

/* The places in the code that the panel explains itself by; the launcher looks their lines up. */
static void put_places(struct json *j, const char *path) {
    _cleanup_(buf_free) struct buf text = {0};
    char piece[4096];
    size_t n;
    FILE *f = fopen(path, "re");
    while (f != NULL && (n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_append_slice(&text, (struct slice){piece, n});
    bool ok = f != NULL && !ferror(f) && text.size > 0;
    if (f != NULL)
        fclose(f);
    json_key(j, "code"), json_put_raw(j, ok ? buf_slice(&text) : SLICE("[]"));
}

static enum http_result get_panel(struct http_exchange *x, void *context) {
    const struct control *c = context;
    _cleanup_(buf_free) struct buf body = {0};
    struct json j = {.out = &body};
    if (!may(c, x))
        return HTTP_DONE;
    json_begin_object(&j);
    put_names(&j, "services", c->services);
    put_names(&j, "others", c->others);
    json_key(&j, "topics"), json_begin_array(&j);
    for (size_t i = 0; i < topics_count; i++)
        if (topics[i]->dead_letters != NULL) /* others have no reader whom it could trouble */
            json_put_string(&j, slice_of(topics[i]->name));
    json_end_array(&j);
    put_places(&j, c->places);
    json_end_object(&j);
    return http_reply_json(x, 200, buf_slice(&body));
}

struct waiting { /* an exchange's */
    const struct control *control;
    struct command *command;
    char key[32];
};

static void exchange_ended(void *state) {
    command_release(((struct waiting *)state)->command);
}

static void wake(void *context) {
    const struct waiting *w = context;
    http_wake(w->control->server, slice_of(w->key));
}

/* Its last line, without what `demo:` begins it with. */
static struct slice last_line(struct slice said) {
    while (said.size > 0 && said.data[said.size - 1] == '\n')
        said.size--;
    const char *newline = said.size == 0 ? NULL : memrchr(said.data, '\n', said.size);
    struct slice line =
        newline == NULL ? said : (struct slice){newline + 1, (size_t)(said.data + said.size - newline - 1)};
    if (slice_starts_with(line, SLICE("demo: ")))
        line = (struct slice){line.data + 6, line.size - 6};
    return line;
}

static enum http_result answer(struct http_exchange *x, const struct command *c) {
    _cleanup_(buf_free) struct buf body = {0};
    struct json j = {.out = &body};
    if (command_code(c) != 0)
        return http_reply_problem(x, 409, NULL, SLICE_FMT, SLICE_ARG(last_line(command_said(c))));
    json_begin_object(&j);
    json_key(&j, "said"), json_put_string(&j, command_said(c));
    json_key(&j, "seconds"), json_put_double(&j, command_seconds(c));
    json_end_object(&j);
    return http_reply_json(x, 200, buf_slice(&body));
}

static enum http_result run(struct http_exchange *x, struct waiting *w, const struct verb *verb) {
    const struct control *c = w->control;
    struct slice name;
    int32_t count = 0;
    char number[16];
    struct err e;
    if (!http_body_string(x, "name", 128, &name) || (verb->numbered && !http_body_int32(x, "count", &count)))
        return HTTP_DONE;
    const char *target = find_target(c, verb->target, name);
    if (target == NULL)
        return http_reply_problem(x, 404, "name", "there is no " SLICE_FMT " to %s", SLICE_ARG(name),
                                  verb->name);
    if (verb->numbered && (count < 1 || count > NUMBER_MAX))
        return http_reply_problem(x, 400, "count", "must be from 1 to %d", NUMBER_MAX);
    snprintf(number, sizeof number, "%d", count);
    char *const argv[] = {c->demo, (char *)verb->name, (char *)target, verb->numbered ? number : NULL, NULL};
    snprintf(w->key, sizeof w->key, "c%p", (void *)w);
    http_deadline(x, ANSWER_MS);
    http_watch(x, slice_of(w->key));
    if (!command_start(argv, wake, w, &w->command, &e))
        return http_reply_problem(x, 503, NULL, "%s", e.text);
    return HTTP_WAIT;
}

static enum http_result post_verb(struct http_exchange *x, void *context) {
    static const char owner;
    struct waiting *w = http_state(x, &owner, sizeof *w, exchange_ended);
    struct slice name = http_path_string(x, "verb");
    const struct verb *verb = NULL;
    if (w->command != NULL)
        return command_done(w->command) ? answer(x, w->command) : HTTP_WAIT;
    w->control = context;
    if (!may(context, x))
        return HTTP_DONE;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (slice_equal(name, slice_of(verbs[i].name)))
            verb = &verbs[i];
    if (verb == NULL)
        return http_reply_problem(x, 404, "verb", "nothing is called " SLICE_FMT, SLICE_ARG(name));
    return run(x, w, verb);
}

static const struct http_route routes[] = {
    {"GET", "/v1/demo", get_panel}, {"POST", "/v1/demo/{verb}", post_verb}, {0}};

/* ---- the process ---- */

static bool read_token(const char *path, char *token) {
    FILE *f = fopen(path, "re");
    size_t n = f == NULL ? 0 : fread(token, 1, TOKEN_MAX, f);
    if (f != NULL)
        fclose(f);
    while (n > 0 && token[n - 1] == '\n')
        n--;
    token[n] = 0;
    return n >= 16;
}

int main(int argc, char **argv) {
    struct control c = {0};
    struct err e = {0};
    sigset_t end;
    int signal, names = 5;
    if (argc < 6) {
        fprintf(stderr, "usage: control DEMO SOCKET TOKEN PLACES SERVICE… -- OTHER…\n");
        return EX_USAGE;
    }
    if (!read_token(argv[3], c.token)) {
        fprintf(stderr, "%s has no token\n", argv[3]);
        return EX_CONFIG;
    }
    c.demo = argv[1], c.places = argv[4];
    c.services = c.others = argv + names;
    while (names < argc && strcmp(argv[names], "--") != 0)
        names++;
    if (names < argc) {
        argv[names] = NULL;
        c.others = argv + names + 1;
    }
    sigemptyset(&end);
    sigaddset(&end, SIGTERM), sigaddset(&end, SIGINT);
    sigprocmask(SIG_BLOCK, &end, NULL);
    c.server = http_server_create(&(struct http_config){.path = argv[2]});
    http_server_mount(c.server, routes, &c);
    bool ok = http_server_start(c.server, &e);
    if (ok)
        sigwait(&end, &signal);
    else
        fprintf(stderr, "%s\n", e.text);
    http_server_destroy(c.server);
    return ok ? EXIT_SUCCESS : EX_CONFIG;
}
