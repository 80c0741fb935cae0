/* A backup comes back as it was, or is refused with one line that says why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/backup.h"
#include "lease/lease_message.h"
#include "lease/replica.h"
#include "tests/unit/support/name.h"
#include "tests/unit/support/random.h"
#include "tests/unit/support/unit.h"

#define MEMBERS "members: i1 i2=[fd00::1]:7400 i3=10.0.0.3:7400/learner"
#define LONG    "1234567890123456"

static struct lease_table table;
static struct lease_table decoded;
static uint8_t bytes[REPLICA_SNAPSHOT_MAX];
static uint8_t back[REPLICA_SNAPSHOT_MAX];
static char text[2 * REPLICA_SNAPSHOT_MAX];
static char error[BACKUP_ERROR_MAX];
static struct backup written;
static struct backup got;

static void grant(uint64_t index, const char *resource)
{
    struct lease_command command = { .kind = LEASE_COMMAND_GRANT,
                                     .resource = name(resource),
                                     .holder = name("board-a"),
                                     .ttl_us = 1000000,
                                     .fence_us = 20000,
                                     .who = name("issuer-1") };
    assert_true(lease_table_apply(&table, index, &command).done);
}

/* Writes a backup of the table; its length. */
static size_t write_text(void)
{
    written.table = (struct bytes){ bytes, lease_table_encode(&table, bytes, sizeof(bytes)) };
    written.index = table.applied;
    size_t length = backup_write(&written, text, sizeof(text));
    assert_in_range(length, 1, backup_text_max(written.table.length) - 1);
    assert_int_equal(strlen(text), length);
    return length;
}

static bool read_text(size_t length)
{
    return backup_read(&got, (struct bytes){ (const uint8_t *)text, length }, back, sizeof(back),
                       &decoded, error);
}

static int set_up(void **state)
{
    (void)state;
    lease_table_init(&table);
    grant(7, "pump");
    grant(9, "fan");
    memset(&written, 0, sizeof(written));
    written.cluster = name("line-3");
    written.node = name("issuer-2");
    written.term = 5;
    written.wall_us = 1763704357000001;
    written.lease_max_us = 65000000;
    written.members.count = 3;
    for (int i = 0; i < 3; i++) {
        const char id[] = { 'i', (char)('1' + i), '\0' };
        written.members.member[i] = (struct raft_member){ .id = name(id), .voter = i != 2 };
    }
    snprintf(written.members.member[1].address, HF_ADDRESS_MAX, "[fd00::1]:7400");
    snprintf(written.members.member[2].address, HF_ADDRESS_MAX, "10.0.0.3:7400");
    return 0;
}

static void it_comes_back_as_it_was(void **state)
{
    (void)state;
    assert_true(read_text(write_text()));
    assert_string_equal(got.cluster.text, "line-3");
    assert_string_equal(got.node.text, "issuer-2");
    assert_int_equal(got.index, 9);
    assert_int_equal(got.term, 5);
    assert_int_equal(got.wall_us, 1763704357000001);
    assert_int_equal(got.lease_max_us, 65000000);
    assert_int_equal(got.members.count, 3);
    assert_memory_equal(&got.members, &written.members, sizeof(got.members));
    assert_false(got.members.member[2].voter);
    assert_int_equal(got.table.length, written.table.length);
    assert_memory_equal(got.table.data, bytes, written.table.length);
    assert_int_equal(decoded.count, 2);
    assert_non_null(strstr(text, "time: 2025-11-21T05:52:37Z"));
}

static void the_largest_table_fits(void **state)
{
    (void)state;
    lease_table_init(&table);
    for (unsigned i = 0; i < HF_RESOURCES_MAX; i++) {
        char resource[16];
        snprintf(resource, sizeof(resource), "r%u", i);
        grant(i + 1, resource);
    }
    assert_true(read_text(write_text()));
    assert_int_equal(decoded.count, HF_RESOURCES_MAX);
    size_t small = strlen(text);
    assert_int_equal(backup_write(&written, text, small), 0);
}

static void no_flipped_bit_and_no_missing_end_is_accepted(void **state)
{
    (void)state;
    size_t length = write_text();
    for (size_t i = 0; i < length; i++) {
        for (int bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ (1 << bit));
            error[0] = '\0';
            assert_false(read_text(length));
            assert_true(error[0] != '\0' && !strchr(error, '\n'));
            text[i] = (char)(text[i] ^ (1 << bit));
        }
        assert_false(read_text(i));
    }
    assert_true(read_text(length));
    memcpy(text + length, "\n", 1);
    assert_false(read_text(length + 1));
    printf("figure: backup: %zu flips and %zu cuts, all refused\n", 8 * length, length);
}

/* Replaces one part of the text and seals it again: whoever does that may still not hurt. */
static void assert_refused(const char *from, const char *to, const char *words)
{
    static char changed[sizeof(text)];
    size_t length = write_text();
    char *at = strstr(text, from);
    assert_non_null(at);
    char *seal = strstr(text, "sha256: ");
    int used = snprintf(changed, sizeof(changed), "%.*s%s%.*s", (int)(at - text), text, to,
                        (int)(seal - at - (long)strlen(from)), at + strlen(from));
    char digest[65];
    backup_digest((struct bytes){ (const uint8_t *)changed, (size_t)used }, digest);
    length = (size_t)snprintf(text, sizeof(text), "%ssha256: %s\n", changed, digest);
    if (read_text(length))
        fail_msg("accepted with '%s' for '%s'", to, from);
    if (!strstr(error, words))
        fail_msg("'%s' does not say '%s'", error, words);
}

/* `more` behind the table, sealed like the rest. */
static void assert_refused_with_more(const char *more, const char *words)
{
    static char changed[sizeof(text)];
    size_t length = write_text();
    size_t used = (size_t)(strstr(text, "sha256: ") - text);
    char digest[65];
    assert_true(length + strlen(more) < sizeof(text));
    memcpy(changed, text, used);
    memcpy(changed + used, more, strlen(more));
    used += strlen(more);
    backup_digest((struct bytes){ (const uint8_t *)changed, used }, digest);
    length = (size_t)snprintf(text, sizeof(text), "%.*ssha256: %s\n", (int)used, changed, digest);
    assert_false(read_text(length));
    assert_non_null(strstr(error, words));
}

static void what_a_good_checksum_covers_is_still_checked(void **state)
{
    (void)state;
    assert_refused("holdfast backup", "holdfast archive", "no backup of Holdfast");
    assert_refused("format 1\n", "format 2\n", "format 2, this program reads 1");
    assert_refused("cluster: line-3", "cluster: .x", "cluster is no name");
    assert_refused("index: 9", "index: 10", "not of entry 10");
    assert_refused("index: 9", "index: -1", "index is \"-1\", must be 1 to");
    assert_refused("index: 9", "index: 9999999999999999999", "must be 1 to");
    assert_refused("index: 9", "index: 99999999999999999999999", "must be 1 to");
    assert_refused("term: 5", "term: 0", "term is \"0\"");
    assert_refused("term: 5\n", "", "no line \"term: ...\"");
    assert_refused("lease_max_us: 65000000", "lease_max_us: 0", "lease_max_us is \"0\"");
    assert_refused(MEMBERS, "members: i1 i1", "different names");
    assert_refused(MEMBERS, "members: i1/boss", "different names");
    assert_refused(MEMBERS, "members: i3/learner", "no voter");
    assert_refused(MEMBERS, "members: i1= i2", "different names");
    assert_refused(MEMBERS, "members: i1=a/b", "different names");
    assert_refused(MEMBERS, "members: i1=" LONG LONG LONG LONG, "different names");
    assert_refused(MEMBERS, "members: 1 2 3 4 5 6 7 8", "1 to 7 different");
    assert_refused("\nSEZM", "\nSEZN", "its table cannot be read");
    assert_refused("\nSEZM", "\n!!!!", "the table is not whole from byte 0");
    assert_refused("\ntable: ", "\ntable: 9", "the table is not whole");
    assert_refused_with_more("note: none\n", "there is more behind its table");
    assert_refused_with_more("\n", "there is more behind its table");
}

static void noise_is_refused(void **state)
{
    (void)state;
    for (int round = 0; round < 2000; round++) {
        size_t length = (size_t)random_below(400);
        for (size_t i = 0; i < length; i++)
            text[i] = (char)random_u64();
        assert_false(read_text(length));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_comes_back_as_it_was, set_up),
        cmocka_unit_test_setup(the_largest_table_fits, set_up),
        cmocka_unit_test_setup(no_flipped_bit_and_no_missing_end_is_accepted, set_up),
        cmocka_unit_test_setup(what_a_good_checksum_covers_is_still_checked, set_up),
        cmocka_unit_test_setup(noise_is_refused, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
