#include "log/partitions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* The hashes of org.apache.kafka.common.utils.UtilsTest, in Java's signed numbers. */
static const struct {
    const char *key;
    int32_t hash;
} vectors[] = {
    {"21", -973932308},
    {"foobar", -790332482},
    {"a-little-bit-long-string", -985981536},
    {"a-little-bit-longer-string", -1486304829},
    {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
    {"abc", 479470107},
};

static void partitions_as_the_java_clients(void **state) {
    (void)state;
    static const int32_t counts[] = {1, 2, 4, 12, 1000, INT32_MAX};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++)
            assert_int_equal(partition_of(slice_of(vectors[i].key), counts[k]),
                             (vectors[i].hash & 0x7fffffff) % counts[k]);
}

/* Bytes above 0x7f are unsigned, and any of them can be in the tail of 1 to 3 bytes. */
static void partitions_any_bytes(void **state) {
    (void)state;
    static const char bytes[] = "\xff\x80\x00\xfe\x7f\xff\xff";
    bool seen[16] = {false};
    for (size_t size = 0; size < sizeof bytes; size++) {
        int32_t p = partition_of((struct slice){bytes, size}, 16);
        assert_in_range(p, 0, 15);
        seen[p] = true;
    }
    int different = 0;
    for (int i = 0; i < 16; i++)
        different += seen[i];
    assert_true(different >= 4);
}

static void partitions_evenly(void **state) {
    (void)state;
    int count[4] = {0};
    for (int i = 0; i < 4000; i++) {
        char key[20];
        snprintf(key, sizeof key, "order-%d", i);
        count[partition_of(slice_of(key), 4)]++;
    }
    for (int p = 0; p < 4; p++)
        assert_in_range(count[p], 900, 1100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitions_as_the_java_clients),
        cmocka_unit_test(partitions_any_bytes),
        cmocka_unit_test(partitions_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
