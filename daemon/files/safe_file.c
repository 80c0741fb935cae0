#include "files/safe_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool say(char *error, size_t size, const char *path, const struct stat *status,
                const char *allowed)
{
    snprintf(error, size, "%s: owned by user %u, mode %04o: %s", path, (unsigned)status->st_uid,
             (unsigned)status->st_mode & 07777, allowed);
    return false;
}

static bool say_errno(char *error, size_t size, const char *path, const char *what)
{
    snprintf(error, size, "%s: can't be %s: %s", path, what, strerror(errno));
    return false;
}

/* ---- folders */

bool safe_folder(const char *path, bool any_owner, char *error, size_t error_size)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return say_errno(error, error_size, path, "examined");
    bool shared = (status.st_mode & S_ISGID) != 0;
    if (!S_ISDIR(status.st_mode))
        return say(error, error_size, path, &status, "must be a directory");
    if (status.st_mode & S_IWOTH)
        return say(error, error_size, path, &status,
                   "must not be writable by other users, 0755 or stricter is allowed");
    if ((status.st_mode & S_IWGRP) && !shared)
        return say(error, error_size, path, &status,
                   "must not be writable by its group, 0755 or stricter is allowed, or 2775 where "
                   "the group is the guard's and the agent's own");
    bool own = status.st_uid == 0 || status.st_uid == geteuid();
    if (own || (any_owner && (geteuid() == 0 || shared)))
        return true;
    char allowed[80];
    snprintf(allowed, sizeof(allowed), "must be owned by root or by user %u, who runs this program",
             (unsigned)geteuid());
    return say(error, error_size, path, &status, allowed);
}

/* ---- files */

static bool check(const struct stat *status, const char *name, char *error, size_t error_size)
{
    char allowed[80];
    if (!S_ISREG(status->st_mode))
        return say(error, error_size, name, status, "must be a regular file");
    if (status->st_nlink > 1)
        return say(error, error_size, name, status, "has other names too, must have one");
    if (status->st_uid == geteuid())
        return true;
    snprintf(allowed, sizeof(allowed), "must be owned by user %u, who runs this program",
             (unsigned)geteuid());
    return say(error, error_size, name, status, allowed);
}

bool safe_file_check(int descriptor, const char *name, char *error, size_t error_size)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return say_errno(error, error_size, name, "examined");
    return check(&status, name, error, error_size);
}

/* O_NONBLOCK: a pipe that somebody left there must not be waited for. */
static int open_plain(const char *path, int flags, mode_t mode)
{
    return open(path, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, mode);
}

int safe_file_open(const char *path, int flags, mode_t mode, char *error, size_t error_size)
{
    struct stat status;
    int fd = open_plain(path, flags, mode);
    if (fd < 0) {
        if (errno == ELOOP)
            snprintf(error, error_size, "%s: is a symbolic link, must be a regular file", path);
        else
            (void)say_errno(error, error_size, path, "opened");
        return -1;
    }
    bool good = safe_file_check(fd, path, error, error_size);
    if (good && fstat(fd, &status) == 0 && (status.st_mode & 07777 & ~mode) != 0 &&
        fchmod(fd, status.st_mode & mode) != 0)
        good = say_errno(error, error_size, path, "restricted");
    if (good)
        return fd;
    close(fd);
    return -1;
}

/* ---- locks */

/* The user of a process; false: there is no such process. */
static bool user_of(long pid, uid_t *user)
{
    char path[40];
    struct stat status;
    snprintf(path, sizeof(path), "/proc/%ld", pid);
    if (stat(path, &status) != 0)
        return false;
    *user = status.st_uid;
    return true;
}

/*
 * True if everybody who locks this file is another user's process, or gone and left the descriptor
 * to a child: no program of Holdfast does. A holder that can't be seen from here counts as ours.
 */
static bool held_by_strangers(const struct stat *file)
{
    char line[200];
    bool strangers = false;
    FILE *locks = fopen("/proc/locks", "re");
    if (locks == NULL)
        return false;
    while (fgets(line, sizeof(line), locks) != NULL) {
        long pid = 0;
        unsigned long inode = 0;
        uid_t user = 0;
        /* The kernel's own digits: NOLINTNEXTLINE(cert-err34-c) */
        if (sscanf(line, "%*d: FLOCK %*s %*s %ld %*x:%*x:%lu", &pid, &inode) != 2 ||
            inode != (unsigned long)file->st_ino)
            continue;
        bool alive = pid > 0 && user_of(pid, &user);
        strangers = pid > 0 && (!alive || (user != 0 && user != geteuid()));
        if (!strangers)
            break;
    }
    fclose(locks);
    return strangers;
}

static bool same_file(const char *path, const struct stat *file)
{
    struct stat now;
    return lstat(path, &now) == 0 && now.st_ino == file->st_ino && now.st_dev == file->st_dev;
}

enum lock_result { LOCK_TAKEN, LOCK_REFUSED, LOCK_AGAIN };

/* `fd` stays open while a loose file is replaced, so that no other start passes meanwhile. */
static enum lock_result lock_open(int fd, const char *path, const char *held, char *error,
                                  size_t error_size)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        snprintf(error, error_size, "%s: must be a regular file", path);
        return LOCK_REFUSED;
    }
    bool loose = status.st_uid != geteuid() || (status.st_mode & 077) != 0 || status.st_nlink > 1;
    bool taken = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (taken && !loose)
        return LOCK_TAKEN;
    if (!taken && errno != EWOULDBLOCK) {
        (void)say_errno(error, error_size, path, "locked");
        return LOCK_REFUSED;
    }
    if (!taken && (!loose || !held_by_strangers(&status))) {
        snprintf(error, error_size, "%s: %s", path, held);
        return LOCK_REFUSED;
    }
    if (same_file(path, &status) && unlink(path) != 0) {
        (void)say_errno(error, error_size, path, "replaced");
        return LOCK_REFUSED;
    }
    return LOCK_AGAIN;
}

/* A lock that another user made, as a start by hand as root leaves it, is closed to this one. */
static void say_unopened(char *error, size_t size, const char *path)
{
    struct stat status;
    int reason = errno;
    if (reason == ELOOP) {
        snprintf(error, size, "%s: is a symbolic link, must be a regular file", path);
    } else if (reason == EACCES && lstat(path, &status) == 0 && status.st_uid != geteuid()) {
        snprintf(
            error, size,
            "%s: belongs to user %u, and user %u runs this program: end what may still hold it, "
            "and remove it",
            path, (unsigned)status.st_uid, (unsigned)geteuid());
    } else {
        errno = reason;
        (void)say_errno(error, size, path, "opened");
    }
}

int safe_file_lock(const char *path, const char *held, char *error, size_t error_size)
{
    int replaced = -1;
    int fd = -1;
    enum lock_result result = LOCK_AGAIN;
    for (int tries = 0; tries < 4 && result == LOCK_AGAIN; tries++) {
        fd = open_plain(path, O_RDWR | O_CREAT, 0600);
        if (fd < 0) {
            say_unopened(error, error_size, path);
            break;
        }
        result = lock_open(fd, path, held, error, error_size);
        if (result == LOCK_AGAIN) {
            if (replaced >= 0)
                close(replaced);
            replaced = fd;
            fd = -1;
            snprintf(error, error_size, "%s: changes again and again", path);
        }
    }
    if (replaced >= 0)
        close(replaced);
    if (result == LOCK_TAKEN)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}
