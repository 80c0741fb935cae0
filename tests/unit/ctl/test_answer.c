/* The console's answers: a prompt at the start of a line ends one, wherever the bytes are cut. */
#include <stdio.h>
#include <string.h>

#include "ctl/answer.h"
#include "tests/unit/support/unit.h"

static const char session[] = "holdfast board-a console, role viewer\nholdfast> "
                              "resource  holder\npump\n\nnote: holdfast> is the prompt\nholdfas\n"
                              "holdfast> ";
static const char body[] = "resource  holder\npump\n\nnote: holdfast> is the prompt\nholdfas\n";

struct heard {
    struct ctl_answer answer;
    char out[512];
    char errors[512];
};

/* Feeds `text` in pieces of `size` bytes. */
static void feed(struct heard *heard, const char *text, size_t size)
{
    FILE *out = fmemopen(heard->out, sizeof(heard->out), "w");
    FILE *errors = fmemopen(heard->errors, sizeof(heard->errors), "w");
    ctl_answer_init(&heard->answer, out, errors);
    size_t length = strlen(text);
    for (size_t i = 0; i < length;) {
        size_t piece = length - i < size ? length - i : size;
        i += ctl_answer_take(&heard->answer, text + i, piece);
    }
    fclose(out);
    fclose(errors);
}

static void an_answer_is_the_same_however_its_bytes_are_cut(void **state)
{
    (void)state;
    for (size_t size = 1; size <= sizeof(session); size++) {
        struct heard heard = { 0 };
        feed(&heard, session, size);
        assert_int_equal(heard.answer.part, CTL_ANSWER_DONE);
        assert_true(heard.answer.greeted);
        assert_false(heard.answer.refused);
        assert_string_equal(heard.out, body);
        assert_string_equal(heard.errors, "");
    }
}

static void a_refusal_goes_to_the_errors(void **state)
{
    (void)state;
    struct heard heard = { 0 };
    feed(&heard, "holdfast a console, role viewer\nholdfast> ERR 403 operators only\nholdfast> ",
         7);
    assert_true(heard.answer.refused);
    assert_int_equal(heard.answer.part, CTL_ANSWER_DONE);
    assert_string_equal(heard.out, "");
    assert_string_equal(heard.errors, "ERR 403 operators only\n");
}

static void only_the_first_line_of_an_answer_is_a_refusal(void **state)
{
    (void)state;
    struct heard heard = { 0 };
    feed(&heard, "holdfast a console, role viewer\nholdfast> x\nERR 1 in a table\nholdfast> ", 9);
    assert_false(heard.answer.refused);
    assert_string_equal(heard.out, "x\nERR 1 in a table\n");
}

static void a_caller_turned_away_at_the_door_hears_why(void **state)
{
    (void)state;
    struct heard heard = { 0 };
    feed(&heard, "ERR 503 too many sessions\n", 4);
    assert_true(heard.answer.refused);
    assert_string_equal(heard.errors, "ERR 503 too many sessions\n");
}

static void a_command_written_wrong_is_told_from_one_that_is_refused(void **state)
{
    (void)state;
    struct heard wrong = { 0 };
    struct heard denied = { 0 };
    feed(&wrong, "holdfast a console, role viewer\nholdfast> ERR 400 usage: x\nholdfast> ", 1);
    assert_true(wrong.answer.refused && wrong.answer.misused);
    feed(&denied, "holdfast a console, role viewer\nholdfast> ERR 403 no\nholdfast> ", 1);
    assert_true(denied.answer.refused && !denied.answer.misused);
}

static void an_answer_that_says_to_ask_elsewhere_names_whom_and_where(void **state)
{
    (void)state;
    char node[32];
    char address[64];
    struct heard heard = { 0 };
    feed(&heard,
         "holdfast b console, role operator\nholdfast> ERR 421 acts are taken at the console "
         "of an issuer: ask issuer-1 at [::1]:7500\nholdfast> ",
         5);
    assert_true(heard.answer.refused && heard.answer.moved);
    assert_string_equal(heard.errors, "");
    assert_true(ctl_answer_elsewhere(&heard.answer, node, sizeof(node), address, sizeof(address)));
    assert_string_equal(node, "issuer-1");
    assert_string_equal(address, "[::1]:7500");
    feed(&heard,
         "holdfast b console, role operator\nholdfast> ERR 421 acts are taken at the console "
         "of an issuer, such as that of issuer-1\nholdfast> ",
         3);
    assert_false(ctl_answer_elsewhere(&heard.answer, node, sizeof(node), address, sizeof(address)));
    assert_string_equal(heard.answer.line,
                        "ERR 421 acts are taken at the console of an issuer, such "
                        "as that of issuer-1\n");
    feed(&heard, "holdfast b console, role operator\nholdfast> ERR 409 x: ask a at b\nholdfast> ",
         3);
    assert_false(ctl_answer_elsewhere(&heard.answer, node, sizeof(node), address, sizeof(address)));
}

static void another_service_is_not_taken_for_a_console(void **state)
{
    (void)state;
    struct heard heard = { 0 };
    feed(&heard, "220 mail.example.org ESMTP\nholdfast> ", 5);
    assert_false(heard.answer.greeted);
    assert_int_equal(heard.answer.part, CTL_ANSWER_BODY);
    assert_string_equal(heard.out, "");
}

static void an_answer_without_its_prompt_is_not_done(void **state)
{
    (void)state;
    struct heard heard = { 0 };
    feed(&heard, "holdfast a console, role viewer\nholdfast> one\ntwo\nholdfast>", 3);
    assert_int_equal(heard.answer.part, CTL_ANSWER_BODY);
    assert_string_equal(heard.out, "one\ntwo\n");
}

/* Whoever answers can't move the cursor, set the window's title, or hide a line. */
static void what_commands_a_terminal_is_not_let_out(void **state)
{
    (void)state;
    static const char said[] = "holdfast a console, role viewer\nholdfast> "
                               "a\x1b]0;x\x07\tb\r\x7f\n" /* C0, DEL */
                               "c\xc2\x9b"
                               "31m\x9b"
                               "1m\n"                                   /* C1, in both ways */
                               "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n" /* characters */
                               "\xc0\x9b\xe0\x82\x9b\xed\xa0\x80\xe2\x82\n\xf5\xff\n" /* none */
                               "\xe2\x80\xae"
                               "b\xe2\x81\xa9\n" /* right to left, and its end */
                               "holdfast> ";
    for (size_t size = 1; size <= sizeof(said); size++) {
        struct heard heard = { 0 };
        feed(&heard, said, size);
        assert_int_equal(heard.answer.part, CTL_ANSWER_DONE);
        assert_string_equal(heard.out, "a\\x1b]0;x\\x07\tb\\x0d\\x7f\n"
                                       "c\\xc2\\x9b31m\\x9b1m\n"
                                       "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n"
                                       "\\xc0\\x9b\\xe0\\x82\\x9b\\xed\\xa0\\x80\\xe2\\x82\n"
                                       "\\xf5\\xff\n"
                                       "\\xe2\\x80\\xaeb\\xe2\\x81\\xa9\n");
    }
}

static void neither_is_it_in_a_refusal(void **state)
{
    (void)state;
    struct heard heard = { 0 };
    feed(&heard, "holdfast a console, role viewer\nholdfast> ERR 403 \x1b[2J\nholdfast> ", 5);
    assert_string_equal(heard.errors, "ERR 403 \\x1b[2J\n");
}

static void nobody_is_asked_at_an_address_that_is_no_plain_text(void **state)
{
    (void)state;
    static const char *const said[] = {
        "holdfast b console, role operator\nholdfast> ERR 421 acts: ask a\x1b at h:1\nholdfast> ",
        "holdfast b console, role operator\nholdfast> ERR 421 acts: ask a at h\x1b:1\nholdfast> ",
        "holdfast b console, role operator\nholdfast> ERR 421 acts: ask a at "
        "\xc2\x9b:1\nholdfast> ",
    };
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        struct heard heard = { 0 };
        char node[32];
        char address[64];
        feed(&heard, said[i], 9);
        assert_true(heard.answer.moved);
        assert_false(
            ctl_answer_elsewhere(&heard.answer, node, sizeof(node), address, sizeof(address)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_the_same_however_its_bytes_are_cut),
        cmocka_unit_test(a_refusal_goes_to_the_errors),
        cmocka_unit_test(only_the_first_line_of_an_answer_is_a_refusal),
        cmocka_unit_test(a_caller_turned_away_at_the_door_hears_why),
        cmocka_unit_test(a_command_written_wrong_is_told_from_one_that_is_refused),
        cmocka_unit_test(an_answer_that_says_to_ask_elsewhere_names_whom_and_where),
        cmocka_unit_test(another_service_is_not_taken_for_a_console),
        cmocka_unit_test(an_answer_without_its_prompt_is_not_done),
        cmocka_unit_test(what_commands_a_terminal_is_not_let_out),
        cmocka_unit_test(neither_is_it_in_a_refusal),
        cmocka_unit_test(nobody_is_asked_at_an_address_that_is_no_plain_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
