/* A card: whole with its file `board`, and never half of one taken for it; where it may be written. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ctl/card.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

struct fixture {
    char folder[64];
    char inner[96];
    char told[1024];
};

static int set_up(void **state)
{
    struct fixture *fix = calloc(1, sizeof(*fix));
    if (!fix)
        return 1;
    snprintf(fix->folder, sizeof(fix->folder), "/tmp/holdfast-card-XXXXXX");
    *state = fix;
    if (!mkdtemp(fix->folder))
        return 1;
    snprintf(fix->inner, sizeof(fix->inner), "%s/holdfast", fix->folder);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fix = *state;
    if (access(fix->inner, F_OK) == 0)
        folder_remove(fix->inner);
    folder_remove(fix->folder);
    free(fix);
    return 0;
}

static const struct card good = {
    .count = 4,
    .file = { { "node.key", "secret\n", 7, 0600 },
              { "board", "id=a\n", 5, 0644 },
              { "holdfast.conf", "node = { };\n", 12, 0644 },
              { "authorized_keys", "ssh-ed25519 AAAA a\n", 19, 0644 } },
};

/* ---- the disk, as a test wants it */

static int writes_left = -1; /* until one fails; -1: none does */
static bool looked_for_board;
static bool board_was_there; /* at any write() to a file since */

static bool is_there(const char *folder, const char *name)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static const char *watched = "";

ssize_t write(int file, const void *bytes, size_t length)
{
    if (watched[0] != '\0') {
        looked_for_board = true;
        board_was_there = board_was_there || is_there(watched, "board");
    }
    if (writes_left == 0) {
        errno = ENOSPC;
        return -1;
    }
    writes_left -= writes_left > 0;
    return syscall(SYS_write, file, bytes, length);
}

static bool put(struct fixture *fix, const struct card *card)
{
    memset(fix->told, 0, sizeof(fix->told));
    FILE *errors = fmemopen(fix->told, sizeof(fix->told) - 1, "w");
    setvbuf(errors, NULL, _IONBF, 0);
    bool done = card_folder_write(fix->folder, card, errors);
    fclose(errors);
    return done;
}

static void has(const struct fixture *fix, const char *name, const char *wanted)
{
    char path[160];
    char text[200];
    snprintf(path, sizeof(path), "%s/%s", fix->inner, name);
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
    fclose(in);
    assert_string_equal(text, wanted);
}

static mode_t mode_of(const struct fixture *fix, const char *name)
{
    char path[160];
    struct stat about;
    snprintf(path, sizeof(path), "%s/%s", fix->inner, name);
    assert_int_equal(stat(path, &about), 0);
    return about.st_mode & 07777;
}

/* ---- folders */

static void all_files_are_there_and_keys_are_closed(void **state)
{
    struct fixture *fix = *state;
    mode_t before = umask(022);
    bool done = put(fix, &good);
    umask(before);
    assert_true(done);
    assert_string_equal(fix->told, "");
    has(fix, "node.key", "secret\n");
    has(fix, "board", "id=a\n");
    has(fix, "holdfast.conf", "node = { };\n");
    assert_int_equal(mode_of(fix, "node.key"), 0600);
    assert_int_equal(mode_of(fix, "holdfast.conf"), 0644);
}

static void a_key_that_others_could_read_is_so_no_more(void **state)
{
    struct fixture *fix = *state;
    char path[160];
    assert_true(put(fix, &good));
    snprintf(path, sizeof(path), "%s/node.key", fix->inner);
    assert_int_equal(chmod(path, 0666), 0);
    assert_true(put(fix, &good));
    assert_int_equal(mode_of(fix, "node.key"), 0600);
}

/* Also where the card was whole before: that is over with the first write. */
static void board_is_gone_before_the_first_write_and_comes_last(void **state)
{
    struct fixture *fix = *state;
    assert_true(put(fix, &good));
    watched = fix->inner;
    looked_for_board = board_was_there = false;
    bool done = put(fix, &good);
    watched = "";
    assert_true(done && looked_for_board);
    assert_false(board_was_there);
    assert_true(is_there(fix->inner, "board"));
}

static void a_full_card_is_no_whole_one_and_has_no_half_file(void **state)
{
    struct fixture *fix = *state;
    for (int left = 0; left < (int)good.count; left++) {
        writes_left = -1;
        assert_true(put(fix, &good));
        writes_left = left;
        bool done = put(fix, &good);
        writes_left = -1;
        assert_false(done);
        assert_non_null(strstr(fix->told, "No space left on device"));
        assert_false(is_there(fix->inner, "board"));
        assert_false(is_there(fix->inner, "board.new"));
        assert_false(is_there(fix->inner, "node.key.new"));
    }
}

static void what_a_crash_left_is_written_over(void **state)
{
    struct fixture *fix = *state;
    char path[160];
    assert_int_equal(mkdir(fix->inner, 0755), 0);
    snprintf(path, sizeof(path), "%s/board.new", fix->inner);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs("half", out);
    fclose(out);
    assert_true(put(fix, &good));
    has(fix, "board", "id=a\n");
    assert_false(is_there(fix->inner, "board.new"));
}

static void who_may_log_in_no_more_is_taken_away(void **state)
{
    struct fixture *fix = *state;
    struct card without = good;
    assert_true(put(fix, &good));
    assert_true(is_there(fix->inner, "authorized_keys"));
    without.file[3].bytes = NULL;
    assert_true(put(fix, &without));
    assert_false(is_there(fix->inner, "authorized_keys"));
}

static void a_link_in_the_place_of_the_folder_is_not_followed(void **state)
{
    struct fixture *fix = *state;
    char elsewhere[] = "/tmp/holdfast-elsewhere-XXXXXX";
    assert_non_null(mkdtemp(elsewhere));
    assert_int_equal(symlink(elsewhere, fix->inner), 0);
    bool done = put(fix, &good);
    bool there = is_there(elsewhere, "board") || is_there(elsewhere, "node.key");
    unlink(fix->inner);
    folder_remove(elsewhere);
    assert_false(done || there);
}

static void a_folder_that_is_not_there_is_refused(void **state)
{
    struct fixture *fix = *state;
    char path[160];
    FILE *errors = fmemopen(fix->told, sizeof(fix->told) - 1, "w");
    snprintf(path, sizeof(path), "%s/none", fix->folder);
    assert_true(card_folder_ready(fix->folder, errors));
    assert_false(card_folder_ready(path, errors));
    assert_false(card_folder_ready("/dev/null", errors));
    fclose(errors);
    assert_non_null(strstr(fix->told, "none: No such file or directory\n"));
    assert_non_null(strstr(fix->told, "/dev/null: is no folder"));
}

/* ---- images */

enum { SECTOR = 512 };

/* Writes sectors 0 and `start`, if it has one, and looks at it as an image. */
static bool image_ready(struct fixture *fix, const unsigned char *first, unsigned char type,
                        unsigned start)
{
    unsigned char sector[SECTOR] = { 0 };
    char path[160];
    uint64_t offset;
    snprintf(path, sizeof(path), "%s/image", fix->folder);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    memcpy(sector, first, 8);
    sector[446 + 16 + 4] = type; /* the second one */
    sector[446 + 16 + 8] = (unsigned char)start;
    sector[510] = 0x55;
    sector[511] = 0xaa;
    assert_int_equal(pwrite(file, sector, SECTOR, 0), SECTOR);
    close(file);
    memset(fix->told, 0, sizeof(fix->told));
    FILE *errors = fmemopen(fix->told, sizeof(fix->told) - 1, "w");
    bool ready = card_image_ready(path, &offset, errors);
    fclose(errors);
    return ready;
}

static void what_is_no_image_of_a_card_is_refused_in_plain_words(void **state)
{
    struct fixture *fix = *state;
    const unsigned char none[8] = { 0 };
    const unsigned char xz[8] = { 0xfd, '7', 'z', 'X', 'Z' };
    assert_false(image_ready(fix, xz, 0x0c, 1));
    assert_non_null(strstr(fix->told, "is compressed"));
    assert_false(image_ready(fix, none, 0x83, 1));
    assert_non_null(strstr(fix->told, "has no FAT partition in its MBR"));
    assert_false(image_ready(fix, none, 0x0c, 9));
    assert_non_null(strstr(fix->told, "has no file system in its FAT partition"));
    char path[160];
    uint64_t offset;
    snprintf(path, sizeof(path), "%s/image", fix->folder);
    assert_int_equal(truncate(path, 100), 0);
    FILE *errors = fmemopen(fix->told, sizeof(fix->told) - 1, "w");
    assert_false(card_image_ready(path, &offset, errors));
    assert_false(card_image_ready("/nonexistent.img", &offset, errors));
    fclose(errors);
    assert_non_null(strstr(fix->told, "is shorter than a sector"));
    assert_non_null(strstr(fix->told, "/nonexistent.img: No such file or directory"));
}

static void without_mtools_the_package_is_named(void **state)
{
    struct fixture *fix = *state;
    const unsigned char none[8] = { 0 };
    char *before = strdup(getenv("PATH"));
    setenv("PATH", "/nonexistent", 1);
    char path[160];
    unsigned char sector[SECTOR] = { 0 };
    uint64_t offset;
    snprintf(path, sizeof(path), "%s/image", fix->folder);
    (void)image_ready(fix, none, 0x0c, 1);
    sector[510] = 0x55;
    sector[511] = 0xaa;
    int file = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(file, sector, SECTOR, SECTOR), SECTOR);
    close(file);
    FILE *errors = fmemopen(fix->told, sizeof(fix->told) - 1, "w");
    bool ready = card_image_ready(path, &offset, errors);
    fclose(errors);
    setenv("PATH", before, 1);
    free(before);
    assert_false(ready);
    assert_int_equal(offset, SECTOR);
    assert_non_null(strstr(fix->told, "mdir: not found"));
    assert_non_null(strstr(fix->told, "apt-get install mtools"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_files_are_there_and_keys_are_closed),
        TEST(a_key_that_others_could_read_is_so_no_more),
        TEST(board_is_gone_before_the_first_write_and_comes_last),
        TEST(a_full_card_is_no_whole_one_and_has_no_half_file),
        TEST(what_a_crash_left_is_written_over),
        TEST(who_may_log_in_no_more_is_taken_away),
        TEST(a_link_in_the_place_of_the_folder_is_not_followed),
        TEST(a_folder_that_is_not_there_is_refused),
        TEST(what_is_no_image_of_a_card_is_refused_in_plain_words),
        TEST(without_mtools_the_package_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
