/* `provision`: what it asks before it makes a card, what it refuses, and that a refusal writes nothing. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ctl/command_line.h"
#include "ctl/pki.h"
#include "ctl/provision_run.h"
#include "provision/provision.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

enum { TEXT_MAX = 8192, PATH_ROOM = 160 };

struct fixture {
    char folder[64];
    char file[96];
    char pki[96];
    char card[96]; /* a folder for cards */
    char told[TEXT_MAX];
    char errors[TEXT_MAX];
};

static const char *path(const char *folder, const char *name)
{
    static char out[2][PATH_ROOM];
    static int turn;
    turn = !turn;
    snprintf(out[turn], PATH_ROOM, "%s/%s", folder, name);
    return out[turn];
}

static void write_file(const char *file, const char *text)
{
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static int set_up(void **state)
{
    struct fixture *fix = calloc(1, sizeof(*fix));
    if (!fix)
        return 1;
    snprintf(fix->folder, sizeof(fix->folder), "/tmp/holdfast-run-XXXXXX");
    *state = fix;
    if (!mkdtemp(fix->folder))
        return 1;
    snprintf(fix->file, sizeof(fix->file), "%s/any.cluster", fix->folder);
    snprintf(fix->pki, sizeof(fix->pki), "%s/line-3.pki", fix->folder);
    snprintf(fix->card, sizeof(fix->card), "%s/card", fix->folder);
    write_file(fix->file, provision_example);
    return mkdir(fix->card, 0755);
}

static int tear_down(void **state)
{
    struct fixture *fix = *state;
    const char *inner = path(fix->card, "holdfast");
    if (access(inner, F_OK) == 0)
        folder_remove(inner);
    folder_remove(fix->card);
    if (access(fix->pki, F_OK) == 0)
        folder_remove(fix->pki);
    folder_remove(fix->folder);
    free(fix);
    return 0;
}

static unsigned files_in(const char *folder)
{
    unsigned count = 0;
    DIR *opened = opendir(folder);
    for (struct dirent *entry = opened ? readdir(opened) : NULL; entry; entry = readdir(opened))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (opened)
        closedir(opened);
    return count;
}

/* Runs `holdfastctl provision ...`; words end with NULL. */
static enum ctl_exit run(struct fixture *fix, const char *const *words)
{
    struct ctl_options options;
    const char *argv[CTL_WORDS_MAX + 2] = { "holdfastctl", "provision" };
    int count = 2;
    for (; *words; words++)
        argv[count++] = *words;
    memset(fix->told, 0, sizeof(fix->told));
    memset(fix->errors, 0, sizeof(fix->errors));
    FILE *out = fmemopen(fix->told, sizeof(fix->told) - 1, "w");
    FILE *errors = fmemopen(fix->errors, sizeof(fix->errors) - 1, "w");
    assert_true(ctl_options_parse(&options, count, (char *const *)argv, errors));
    enum ctl_exit status = provision_run(&options, out, errors);
    fclose(out);
    fclose(errors);
    return status;
}

#define RUN(fix, ...) run(fix, (const char *const[]){ __VA_ARGS__, NULL })

/* A card of that board into the fixture's folder; `how`: NULL, or one more option. */
static enum ctl_exit make(struct fixture *fix, const char *board, const char *how)
{
    return RUN(fix, "--board", board, "--folder", fix->card, fix->file, how);
}

static void read_file(const char *file, char *out, size_t size)
{
    FILE *in = fopen(file, "r");
    assert_non_null(in);
    out[fread(out, 1, size - 1, in)] = '\0';
    fclose(in);
}

static void card_has(const struct fixture *fix, const char *name, const char *words)
{
    char text[TEXT_MAX];
    char file[PATH_ROOM];
    snprintf(file, sizeof(file), "%s/holdfast/%s", fix->card, name);
    read_file(file, text, sizeof(text));
    if (!strstr(text, words))
        fail_msg("%s: no \"%s\" in: %s", name, words, text);
}

static bool same_files(const char *a, const char *b)
{
    char left[TEXT_MAX];
    char right[TEXT_MAX];
    read_file(a, left, sizeof(left));
    read_file(b, right, sizeof(right));
    return strcmp(left, right) == 0;
}

/* ---- what is asked for */

static void words_that_do_not_go_together_are_told_with_the_usage(void **state)
{
    struct fixture *fix = *state;
    static const char *const bad[][6] = {
        { "--board", "a", NULL },
        { "--check", NULL },
        { "x.cluster", NULL },
        { "--board", "a", "x.cluster", NULL },
        { "--board", "a", "--folder=d", "--image=i", "x.cluster", NULL },
        { "--check", "--board", "a", "x.cluster", NULL },
        { "--example", "x.cluster", NULL },
        { "--check", "x.cluster", "y.cluster", NULL },
        { "--check", "--force", "x.cluster", NULL },
        { "--check=yes", "x.cluster", NULL },
        { "x.cluster", "--board", NULL },
        { "--board=", "x.cluster", NULL },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (run(fix, bad[i]) != CTL_EXIT_USAGE || !strstr(fix->errors, "usage: provision --board"))
            fail_msg("row %zu: %s", i, fix->errors);
    }
    assert_int_equal(
        RUN(fix, "--board", "board-a", "--folder", fix->card, "--begin", "--replace", fix->file),
        CTL_EXIT_USAGE);
    assert_non_null(strstr(fix->errors, "not both"));
    assert_int_equal(
        RUN(fix, "--board", "board-a", "--folder", fix->card, "--etc", "etc", fix->file),
        CTL_EXIT_USAGE);
    assert_non_null(strstr(fix->errors, "--etc: \"etc\", must be"));
}

static void example_and_check_go_together(void **state)
{
    struct fixture *fix = *state;
    assert_int_equal(RUN(fix, "--example"), CTL_EXIT_OK);
    assert_string_equal(fix->told, provision_example);
    assert_int_equal(RUN(fix, "--check", fix->file), CTL_EXIT_OK);
    assert_non_null(strstr(fix->told, "good; cluster line-3, 3 boards"));
    assert_int_equal(RUN(fix, "--check", fix->file, "--json"), CTL_EXIT_OK);
    assert_non_null(strstr(fix->told, "{\"ok\":true,\"cluster\":\"line-3\""));
    assert_int_equal(access(fix->pki, F_OK), -1);
}

/* ---- cards */

static void a_first_card_begins_and_makes_the_ca(void **state)
{
    struct fixture *fix = *state;
    struct stat about;
    assert_int_equal(make(fix, "board-a", NULL), CTL_EXIT_OK);
    card_has(fix, "board", "first=begin\n");
    card_has(fix, "holdfast.conf", "/etc/holdfast/node.key");
    card_has(fix, "ca.crt", "BEGIN CERTIFICATE");
    assert_int_equal(stat(fix->pki, &about), 0);
    assert_int_equal(about.st_mode & 07777, 0700);
    assert_true(same_files(path(fix->pki, "board-a.key"), path(fix->card, "holdfast/node.key")));
    assert_non_null(strstr(fix->told, "begins a new cluster"));
    assert_non_null(strstr(fix->told, "make it again with --replace"));
    assert_non_null(strstr(fix->told, "provision --board witness --folder DIR"));
    assert_non_null(strstr(fix->told, "-H 192.168.7.11:7443 --node board-a"));
    /* The second one is of the same CA, which is told as new no more. */
    assert_int_equal(make(fix, "board-b", NULL), CTL_EXIT_OK);
    card_has(fix, "board", "id=board-b\n");
    assert_null(strstr(fix->told, "That folder is new"));
    assert_true(same_files(path(fix->pki, "ca.crt"), path(fix->card, "holdfast/ca.crt")));
}

static void a_second_card_of_a_board_is_asked_about_and_nothing_is_written(void **state)
{
    struct fixture *fix = *state;
    assert_int_equal(make(fix, "board-a", NULL), CTL_EXIT_OK);
    unlink(path(fix->card, "holdfast/board"));
    unsigned files = files_in(fix->pki);
    assert_int_equal(make(fix, "board-a", NULL), CTL_EXIT_REFUSED);
    assert_non_null(strstr(fix->errors, "--begin    the cluster is new"));
    assert_non_null(strstr(fix->errors, "--replace  the cluster runs"));
    assert_int_equal(access(path(fix->card, "holdfast/board"), F_OK), -1);
    assert_int_equal(files_in(fix->pki), files);
    assert_string_equal(fix->told, "");
}

static void begin_uses_the_certificate_again_and_replace_makes_another(void **state)
{
    struct fixture *fix = *state;
    char key[PATH_ROOM];
    char kept[PATH_ROOM];
    assert_int_equal(make(fix, "board-a", NULL), CTL_EXIT_OK);
    snprintf(key, sizeof(key), "%s/board-a.key", fix->pki);
    snprintf(kept, sizeof(kept), "%s/kept", fix->pki);
    assert_int_equal(link(key, kept), 0);
    assert_int_equal(make(fix, "board-a", "--begin"), CTL_EXIT_OK);
    card_has(fix, "board", "first=begin\n");
    assert_true(same_files(key, kept));
    assert_non_null(strstr(fix->told, "certificate: that of before"));
    assert_int_equal(make(fix, "board-a", "--replace"), CTL_EXIT_OK);
    card_has(fix, "board", "first=replace\n");
    assert_false(same_files(key, kept));
    assert_true(same_files(key, path(fix->card, "holdfast/node.key")));
    assert_non_null(strstr(fix->told, "nothing is begun"));
    assert_non_null(strstr(fix->told, "destroy that card"));
}

/* It would be refused by holdfastd --init. */
static void a_board_without_an_issuer_begins_nothing(void **state)
{
    struct fixture *fix = *state;
    char text[TEXT_MAX];
    snprintf(text, sizeof(text), "%s", provision_example);
    char *at = strstr(text, "{ id = \"witness\"");
    assert_non_null(at);
    char rest[TEXT_MAX];
    snprintf(rest, sizeof(rest), "%s", at);
    snprintf(at, sizeof(text) - (size_t)(at - text),
             "{ id = \"c\"; address = \"192.168.7.14\"; }, %s", rest);
    write_file(fix->file, text);
    assert_int_equal(make(fix, "c", NULL), CTL_EXIT_OK);
    card_has(fix, "board", "first=replace\n");
    assert_non_null(strstr(fix->told, "runs no issuer"));
    assert_int_equal(make(fix, "c", NULL), CTL_EXIT_REFUSED);
    assert_int_equal(make(fix, "c", "--begin"), CTL_EXIT_OK);
    card_has(fix, "board", "first=replace\n");
}

static void another_folder_for_configuration_is_said_in_it(void **state)
{
    struct fixture *fix = *state;
    assert_int_equal(
        RUN(fix, "--board", "witness", "--folder", fix->card, "--etc", "/srv/hf", fix->file),
        CTL_EXIT_OK);
    card_has(fix, "holdfast.conf", "\"/srv/hf/node.crt\"");
}

static void json_says_what_was_made(void **state)
{
    struct fixture *fix = *state;
    assert_int_equal(make(fix, "board-a", "--json"), CTL_EXIT_OK);
    assert_string_equal(fix->told, "{\"ok\":true,\"cluster\":\"line-3\",\"board\":\"board-a\","
                                   "\"first\":\"begin\",\"certificate\":\"made\"}\n");
}

/* ---- refusals */

static void refusals_write_nothing(void **state)
{
    struct fixture *fix = *state;
    assert_int_equal(make(fix, "board-x", NULL), CTL_EXIT_REFUSED);
    assert_non_null(strstr(fix->errors, "\"board-x\", must be one of boards in"));
    assert_non_null(strstr(fix->errors, ": board-a, board-b, witness\n"));
    assert_int_equal(RUN(fix, "--board", "board-a", "--folder", "/nonexistent", fix->file),
                     CTL_EXIT_REFUSED);
    assert_int_equal(RUN(fix, "--board", "board-a", "--image", fix->file, fix->file),
                     CTL_EXIT_REFUSED);
    assert_non_null(strstr(fix->errors, "has no partition table"));
    write_file(fix->file, "cluster = \"line-3\";\n");
    assert_int_equal(make(fix, "board-a", NULL), CTL_EXIT_REFUSED);
    assert_int_equal(access(fix->pki, F_OK), -1);
    assert_int_equal(files_in(fix->card), 0);
}

static void a_folder_of_keys_that_others_can_read_is_refused(void **state)
{
    struct fixture *fix = *state;
    assert_int_equal(mkdir(fix->pki, 0755), 0);
    assert_int_equal(chmod(fix->pki, 0755), 0);
    assert_int_equal(make(fix, "board-a", NULL), CTL_EXIT_REFUSED);
    assert_non_null(strstr(fix->errors, "mode 0755, must be closed to group and others"));
    assert_int_equal(files_in(fix->pki), 0);
}

/* A new CA in the place of a lost one would make cards that no board of the cluster takes. */
static void a_lost_ca_is_not_replaced_by_another(void **state)
{
    struct fixture *fix = *state;
    assert_int_equal(make(fix, "board-a", NULL), CTL_EXIT_OK);
    unlink(path(fix->pki, "ca.crt"));
    assert_int_equal(make(fix, "board-b", NULL), CTL_EXIT_REFUSED);
    assert_non_null(strstr(fix->errors, "has files, but no ca.crt"));
    assert_int_equal(access(path(fix->pki, "ca.crt"), F_OK), -1);
}

static void the_ca_of_another_cluster_is_not_used(void **state)
{
    struct fixture *fix = *state;
    FILE *quiet = fopen("/dev/null", "w");
    const struct pki_request other = {
        .folder = fix->pki, .name = "line-4", .days = 10, .out = quiet, .errors = quiet
    };
    assert_true(pki_init(&other));
    fclose(quiet);
    assert_int_equal(make(fix, "board-a", NULL), CTL_EXIT_REFUSED);
    assert_non_null(
        strstr(fix->errors, "is the CA of cluster \"line-4\", must be that of \"line-3\""));
}

static void a_certificate_that_does_not_fit_is_not_used(void **state)
{
    struct fixture *fix = *state;
    char key[PATH_ROOM];
    assert_int_equal(make(fix, "board-a", NULL), CTL_EXIT_OK);
    assert_int_equal(make(fix, "board-b", NULL), CTL_EXIT_OK);
    snprintf(key, sizeof(key), "%s/board-a.key", fix->pki);
    assert_int_equal(rename(path(fix->pki, "board-b.key"), key), 0);
    assert_int_equal(make(fix, "board-a", "--begin"), CTL_EXIT_REFUSED);
    assert_non_null(strstr(fix->errors, "is not the key of"));
    assert_non_null(strstr(fix->errors, "--replace makes a new key"));
    assert_int_equal(make(fix, "board-a", "--replace"), CTL_EXIT_OK);
}

/* ---- time */

static time_t later; /* than the real time */

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec + later;
    return now.tv_sec + later;
}

static void an_expired_certificate_is_renewed_for_the_same_key(void **state)
{
    struct fixture *fix = *state;
    char before[TEXT_MAX];
    assert_int_equal(make(fix, "board-a", NULL), CTL_EXIT_OK);
    read_file(path(fix->pki, "board-a.crt"), before, sizeof(before));
    later = (time_t)(PKI_NODE_DAYS + 1) * 24 * 60 * 60;
    enum ctl_exit asked = make(fix, "board-a", NULL);
    enum ctl_exit made = make(fix, "board-a", "--begin");
    later = 0;
    assert_int_equal(asked, CTL_EXIT_REFUSED);
    assert_int_equal(made, CTL_EXIT_OK);
    assert_non_null(strstr(fix->told, "had expired; made now for the same key"));
    card_has(fix, "node.crt", "BEGIN CERTIFICATE");
    char after[TEXT_MAX];
    read_file(path(fix->pki, "board-a.crt"), after, sizeof(after));
    assert_string_not_equal(before, after);
    assert_true(same_files(path(fix->pki, "board-a.key"), path(fix->card, "holdfast/node.key")));
}

static void an_expired_ca_makes_no_card(void **state)
{
    struct fixture *fix = *state;
    assert_int_equal(make(fix, "board-a", NULL), CTL_EXIT_OK);
    later = (time_t)(PKI_CA_DAYS + 1) * 24 * 60 * 60;
    enum ctl_exit made = make(fix, "board-b", NULL);
    later = 0;
    assert_int_equal(made, CTL_EXIT_REFUSED);
    assert_non_null(strstr(fix->errors, "the CA has expired"));
    assert_int_equal(access(path(fix->pki, "board-b.crt"), F_OK), -1);
}

/* ---- cards that could not be written */

/* The same command again is no second card. */
static void a_first_card_that_failed_leaves_no_certificate(void **state)
{
    struct fixture *fix = *state;
    write_file(path(fix->card, "holdfast"), "no folder");
    assert_int_equal(make(fix, "board-a", NULL), CTL_EXIT_REFUSED);
    assert_non_null(strstr(fix->errors, "card/holdfast: Not a directory"));
    assert_int_equal(access(path(fix->pki, "board-a.crt"), F_OK), -1);
    assert_int_equal(access(path(fix->pki, "board-a.key"), F_OK), -1);
    unlink(path(fix->card, "holdfast"));
    assert_int_equal(make(fix, "board-a", NULL), CTL_EXIT_OK);
    card_has(fix, "board", "first=begin\n");
}

/* A key whose certificate was never written went onto no card. */
static void a_key_without_a_certificate_is_not_in_the_way(void **state)
{
    struct fixture *fix = *state;
    assert_int_equal(make(fix, "board-a", NULL), CTL_EXIT_OK);
    unlink(path(fix->pki, "board-a.crt"));
    assert_int_equal(make(fix, "board-a", NULL), CTL_EXIT_OK);
    assert_true(same_files(path(fix->pki, "board-a.key"), path(fix->card, "holdfast/node.key")));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(words_that_do_not_go_together_are_told_with_the_usage),
        TEST(example_and_check_go_together),
        TEST(a_first_card_begins_and_makes_the_ca),
        TEST(a_second_card_of_a_board_is_asked_about_and_nothing_is_written),
        TEST(begin_uses_the_certificate_again_and_replace_makes_another),
        TEST(a_board_without_an_issuer_begins_nothing),
        TEST(another_folder_for_configuration_is_said_in_it),
        TEST(json_says_what_was_made),
        TEST(refusals_write_nothing),
        TEST(a_folder_of_keys_that_others_can_read_is_refused),
        TEST(a_lost_ca_is_not_replaced_by_another),
        TEST(the_ca_of_another_cluster_is_not_used),
        TEST(a_certificate_that_does_not_fit_is_not_used),
        TEST(an_expired_certificate_is_renewed_for_the_same_key),
        TEST(an_expired_ca_makes_no_card),
        TEST(a_first_card_that_failed_leaves_no_certificate),
        TEST(a_key_without_a_certificate_is_not_in_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
