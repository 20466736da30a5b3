/* What a schema registry answers: bodies, one to each question, with byte 0 between; the first byte of each
 * says with which status. Their HTTP is well-formed: that is libcurl's. */
#include "fuzz.h"
#include "peer.h"

#include "events/plan.h"
#include "events/registry.h"
#include "events/schema.h"

enum { ANSWERS_MAX = 8 };

static size_t read_answers(struct slice in, struct arena *arena, struct slice *answers) {
    static const unsigned statuses[] = {200, 200, 200, 404, 409, 422, 429, 503};
    size_t count = 0;
    while (count < ANSWERS_MAX && (count == 0 || in.size > 0)) {
        struct slice body = take_until(&in, 0, arena);
        unsigned status = statuses[take_byte(&body) % 8];
        answers[count++] = arena_printf(arena,
                                        "HTTP/1.1 %u x\r\nContent-Type: application/json\r\nContent-Length: "
                                        "%zu\r\n\r\n" SLICE_FMT,
                                        status, body.size, SLICE_ARG(body));
    }
    return count;
}

static void require_plain(bool ok, const struct err *e) {
    require(ok || e->kind == ERR_RETRY || e->kind == ERR_CONFIG, "%d: %s", (int)e->kind, e->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct registry *registry;
    struct slice answers[ANSWERS_MAX];
    struct arena arena = {0};
    struct buf schema = {0}, plain = {0};
    struct err e = {0};
    int32_t id;
    bool found = false;
    if (registry == NULL) {
        char url[64];
        snprintf(url, sizeof url, "http://127.0.0.1:%u", peer_start());
        registry = registry_http_create(&(struct registry_options){.url = url, .timeout_ms = 20000});
    }
    peer_answers(answers, read_answers((struct slice){(const char *)data, size}, &arena, answers), false);
    bool ok = registry->schema_by_id(registry, 7, &found, &schema, &e);
    require_plain(ok, &e);
    if (ok && found && schema_plain(buf_slice(&schema), &plain, &e))
        plan_destroy(plan_create(buf_slice(&schema), NULL));
    require_plain(registry->add(registry, "a/b c", "\"string\"", &id, &e), &e);
    require_plain(registry->set_compatibility(registry, "a", "BACKWARD", &found, &e), &e);
    peer_answers(NULL, 0, true);
    buf_free(&plain);
    buf_free(&schema);
    arena_free(&arena);
    return 0;
}
