#include "ctl/pki_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

bool pki_file_fill(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t count = write(fd, at, length);
        if (count < 0 && errno != EINTR)
            return false;
        if (count > 0) {
            at += count;
            length -= (size_t)count;
        }
    }
    return fsync(fd) == 0;
}

static void sync_folder(const char *file)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof(copy), "%s", file);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        /* A file system that cannot sync a folder has nothing better to offer. */
        (void)fsync(fd);
        close(fd);
    }
}

/* link() refuses to replace, rename() replaces: both at once, whatever else runs. */
static bool put_in_place(const char *made, const char *file, bool force)
{
    struct stat there;
    if (force && lstat(file, &there) == 0 && !S_ISREG(there.st_mode)) {
        /* A device, say: rename() would take its place. */
        errno = EEXIST;
        return false;
    }
    if (force)
        return rename(made, file) == 0;
    return link(made, file) == 0 && unlink(made) == 0;
}

bool pki_file_write(const char *file, const void *bytes, size_t length, mode_t mode, bool force)
{
    char made[PATH_MAX];
    int used = snprintf(made, sizeof(made), "%s.%ld.new", file, (long)getpid());
    if (used < 0 || (size_t)used >= sizeof(made)) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = open(made, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool done = pki_file_fill(fd, bytes, length) && fchmod(fd, mode) == 0;
    done = close(fd) == 0 && done;
    done = done && put_in_place(made, file, force);
    int error = errno;
    if (done)
        sync_folder(file);
    else
        unlink(made);
    errno = error;
    return done;
}
