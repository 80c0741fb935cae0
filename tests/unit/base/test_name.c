/* Names: what is one, and that all of it counts. */
#include <string.h>

#include "base/name.h"
#include "tests/unit/support/unit.h"

static struct hf_name name_of(const char *text)
{
    struct hf_name name;
    assert_true(name_from_string(&name, text));
    assert_string_equal(name.text, text);
    return name;
}

/* One that is as long as a name may be. */
static void longest(char text[HF_NAME_MAX + 2])
{
    memset(text, 'n', HF_NAME_MAX);
    memset(text + HF_NAME_MAX, 0, 2);
}

static void a_name_has_letters_digits_and_a_few_signs_but_not_first(void **state)
{
    static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char alone[] = { (char)c };
        const char second[] = { 'n', (char)c };
        bool may_be = c != 0 && strchr(good, c) != NULL;
        struct hf_name name;
        assert_int_equal(name_set(&name, second, 2), may_be);
        assert_int_equal(name_empty(&name), !may_be);
        assert_int_equal(name_set(&name, alone, 1), may_be && c != '-' && c != '.');
    }
}

static void a_name_is_not_empty_and_not_too_long(void **state)
{
    char text[HF_NAME_MAX + 2];
    struct hf_name name;
    (void)state;
    longest(text);
    (void)name_of(text);
    text[HF_NAME_MAX] = 'n';
    assert_false(name_from_string(&name, text));
    assert_true(name_empty(&name));
    assert_false(name_from_string(&name, ""));
    assert_true(name_empty(&name));
}

static void every_character_of_a_name_tells_it_from_others(void **state)
{
    char text[HF_NAME_MAX + 2];
    (void)state;
    longest(text);
    struct hf_name name = name_of(text);
    for (size_t i = 0; i < HF_NAME_MAX; i++) {
        text[i] = 'o';
        struct hf_name other = name_of(text);
        assert_false(name_equal(&name, &other));
        assert_true(name_compare(&name, &other) < 0);
        text[i] = 'n';
        other = name_of(text);
        assert_true(name_equal(&name, &other));
        assert_int_equal(name_compare(&name, &other), 0);
    }
    for (size_t length = 1; length < HF_NAME_MAX; length++) {
        struct hf_name shorter;
        assert_true(name_set(&shorter, text, length));
        assert_false(name_equal(&name, &shorter));
        assert_true(name_compare(&shorter, &name) < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_has_letters_digits_and_a_few_signs_but_not_first),
        cmocka_unit_test(a_name_is_not_empty_and_not_too_long),
        cmocka_unit_test(every_character_of_a_name_tells_it_from_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
