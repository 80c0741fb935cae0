/* Which requests pass, by the limits of the Modbus specification, and by fuzz against an oracle. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/gateway_pdu.h"
#include "tests/unit/support/unit.h"

enum { FUZZ_FRAMES = 20000 };

static enum gateway_exception check(const uint8_t *pdu, size_t length)
{
    struct gateway_pdu_facts facts;
    return gateway_pdu_check(pdu, length, &facts);
}

/* A request with quantity `quantity` and a byte count and data of `data` bytes (none if 0). */
static enum gateway_exception check_quantity(uint8_t function, unsigned quantity, size_t data)
{
    uint8_t pdu[GATEWAY_PDU_MAX + 300] = { function, 0, 0, (uint8_t)(quantity >> 8),
                                           (uint8_t)quantity };
    size_t length = 5;
    if (data != 0) {
        pdu[5] = (uint8_t)data;
        length = 6 + data;
    }
    return check(pdu, length);
}

static void reads_pass_within_their_limits_only(void **state)
{
    (void)state;
    static const unsigned limit[] = { 0, 2000, 2000, 125, 125 };
    for (uint8_t function = 1; function <= 4; function++) {
        assert_int_equal(check_quantity(function, 1, 0), GATEWAY_EXCEPTION_NONE);
        assert_int_equal(check_quantity(function, limit[function], 0), GATEWAY_EXCEPTION_NONE);
        assert_int_equal(check_quantity(function, 0, 0), GATEWAY_EXCEPTION_VALUE);
        assert_int_equal(check_quantity(function, limit[function] + 1, 0), GATEWAY_EXCEPTION_VALUE);
        assert_int_equal(check_quantity(function, 65535, 0), GATEWAY_EXCEPTION_VALUE);
    }
}

static void multiple_writes_pass_within_their_limits_only(void **state)
{
    (void)state;
    assert_int_equal(check_quantity(15, 1, 1), GATEWAY_EXCEPTION_NONE);
    assert_int_equal(check_quantity(15, 1968, 246), GATEWAY_EXCEPTION_NONE);
    assert_int_equal(check_quantity(15, 1969, 247), GATEWAY_EXCEPTION_VALUE);
    assert_int_equal(check_quantity(15, 0, 0), GATEWAY_EXCEPTION_VALUE);
    assert_int_equal(check_quantity(15, 9, 1), GATEWAY_EXCEPTION_VALUE);
    assert_int_equal(check_quantity(15, 8, 2), GATEWAY_EXCEPTION_VALUE);
    assert_int_equal(check_quantity(16, 1, 2), GATEWAY_EXCEPTION_NONE);
    assert_int_equal(check_quantity(16, 123, 246), GATEWAY_EXCEPTION_NONE);
    assert_int_equal(check_quantity(16, 124, 248), GATEWAY_EXCEPTION_VALUE);
    assert_int_equal(check_quantity(16, 2, 2), GATEWAY_EXCEPTION_VALUE);
    /* A byte count that would be right modulo 256. */
    assert_int_equal(check_quantity(16, 129, 258), GATEWAY_EXCEPTION_VALUE);
}

static void byte_count_must_match_the_frame(void **state)
{
    (void)state;
    uint8_t pdu[16] = { 16, 0, 0, 0, 2, 4 };
    assert_int_equal(check(pdu, 10), GATEWAY_EXCEPTION_NONE);
    assert_int_equal(check(pdu, 9), GATEWAY_EXCEPTION_VALUE);
    assert_int_equal(check(pdu, 11), GATEWAY_EXCEPTION_VALUE);
    assert_int_equal(check(pdu, 5), GATEWAY_EXCEPTION_VALUE);
    assert_int_equal(check(pdu, 1), GATEWAY_EXCEPTION_VALUE);
}

static void read_write_multiple_is_a_write_with_two_quantities(void **state)
{
    (void)state;
    uint8_t pdu[GATEWAY_PDU_MAX] = { 23, 0, 7, 0, 125, 0, 9, 0, 121, 242 };
    struct gateway_pdu_facts facts;
    assert_int_equal(gateway_pdu_check(pdu, 252, &facts), GATEWAY_EXCEPTION_NONE);
    assert_int_equal(facts.access, GATEWAY_ACCESS_WRITE);
    assert_int_equal(facts.address, 9);
    assert_int_equal(facts.answer_length, 252);
    pdu[4] = 126;
    assert_int_equal(check(pdu, 252), GATEWAY_EXCEPTION_VALUE);
    pdu[4] = 0;
    assert_int_equal(check(pdu, 252), GATEWAY_EXCEPTION_VALUE);
    pdu[4] = 1;
    pdu[8] = 122;
    pdu[9] = 244;
    assert_int_equal(check(pdu, 253), GATEWAY_EXCEPTION_VALUE);
    pdu[8] = 0;
    pdu[9] = 0;
    assert_int_equal(check(pdu, 10), GATEWAY_EXCEPTION_VALUE);
}

static void single_coil_is_on_or_off(void **state)
{
    (void)state;
    uint8_t pdu[5] = { 5, 0, 1, 0xFF, 0 };
    assert_int_equal(check(pdu, 5), GATEWAY_EXCEPTION_NONE);
    pdu[3] = 0;
    assert_int_equal(check(pdu, 5), GATEWAY_EXCEPTION_NONE);
    pdu[4] = 1;
    assert_int_equal(check(pdu, 5), GATEWAY_EXCEPTION_VALUE);
    pdu[0] = 6;
    assert_int_equal(check(pdu, 5), GATEWAY_EXCEPTION_NONE);
    assert_int_equal(check(pdu, 4), GATEWAY_EXCEPTION_VALUE);
    uint8_t mask[8] = { 22 };
    assert_int_equal(check(mask, 7), GATEWAY_EXCEPTION_NONE);
    assert_int_equal(check(mask, 6), GATEWAY_EXCEPTION_VALUE);
    assert_int_equal(check(mask, 8), GATEWAY_EXCEPTION_VALUE);
}

static void every_other_function_is_illegal(void **state)
{
    (void)state;
    for (unsigned function = 0; function <= 255; function++) {
        bool passes = (function >= 1 && function <= 6) || function == 15 || function == 16 ||
                      function == 22 || function == 23;
        uint8_t pdu[GATEWAY_PDU_MAX] = { (uint8_t)function };
        assert_int_equal(check(pdu, sizeof(pdu)) == GATEWAY_EXCEPTION_FUNCTION, !passes);
    }
}

static void answer_must_fit_the_request(void **state)
{
    (void)state;
    uint8_t request[5] = { 3, 0, 0, 0, 2 };
    struct gateway_pdu_facts facts;
    assert_int_equal(gateway_pdu_check(request, 5, &facts), GATEWAY_EXCEPTION_NONE);
    uint8_t answer[8] = { 3, 4 };
    assert_true(gateway_pdu_answer_fits(&facts, answer, 6));
    assert_false(gateway_pdu_answer_fits(&facts, answer, 5));
    assert_false(gateway_pdu_answer_fits(&facts, answer, 8));
    answer[1] = 6;
    assert_false(gateway_pdu_answer_fits(&facts, answer, 6));
    answer[0] = 4;
    answer[1] = 4;
    assert_false(gateway_pdu_answer_fits(&facts, answer, 6));
    uint8_t exception[2];
    assert_int_equal(gateway_pdu_exception(3, 2, exception), 2);
    assert_int_equal(exception[0], 0x83);
    assert_true(gateway_pdu_answer_fits(&facts, exception, 2));
    exception[0] = 0x84;
    assert_false(gateway_pdu_answer_fits(&facts, exception, 2));
}

static void header_is_modbus_or_is_refused(void **state)
{
    (void)state;
    uint8_t adu[8] = { 0xAB, 0xCD, 0, 0, 0, 6, 1, 3 };
    for (size_t have = 0; have < 6; have++)
        assert_int_equal(gateway_adu_length(adu, have), 0);
    assert_int_equal(gateway_adu_length(adu, 6), 12);
    adu[5] = 254;
    assert_int_equal(gateway_adu_length(adu, 8), GATEWAY_ADU_MAX);
    adu[5] = 255;
    assert_int_equal(gateway_adu_length(adu, 8), -1);
    adu[5] = 1;
    assert_int_equal(gateway_adu_length(adu, 8), -1);
    adu[5] = 6;
    adu[4] = 1;
    assert_int_equal(gateway_adu_length(adu, 8), -1);
    adu[4] = 0;
    adu[3] = 1;
    assert_int_equal(gateway_adu_length(adu, 8), -1);
}

/* ---- fuzz: the same rules, written a second time, function by function */

static unsigned word(const uint8_t *at)
{
    return (unsigned)at[0] * 256 + at[1];
}

static bool oracle_passes(const uint8_t *pdu, size_t length)
{
    switch (pdu[0]) {
    case 1:
    case 2:
        return length == 5 && word(pdu + 3) >= 1 && word(pdu + 3) <= 2000;
    case 3:
    case 4:
        return length == 5 && word(pdu + 3) >= 1 && word(pdu + 3) <= 125;
    case 5:
        return length == 5 && (word(pdu + 3) == 0 || word(pdu + 3) == 0xFF00);
    case 6:
        return length == 5;
    case 15:
        return length >= 7 && word(pdu + 3) >= 1 && word(pdu + 3) <= 1968 &&
               pdu[5] == (word(pdu + 3) + 7) / 8 && length == 6u + pdu[5];
    case 16:
        return length >= 7 && word(pdu + 3) >= 1 && word(pdu + 3) <= 123 &&
               pdu[5] == word(pdu + 3) * 2 && length == 6u + pdu[5];
    case 22:
        return length == 7;
    case 23:
        return length >= 12 && word(pdu + 3) >= 1 && word(pdu + 3) <= 125 && word(pdu + 7) >= 1 &&
               word(pdu + 7) <= 121 && pdu[9] == word(pdu + 7) * 2 && length == 10u + pdu[9];
    default:
        return false;
    }
}

static bool oracle_writes(uint8_t function)
{
    return function == 5 || function == 6 || function == 15 || function == 16 || function == 22 ||
           function == 23;
}

static unsigned random_below(uint64_t *seed, unsigned limit)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*seed >> 33) % limit;
}

/* Random bytes, but half of the time with a function, a quantity and counts that nearly fit. */
static size_t random_request(uint64_t *seed, uint8_t *pdu)
{
    static const uint8_t known[] = { 1, 2, 3, 4, 5, 6, 15, 16, 22, 23 };
    size_t length = 1 + random_below(seed, GATEWAY_PDU_MAX);
    for (size_t i = 0; i < GATEWAY_PDU_MAX; i++)
        pdu[i] = (uint8_t)random_below(seed, 256);
    if (random_below(seed, 2) == 0)
        return length;
    pdu[0] = known[random_below(seed, sizeof(known))];
    pdu[3] = (uint8_t)random_below(seed, 2);
    size_t at = pdu[0] == 23 ? 9 : 5;
    if (pdu[0] == 23)
        pdu[3] = pdu[7] = 0;
    if (pdu[0] < 15 || pdu[0] == 22)
        return pdu[0] == 22 ? 6 + random_below(seed, 3) : 4 + random_below(seed, 3);
    unsigned quantity = word(pdu + at - 2);
    pdu[at] = (uint8_t)((pdu[0] == 15 ? (quantity + 7) / 8 : quantity * 2) +
                        (random_below(seed, 4) == 0));
    length = at + 1 + pdu[at] + (random_below(seed, 4) == 0);
    return length > GATEWAY_PDU_MAX ? GATEWAY_PDU_MAX : length;
}

static void fuzz_agrees_with_the_specification(void **state)
{
    (void)state;
    const char *given = getenv("HOLDFAST_SEED");
    uint64_t first = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    uint64_t seed = first;
    unsigned passed = 0;
    print_message("seed %llu (replay: HOLDFAST_SEED)\n", (unsigned long long)first);
    for (unsigned i = 0; i < FUZZ_FRAMES; i++) {
        uint8_t pdu[GATEWAY_PDU_MAX];
        size_t length = random_request(&seed, pdu);
        /* A copy of its exact size: reading past the end is seen by the address sanitizer. */
        uint8_t *exact = malloc(length);
        assert_non_null(exact);
        memcpy(exact, pdu, length);
        struct gateway_pdu_facts facts = { 0 };
        enum gateway_exception code = gateway_pdu_check(exact, length, &facts);
        assert_int_equal(code == GATEWAY_EXCEPTION_NONE, oracle_passes(exact, length));
        if (code == GATEWAY_EXCEPTION_NONE) {
            passed++;
            assert_int_equal(facts.access == GATEWAY_ACCESS_WRITE, oracle_writes(exact[0]));
            assert_in_range(facts.answer_length, 3, GATEWAY_PDU_MAX);
        }
        free(exact);
    }
    /* The fuzz must reach both sides to mean anything. */
    assert_in_range(passed, FUZZ_FRAMES / 20, FUZZ_FRAMES * 19 / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_pass_within_their_limits_only),
        cmocka_unit_test(multiple_writes_pass_within_their_limits_only),
        cmocka_unit_test(byte_count_must_match_the_frame),
        cmocka_unit_test(read_write_multiple_is_a_write_with_two_quantities),
        cmocka_unit_test(single_coil_is_on_or_off),
        cmocka_unit_test(every_other_function_is_illegal),
        cmocka_unit_test(answer_must_fit_the_request),
        cmocka_unit_test(header_is_modbus_or_is_refused),
        cmocka_unit_test(fuzz_agrees_with_the_specification),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
