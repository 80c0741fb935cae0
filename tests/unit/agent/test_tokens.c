/* What the agent keeps of the tokens that its guard took. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/tokens.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/log_capture.h"
#include "tests/unit/support/unit.h"

static char folder[64];
static uv_loop_t loop;
static struct conf conf;
static struct holder_config config;
static struct holder holder;
static struct tokens tokens;

static struct hf_name name(const char *from)
{
    struct hf_name result;
    assert_true(name_from_string(&result, from));
    return result;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/holdfast-tokens-XXXXXX");
    if (!mkdtemp(folder) || uv_loop_init(&loop) != 0)
        return -1;
    memset(&conf, 0, sizeof(conf));
    memset(&config, 0, sizeof(config));
    memset(&holder, 0, sizeof(holder));
    snprintf(conf.data_dir, sizeof(conf.data_dir), "%s", folder);
    config.resource_count = holder.lease_count = 2;
    config.resource[0].resource = name("pump");
    config.resource[1].resource = name("fan");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    uv_run(&loop, UV_RUN_DEFAULT);
    int result = uv_loop_close(&loop);
    folder_remove(folder);
    return result;
}

static void start(void)
{
    tokens_open(&tokens, &loop, &conf, &config);
    for (size_t i = 0; i < holder.lease_count; i++)
        holder.lease[i].highest = config.resource[i].highest;
}

static void note(size_t at, uint64_t token)
{
    holder.lease[at].highest = token;
    tokens_note(&tokens, &holder);
}

static ino_t file(void)
{
    struct stat status;
    char path[96];
    snprintf(path, sizeof(path), "%s/tokens", folder);
    return stat(path, &status) == 0 ? status.st_ino : 0;
}

static void damage(long offset)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/tokens", folder);
    FILE *open = fopen(path, "r+");
    assert_non_null(open);
    assert_int_equal(fseek(open, offset, SEEK_SET), 0);
    int byte = fgetc(open);
    assert_int_equal(fseek(open, offset, SEEK_SET), 0);
    fputc(byte ^ 1, open);
    fclose(open);
}

static void the_highest_token_survives_a_restart(void **state)
{
    (void)state;
    start();
    assert_int_equal(config.resource[0].highest, 0);
    note(0, 12);
    uv_run(&loop, UV_RUN_DEFAULT);
    note(0, 15);
    note(1, 7);
    uv_run(&loop, UV_RUN_DEFAULT);
    start();
    assert_int_equal(config.resource[0].highest, 15);
    assert_int_equal(config.resource[1].highest, 7);
}

static void nothing_is_written_but_for_a_new_token(void **state)
{
    (void)state;
    start();
    tokens_note(&tokens, &holder);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(file(), 0);
    note(0, 12);
    uv_run(&loop, UV_RUN_DEFAULT);
    ino_t first = file();
    assert_int_not_equal(first, 0);
    for (int i = 0; i < 1000; i++)
        tokens_note(&tokens, &holder);
    assert_false(tokens.writing);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(file(), first);
}

/* What comes while a write is under way is written after it, in one more. */
static void nothing_waits_for_the_disk_and_nothing_is_left_out(void **state)
{
    (void)state;
    start();
    for (uint64_t token = 1; token <= 50; token++)
        note(token % 2, token);
    assert_true(tokens.writing && tokens.changed);
    uv_run(&loop, UV_RUN_DEFAULT);
    start();
    assert_int_equal(config.resource[0].highest, 50);
    assert_int_equal(config.resource[1].highest, 49);
}

static void a_damaged_file_counts_as_none(void **state)
{
    (void)state;
    start();
    note(0, 12);
    uv_run(&loop, UV_RUN_DEFAULT);
    for (long at = 0; at < 50; at++) {
        damage(at);
        start();
        assert_int_equal(config.resource[0].highest, 0);
        damage(at);
    }
    start();
    assert_int_equal(config.resource[0].highest, 12);
}

/* A pipe would be waited for, with no lease renewed meanwhile. */
static void what_is_no_file_of_its_own_counts_as_none(void **state)
{
    (void)state;
    char path[200];
    char other[200];
    start();
    note(0, 12);
    uv_run(&loop, UV_RUN_DEFAULT);
    snprintf(path, sizeof(path), "%s/tokens", folder);
    snprintf(other, sizeof(other), "%s/other", folder);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    start();
    assert_int_equal(config.resource[0].highest, 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(other, path), 0);
    start();
    assert_int_equal(config.resource[0].highest, 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(link(other, path), 0);
    start();
    assert_int_equal(config.resource[0].highest, 0);
    assert_int_equal(unlink(other), 0);
    start();
    assert_int_equal(config.resource[0].highest, 12);
}

static void a_resource_that_is_driven_no_more_is_not_forgotten(void **state)
{
    (void)state;
    start();
    note(1, 9);
    uv_run(&loop, UV_RUN_DEFAULT);
    config.resource_count = holder.lease_count = 1;
    start();
    note(0, 11);
    uv_run(&loop, UV_RUN_DEFAULT);
    config.resource_count = holder.lease_count = 2;
    start();
    assert_int_equal(config.resource[1].highest, 9);
}

/* One that a write before it left, or somebody put there, is in nobody's way. */
static void what_an_interrupted_write_left_does_not_matter(void **state)
{
    (void)state;
    char path[200];
    snprintf(path, sizeof(path), "%s/tokens.new", folder);
    FILE *left = fopen(path, "w");
    assert_non_null(left);
    fclose(left);
    start();
    note(0, 12);
    uv_run(&loop, UV_RUN_DEFAULT);
    start();
    assert_int_equal(config.resource[0].highest, 12);
}

static void that_they_cannot_be_kept_is_told_once(void **state)
{
    (void)state;
    snprintf(conf.data_dir, sizeof(conf.data_dir), "%s/none", folder);
    start();
    log_forget();
    for (uint64_t token = 1; token <= 3; token++) {
        note(0, token);
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    assert_int_equal(logged, 1);
    assert_non_null(strstr(logged_line, "after a restart this board can't say which tokens"));
}

static atomic_int
    step; /* of one write: 1 the file is synced, 2 put in place, 3 the folder synced */
static atomic_int wrong;

int fsync(int file)
{
    struct stat about;
    bool of_folder = fstat(file, &about) == 0 && S_ISDIR(about.st_mode);
    wrong += step != (of_folder ? 2 : 0);
    step++;
    return (int)syscall(SYS_fsync, file);
}

int rename(const char *from, const char *to)
{
    wrong += step != 1;
    step++;
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* Else a power cut leaves an empty file, or the token before. */
static void token_is_synced_put_in_place_and_its_name_synced(void **state)
{
    (void)state;
    start();
    step = wrong = 0;
    note(0, 12);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(step, 3);
    assert_int_equal(wrong, 0);
}

static void texts_that_are_none_are_refused(void **state)
{
    (void)state;
    struct tokens_entry entry[HF_LEASES_PER_AGENT_MAX] = { { name("pump"), 12 } };
    struct tokens_entry back[HF_LEASES_PER_AGENT_MAX];
    char text[TOKENS_TEXT_MAX];
    size_t count = 0;
    size_t length = tokens_print(entry, 1, text);
    assert_true(tokens_parse((struct bytes){ (uint8_t *)text, length }, back, &count));
    assert_int_equal(count, 1);
    assert_int_equal(back[0].token, 12);
    for (size_t cut = 0; cut < length; cut++)
        assert_false(tokens_parse((struct bytes){ (uint8_t *)text, cut }, back, &count));
    entry[0].token = UINT64_MAX; /* its checksum is right, the number is not */
    length = tokens_print(entry, 1, text);
    assert_false(tokens_parse((struct bytes){ (uint8_t *)text, length }, back, &count));
    for (size_t i = 0; i < HF_LEASES_PER_AGENT_MAX; i++) {
        memset(entry[i].resource.text, 'r', HF_NAME_MAX);
        entry[i].token = (UINT64_C(1) << 62) - 1;
    }
    length = tokens_print(entry, HF_LEASES_PER_AGENT_MAX, text);
    assert_true(length < TOKENS_TEXT_MAX);
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(the_highest_token_survives_a_restart),
        CLAIM(nothing_is_written_but_for_a_new_token),
        CLAIM(nothing_waits_for_the_disk_and_nothing_is_left_out),
        CLAIM(a_damaged_file_counts_as_none),
        CLAIM(what_is_no_file_of_its_own_counts_as_none),
        CLAIM(a_resource_that_is_driven_no_more_is_not_forgotten),
        CLAIM(what_an_interrupted_write_left_does_not_matter),
        CLAIM(that_they_cannot_be_kept_is_told_once),
        CLAIM(token_is_synced_put_in_place_and_its_name_synced),
        CLAIM(texts_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
