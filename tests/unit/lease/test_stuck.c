/* Outputs stuck on, in the replicated table: what holds a resource, and what lets it go. */
#include <stdio.h>
#include <string.h>

#include "lease/lease_message.h"
#include "lease/replica.h"
#include "lease/table.h"
#include "tests/unit/support/unit.h"

static struct lease_table table;
static struct lease_table other;
static uint8_t bytes[REPLICA_SNAPSHOT_MAX];
static uint64_t next_index;

static struct hf_name name(const char *text)
{
    struct hf_name result;
    assert_true(name_from_string(&result, text));
    return result;
}

static struct table_change apply(enum lease_command_kind kind, const char *resource,
                                 const char *board, bool go)
{
    struct lease_command command = {
        .kind = kind, .resource = name(resource), .go = go, .who = name("issuer-1"), .wall_us = 77
    };
    if (board)
        command.holder = name(board);
    if (kind == LEASE_COMMAND_GRANT) {
        command.ttl_us = 1000000;
        command.fence_us = 20000;
    }
    return lease_table_apply(&table, next_index++, &command);
}

static const struct stuck_row *row(const char *resource, const char *board)
{
    struct hf_name of = name(resource);
    struct hf_name by = name(board);
    return stuck_find(&table.stuck, &of, &by);
}

static bool held(const char *resource)
{
    struct hf_name of = name(resource);
    return stuck_holds(&table.stuck, &of) != NULL;
}

static const struct history_event *last_event(void)
{
    return &table.history[(table.history_total - 1) % HF_HISTORY_MAX];
}

static int set_up(void **state)
{
    (void)state;
    lease_table_init(&table);
    next_index = 1;
    return 0;
}

static void nobody_is_granted_what_is_held(void **state)
{
    (void)state;
    struct table_change change = apply(LEASE_COMMAND_STUCK, "pump", "a", false);
    assert_true(change.done);
    assert_int_equal(last_event()->kind, HISTORY_FAULT);
    assert_string_equal(last_event()->holder.text, "a");
    assert_int_equal(row("pump", "a")->wall_us, 77);
    assert_false(apply(LEASE_COMMAND_GRANT, "pump", "b", false).done);
    assert_false(apply(LEASE_COMMAND_GRANT, "pump", "a", false).done);
    assert_true(apply(LEASE_COMMAND_GRANT, "fan", "b", false).done);
}

static void the_policy_may_grant_beside_it(void **state)
{
    (void)state;
    apply(LEASE_COMMAND_STUCK, "pump", "a", false);
    assert_true(apply(LEASE_COMMAND_GRANT, "pump", "b", true).done);
    assert_true(held("pump"));
}

static void an_operator_lets_go_of_the_board_that_he_names(void **state)
{
    (void)state;
    apply(LEASE_COMMAND_STUCK, "pump", "a", false);
    apply(LEASE_COMMAND_STUCK, "pump", "b", false);
    apply(LEASE_COMMAND_STUCK, "fan", "a", false);
    struct table_change change = apply(LEASE_COMMAND_CLEAR, "pump", "a", true);
    assert_true(change.done);
    assert_int_equal(last_event()->kind, HISTORY_OPERATOR);
    assert_string_equal(last_event()->holder.text, "a");
    assert_true(row("pump", "a")->let_go && !row("pump", "b")->let_go);
    assert_true(held("pump") && held("fan"));
    assert_false(apply(LEASE_COMMAND_GRANT, "pump", "c", false).done);
    assert_true(apply(LEASE_COMMAND_CLEAR, "pump", "b", true).done);
    assert_true(!held("pump") && held("fan"));
    assert_true(apply(LEASE_COMMAND_GRANT, "pump", "c", false).done);
    assert_false(apply(LEASE_COMMAND_CLEAR, "pump", "b", true).done);
    assert_false(apply(LEASE_COMMAND_CLEAR, "pump", "c", true).done);
}

static void what_was_let_go_is_not_held_by_the_same_word_again(void **state)
{
    (void)state;
    apply(LEASE_COMMAND_STUCK, "pump", "a", false);
    apply(LEASE_COMMAND_CLEAR, "pump", "a", true);
    assert_false(apply(LEASE_COMMAND_STUCK, "pump", "a", false).done);
    assert_false(held("pump"));
    /* Off in between: it is another fault. */
    assert_true(apply(LEASE_COMMAND_CLEAR, "pump", "a", false).done);
    assert_true(apply(LEASE_COMMAND_STUCK, "pump", "a", false).done);
    assert_true(held("pump"));
}

/* It asked with its outputs off: what sticks in its next drive is another fault, and held again. */
static void a_grant_to_that_board_ends_what_was_let_go(void **state)
{
    (void)state;
    apply(LEASE_COMMAND_STUCK, "pump", "a", false);
    apply(LEASE_COMMAND_CLEAR, "pump", "a", true);
    assert_true(apply(LEASE_COMMAND_GRANT, "pump", "a", false).done);
    assert_null(row("pump", "a"));
    assert_true(apply(LEASE_COMMAND_STUCK, "pump", "a", false).done);
    assert_true(held("pump"));
}

static void clearing_at_one_board_does_not_let_go_of_another(void **state)
{
    (void)state;
    apply(LEASE_COMMAND_STUCK, "pump", "a", false);
    apply(LEASE_COMMAND_STUCK, "pump", "b", false);
    struct table_change change = apply(LEASE_COMMAND_CLEAR, "pump", "a", false);
    assert_true(change.done);
    assert_int_equal(last_event()->kind, HISTORY_FAULT);
    assert_true(held("pump") && !row("pump", "a"));
    assert_true(apply(LEASE_COMMAND_CLEAR, "pump", "b", false).done);
    assert_false(held("pump"));
    assert_false(apply(LEASE_COMMAND_CLEAR, "pump", "b", false).done);
}

static void a_row_that_is_removed_takes_what_held_it_along(void **state)
{
    (void)state;
    apply(LEASE_COMMAND_STUCK, "pump", "a", false);
    apply(LEASE_COMMAND_STUCK, "fan", "a", false);
    apply(LEASE_COMMAND_STUCK, "pump", "b", false);
    assert_true(apply(LEASE_COMMAND_REMOVE, "pump", NULL, false).done);
    assert_true(held("fan") && !held("pump"));
    assert_int_equal(table.stuck.count, 1);
}

static void ends_of_leases_are_not_held(void **state)
{
    (void)state;
    apply(LEASE_COMMAND_GRANT, "pump", "a", false);
    apply(LEASE_COMMAND_STUCK, "pump", "a", false);
    struct lease_command end = {
        .kind = LEASE_COMMAND_EXPIRE, .resource = name("pump"), .holder = name("a"), .token = 1
    };
    assert_true(lease_table_apply(&table, next_index++, &end).done);
}

static void fill(bool let_go)
{
    char board[HF_NAME_MAX + 1];
    for (int i = 0; i < HF_STUCK_MAX; i++) {
        snprintf(board, sizeof(board), "board-%02d-%022d", i % 100, 0);
        assert_true(stuck_has_room(&table.stuck));
        assert_true(apply(LEASE_COMMAND_STUCK, "pump", board, false).done);
    }
    for (uint32_t i = 0; let_go && i < table.stuck.count; i++)
        apply(LEASE_COMMAND_CLEAR, "pump", table.stuck.row[i].board.text, true);
}

static void a_full_list_takes_the_place_of_what_was_let_go_only(void **state)
{
    (void)state;
    fill(false);
    assert_false(stuck_has_room(&table.stuck));
    assert_false(apply(LEASE_COMMAND_STUCK, "fan", "z", false).done);
    apply(LEASE_COMMAND_CLEAR, "pump", table.stuck.row[7].board.text, true);
    assert_true(stuck_has_room(&table.stuck));
    assert_true(apply(LEASE_COMMAND_STUCK, "fan", "z", false).done);
    assert_true(held("fan"));
    assert_int_equal(table.stuck.count, HF_STUCK_MAX);
}

static void come_back(void)
{
    size_t length = lease_table_encode(&table, bytes, sizeof(bytes));
    assert_true(length > 0 && length <= lease_table_encoded_max());
    assert_true(lease_table_decode(&other, (struct bytes){ bytes, length }));
    assert_int_equal(other.stuck.count, table.stuck.count);
    assert_memory_equal(other.stuck.row, table.stuck.row,
                        table.stuck.count * sizeof(table.stuck.row[0]));
    assert_int_equal(other.unknown_us, table.unknown_us);
    assert_int_equal(other.history_total, table.history_total);
    for (size_t cut = length > 200 ? length - 200 : 0; cut < length; cut++)
        assert_false(lease_table_decode(&other, (struct bytes){ bytes, cut }));
}

static void a_snapshot_and_a_restore_keep_it(void **state)
{
    (void)state;
    apply(LEASE_COMMAND_GRANT, "pump", "a", false);
    apply(LEASE_COMMAND_STUCK, "pump", "a", false);
    apply(LEASE_COMMAND_CLEAR, "pump", "a", true);
    apply(LEASE_COMMAND_STUCK, "fan", "b", false);
    come_back();
    lease_table_restore(&table, next_index++, 5000000, 1);
    assert_true(held("fan") && !held("pump") && row("pump", "a"));
    come_back();
    assert_true(table.unknown_us > 0);
}

static void the_fullest_list_fits_into_a_snapshot(void **state)
{
    (void)state;
    fill(true);
    come_back();
}

static void bytes_that_are_no_list_are_refused(void **state)
{
    (void)state;
    struct stuck_list list;
    uint8_t raw[STUCK_ENCODED_MAX];
    apply(LEASE_COMMAND_STUCK, "pump", "a", false);
    apply(LEASE_COMMAND_STUCK, "fan", "b", false);
    size_t length = stuck_encode(&table.stuck, raw);
    assert_int_equal(stuck_decode(&list, (struct bytes){ raw, length }), length);
    for (size_t cut = 0; cut < length; cut++)
        assert_int_equal(stuck_decode(&list, (struct bytes){ raw, cut }), 0);
    raw[4 + STUCK_ROW_BYTES - 1] = 2;
    assert_int_equal(stuck_decode(&list, (struct bytes){ raw, length }), 0);
    raw[4 + STUCK_ROW_BYTES - 1] = 0;
    raw[4] = '-';
    assert_int_equal(stuck_decode(&list, (struct bytes){ raw, length }), 0);
    memcpy(raw + 4, raw + 4 + STUCK_ROW_BYTES, STUCK_ROW_BYTES);
    assert_int_equal(stuck_decode(&list, (struct bytes){ raw, length }), 0);
    raw[3] = HF_STUCK_MAX + 1;
    assert_int_equal(stuck_decode(&list, (struct bytes){ raw, sizeof(raw) }), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nobody_is_granted_what_is_held, set_up),
        cmocka_unit_test_setup(the_policy_may_grant_beside_it, set_up),
        cmocka_unit_test_setup(an_operator_lets_go_of_the_board_that_he_names, set_up),
        cmocka_unit_test_setup(what_was_let_go_is_not_held_by_the_same_word_again, set_up),
        cmocka_unit_test_setup(a_grant_to_that_board_ends_what_was_let_go, set_up),
        cmocka_unit_test_setup(clearing_at_one_board_does_not_let_go_of_another, set_up),
        cmocka_unit_test_setup(a_row_that_is_removed_takes_what_held_it_along, set_up),
        cmocka_unit_test_setup(ends_of_leases_are_not_held, set_up),
        cmocka_unit_test_setup(a_full_list_takes_the_place_of_what_was_let_go_only, set_up),
        cmocka_unit_test_setup(a_snapshot_and_a_restore_keep_it, set_up),
        cmocka_unit_test_setup(the_fullest_list_fits_into_a_snapshot, set_up),
        cmocka_unit_test_setup(bytes_that_are_no_list_are_refused, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
