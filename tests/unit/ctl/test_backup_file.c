/* A backup on the operator's machine: checked before it is kept, and kept closed. */
#include "ctl/backup_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/backup.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

static char folder[48];
static char file[64];
static char out_text[1024];
static char errors_text[1024];
static char *good;
static size_t good_length;

static struct hf_name name(const char *text)
{
    struct hf_name result;
    assert_true(name_from_string(&result, text));
    return result;
}

static void make_good(void)
{
    static struct lease_table table;
    size_t capacity = backup_text_max(lease_table_encoded_max());
    uint8_t *bytes = malloc(lease_table_encoded_max());
    struct backup backup = { .cluster = name("line-3"),
                             .node = name("i1"),
                             .index = 12,
                             .term = 3,
                             .wall_us = 1767225600000000,
                             .lease_max_us = 2000000 };
    good = malloc(capacity);
    assert_true(bytes != NULL && good != NULL);
    memset(&table, 0, sizeof(table));
    table.applied = 12;
    backup.members.count = 1;
    backup.members.member[0].id = name("i1");
    backup.members.member[0].voter = true;
    text_copy(backup.members.member[0].address, HF_ADDRESS_MAX + 1, "10.0.0.1:7400");
    backup.table.length = lease_table_encode(&table, bytes, lease_table_encoded_max());
    backup.table.data = bytes;
    good_length = backup_write(&backup, good, capacity);
    assert_true(good_length > 0);
    free(bytes);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/holdfast-ctlbackup-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof(file), "%s/kept", folder);
    make_good();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(good);
    folder_remove(folder);
    return 0;
}

static enum ctl_exit keep(const struct ctl_backup *what, const char *text, size_t length)
{
    memset(out_text, 0, sizeof(out_text));
    memset(errors_text, 0, sizeof(errors_text));
    FILE *out = fmemopen(out_text, sizeof(out_text), "w");
    FILE *errors = fmemopen(errors_text, sizeof(errors_text), "w");
    enum ctl_exit status = text != NULL ? ctl_backup_store(what, text, length, out, errors) :
                                          ctl_backup_verify(what, out, errors);
    fclose(out);
    fclose(errors);
    return status;
}

static void backup_is_kept_closed_to_others_and_verified(void **state)
{
    (void)state;
    struct stat about;
    const struct ctl_backup what = { .file = file };
    assert_int_equal(keep(&what, good, good_length), CTL_EXIT_OK);
    assert_non_null(strstr(out_text, "kept: good; cluster line-3, entry 12 of term 3"));
    assert_int_equal(stat(file, &about), 0);
    assert_int_equal(about.st_mode & 07777, 0600);
    assert_int_equal(keep(&what, NULL, 0), CTL_EXIT_OK);
    assert_non_null(strstr(out_text, "kept: good; cluster line-3, entry 12 of term 3"));
}

static void text_that_is_no_backup_is_not_kept(void **state)
{
    (void)state;
    const struct ctl_backup what = { .file = file };
    good[good_length / 2] ^= 1;
    assert_int_equal(keep(&what, good, good_length), CTL_EXIT_REFUSED);
    assert_int_equal(access(file, F_OK), -1);
    assert_int_equal(errno, ENOENT);
    good[good_length / 2] ^= 1;
    assert_int_equal(keep(&what, good, good_length - 1), CTL_EXIT_REFUSED);
    assert_int_equal(access(file, F_OK), -1);
}

static void backup_from_before_is_replaced_by_force_only(void **state)
{
    (void)state;
    struct ctl_backup what = { .file = file };
    assert_int_equal(keep(&what, good, good_length), CTL_EXIT_OK);
    assert_int_equal(keep(&what, good, good_length), CTL_EXIT_REFUSED);
    assert_non_null(strstr(errors_text, "is there already, --force replaces it"));
    what.force = true;
    assert_int_equal(keep(&what, good, good_length), CTL_EXIT_OK);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(backup_is_kept_closed_to_others_and_verified),
        TEST(text_that_is_no_backup_is_not_kept),
        TEST(backup_from_before_is_replaced_by_force_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
