/* The journal's checksum against its definition, bit by bit. */
#include "store/crc32c.h"
#include "tests/unit/support/random.h"
#include "tests/unit/support/unit.h"

enum { BYTES_MAX = 96 };

static uint32_t by_definition(uint32_t crc, const uint8_t *bytes, size_t length)
{
    crc = ~crc;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82F63B78u : crc >> 1;
    }
    return ~crc;
}

static void the_published_vectors_come_out(void **state)
{
    (void)state;
    static const uint8_t zeros[32];
    assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283);
    assert_int_equal(crc32c(0, zeros, sizeof(zeros)), 0x8A9136AA); /* RFC 3720 B.4 */
}

static void every_length_and_start_is_as_defined(void **state)
{
    (void)state;
    uint8_t bytes[BYTES_MAX];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)random_u64();
    for (size_t start = 0; start < 8; start++) {
        for (size_t length = 0; start + length <= sizeof(bytes); length++) {
            uint32_t before = (uint32_t)random_u64();
            assert_int_equal(crc32c(before, bytes + start, length),
                             by_definition(before, bytes + start, length));
        }
    }
}

static void pieces_give_the_whole(void **state)
{
    (void)state;
    static const char text[] = "what is torn in the middle is added up all the same";
    uint32_t whole = crc32c(0, text, sizeof(text));
    for (size_t cut = 0; cut <= sizeof(text); cut++)
        assert_int_equal(crc32c(crc32c(0, text, cut), text + cut, sizeof(text) - cut), whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vectors_come_out),
        cmocka_unit_test(every_length_and_start_is_as_defined),
        cmocka_unit_test(pieces_give_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
