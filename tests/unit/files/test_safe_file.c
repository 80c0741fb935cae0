/* Run directories, locks and links that another user prepared. */
#include "tests/unit/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files/safe_file.h"
#include "tests/unit/support/folder.h"

enum { STRANGER = 64001 };

static char folder[64];
static char path[96];
static char error[SAFE_FILE_TEXT_MAX];

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/hf-safe-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/lock", folder);
    error[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    folder_remove(folder);
    return 0;
}

static void says(const char *text)
{
    if (strstr(error, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, error);
}

static void make(const char *name, mode_t mode)
{
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

/* ---- folders */

static bool folder_with(mode_t mode)
{
    assert_int_equal(chmod(folder, mode), 0);
    return safe_folder(folder, false, error, sizeof(error));
}

static void a_folder_that_others_may_write_is_refused_and_named(void **state)
{
    char text[200];
    (void)state;
    assert_true(folder_with(0700));
    assert_true(folder_with(0755));
    assert_false(folder_with(0757));
    snprintf(text, sizeof(text),
             "%s: owned by user %u, mode 0757: must not be writable by other "
             "users, 0755 or stricter is allowed",
             folder, (unsigned)geteuid());
    assert_string_equal(error, text);
    assert_false(folder_with(01777)); /* as /tmp is */
    says("mode 1777");
    assert_false(folder_with(02777));
}

static void a_folder_that_a_group_may_write_is_theirs_by_its_set_group_id_bit(void **state)
{
    (void)state;
    assert_false(folder_with(0775));
    says("must not be writable by its group, 0755 or stricter is allowed, or 2775");
    assert_true(folder_with(02775));
}

static void what_is_no_folder_is_refused(void **state)
{
    (void)state;
    make(path, 0600);
    assert_false(safe_folder(path, false, error, sizeof(error)));
    says("must be a directory");
    unlink(path);
    assert_false(safe_folder(path, false, error, sizeof(error)));
    says("No such file");
}

static void anothers_folder_is_refused_but_to_a_guard_that_is_root(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(folder, STRANGER, (gid_t)-1), 0);
    assert_false(safe_folder(folder, false, error, sizeof(error)));
    says("owned by user 64001");
    says("must be owned by root or by user 0, who runs this program");
    assert_true(safe_folder(folder, true, error, sizeof(error)));
}

/* ---- files */

static void a_link_is_not_followed(void **state)
{
    char victim[96];
    (void)state;
    snprintf(victim, sizeof(victim), "%s/victim", folder);
    make(victim, 0600);
    assert_int_equal(symlink(victim, path), 0);
    assert_int_equal(safe_file_open(path, O_RDWR | O_CREAT, 0640, error, sizeof(error)), -1);
    says("is a symbolic link, must be a regular file");
    assert_int_equal(safe_file_lock(path, "held", error, sizeof(error)), -1);
    says("is a symbolic link");
    unlink(path);
    assert_int_equal(link(victim, path), 0);
    assert_int_equal(safe_file_open(path, O_RDWR | O_CREAT, 0640, error, sizeof(error)), -1);
    says("has other names too, must have one");
}

static void a_pipe_is_refused_and_not_waited_for(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(safe_file_open(path, O_RDWR | O_CREAT, 0640, error, sizeof(error)), -1);
    says("must be a regular file");
    assert_int_equal(safe_file_lock(path, "held", error, sizeof(error)), -1);
    says("must be a regular file");
}

static void a_mode_that_is_too_wide_is_tightened(void **state)
{
    struct stat status;
    (void)state;
    make(path, 0666);
    int fd = safe_file_open(path, O_RDWR, 0640, error, sizeof(error));
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    close(fd);
}

static void anothers_file_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    make(path, 0600);
    assert_int_equal(chown(path, STRANGER, (gid_t)-1), 0);
    assert_int_equal(safe_file_open(path, O_RDWR, 0640, error, sizeof(error)), -1);
    says("owned by user 64001, mode 0600: must be owned by user 0, who runs this program");
}

/* ---- locks */

static void a_lock_is_private_and_one_holders(void **state)
{
    struct stat status;
    (void)state;
    umask(0);
    int fd = safe_file_lock(path, "held: another one runs", error, sizeof(error));
    umask(022);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(safe_file_lock(path, "held: another one runs", error, sizeof(error)), -1);
    says("/lock: held: another one runs");
    close(fd);
    fd = safe_file_lock(path, "held", error, sizeof(error));
    assert_true(fd >= 0);
    close(fd);
}

static void a_lock_of_an_older_version_still_counts_while_its_holder_lives(void **state)
{
    struct stat status;
    (void)state;
    make(path, 0644);
    int older = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(older, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(safe_file_lock(path, "held", error, sizeof(error)), -1);
    says("held");
    close(older);
    int fd = safe_file_lock(path, "held", error, sizeof(error));
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    close(fd);
}

/* A child of another user opens what it may and locks it; ends when `end` is closed. */
static pid_t stranger_locks(const int end[2], bool leaves_it_to_a_child)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        close(end[1]);
        close(ready[0]);
        if (setresgid(STRANGER, STRANGER, STRANGER) != 0 ||
            setresuid(STRANGER, STRANGER, STRANGER) != 0)
            _exit(3);
        int fd = open(path, O_RDONLY);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
            _exit(2);
        bool stays = !leaves_it_to_a_child || fork() == 0;
        if (stays && write(ready[1], "x", 1) == 1)
            _exit((int)read(end[0], &byte, 1));
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    if (leaves_it_to_a_child)
        assert_int_equal(waitpid(child, NULL, 0), child);
    return child;
}

/* As after a start by hand as root. The words of an ordinary user's start come over a pipe. */
static void a_lock_of_another_user_is_told_with_both_and_what_to_do(void **state)
{
    int words[2];
    char told[256] = "";
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(folder, 0755), 0);
    make(path, 0600);
    assert_int_equal(pipe(words), 0);
    pid_t child = fork();
    if (child == 0) {
        if (setresuid(STRANGER, STRANGER, STRANGER) != 0 ||
            safe_file_lock(path, "held", error, sizeof(error)) >= 0)
            _exit(1);
        _exit(write(words[1], error, strlen(error)) < 0);
    }
    close(words[1]);
    assert_true(read(words[0], told, sizeof(told) - 1) > 0);
    close(words[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    snprintf(error, sizeof(error),
             "%s: belongs to user 0, and user %d runs this program: end what may "
             "still hold it, and remove it",
             path, STRANGER);
    assert_string_equal(told, error);
    unlink(path);
}

static void a_lock_that_a_stranger_holds_keeps_nobody_out(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(folder, 0755), 0);
    for (int kind = 0; kind < 2; kind++) {
        struct stat before;
        struct stat after;
        int end[2];
        make(path, 0644);
        assert_int_equal(stat(path, &before), 0);
        assert_int_equal(pipe2(end, O_CLOEXEC), 0);
        pid_t child = stranger_locks(end, kind == 1);
        int fd = safe_file_lock(path, "held", error, sizeof(error));
        if (fd < 0)
            fail_msg("%s", error);
        assert_int_equal(fstat(fd, &after), 0);
        assert_int_not_equal(before.st_ino, after.st_ino);
        assert_int_equal(after.st_mode & 07777, 0600);
        /* And what took its place is closed to the stranger. */
        assert_int_equal(safe_file_lock(path, "held", error, sizeof(error)), -1);
        close(end[0]);
        close(end[1]);
        if (kind == 0)
            assert_int_equal(waitpid(child, NULL, 0), child);
        close(fd);
        unlink(path);
    }
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(a_folder_that_others_may_write_is_refused_and_named),
        IN_A_FOLDER(a_folder_that_a_group_may_write_is_theirs_by_its_set_group_id_bit),
        IN_A_FOLDER(what_is_no_folder_is_refused),
        IN_A_FOLDER(anothers_folder_is_refused_but_to_a_guard_that_is_root),
        IN_A_FOLDER(a_link_is_not_followed),
        IN_A_FOLDER(a_pipe_is_refused_and_not_waited_for),
        IN_A_FOLDER(a_mode_that_is_too_wide_is_tightened),
        IN_A_FOLDER(anothers_file_is_refused),
        IN_A_FOLDER(a_lock_is_private_and_one_holders),
        IN_A_FOLDER(a_lock_of_an_older_version_still_counts_while_its_holder_lives),
        IN_A_FOLDER(a_lock_of_another_user_is_told_with_both_and_what_to_do),
        IN_A_FOLDER(a_lock_that_a_stranger_holds_keeps_nobody_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
