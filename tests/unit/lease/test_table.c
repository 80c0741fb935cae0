/* The replicated table: commands are checked when applied, and snapshots carry all of it. */
#include <stdio.h>
#include <string.h>

#include "lease/lease_message.h"
#include "lease/replica.h"
#include "lease/table.h"
#include "tests/unit/support/unit.h"

enum { DIRT = 0xa5 }; /* what memory holds that no start has cleared */

static struct lease_table table;
static struct lease_table other;
static uint8_t bytes[REPLICA_SNAPSHOT_MAX];

static struct hf_name name(const char *text)
{
    struct hf_name result;
    assert_true(name_from_string(&result, text));
    return result;
}

static struct lease_command command(enum lease_command_kind kind, const char *resource,
                                    const char *holder, uint64_t token)
{
    struct lease_command result;
    memset(&result, 0, sizeof(result));
    result.kind = kind;
    result.resource = name(resource);
    if (holder)
        result.holder = name(holder);
    result.token = token;
    result.who = name("issuer-1");
    if (kind == LEASE_COMMAND_GRANT) {
        result.ttl_us = 1000000;
        result.fence_us = 20000;
    }
    return result;
}

static struct table_change apply(uint64_t index, struct lease_command what)
{
    return lease_table_apply(&table, index, &what);
}

static const struct lease_record *pump(void)
{
    struct hf_name resource = name("pump");
    int found = lease_table_find(&table, &resource);
    assert_true(found >= 0);
    return &table.record[found];
}

static int set_up(void **state)
{
    (void)state;
    memset(&table, DIRT, sizeof(table));
    lease_table_init(&table);
    return 0;
}

static const struct history_event *last_event(void)
{
    return &table.history[(table.history_total - 1) % HF_HISTORY_MAX];
}

static void token_is_the_log_index(void **state)
{
    (void)state;
    struct table_change change = apply(7, command(LEASE_COMMAND_GRANT, "pump", "a", 0));
    assert_true(change.done);
    assert_int_equal(pump()->token, 7);
    assert_int_equal(pump()->last_token, 7);
    assert_int_equal(last_event()->kind, HISTORY_GRANT);
    assert_int_equal(last_event()->token, 7);
}

static void s2_tokens_rise_across_release_expiry_and_restored_snapshots(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (uint64_t index = 1; index < 300; index += 3) {
        apply(index, command(LEASE_COMMAND_GRANT, "pump", "a", 0));
        assert_true(pump()->token > last);
        last = pump()->token;
        struct lease_command end =
            command(index % 2 ? LEASE_COMMAND_RELEASE : LEASE_COMMAND_EXPIRE, "pump", "a", last);
        end.fenced = index % 2;
        assert_true(apply(index + 1, end).done);
        assert_int_equal(pump()->token, 0);
        assert_int_equal(pump()->last_token, last);
        size_t length = lease_table_encode(&table, bytes, sizeof(bytes));
        assert_true(length > 0);
        assert_true(lease_table_decode(&table, (struct bytes){ bytes, length }));
    }
}

static void grant_is_a_compare_and_set_on_the_current_token(void **state)
{
    (void)state;
    apply(1, command(LEASE_COMMAND_GRANT, "pump", "a", 0));
    assert_false(apply(2, command(LEASE_COMMAND_GRANT, "pump", "b", 0)).done);
    assert_false(apply(3, command(LEASE_COMMAND_GRANT, "pump", "b", 9)).done);
    assert_true(apply(4, command(LEASE_COMMAND_GRANT, "pump", "b", 1)).done);
    assert_false(apply(5, command(LEASE_COMMAND_GRANT, "pump", "c", 1)).done);
    assert_int_equal(pump()->token, 4);
    assert_string_equal(pump()->holder.text, "b");
    assert_int_equal(table.applied, 5);
}

static void replacing_a_lease_leaves_an_expiry_and_a_grant_in_the_history(void **state)
{
    (void)state;
    apply(1, command(LEASE_COMMAND_GRANT, "pump", "a", 0));
    apply(2, command(LEASE_COMMAND_GRANT, "pump", "b", 1));
    assert_int_equal(table.history_total, 3);
    assert_int_equal(table.history[1].kind, HISTORY_EXPIRE);
    assert_string_equal(table.history[1].holder.text, "a");
    assert_int_equal(table.history[1].token, 1);
    assert_int_equal(table.history[2].kind, HISTORY_GRANT);
    assert_string_equal(table.history[2].holder.text, "b");
    assert_int_equal(table.history[2].token, 2);
}

static void release_must_match_holder_and_token(void **state)
{
    (void)state;
    apply(1, command(LEASE_COMMAND_GRANT, "pump", "a", 0));
    struct lease_command release = command(LEASE_COMMAND_RELEASE, "pump", "b", 1);
    release.fenced = true;
    assert_false(apply(2, release).done);
    release.holder = name("a");
    release.token = 2;
    assert_false(apply(3, release).done);
    release.token = 1;
    assert_true(apply(4, release).done);
    assert_int_equal(pump()->token, 0);
    assert_false(apply(5, release).done);
}

static void expiry_must_match_holder_and_token(void **state)
{
    (void)state;
    apply(1, command(LEASE_COMMAND_GRANT, "pump", "a", 0));
    assert_false(apply(2, command(LEASE_COMMAND_EXPIRE, "pump", "b", 1)).done);
    assert_false(apply(3, command(LEASE_COMMAND_EXPIRE, "pump", "a", 3)).done);
    assert_false(apply(4, command(LEASE_COMMAND_EXPIRE, "fan", "a", 1)).done);
    assert_true(apply(5, command(LEASE_COMMAND_EXPIRE, "pump", "a", 1)).done);
}

static void unfenced_release_leaves_the_lease_abandoned_in_place(void **state)
{
    (void)state;
    apply(1, command(LEASE_COMMAND_GRANT, "pump", "a", 0));
    struct lease_command release = command(LEASE_COMMAND_RELEASE, "pump", "a", 1);
    assert_true(apply(2, release).done);
    assert_int_equal(pump()->token, 1);
    assert_true(pump()->abandoned);
    assert_false(apply(3, command(LEASE_COMMAND_GRANT, "pump", "b", 0)).done);
    assert_false(apply(4, release).done);
    release.fenced = true;
    assert_true(apply(5, release).done);
    assert_false(pump()->abandoned);
    assert_int_equal(pump()->token, 0);
}

static void pin_refuses_grants_to_others_when_applied(void **state)
{
    (void)state;
    struct lease_command pin = command(LEASE_COMMAND_PIN, "pump", "b", 0);
    pin.pinned = true;
    assert_true(apply(1, pin).done);
    assert_false(apply(2, command(LEASE_COMMAND_GRANT, "pump", "a", 0)).done);
    assert_true(apply(3, command(LEASE_COMMAND_GRANT, "pump", "b", 0)).done);
    memset(&pin.holder, 0, sizeof(pin.holder));
    apply(4, pin);
    assert_false(apply(5, command(LEASE_COMMAND_GRANT, "pump", "b", 3)).done);
    pin.pinned = false;
    apply(6, pin);
    assert_true(apply(7, command(LEASE_COMMAND_GRANT, "pump", "a", 3)).done);
    assert_int_equal(pump()->last_token, 7);
}

static void a_row_is_removed_only_if_it_is_free_and_not_pinned(void **state)
{
    (void)state;
    struct lease_command pin = command(LEASE_COMMAND_PIN, "pump", NULL, 0);
    struct lease_command remove = command(LEASE_COMMAND_REMOVE, "pump", NULL, 0);
    struct hf_name resource = name("pump");
    pin.pinned = true;
    assert_true(apply(1, command(LEASE_COMMAND_GRANT, "pump", "a", 0)).done);
    assert_true(apply(2, command(LEASE_COMMAND_GRANT, "fan", "a", 0)).done);
    struct table_change change = apply(3, remove); /* overtaken by a grant */
    assert_false(change.done || change.removed || table.history_total != 2);
    assert_true(apply(4, command(LEASE_COMMAND_EXPIRE, "pump", "a", 1)).done);
    assert_true(apply(5, pin).done);
    assert_false(apply(6, remove).done);
    pin.pinned = false;
    assert_true(apply(7, pin).done);
    change = apply(8, remove);
    assert_true(change.done && change.removed && last_event()->index == 8);
    assert_int_equal(change.record, -1);
    assert_int_equal(lease_table_find(&table, &resource), -1);
    assert_int_equal(table.count, 1);
    assert_string_equal(table.record[0].resource.text, "fan");
    assert_false(apply(9, remove).done);
    /* S2: what is granted after it has a higher token all the same. */
    assert_true(apply(10, command(LEASE_COMMAND_GRANT, "pump", "b", 0)).done);
    assert_int_equal(pump()->token, 10);
}

static void history_keeps_the_last_events(void **state)
{
    (void)state;
    struct lease_command note = command(LEASE_COMMAND_NOTE, "pump", "a", 0);
    note.event = HISTORY_REFUSAL;
    for (uint64_t i = 1; i <= HF_HISTORY_MAX + 10; i++)
        assert_true(apply(i, note).done);
    assert_int_equal(table.history_total, HF_HISTORY_MAX + 10);
    assert_int_equal(table.history[9].index, HF_HISTORY_MAX + 10);
    assert_int_equal(table.history[10].index, 11);
    assert_int_equal(table.count, 0);
}

static void long_name(struct hf_name *out, char first, unsigned number)
{
    char text[HF_NAME_MAX + 1];
    memset(text, first, sizeof(text));
    snprintf(text + HF_NAME_MAX - 4, 5, "%04u", number % 10000);
    assert_true(name_set(out, text, HF_NAME_MAX));
}

static void fill_to_the_brim(void)
{
    struct lease_command what = command(LEASE_COMMAND_GRANT, "x", "a", 0);
    uint64_t index = UINT64_C(1) << 60;
    memset(what.address, 'h', HF_ADDRESS_MAX);
    memset(what.text, 't', HF_REASON_MAX);
    long_name(&what.holder, 'b', 1);
    long_name(&what.who, 'w', 1);
    long_name(&what.via, 'v', 1);
    what.unproven = true;
    what.ttl_us = LEASE_TTL_MAX_US;
    what.fence_us = LEASE_FENCE_MAX_US;
    what.wall_us = INT64_MAX;
    what.priority = -LEASE_PRIORITY_MAX;
    what.ranked = what.transferred = true;
    for (unsigned i = 0; i < HF_RESOURCES_MAX; i++) {
        what.kind = LEASE_COMMAND_GRANT;
        what.pinned = false;
        long_name(&what.resource, 'r', i);
        assert_true(apply(++index, what).done);
        what.kind = LEASE_COMMAND_PIN;
        what.pinned = true;
        assert_true(apply(++index, what).done);
    }
    long_name(&what.resource, 'r', 5000);
    what.kind = LEASE_COMMAND_GRANT;
    assert_false(apply(++index, what).done);
    what.kind = LEASE_COMMAND_PIN;
    assert_false(apply(++index, what).done);
}

static void every_part_of_a_record_is_in_a_snapshot(void **state)
{
    (void)state;
    struct lease_command what = command(LEASE_COMMAND_GRANT, "pump", "a", 0);
    what.priority = -7;
    what.ranked = what.transferred = true;
    apply(1, what);
    apply(2, command(LEASE_COMMAND_RELEASE, "pump", "a", 1));
    what = command(LEASE_COMMAND_PIN, "pump", "b", 0);
    what.pinned = true;
    apply(3, what);
    apply(4, command(LEASE_COMMAND_GRANT, "fan", "b", 0));
    what = command(LEASE_COMMAND_EXPIRE, "fan", "b", 4);
    what.payer = what.holder;
    apply(5, what);
    assert_string_equal(table.record[1].payer.text, "b");
    assert_true(pump()->abandoned && pump()->pinned);
    assert_true(pump()->priority == -7 && pump()->ranked && pump()->transferred);
    size_t length = lease_table_encode(&table, bytes, sizeof(bytes));
    assert_true(lease_table_decode(&other, (struct bytes){ bytes, length }));
    assert_int_equal(other.count, 2);
    assert_memory_equal(other.record, table.record, 2 * sizeof(table.record[0]));
}

static void full_table_fits_into_the_snapshot_bound(void **state)
{
    (void)state;
    fill_to_the_brim();
    assert_int_equal(table.count, HF_RESOURCES_MAX);
    assert_true(lease_table_encoded_max() <= REPLICA_SNAPSHOT_MAX);
    size_t length = lease_table_encode(&table, bytes, sizeof(bytes));
    assert_true(length > 0 && length <= lease_table_encoded_max());
    assert_int_equal(lease_table_encode(&table, bytes, lease_table_encoded_max() - 1), 0);
    assert_true(lease_table_decode(&other, (struct bytes){ bytes, length }));
    assert_int_equal(other.applied, table.applied);
    assert_int_equal(other.count, table.count);
    assert_int_equal(other.history_total, table.history_total);
    assert_memory_equal(other.record, table.record, sizeof(table.record));
    assert_memory_equal(other.history, table.history, sizeof(table.history));
}

static void an_empty_table_touches_no_record_and_no_event(void **state)
{
    (void)state;
    const uint8_t *records = (const uint8_t *)table.record;
    const uint8_t *events = (const uint8_t *)table.history;
    for (size_t at = 0; at < sizeof(table.record); at++)
        assert_int_equal(records[at], DIRT);
    for (size_t at = 0; at < sizeof(table.history); at++)
        assert_int_equal(events[at], DIRT);
}

static void damaged_snapshot_is_refused_whole(void **state)
{
    (void)state;
    apply(1, command(LEASE_COMMAND_GRANT, "pump", "a", 0));
    apply(2, command(LEASE_COMMAND_GRANT, "fan", "b", 0));
    size_t length = lease_table_encode(&table, bytes, sizeof(bytes));
    for (size_t at = 0; at < length; at++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1 << bit);
            assert_false(lease_table_decode(&other, (struct bytes){ bytes, length }));
            assert_int_equal(other.count, 0);
            bytes[at] ^= (uint8_t)(1 << bit);
        }
        assert_false(lease_table_decode(&other, (struct bytes){ bytes, at }));
    }
    assert_true(lease_table_decode(&other, (struct bytes){ bytes, length }));
}

static void s2_a_snapshot_with_a_token_beyond_its_index_is_refused(void **state)
{
    (void)state;
    apply(7, command(LEASE_COMMAND_GRANT, "pump", "a", 0));
    table.applied = 6;
    size_t length = lease_table_encode(&table, bytes, sizeof(bytes));
    assert_false(lease_table_decode(&other, (struct bytes){ bytes, length }));
}

/* What a restore makes of it: nobody holds anything, and how long that is doubtful. */
static void a_restored_table_is_free_and_held_off_until_a_settled_grant(void **state)
{
    (void)state;
    apply(1, command(LEASE_COMMAND_GRANT, "pump", "a", 0));
    struct lease_command pin = command(LEASE_COMMAND_PIN, "fan", NULL, 0);
    pin.pinned = true;
    apply(2, pin);
    lease_table_restore(&table, 5000, 7000000, 12345);
    assert_int_equal(table.applied, 5000);
    assert_true(name_empty(&pump()->holder));
    assert_int_equal(pump()->token, 0);
    assert_int_equal(pump()->last_token, 1);
    assert_true(table.record[1].pinned);
    const struct history_event *event = &table.history[table.history_total - 1];
    assert_int_equal(event->index, 5000);
    assert_int_equal(event->wall_us, 12345);
    assert_string_equal(event->who.text, "restore");
    size_t length = lease_table_encode(&table, bytes, sizeof(bytes));
    assert_true(lease_table_decode(&other, (struct bytes){ bytes, length }));
    assert_int_equal(other.unknown_us, 7000000);
    assert_int_equal(other.applied, 5000);
    assert_int_equal(other.begun, 5000);
    struct lease_command overtaken = command(LEASE_COMMAND_GRANT, "pump", "b", 1);
    overtaken.settled = true;
    apply(5001, overtaken); /* does nothing, shows nothing */
    assert_int_equal(table.unknown_us, 7000000);
    apply(5002, command(LEASE_COMMAND_GRANT, "pump", "b", 0)); /* by proof: of this one only */
    assert_int_equal(table.unknown_us, 7000000);
    assert_int_equal(table.begun, 5000);
    assert_int_equal(pump()->token, 5002);
    struct lease_command settled = command(LEASE_COMMAND_GRANT, "fan", "b", 0);
    settled.settled = true;
    table.record[1].pinned = false;
    apply(5003, settled);
    assert_int_equal(table.unknown_us, 0);
    assert_int_equal(table.begun, 0);
}

static void a_table_without_hold_off_is_written_as_ever(void **state)
{
    (void)state;
    apply(1, command(LEASE_COMMAND_GRANT, "pump", "a", 0));
    size_t plain = lease_table_encode(&table, bytes, sizeof(bytes));
    assert_int_equal(bytes[7], 1);
    table.unknown_us = 1;
    table.begun = 1;
    assert_int_equal(lease_table_encode(&table, bytes, sizeof(bytes)), plain + 20);
    assert_int_equal(bytes[7], 3);
}

static void end_with_checksum(size_t length)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < 8; i++)
        bytes[length + i] = (uint8_t)(hash >> (56 - 8 * i));
}

/* A backup of before: version 2 had no `begun`, and ended with the first grant. */
static void a_restored_table_of_an_older_version_is_read(void **state)
{
    (void)state;
    apply(1, command(LEASE_COMMAND_GRANT, "pump", "a", 0));
    lease_table_restore(&table, 5000, 7000000, 12345);
    size_t length = lease_table_encode(&table, bytes, sizeof(bytes)) - 8;
    bytes[7] = 2;
    memmove(bytes + 40, bytes + 52, length - 52);
    end_with_checksum(length - 12);
    assert_true(lease_table_decode(&other, (struct bytes){ bytes, length - 12 + 8 }));
    assert_int_equal(other.unknown_us, 7000000);
    assert_int_equal(other.begun, 5000);
    assert_int_equal(other.record[0].last_token, 1);
}

static void a_new_clusters_table_is_empty_held_off_and_the_same_everywhere(void **state)
{
    (void)state;
    lease_table_begin(&table, 1);
    memset(&other, DIRT, sizeof(other));
    lease_table_begin(&other, 1);
    static uint8_t others[REPLICA_SNAPSHOT_MAX];
    size_t length = lease_table_encode(&table, bytes, sizeof(bytes));
    assert_int_equal(lease_table_encode(&other, others, sizeof(others)), length);
    assert_memory_equal(bytes, others, length);
    assert_true(lease_table_decode(&other, (struct bytes){ bytes, length }));
    assert_true(other.unknown_us > 0 && other.begun == 1 && other.applied == 1);
    assert_true(other.count == 0 && other.history_total == 0);
}

static void an_overrule_counts_for_one_board_and_resource_until_the_log_is_past_it(void **state)
{
    (void)state;
    struct hf_name pump_name = name("pump");
    struct hf_name fan_name = name("fan");
    struct hf_name liar = name("a");
    struct hf_name honest = name("b");
    assert_true(apply(3, command(LEASE_COMMAND_OVERRULE, "pump", "a", 20)).done);
    assert_true(lease_table_overruled(&table, &pump_name, &liar));
    assert_false(lease_table_overruled(&table, &pump_name, &honest));
    assert_false(lease_table_overruled(&table, &fan_name, &liar));
    size_t length = lease_table_encode(&table, bytes, sizeof(bytes));
    assert_true(lease_table_decode(&other, (struct bytes){ bytes, length }));
    assert_true(lease_table_overruled(&other, &pump_name, &liar));
    assert_int_equal(other.unknown_us, 0);
    lease_table_skip(&table, 19);
    assert_int_equal(table.overrule_count, 1);
    lease_table_skip(&table, 20);
    assert_int_equal(table.overrule_count, 0);
    for (uint64_t i = 0; i < LEASE_OVERRULES_MAX; i++) {
        char resource[8];
        snprintf(resource, sizeof(resource), "r%d", (int)i);
        assert_true(apply(21 + i, command(LEASE_COMMAND_OVERRULE, resource, "a", 1000)).done);
    }
    assert_false(apply(100, command(LEASE_COMMAND_OVERRULE, "pump", "a", 1000)).done);
    assert_true(lease_table_encode(&table, bytes, lease_table_encoded_max()) > 0);
}

static void a_hold_off_out_of_range_is_refused(void **state)
{
    (void)state;
    apply(1, command(LEASE_COMMAND_GRANT, "pump", "a", 0));
    table.begun = 1;
    table.unknown_us = LEASE_UNKNOWN_MAX_US + 1LL;
    size_t length = lease_table_encode(&table, bytes, sizeof(bytes));
    assert_false(lease_table_decode(&other, (struct bytes){ bytes, length }));
    table.unknown_us = LEASE_UNKNOWN_MAX_US;
    length = lease_table_encode(&table, bytes, sizeof(bytes));
    assert_true(lease_table_decode(&other, (struct bytes){ bytes, length }));
}

static void every_message_and_refusal_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < LEASE_MESSAGE_KINDS; i++)
        assert_non_null(lease_message_name((enum lease_message_kind)i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(token_is_the_log_index, set_up),
        cmocka_unit_test_setup(s2_tokens_rise_across_release_expiry_and_restored_snapshots, set_up),
        cmocka_unit_test_setup(grant_is_a_compare_and_set_on_the_current_token, set_up),
        cmocka_unit_test_setup(replacing_a_lease_leaves_an_expiry_and_a_grant_in_the_history,
                               set_up),
        cmocka_unit_test_setup(release_must_match_holder_and_token, set_up),
        cmocka_unit_test_setup(expiry_must_match_holder_and_token, set_up),
        cmocka_unit_test_setup(unfenced_release_leaves_the_lease_abandoned_in_place, set_up),
        cmocka_unit_test_setup(pin_refuses_grants_to_others_when_applied, set_up),
        cmocka_unit_test_setup(a_row_is_removed_only_if_it_is_free_and_not_pinned, set_up),
        cmocka_unit_test_setup(history_keeps_the_last_events, set_up),
        cmocka_unit_test_setup(every_part_of_a_record_is_in_a_snapshot, set_up),
        cmocka_unit_test_setup(full_table_fits_into_the_snapshot_bound, set_up),
        cmocka_unit_test_setup(an_empty_table_touches_no_record_and_no_event, set_up),
        cmocka_unit_test_setup(damaged_snapshot_is_refused_whole, set_up),
        cmocka_unit_test_setup(s2_a_snapshot_with_a_token_beyond_its_index_is_refused, set_up),
        cmocka_unit_test_setup(a_restored_table_of_an_older_version_is_read, set_up),
        cmocka_unit_test_setup(a_new_clusters_table_is_empty_held_off_and_the_same_everywhere,
                               set_up),
        cmocka_unit_test_setup(
            an_overrule_counts_for_one_board_and_resource_until_the_log_is_past_it, set_up),
        cmocka_unit_test_setup(a_restored_table_is_free_and_held_off_until_a_settled_grant, set_up),
        cmocka_unit_test_setup(a_table_without_hold_off_is_written_as_ever, set_up),
        cmocka_unit_test_setup(a_hold_off_out_of_range_is_refused, set_up),
        cmocka_unit_test_setup(every_message_and_refusal_has_a_name, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
