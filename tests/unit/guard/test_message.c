/* Messages between agent and guard: what is well formed, and what is refused. */
#include <string.h>

#include "guard/guard_message.h"
#include "tests/unit/support/unit.h"

static struct guard_message good(enum guard_message_kind kind)
{
    struct guard_message message;
    guard_message_init(&message, kind);
    assert_true(name_from_string(&message.name, "pump"));
    return message;
}

static void every_kind_is_taken(void **state)
{
    (void)state;
    for (int kind = GUARD_HELLO; kind < GUARD_MESSAGE_KINDS; kind++) {
        struct guard_message message = good((enum guard_message_kind)kind);
        assert_null(guard_message_check(&message, sizeof(message)));
    }
}

static void every_other_size_is_refused(void **state)
{
    struct guard_message two[2] = { good(GUARD_PERMIT), good(GUARD_PERMIT) };
    (void)state;
    for (size_t size = 0; size <= sizeof(two); size++) {
        if (size != sizeof(two[0]))
            assert_string_equal(guard_message_check(two, size), "wrong size");
    }
}

static void damaged_fields_are_refused_by_name(void **state)
{
    struct guard_message message = good(GUARD_STATUS);
    size_t size = sizeof(message);
    (void)state;
    message.magic++;
    assert_string_equal(guard_message_check(&message, size), "wrong magic");
    message = good(GUARD_STATUS);
    message.version++;
    assert_string_equal(guard_message_check(&message, size), "another protocol version");
    message = good(GUARD_STATUS);
    message.kind = 0;
    assert_string_equal(guard_message_check(&message, size), "unknown kind");
    message.kind = GUARD_MESSAGE_KINDS;
    assert_string_equal(guard_message_check(&message, size), "unknown kind");
    message = good(GUARD_STATUS);
    message.state = GUARD_STATES;
    assert_string_equal(guard_message_check(&message, size), "unknown state");
    message = good(GUARD_STATUS);
    message.fault = GUARD_FAULTS;
    assert_string_equal(guard_message_check(&message, size), "unknown fault");
    message = good(GUARD_REFUSED);
    message.refusal = GUARD_REFUSALS;
    assert_string_equal(guard_message_check(&message, size), "unknown refusal");
    message = good(GUARD_STATUS);
    message.output_count = HF_OUTPUTS_MAX + 1;
    assert_non_null(guard_message_check(&message, size));
    message = good(GUARD_PERMIT);
    message.deadline_us = -1;
    assert_non_null(guard_message_check(&message, size));
}

static void name_must_be_one_terminated_and_padded(void **state)
{
    struct guard_message message = good(GUARD_PERMIT);
    const char *wrong = "name that is no name";
    (void)state;
    memset(&message.name, 0, sizeof(message.name));
    assert_string_equal(guard_message_check(&message, sizeof(message)), wrong);
    memset(&message.name, 'a', sizeof(message.name));
    assert_string_equal(guard_message_check(&message, sizeof(message)), wrong);
    message = good(GUARD_PERMIT);
    message.name.text[10] = 'x';
    assert_string_equal(guard_message_check(&message, sizeof(message)), wrong);
    message = good(GUARD_PERMIT);
    message.name.text[1] = '/';
    assert_string_equal(guard_message_check(&message, sizeof(message)), wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_taken),
        cmocka_unit_test(every_other_size_is_refused),
        cmocka_unit_test(damaged_fields_are_refused_by_name),
        cmocka_unit_test(name_must_be_one_terminated_and_padded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
