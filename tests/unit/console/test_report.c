/* Reports: both forms come from the same calls. */
#include "console/report.h"

#include <string.h>

#include "tests/unit/support/unit.h"

static void fill(struct report *report, bool json)
{
    report_open(report, json);
    report_text(report, "node", "board-a");
    report_flag(report, "leader", true);
    report_list_open(report, "leases");
    report_row(report);
    report_text(report, "resource", "pump");
    report_token(report, "token", 18446744073709551615u);
    report_number(report, "left_ms", 742);
    report_row(report);
    report_text(report, "resource", "a-long-name");
    report_token(report, "token", 7);
    report_none(report, "left_ms");
    report_list_close(report);
    report_milli(report, "gap_ms", 12345);
    report_close(report);
}

static void json_is_one_object_on_one_line(void **state)
{
    (void)state;
    struct report report;
    fill(&report, true);
    assert_string_equal(report.out.data,
                        "{\"node\":\"board-a\",\"leader\":true,\"leases\":["
                        "{\"resource\":\"pump\",\"token\":18446744073709551615,\"left_ms\":742},"
                        "{\"resource\":\"a-long-name\",\"token\":7,\"left_ms\":null}],"
                        "\"gap_ms\":12.345}\n");
    text_free(&report.out);
}

static void table_is_aligned_and_shows_units(void **state)
{
    (void)state;
    struct report report;
    fill(&report, false);
    assert_string_equal(report.out.data, "node             board-a\n"
                                         "leader           yes\n"
                                         "\nleases:\n"
                                         "  resource     token                 left\n"
                                         "  pump         18446744073709551615  742 ms\n"
                                         "  a-long-name  7                     -\n"
                                         "gap              12.345 ms\n");
    text_free(&report.out);
}

/* Keys before the list and behind it are two listings; the unit of a key is no part of its name. */
static void column_of_keys_is_as_wide_as_the_longest_of_them(void **state)
{
    (void)state;
    struct report report;
    report_open(&report, false);
    report_text(&report, "node", "board-a");
    report_text(&report, "config_out_of_date", "issuer-9");
    report_milli(&report, "lateness_worst_of_all_ms", 1250);
    report_list_open(&report, "leases");
    report_list_close(&report);
    report_text(&report, "done", "pinned");
    report_close(&report);
    assert_string_equal(report.out.data, "node                  board-a\n"
                                         "config_out_of_date    issuer-9\n"
                                         "lateness_worst_of_all 1.250 ms\n"
                                         "\nleases:\n"
                                         "  none\n"
                                         "done             pinned\n");
    text_free(&report.out);
}

static void strings_are_escaped(void **state)
{
    (void)state;
    struct report report;
    report_open(&report, true);
    report_text(&report, "text", "a\"b\\c\n\x01");
    report_close(&report);
    assert_string_equal(report.out.data, "{\"text\":\"a\\\"b\\\\c\\u000a\\u0001\"}\n");
    text_free(&report.out);
}

static void empty_list_is_an_empty_array(void **state)
{
    (void)state;
    struct report report;
    report_open(&report, true);
    report_list_open(&report, "leases");
    report_list_close(&report);
    report_close(&report);
    assert_string_equal(report.out.data, "{\"leases\":[]}\n");
    text_free(&report.out);
}

static void long_text_is_not_cut(void **state)
{
    (void)state;
    struct text text = { 0 };
    char word[2001];
    memset(word, 'x', sizeof(word) - 1);
    word[2000] = '\0';
    for (int i = 0; i < 50; i++)
        text_print(&text, "%s;", word);
    assert_int_equal(text.length, 50 * 2001);
    assert_false(text.failed);
    assert_int_equal(strlen(text.data), text.length);
    text_free(&text);
}

static void negative_thousandths_keep_their_sign(void **state)
{
    (void)state;
    struct report report;
    report_open(&report, true);
    report_milli(&report, "slack_ms", -1);
    report_close(&report);
    assert_string_equal(report.out.data, "{\"slack_ms\":-0.001}\n");
    text_free(&report.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_one_object_on_one_line),
        cmocka_unit_test(table_is_aligned_and_shows_units),
        cmocka_unit_test(column_of_keys_is_as_wide_as_the_longest_of_them),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(empty_list_is_an_empty_array),
        cmocka_unit_test(long_text_is_not_cut),
        cmocka_unit_test(negative_thousandths_keep_their_sign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
