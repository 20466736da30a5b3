/* The suite's own records and topics. What codecs do with them is tested in shared/events. */
#include "any_event.h"
#include "base/cleanup.h"
#include "events/schemas.h"
#include "schemas/schemas.gen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void every_topic_goes_round(void **state) {
    (void)state;
    struct registry *registry = registry_memory_create();
    struct schemas *s = schemas_create(registry);
    struct random r = {7};
    struct err err = {0};
    for (size_t t = 0; t < topics_count; t++) {
        const struct event_type *type = topics[t]->value;
        assert_int_equal(topics[t]->number, t);
        assert_true(schemas_register(s, topics[t], &err));
        for (int i = 0; i < 50; i++) {
            _cleanup_(arena_free) struct arena arena = {0};
            _cleanup_(buf_free) struct buf payload = {0};
            const void *value = any_event(&r, type, &arena);
            void *out = arena_alloc(&arena, type->size);
            if (!schemas_encode(s, topics[t], value, &payload, &err) ||
                !schemas_decode(s, type, buf_slice(&payload), &arena, out, &err))
                fail_msg("%s: %s", topics[t]->name, err.text);
            assert_true(any_event_equal(type, value, out));
        }
    }
    schemas_destroy(s);
    registry_destroy(registry);
}

/* As Debezium and the Avro converter register it. */
static const char connect_stock[] =
    "{\"type\":\"record\",\"name\":\"Value\",\"namespace\":\"legacy.public.stock\",\"fields\":["
    "{\"name\":\"product_id\",\"type\":\"string\"},"
    "{\"name\":\"name\",\"type\":[\"null\",\"string\"],\"default\":null},"
    "{\"name\":\"quantity\",\"type\":[\"null\",\"int\"],\"default\":null}],"
    "\"connect.name\":\"legacy.public.stock.Value\"}";

static void stock_is_read_as_connect_writes_it(void **state) {
    (void)state;
    struct registry *registry = registry_memory_create();
    struct schemas *s = schemas_create(registry);
    _cleanup_(arena_free) struct arena arena = {0};
    struct err err = {0};
    struct stock stock = {0};
    int32_t id;
    assert_true(registry->add(registry, "stock-value", connect_stock, &id, &err));
    assert_int_equal(id, 1);
    struct slice payload = SLICE("\0\0\0\0\1\6p-1\2\4Jo\2\24");
    assert_true(schemas_decode(s, &stock_type, payload, &arena, &stock, &err));
    assert_true(slice_equal(stock.product_id, SLICE("p-1")));
    assert_true(slice_equal(stock.name, SLICE("Jo")));
    assert_true(stock.quantity.present);
    assert_int_equal(stock.quantity.value, 10);
    schemas_destroy(s);
    registry_destroy(registry);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_topic_goes_round),
        cmocka_unit_test(stock_is_read_as_connect_writes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
